//! `fathom calibrate`: shift, focal length and scale of one camera from its frames, stored for `--calibration`.

mod gravity;
mod page;
mod pictures;
mod plots;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use fathom_calibration::anchors::prior::FocalPrior;
use fathom_calibration::boot::{Budget, Pace};
use fathom_calibration::calibrator::{Calibrator, FrameAnchors, Options};
use fathom_calibration::store::{self, Identity, Stored};
use fathom_calibration::verdict::Outcome;
use fathom_core::calibration::Calibration;
use fathom_core::camera::Intrinsics;
use fathom_core::frame::{RgbImage, Size};
use fathom_runtime::engine::Engine;
use serde::Serialize;

use crate::args::NetworkArgs;
use crate::calibrate::gravity::gravities;
use crate::clock::Stopwatch;
use crate::exit::REFUSED;
use crate::range_flag::{self, Asked, RangeFlag};
use crate::report::{Report, number, table};
use crate::{io, network, progress};

/// Arguments of `fathom calibrate`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CalibrateArgs {
    /// Frames of one camera, all of one size (JPEG, PNG, PNM), or folders of them. Eight or more of different places do well.
    #[arg(required = true, value_name = "FRAMES")]
    frames: Vec<PathBuf>,

    /// Where to store the calibration.
    #[arg(short, long, value_name = "C.toml")]
    out: PathBuf,

    #[command(flatten)]
    network: NetworkArgs,

    /// Name of the camera, stored with the calibration.
    #[arg(long, value_name = "NAME", default_value = "camera")]
    camera: String,

    /// Focal length in pixels of the frames, if it is known, to 2%.
    #[arg(long, value_name = "F", conflicts_with = "fov_deg")]
    focal_px: Option<f64>,

    /// Horizontal field of view in degrees, if it is known, to 2% of the focal length.
    #[arg(long, value_name = "A")]
    fov_deg: Option<f64>,

    /// One sigma of the known focal length, percent of it.
    #[arg(long, value_name = "P", default_value_t = 2.0)]
    focal_sigma_percent: f64,

    /// Distance measured along the ray of a pixel; of the first frame, or of the one whose file name is given. Repeatable.
    #[arg(long, value_name = "[FILE:]U,V,METRES", value_parser = RangeFlag::parse)]
    range: Vec<RangeFlag>,

    /// File of such distances, one a line, as a robot's log has them.
    #[arg(long, value_name = "LOG")]
    ranges: Option<PathBuf>,

    /// Gravity in the camera frame (x right, y down, z forward) for each frame: lines `file,gx,gy,gz`, or `gx,gy,gz` in order.
    #[arg(long, value_name = "FILE.csv")]
    gravity: Option<PathBuf>,

    /// Height of the camera above the floor, metres; needs --gravity.
    #[arg(long, value_name = "M", requires = "gravity")]
    camera_height: Option<f64>,

    /// The frames follow each other in time: use turns and steps between neighbours.
    #[arg(long)]
    motion: bool,

    /// Write a page with curves, pictures and residual maps (report.html) into this folder.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    /// Stop in time and keep the best so far, seconds.
    #[arg(long, value_name = "S")]
    budget_s: Option<f64>,
}

const AFTER_HELP: &str = "\
What tells what:
  frames alone         tau, if the focal length is known or the network estimates the field of view
  --focal-px, --fov-deg, or a turn in the frames with --motion   focal length
  --range in four places or so, --gravity with --camera-height   metres

Without metres it says where in the frames a distance would tell most: not every pixel does as well.

Ends with 3 and leaves the stored calibration alone where the frames do not hold one.

Examples:
  fathom calibrate frames/ -o front.toml --fov-deg 69
  fathom calibrate frames/ -o front.toml --fov-deg 69 --range a.jpg:320,240,1.84 --range b.jpg:320,240,2.31 \
      --range c.jpg:320,240,1.02 --range d.jpg:320,240,0.87
  fathom calibrate frames/ -o front.toml --fov-deg 69 --report report
  fathom depth photo.jpg --calibration front.toml --format png16,ply";

/// Spots that the text names; `--json` names all.
const SPOTS_SHOWN: usize = 4;

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct CalibrateReport {
    state: &'static str,
    camera: String,
    tau: f64,
    tau_sigma: Option<f64>,
    focal_px: Option<f64>,
    focal_sigma_px: Option<f64>,
    scale: Option<f64>,
    scale_sigma: Option<f64>,
    cues: Vec<CueLine>,
    network_runs: usize,
    seconds: f64,
    frames_used: usize,
    frames: usize,
    complete: bool,
    reasons: Vec<String>,
    /// Where in each frame a measured distance would tell most; empty where metres are known.
    measure_at: Vec<Asked>,
    /// The stored calibration; none where it was refused.
    file: Option<String>,
    report: Option<String>,
}

/// What one cue knew: its share of the information about each unknown.
#[derive(Debug, Serialize)]
struct CueLine {
    name: &'static str,
    rows: usize,
    share_scale: f64,
    share_tau: f64,
    share_focal: f64,
}

pub(crate) fn run(args: &CalibrateArgs) -> anyhow::Result<CalibrateReport> {
    let watch = RefCell::new(Stopwatch::start());
    let total = Cell::new(0.0);
    let elapsed_s = || {
        total.set(total.get() + watch.borrow_mut().lap_ms() / 1e3);
        total.get()
    };
    let budget = Budget { seconds: args.budget_s.unwrap_or(f64::INFINITY), elapsed_s: &elapsed_s };
    let paths = io::pictures::expand(&args.frames)?;
    let size = io::pictures::read(&paths[0])?.size();
    let (mut engine, _) = network::open(&args.network)?;
    let identity = Identity { camera: args.camera.clone(), network_sha256: engine.sha256().to_owned(), resolution: size };
    let old = old_calibration(&args.out, &identity, &engine);
    let options = Options { frame: size, old: old.clone(), focal: focal_prior(args, size)?, camera_height_m: args.camera_height };
    let mut calibrator = Calibrator::new(&mut engine, options)?;
    let spots = add_frames(&mut calibrator, args, &paths, budget)?;
    let outcome = calibrator.finish();
    let curves = fathom_calibration::report::curves(&calibrator, &outcome);
    let report = match &args.report {
        Some(folder) => Some(page::write(folder, &mut engine, &paths, &old, &outcome, &curves)?),
        None => None,
    };
    let file = if outcome.is_calibrated() {
        let stored = Stored::new(identity, &outcome, crate::clock::unix_seconds());
        store::save(&stored, &args.out)?;
        Some(args.out.display().to_string())
    } else {
        None
    };
    let measure_at = if outcome.calibration.ln_scale.is_none() { spots } else { Vec::new() };
    Ok(summary(args, &outcome, elapsed_s(), measure_at, (file, report)))
}

/// What stands if nothing is found: the file's own calibration if it is one of this camera, else the card's default.
fn old_calibration(path: &Path, identity: &Identity, engine: &Engine) -> Calibration {
    let stored = store::load(path).and_then(|stored| stored.belonging_to(identity, path));
    match stored {
        Ok(stored) => stored.calibration,
        Err(error) => {
            if path.exists() {
                log::warn!("{error}; it will be replaced if the frames hold a calibration");
            }
            Calibration::from_default_tau(engine.card().default_tau)
        }
    }
}

fn focal_prior(args: &CalibrateArgs, size: Size) -> anyhow::Result<Option<FocalPrior>> {
    let focal_px = match (args.focal_px, args.fov_deg) {
        (Some(focal_px), _) => Some(focal_px),
        (None, Some(fov_deg)) => Some(Intrinsics::from_fov(size, fov_deg.to_radians()).context("--fov-deg")?.fx_px),
        (None, None) => None,
    };
    Ok(focal_px.map(|focal_px| FocalPrior::new(focal_px, args.focal_sigma_percent / 100.0)).transpose()?)
}

/// Returns where in each frame to measure.
fn add_frames(calibrator: &mut Calibrator<'_>, args: &CalibrateArgs, paths: &[PathBuf], budget: Budget<'_>) -> anyhow::Result<Vec<Asked>> {
    let gravities = args.gravity.as_deref().map(|file| gravities(file, paths)).transpose()?;
    let ranges = range_flag::all(&args.range, args.ranges.as_deref(), paths)?;
    let bar = progress::bar(paths.len(), "calibrate");
    let mut pace = Pace::new(budget);
    let mut before: Option<RgbImage> = None;
    let mut spots = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        bar.set_message(path.display().to_string());
        let picture = io::pictures::read(path)?;
        if !pace.begin(calibrator, &picture.as_frame())? {
            calibrator.mark_incomplete();
            break;
        }
        let range = range_flag::points(&ranges, index, path);
        let gravity = gravities.as_ref().and_then(|all| all[index]);
        let fault = calibrator
            .add_frame(&picture.as_frame(), &FrameAnchors { range: &range, gravity })
            .with_context(|| path.display().to_string())?;
        if let Some(fault) = fault {
            log::info!("{}: {fault}", path.display());
        }
        spots.extend(calibrator.spot().map(|spot| Asked::at(path.display().to_string(), spot)));
        if let Some(before) = before.as_ref().filter(|_| args.motion) {
            let turned = calibrator.add_turn(&before.as_frame(), &picture.as_frame(), None)?;
            if !turned {
                calibrator.add_motion(&before.as_frame(), &picture.as_frame(), None)?;
            }
        }
        before = Some(picture);
        pace.frame_done(calibrator);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(spots)
}

fn summary(
    args: &CalibrateArgs,
    outcome: &Outcome,
    seconds: f64,
    measure_at: Vec<Asked>,
    (file, report): (Option<String>, Option<String>),
) -> CalibrateReport {
    let found = &outcome.calibration;
    let finite = |sigma: f64| sigma.is_finite().then_some(sigma);
    let (focal_px, scale) = (found.camera.map(|c| c.fx_px), found.ln_scale.map(f64::exp));
    let cue = |cue: &fathom_calibration::verdict::CueReport| {
        let [share_scale, share_tau, share_focal] = cue.share;
        CueLine { name: cue.name, rows: cue.rows, share_scale, share_tau, share_focal }
    };
    CalibrateReport {
        state: found.state.name(),
        camera: args.camera.clone(),
        tau: found.tau,
        tau_sigma: finite(found.tau_sigma()),
        focal_px,
        focal_sigma_px: focal_px.and_then(|f| finite(f * found.ln_focal_sigma())),
        scale,
        scale_sigma: scale.and_then(|s| finite(s * found.ln_scale_sigma())),
        cues: outcome.cues.iter().map(cue).collect(),
        network_runs: outcome.network_runs,
        seconds,
        frames_used: outcome.frames.0,
        frames: outcome.frames.1,
        complete: outcome.complete,
        reasons: outcome.reasons.iter().map(ToString::to_string).collect(),
        measure_at,
        file,
        report,
    }
}

impl Report for CalibrateReport {
    fn text(&self) -> String {
        let with_sigma = |value: Option<f64>, sigma: Option<f64>, decimals| match (value, sigma) {
            (Some(value), Some(sigma)) => format!("{value:.decimals$} +- {sigma:.decimals$}"),
            (value, _) => number(value, decimals),
        };
        let mut lines = vec![
            format!("{}: {}", self.camera, self.state),
            format!("  tau        {}", with_sigma(Some(self.tau), self.tau_sigma, 4)),
            format!("  focal, px  {}", with_sigma(self.focal_px, self.focal_sigma_px, 1)),
            format!("  scale      {}", with_sigma(self.scale, self.scale_sigma, 4)),
            format!(
                "  {} of {} frames, {} runs of the network, {:.1} s{}",
                self.frames_used,
                self.frames,
                self.network_runs,
                self.seconds,
                if self.complete { "" } else { ", cut short by the budget" }
            ),
        ];
        if !self.cues.is_empty() {
            let percent = |share: f64| format!("{:.0}%", 100.0 * share);
            let rows: Vec<_> = self
                .cues
                .iter()
                .map(|cue| {
                    vec![cue.name.into(), cue.rows.to_string(), percent(cue.share_tau), percent(cue.share_focal), percent(cue.share_scale)]
                })
                .collect();
            lines.push(format!("\n{}", table(&["cue", "rows", "of tau", "of focal", "of scale"], &rows)));
        }
        lines.extend(self.reasons.iter().map(|reason| format!("  not known: {reason}")));
        if !self.measure_at.is_empty() && self.file.is_some() {
            lines.push("  for metres, measure in frames of a few different places; best at the pixels".to_owned());
            // Spread over the frames: neighbours often show one place.
            let shown = self.measure_at.len().min(SPOTS_SHOWN);
            lines.extend((0..shown).map(|i| format!("    {}", self.measure_at[i * self.measure_at.len() / shown].flag())));
        }
        lines.extend(self.file.iter().map(|file| format!("  wrote {file}")));
        lines.extend(self.report.iter().map(|file| format!("  wrote {file}")));
        lines.join("\n")
    }

    fn exit_code(&self) -> ExitCode {
        if self.file.is_some() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) }
    }
}
