//! What calibration reaches with real networks. Not a test: it prints figures, and takes minutes.
//!
//! ```text
//! cargo bench -p fathom-tests --bench calibration -- cameras MANIFEST.tsv [--model M.onnx] [--least FRAMES] [--half 1|2] [--cameras N]
//! cargo bench -p fathom-tests --bench calibration -- cross   MANIFEST.tsv [--model M.onnx] [--cameras N]
//! cargo bench -p fathom-tests --bench calibration -- kappa   MANIFEST.tsv [--model M.onnx] [--half 1|2] [--cameras N]
//! cargo bench -p fathom-tests --bench calibration -- focal   MANIFEST.tsv [--model M.onnx] [--cameras N]
//! cargo bench -p fathom-tests --bench calibration -- video   MANIFEST.tsv [--model M.onnx] [--cameras N]
//! cargo bench -p fathom-tests --bench calibration -- spots   MANIFEST.tsv [--model M.onnx] [--cameras N]
//! cargo bench -p fathom-tests --bench calibration -- boot    MANIFEST.tsv [--model M.onnx]
//! ```
//! `cameras` scores every camera of a manifest under the card's response: errors before and after, sigmas, focal lengths,
//! metres. `kappa` measures the response and prints the card's lines; with `--half` it does so on every other camera, so that
//! `cameras` can score the others under a card that never saw them; `cross` does both ways in one run. `focal` searches the focal length by consistency alone. `boot` times eight frames of 640 x 480.
//! `spots` holds what is claimed of a reading at a pixel against its error.
//! `video` takes a camera's frames in their order and follows the scale along them, by one range finder's beam.
//! Held-out synthetic cameras: `python -m render test` in `fixtures/train`, and `clips` for videos.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench has a clock and prints")]

mod cameras;
mod campaign;
mod focal;
mod halves;
mod spots;
mod table;
mod timing;
mod turns;
mod video;

use std::path::{Path, PathBuf};

use fathom_core::model::{DepthModel, Response, ScaleSpread};
use fathom_runtime::backend::EngineConfig;
use fathom_runtime::engine::Engine;
use fathom_runtime::network::import::ImportOptions;

struct Arguments {
    command: String,
    manifest: PathBuf,
    model: PathBuf,
    least: usize,
    half: Option<usize>,
    cameras: usize,
}

fn main() {
    let Some(arguments) = arguments() else {
        println!(
            "usage: calibration cameras|cross|kappa|focal|video|spots|boot MANIFEST.tsv [--model M.onnx] [--least FRAMES] [--half 1|2] [--cameras N]"
        );
        return;
    };
    let mut engine = open(&arguments.model);
    println!("{} on {:?}", arguments.model.display(), engine.backend());
    if arguments.command == "boot" {
        timing::boot_times(&mut engine, &arguments.manifest);
        return;
    }
    let mut cameras = cameras::read(&arguments.manifest, arguments.least);
    if let Some(half) = arguments.half {
        let mut index = 0;
        cameras.retain(|_| {
            index += 1;
            index % 2 == half % 2
        });
    }
    let count = cameras.len().min(arguments.cameras);
    // Spread over the list, which is sorted by group.
    let chosen = (0..count).map(|i| (i as u64, &cameras[i * cameras.len() / count]));
    if arguments.command == "focal" {
        let searched: Vec<_> = chosen.map(|(_, camera)| focal::search(&mut engine, camera)).collect();
        focal::print(&searched);
        return;
    }
    if arguments.command == "video" {
        let followed: Vec<_> = chosen.flat_map(|(i, camera)| video::follow(&mut engine, camera, 1000 * i + 7)).collect();
        video::print(&followed);
        return;
    }
    if arguments.command == "spots" {
        let tried: Vec<_> = chosen.flat_map(|(i, camera)| spots::try_pixels(&mut engine, camera, 1000 * i + 7)).collect();
        spots::print(&tried);
        return;
    }
    let chosen: Vec<_> = chosen.collect();
    let score = |model: &mut dyn DepthModel, i: u64, camera: &cameras::CameraFrames| {
        eprint!("\r{} of {count} cameras", i + 1);
        campaign::score(&campaign::see(model, camera, 1000 * i + 7), 99 + i)
    };
    let mut scores: Vec<_> = chosen.iter().map(|(i, camera)| score(&mut engine, *i, camera)).collect();
    if arguments.command == "cross" {
        let [even, odd] = [0, 1].map(|rest| halves::card(engine.card(), scores.iter().skip(rest).step_by(2)));
        println!("kappa {:?} and {:?}, scale spread {:?} and {:?}", even.kappa, odd.kappa, even.scale_spread, odd.scale_spread);
        scores = chosen
            .iter()
            .map(|(i, camera)| {
                // Each camera under the card of the half that it is not in.
                let card = if i % 2 == 0 { odd.clone() } else { even.clone() };
                score(&mut campaign::Carded { model: &mut engine, card }, *i, camera)
            })
            .collect();
    }
    eprintln!();
    if arguments.command != "kappa" {
        let kappa = engine.card().kappa.unwrap_or(Response { value: 0.0, sigma: 0.0 });
        println!("the card says kappa {:.3} +- {:.3}\n", kappa.value, kappa.sigma);
        table::print(&scores);
    } else {
        card_lines(&scores);
    }
}

/// What the card should say, measured on these cameras.
fn card_lines(scores: &[campaign::Scored]) {
    if let Some(Response { value, sigma }) = campaign::response(scores.iter()) {
        // Quartiles of a normal distribution lie 0.6745 sigma from its middle.
        println!("fathom.kappa            {value:.3}");
        println!("fathom.kappa_quartiles  {:.3},{:.3}", value - 0.6745 * sigma, value + 0.6745 * sigma);
    }
    if let Some(ScaleSpread { frame, pixel }) = campaign::scale_spread(scores.iter()) {
        println!("fathom.scale_spread     {frame:.3},{pixel:.3}");
    }
    for (i, name) in ["yaw", "pitch"].iter().enumerate() {
        let [low, middle, high] = campaign::quartiles(scores.iter().filter_map(|s| s.kappa_by_direction[i]).collect());
        println!("  by {name} alone, median over frames: {middle:.3}, quartiles over cameras {low:.3},{high:.3}");
    }
    let taus = campaign::quartiles(scores.iter().map(|s| s.tau_true).collect());
    println!("fathom.default_tau            {:.4}", taus[1]);
    println!("fathom.default_tau_quartiles  {:.4},{:.4}", taus[0], taus[2]);
}

fn open(model: &Path) -> Engine {
    let bytes = std::fs::read(model).unwrap_or_else(|e| panic!("{}: {e}", model.display()));
    let card_toml = std::fs::read_to_string(model.with_extension("toml")).ok();
    let options = ImportOptions { card_toml: card_toml.as_deref(), ..ImportOptions::default() };
    Engine::from_onnx(&bytes, options, &EngineConfig::cpu()).unwrap_or_else(|e| panic!("{}: {e}", model.display()))
}

fn arguments() -> Option<Arguments> {
    // Cargo passes `--bench` to every bench.
    let mut given = std::env::args().skip(1).filter(|a| a != "--bench");
    let command = given.next().filter(|c| ["cameras", "cross", "kappa", "focal", "video", "spots", "boot"].contains(&c.as_str()))?;
    let manifest = PathBuf::from(given.next()?);
    let model = fathom_tests::require::fixture("models/fathom-small.int8.onnx");
    let mut arguments = Arguments { command, manifest, model, least: 3, half: None, cameras: usize::MAX };
    while let (Some(flag), Some(value)) = (given.next(), given.next()) {
        match flag.as_str() {
            "--model" => arguments.model = value.into(),
            "--least" => arguments.least = value.parse().ok()?,
            "--half" => arguments.half = Some(value.parse().ok()?),
            "--cameras" => arguments.cameras = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(arguments)
}
