//! What calibration reaches with real networks. Not a test: it prints figures, and takes minutes.
//!
//! ```text
//! cargo bench -p fathom-tests --bench calibration -- cameras MANIFEST.tsv [--model M.onnx] [--least FRAMES] [--cameras N]
//! cargo bench -p fathom-tests --bench calibration -- kappa   MANIFEST.tsv [--model M.onnx] [--cameras N]
//! cargo bench -p fathom-tests --bench calibration -- boot    MANIFEST.tsv [--model M.onnx]
//! ```
//! `cameras` scores every camera of a manifest under the card's response: errors before and after, sigmas, focal lengths,
//! metres. `kappa` measures the response and prints the card's lines. `boot` times eight frames of 640 x 480.
//! Held-out synthetic cameras: `python -m render test` in `fixtures/train`.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench has a clock and prints")]

mod cameras;
mod campaign;
mod timing;

use std::path::{Path, PathBuf};

use fathom_core::model::Response;
use fathom_runtime::backend::EngineConfig;
use fathom_runtime::engine::Engine;
use fathom_runtime::network::import::ImportOptions;

struct Arguments {
    command: String,
    manifest: PathBuf,
    model: PathBuf,
    least: usize,
    cameras: usize,
}

fn main() {
    let Some(arguments) = arguments() else {
        println!("usage: calibration cameras|kappa|boot MANIFEST.tsv [--model M.onnx] [--least FRAMES] [--cameras N]");
        return;
    };
    let mut engine = open(&arguments.model);
    println!("{} on {:?}", arguments.model.display(), engine.backend());
    if arguments.command == "boot" {
        timing::boot_times(&mut engine, &arguments.manifest);
        return;
    }
    let cameras = cameras::read(&arguments.manifest, arguments.least);
    let mut seen = Vec::new();
    for (index, camera) in cameras.iter().take(arguments.cameras).enumerate() {
        eprint!("\r{} of {} cameras", index + 1, cameras.len().min(arguments.cameras));
        seen.push(campaign::see(&mut engine, camera, 1000 * index as u64 + 7));
    }
    eprintln!();
    let alone: Vec<_> = seen.iter().map(|s| campaign::score(s, Response { value: 1.0, sigma: 0.0 }, 3)).collect();
    let measured = campaign::response(&alone);
    if let Some(Response { value, sigma }) = measured {
        // Quartiles of a normal distribution lie 0.6745 sigma from its middle.
        println!("fathom.kappa            {value:.3}");
        println!("fathom.kappa_quartiles  {:.3},{:.3}", value - 0.6745 * sigma, value + 0.6745 * sigma);
    }
    let taus = campaign::quartiles(alone.iter().map(|s| s.tau_true).collect());
    println!("fathom.default_tau            {:.4}", taus[1]);
    println!("fathom.default_tau_quartiles  {:.4},{:.4}", taus[0], taus[2]);
    if arguments.command == "cameras" {
        let kappa = engine.card().kappa.unwrap_or(Response { value: 0.0, sigma: 0.0 });
        println!("the card says kappa {:.3} +- {:.3}\n", kappa.value, kappa.sigma);
        let scored: Vec<_> = seen.iter().enumerate().map(|(i, s)| campaign::score(s, kappa, 99 + i as u64)).collect();
        campaign::print(&scored, &seen);
    }
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
    let command = given.next().filter(|c| ["cameras", "kappa", "boot"].contains(&c.as_str()))?;
    let manifest = PathBuf::from(given.next()?);
    let model = fathom_tests::require::fixture("models/fathom-small.int8.onnx");
    let mut arguments = Arguments { command, manifest, model, least: 3, cameras: usize::MAX };
    while let (Some(flag), Some(value)) = (given.next(), given.next()) {
        match flag.as_str() {
            "--model" => arguments.model = value.into(),
            "--least" => arguments.least = value.parse().ok()?,
            "--cameras" => arguments.cameras = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(arguments)
}
