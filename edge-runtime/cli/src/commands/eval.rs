//! `fathom eval`: accuracy on frames with ground truth, by group and overall. The formulas are `fathom_core::measures`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use fathom_core::camera::Intrinsics;
use fathom_core::depth::OutputKind;
use fathom_core::measures::alignment::{Affine, affine_oracle, scale_only};
use fathom_core::measures::{Pair, accuracy, order, pairs, surface};
use fathom_core::ops::image::resize::resize_plane;
use fathom_runtime::engine::Engine;
use serde::Serialize;

use crate::args::NetworkArgs;
use crate::calibration::Loaded;
use crate::dataset::{self, Entry, Truth};
use crate::io::pictures;
use crate::reading::ASSUMED_FOV_DEG;
use crate::report::{Report, number, table};
use crate::{network, progress};

/// Arguments of `fathom eval`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct EvalArgs {
    /// Frames with ground truth: tab-separated, with columns file, depth_file, depth_encoding, fx, fy, cx, cy, width, height.
    manifest: PathBuf,

    #[command(flatten)]
    network: NetworkArgs,

    /// What `fathom calibrate` found: its shift and camera are measured instead of the network's defaults.
    #[arg(long, value_name = "C.toml")]
    calibration: Option<PathBuf>,

    /// At most this many frames of each group.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

const AFTER_HELP: &str = "\
Measures (means over frames, overall over groups):
  absrel_scale, delta1_scale    shift from the calibration or the card, scale from the median ratio
  absrel_domain                 the same with the one shift that suits the group best
  absrel_affine, delta1_affine  scale and shift fitted to each frame: what an oracle would reach
  spearman                      rank correlation, 1 is a perfect order
  lsiv                          surface error of the point cloud (smaller is better)

Examples:
  fathom eval data/MANIFEST.tsv
  fathom eval data/MANIFEST.tsv --model midas.onnx --limit 3 --json";

/// Accuracy of a network.
#[derive(Debug, Serialize)]
pub(crate) struct EvalReport {
    model: String,
    backend: &'static str,
    adapter: Option<String>,
    groups: BTreeMap<String, Scores>,
    /// Mean over groups.
    overall: Scores,
}

/// Means of the measures; `None` where no frame has them.
#[derive(Debug, Clone, Default, Serialize)]
struct Scores {
    frames: usize,
    absrel_scale: Option<f64>,
    delta1_scale: Option<f64>,
    absrel_domain: Option<f64>,
    absrel_affine: Option<f64>,
    delta1_affine: Option<f64>,
    spearman: Option<f64>,
    lsiv: Option<f64>,
}

/// One frame's answer, kept until its group's common shift is known.
struct Frame {
    raw: Vec<Pair>,
    scores: Scores,
}

pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<EvalReport> {
    let entries = limited(dataset::read(&args.manifest)?, args.limit);
    let (mut engine, model) = network::open(&args.network)?;
    let calibration = args.calibration.as_deref().map(|path| Loaded::open(path, &engine)).transpose()?;
    let bar = progress::bar(entries.values().map(Vec::len).sum(), "eval");
    let mut groups = BTreeMap::new();
    for (group, entries) in entries {
        bar.set_message(group.clone());
        let mut frames = Vec::new();
        for entry in &entries {
            frames.push(frame(&mut engine, entry, calibration.as_ref()).with_context(|| format!("frame {}", entry.picture.display()))?);
            bar.inc(1);
        }
        groups.insert(group, group_scores(frames, engine.card().output_kind));
    }
    bar.finish_and_clear();
    let overall = Scores { frames: groups.values().map(|scores| scores.frames).sum(), ..mean_of(groups.values()) };
    let backend = engine.backend();
    Ok(EvalReport { model, backend: backend.backend, adapter: backend.adapter.clone(), groups, overall })
}

fn limited(entries: Vec<Entry>, limit: Option<u32>) -> BTreeMap<String, Vec<Entry>> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let mut groups: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        let group = groups.entry(entry.group.clone()).or_default();
        if group.len() < limit {
            group.push(entry);
        }
    }
    groups
}

/// Runs one frame and measures all that does not need the group's other frames.
fn frame(engine: &mut Engine, entry: &Entry, calibration: Option<&Loaded>) -> anyhow::Result<Frame> {
    let picture = pictures::read(&entry.picture)?;
    let calibration = calibration.map(|loaded| loaded.for_size(picture.size())).transpose()?;
    let truth = entry.truth()?;
    let inference = engine.infer(&picture.as_frame())?;
    // Ground truth keeps its own size: its depths are measurements and are never interpolated.
    let output = resize_plane(inference.relative.values(), inference.relative.size(), truth.size)?;
    let kind = inference.relative.kind();
    let raw = pairs(&output, &truth.depth_m);
    let tau = calibration.as_ref().map_or(engine.card().default_tau, |calibration| calibration.tau);
    let scaled = scale_only(kind, &raw, tau);
    let camera = match (calibration.and_then(|calibration| calibration.camera), inference.fov) {
        (Some(camera), _) => camera.resized(truth.size),
        (None, Some(fov)) => Intrinsics::from_fov(truth.size, fov.fov_rad)?,
        (None, None) => Intrinsics::from_fov(truth.size, ASSUMED_FOV_DEG.to_radians())?,
    };
    let by_scale = scaled.map(|affine| affine.apply(kind, &raw));
    let by_affine = affine_oracle(kind, &raw).map(|affine| affine.apply(kind, &raw));
    let scores = Scores {
        frames: 1,
        absrel_scale: by_scale.as_deref().and_then(accuracy::abs_rel),
        delta1_scale: by_scale.as_deref().and_then(accuracy::delta1),
        absrel_domain: None,
        absrel_affine: by_affine.as_deref().and_then(accuracy::abs_rel),
        delta1_affine: by_affine.as_deref().and_then(accuracy::delta1),
        spearman: order::spearman(kind, &raw),
        lsiv: scaled.and_then(|affine| surface_error(&output, &truth, (&camera, &entry.camera), (kind, affine))),
    };
    Ok(Frame { raw, scores })
}

/// LSIV of the whole image, with the predicted and the true camera.
fn surface_error(
    output: &[f32],
    truth: &Truth,
    (camera, true_camera): (&Intrinsics, &Intrinsics),
    (kind, affine): (OutputKind, Affine),
) -> Option<f64> {
    let true_camera = true_camera.resized(truth.size);
    let width = truth.size.width as usize;
    let known = output.iter().zip(&truth.depth_m).enumerate().filter(|(_, (_, truth_m))| **truth_m > 0.0);
    let (predicted, truth): (Vec<_>, Vec<_>) = known
        .map(|(i, (&x, &truth_m))| {
            let (u, v) = ((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
            (camera.ray(u, v) * affine.depth_m(kind, f64::from(x)), true_camera.ray(u, v) * f64::from(truth_m))
        })
        .unzip();
    surface::lsiv(&predicted, &truth)
}

/// Means over a group's frames, with the error that the one best shift for all of them leaves.
fn group_scores(frames: Vec<Frame>, kind: OutputKind) -> Scores {
    let all: Vec<Pair> = frames.iter().flat_map(|frame| frame.raw.iter().copied()).collect();
    let tau = affine_oracle(kind, &all).map(|affine| affine.tau);
    let scored: Vec<Scores> = frames
        .into_iter()
        .map(|frame| {
            let scaled = tau.and_then(|tau| scale_only(kind, &frame.raw, tau));
            let absrel_domain = scaled.and_then(|affine| accuracy::abs_rel(&affine.apply(kind, &frame.raw)));
            Scores { absrel_domain, ..frame.scores }
        })
        .collect();
    Scores { frames: scored.len(), ..mean_of(scored.iter()) }
}

fn mean_of<'a>(scores: impl Iterator<Item = &'a Scores> + Clone) -> Scores {
    let mean = |of: fn(&Scores) -> Option<f64>| {
        let known: Vec<f64> = scores.clone().filter_map(of).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Scores {
        frames: 0,
        absrel_scale: mean(|s| s.absrel_scale),
        delta1_scale: mean(|s| s.delta1_scale),
        absrel_domain: mean(|s| s.absrel_domain),
        absrel_affine: mean(|s| s.absrel_affine),
        delta1_affine: mean(|s| s.delta1_affine),
        spearman: mean(|s| s.spearman),
        lsiv: mean(|s| s.lsiv),
    }
}

impl Report for EvalReport {
    fn text(&self) -> String {
        let header = ["group", "frames", "AbsRel scale", "d1 scale", "AbsRel domain", "AbsRel affine", "d1 affine", "Spearman", "LSIV"];
        let row = |name: &str, s: &Scores| {
            let measures = [s.absrel_scale, s.delta1_scale, s.absrel_domain, s.absrel_affine, s.delta1_affine, s.spearman, s.lsiv];
            let numbers = measures.into_iter().map(|value| number(value, 3)).collect();
            [vec![name.to_owned(), s.frames.to_string()], numbers].concat()
        };
        let rows: Vec<_> = self.groups.iter().map(|(name, s)| row(name, s)).chain([row("overall", &self.overall)]).collect();
        let device = self.adapter.as_deref().unwrap_or(self.backend);
        format!("{} on {device}\n\n{}", self.model, table(&header, &rows))
    }
}
