//! `fathom demo`: the whole job on frames that come with the program: calibrate, depth, point cloud, pictures.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use fathom_calibration::anchors::prior::FocalPrior;
use fathom_calibration::anchors::range::RangePoint;
use fathom_calibration::calibrator::{Calibrator, FrameAnchors, Options};
use fathom_calibration::store::{self, Identity, Stored};
use fathom_calibration::verdict::Outcome;
use fathom_core::calibration::Calibration;
use fathom_core::frame::RgbImage;
use fathom_runtime::engine::Engine;
use serde::Serialize;

use crate::args::{DeviceArgs, NetworkArgs};
use crate::clock::{StageTimes, unix_seconds};
use crate::io::{make_folder, pictures};
use crate::report::Report;
use crate::results::{Format, Meaning, PictureReport, Seen, Target};
use crate::{network, progress};

/// Arguments of `fathom demo`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  fathom demo && ls fathom-demo")]
pub(crate) struct DemoArgs {
    /// Folder for the results; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "fathom-demo")]
    out: PathBuf,

    #[command(flatten)]
    device: DeviceArgs,
}

/// Six views of one room by one camera; origin and licence in `fixtures/frames/README.md`.
const FRAMES: [(&str, &[u8]); 6] = [
    ("livingroom-00000", include_bytes!("../../../../fixtures/frames/livingroom-00000.jpg")),
    ("livingroom-00045", include_bytes!("../../../../fixtures/frames/livingroom-00045.jpg")),
    ("livingroom-00081", include_bytes!("../../../../fixtures/frames/livingroom-00081.jpg")),
    ("livingroom-00126", include_bytes!("../../../../fixtures/frames/livingroom-00126.jpg")),
    ("livingroom-00162", include_bytes!("../../../../fixtures/frames/livingroom-00162.jpg")),
    ("livingroom-00198", include_bytes!("../../../../fixtures/frames/livingroom-00198.jpg")),
];

/// Focal length of the frames' camera as its data sheet has it, pixels, and one sigma of it.
const FOCAL_PX: f64 = 525.0;
const FOCAL_SIGMA: f64 = 0.02;

/// What a range finder that points at [`BEAM_PX`] reads in each frame, metres.
const RANGES: [(&str, f64); 6] = [
    ("livingroom-00000", 2.19),
    ("livingroom-00045", 1.58),
    ("livingroom-00081", 1.64),
    ("livingroom-00126", 1.77),
    ("livingroom-00162", 1.88),
    ("livingroom-00198", 2.08),
];
const BEAM_PX: [f64; 2] = [320.0, 300.0];
const RANGE_SIGMA: f64 = 0.01;

/// The frame of which all formats are written.
const SHOWN: &str = "livingroom-00126";

/// What was done.
#[derive(Debug, Serialize)]
pub(crate) struct DemoReport {
    model: String,
    backend: &'static str,
    executor: &'static str,
    adapter: Option<String>,
    reason: String,
    calibration: CalibrationFound,
    images: Vec<PictureReport>,
    files: Vec<String>,
}

/// What calibration said.
#[derive(Debug, Serialize)]
struct CalibrationFound {
    state: &'static str,
    tau: f64,
    tau_sigma: Option<f64>,
    focal_px: Option<f64>,
    scale: Option<f64>,
    scale_sigma: Option<f64>,
    network_runs: usize,
    reasons: Vec<String>,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<DemoReport> {
    let frames = embedded_frames()?;
    let (mut engine, model) = network::open(&NetworkArgs { model: None, device: args.device.clone(), card: Default::default() })?;
    make_folder(&args.out)?;
    let outcome = calibrate(&mut engine, &frames)?;
    let mut files = Vec::new();
    let calibration = outcome.is_calibrated().then(|| outcome.calibration.clone());
    if calibration.is_some() {
        let path = args.out.join("camera.toml");
        let identity = Identity { camera: "demo".into(), network_sha256: engine.sha256().to_owned(), resolution: frames[0].1.size() };
        store::save(&Stored::new(identity, &outcome, unix_seconds()), &path)?;
        files.push(path.display().to_string());
    }
    let bar = progress::bar(frames.len(), "depth");
    let mut images = Vec::new();
    for (name, picture) in &frames {
        let target = Target { folder: &args.out, stem: name, formats: formats(name, calibration.as_ref()) };
        let points = readings(name);
        let spread = engine.card().assumed_scale_spread();
        let meaning = Meaning { calibration: calibration.as_ref(), points: &points, spread, track: None, ask: false };
        let seen = Seen::by(|frame, observer| engine.infer_observed(frame, observer), (name, picture), meaning, StageTimes::new())?;
        images.push(seen.write(engine.card(), target)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    files.extend(images.iter().flat_map(|image| image.files.clone()));
    let backend = engine.backend().clone();
    Ok(DemoReport {
        model,
        backend: backend.backend,
        executor: backend.executor,
        adapter: backend.adapter,
        reason: backend.reason,
        calibration: CalibrationFound::new(&outcome),
        images,
        files,
    })
}

fn embedded_frames() -> anyhow::Result<Vec<(&'static str, RgbImage)>> {
    FRAMES.iter().map(|(name, bytes)| Ok((*name, pictures::read_bytes(bytes).with_context(|| (*name).to_owned())?))).collect()
}

/// Calibrates with what a robot would have: frames, the lens's data sheet, and a range finder along the camera's axis.
fn calibrate(engine: &mut Engine, frames: &[(&str, RgbImage)]) -> anyhow::Result<Outcome> {
    let options = Options {
        frame: frames[0].1.size(),
        old: Calibration::from_default_tau(engine.card().default_tau),
        focal: Some(FocalPrior::new(FOCAL_PX, FOCAL_SIGMA)?),
        camera_height_m: None,
    };
    let mut calibrator = Calibrator::new(engine, options)?;
    let bar = progress::bar(frames.len(), "calibrate");
    for (name, picture) in frames {
        let range = readings(name);
        if let Some(fault) = calibrator.add_frame(&picture.as_frame(), &FrameAnchors { range: &range, gravity: None })? {
            log::info!("{name}: {fault}");
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(calibrator.finish())
}

/// The range finder's reading in a frame, if there is one.
fn readings(name: &str) -> Vec<RangePoint> {
    let [u_px, v_px] = BEAM_PX;
    let point = |metres| RangePoint { u_px, v_px, metres, relative_sigma: RANGE_SIGMA };
    RANGES.iter().filter(|(frame, _)| *frame == name).map(|(_, metres)| point(*metres)).collect()
}

/// A picture of every frame; of one all that the calibration allows.
fn formats(name: &str, calibration: Option<&Calibration>) -> &'static [Format] {
    match calibration {
        _ if name != SHOWN => &[Format::Preview],
        Some(Calibration { ln_scale: Some(_), .. }) => &[Format::Npy, Format::Png16, Format::Ply, Format::Preview],
        _ => &[Format::Npy, Format::Ply, Format::Preview],
    }
}

impl CalibrationFound {
    fn new(outcome: &Outcome) -> Self {
        let found = &outcome.calibration;
        Self {
            state: found.state.name(),
            tau: found.tau,
            tau_sigma: Some(found.tau_sigma()).filter(|sigma| sigma.is_finite()),
            focal_px: found.camera.map(|camera| camera.fx_px),
            scale: found.ln_scale.map(f64::exp),
            scale_sigma: found.ln_scale.map(|ln_scale| ln_scale.exp() * found.ln_scale_sigma()),
            network_runs: outcome.network_runs,
            reasons: outcome.reasons.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Report for DemoReport {
    fn text(&self) -> String {
        let device = self.adapter.as_deref().unwrap_or(self.backend);
        let found = &self.calibration;
        let scale = match (found.scale, found.scale_sigma) {
            (Some(scale), Some(sigma)) => format!("metres to {:.0}%", 100.0 * sigma / scale),
            _ => "no metres".into(),
        };
        let sigma = found.tau_sigma.map_or_else(|| "sigma unknown".into(), |sigma| format!("+- {sigma:.3}"));
        let mut lines = vec![
            format!("Network: {} on {device} through {} ({}).", self.model, self.executor, self.reason),
            format!(
                "Calibration from {} frames, a data-sheet focal length and {} range readings: {}, shift {:.3} ({sigma}), {scale}, {} runs of the network.",
                self.images.len(),
                RANGES.len(),
                found.state,
                found.tau,
                found.network_runs
            ),
        ];
        lines.extend(found.reasons.iter().map(|reason| format!("  not known: {reason}")));
        lines.push("\nWritten:".into());
        lines.extend(self.files.iter().map(|file| format!("  {file}")));
        lines.push(format!("\n{}", self.meaning()));
        lines.join("\n")
    }
}

impl DemoReport {
    /// What the files are worth.
    fn meaning(&self) -> &'static str {
        match self.images.first().map(|image| image.unit) {
            Some("metres") => {
                "The previews show each frame beside its depth in metres. camera.toml holds the calibration: give it to\n\
                 `fathom depth --calibration`. The .ply opens in MeshLab, CloudCompare or Blender; .depth.npy is float32 metres,\n\
                 .depth.png the same in millimetres, 0 where there is no depth."
            }
            Some("up-to-scale") => {
                "The previews show each frame beside its depth up to scale: shapes are right, sizes have no unit, because no\n\
                 anchor gave metres. The .ply opens in MeshLab, CloudCompare or Blender."
            }
            _ => {
                "The frames did not hold a calibration, so the depth is the network's own: nearer and farther are told apart, distances\n\
                 are not. The .ply uses the network's default shift and is only roughly in shape."
            }
        }
    }
}
