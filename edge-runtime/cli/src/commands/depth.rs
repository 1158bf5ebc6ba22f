//! `fathom depth`: depth of images, as arrays, 16-bit pictures, point clouds and previews.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use fathom_calibration::track::ScaleTrack;
use fathom_core::frame::Frame;
use fathom_core::model::ModelCard;
use fathom_runtime::engine::Inference;
use fathom_runtime::trace::Observer;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::NetworkArgs;
use crate::calibration::Loaded;
use crate::clock::{StageTimes, Stopwatch};
use crate::io::{make_folder, pictures};
use crate::look_back::{self, FrameScale};
use crate::memory::peak_rss_bytes;
use crate::range_flag::{self, RangeFlag};
use crate::report::Report;
use crate::results::{Format, Meaning, PictureReport, Seen, Target, check_formats};
use crate::{network, progress};

/// Arguments of `fathom depth`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DepthArgs {
    /// Pictures (JPEG, PNG, PNM), or folders of them.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,

    #[command(flatten)]
    network: NetworkArgs,

    /// What `fathom calibrate` found for this camera and network: makes depth of the network's output.
    #[arg(long, value_name = "C.toml")]
    calibration: Option<PathBuf>,

    /// Distance measured along the ray of a pixel of the first picture, or of the one whose file name is given: its metres then rest
    /// on that too. Repeatable; needs --calibration.
    #[arg(long, value_name = "[FILE:]U,V,METRES", value_parser = RangeFlag::parse, requires = "calibration")]
    range: Vec<RangeFlag>,

    /// File of such distances, one a line, as a robot's log has them.
    #[arg(long, value_name = "LOG", requires = "calibration")]
    ranges: Option<PathBuf>,

    /// The pictures are frames of one camera's video, in their order: each one's scale is that of the one before, changed by what both
    /// show, so that distances measured in some frames serve the others. Needs --calibration.
    #[arg(long, requires = "calibration")]
    video: bool,

    /// Of a video that is over: a frame's scale rests on the 47 frames after it as well. Takes twice as long.
    #[arg(long, requires = "video")]
    look_back: bool,

    /// Folder for the results; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// What to write, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Format::Npy, Format::Preview])]
    format: Vec<Format>,
}

const AFTER_HELP: &str = "\
Formats:
  npy      float32 [height, width] at the picture's size, in the unit that is reported
  png16    millimetres in 16 bits; only for metres, refused otherwise
  ply      coloured points
  preview  the picture beside its depth, with a legend

Without a calibration the numbers are the network's own: relative, without a unit.

Examples:
  fathom depth photo.jpg --out depth
  fathom depth photo.jpg --calibration camera.toml --format png16,ply
  fathom depth photo.jpg --calibration camera.toml --range 320,240,1.84
  fathom depth flight/ --calibration camera.toml --video --range 0001.png:320,240,1.84 --range 0009.png:320,240,2.10
  fathom depth flight/ --calibration camera.toml --video --look-back --ranges laser.log
  fathom depth frames/ --model midas.onnx --output-kind inverse-depth --channel-order rgb \\
      --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225";

/// What was found in all pictures.
#[derive(Debug, Serialize)]
pub(crate) struct DepthReport {
    model: String,
    sha256: String,
    backend: &'static str,
    executor: &'static str,
    adapter: Option<String>,
    reason: String,
    load_ms: f64,
    /// Largest resident memory of the whole program; Linux only.
    peak_rss_bytes: Option<u64>,
    /// The facts of the only picture, if there is one: they then stand beside the network's.
    #[serde(flatten)]
    only: Option<PictureReport>,
    images: Vec<PictureReport>,
}

pub(crate) fn run(args: &DepthArgs) -> anyhow::Result<DepthReport> {
    let paths = pictures::expand(&args.images)?;
    let range = range_flag::all(&args.range, args.ranges.as_deref(), &paths)?;
    let mut stopwatch = Stopwatch::start();
    let (mut engine, model) = network::open(&args.network)?;
    let calibration = args.calibration.as_deref().map(|path| Loaded::open(path, &engine)).transpose()?;
    // In a video the first frame's distance serves the others, unless two frames show nothing of the same; looking back, any does.
    let measured = match (args.video, args.look_back) {
        (_, true) => !range.is_empty(),
        (true, false) => range_flag::measured_in_all(&range, &paths[..1]),
        (false, false) => range_flag::measured_in_all(&range, &paths),
    };
    let has_scale = calibration.as_ref().is_some_and(Loaded::has_scale) || measured;
    check_formats(&args.format, engine.card().output_kind, has_scale)?;
    let load_ms = stopwatch.lap_ms();
    make_folder(&args.out)?;
    let looked_back = match calibration.as_ref().filter(|_| args.look_back) {
        Some(camera) => look_back::scales(&mut engine, &paths, camera, &range)?,
        None => Vec::new(),
    };
    let (card, backend, sha256) = (engine.card().clone(), engine.backend().clone(), engine.sha256().to_owned());
    let bar = progress::bar(paths.len(), "depth");
    let mut pictures =
        Pictures { args, range, card, calibration, looked_back, track: None, bar, taken: BTreeSet::new(), reports: Vec::new() };
    if let Some((last, others)) = paths.split_last() {
        for path in others {
            pictures.take(path, |frame, observer| engine.infer_observed(frame, observer))?;
        }
        // The network's memory is given back before the last results ask for theirs.
        pictures.take(last, |frame, observer| engine.infer_last(frame, observer))?;
    }
    pictures.bar.finish_and_clear();
    let images = pictures.reports;
    Ok(DepthReport {
        model,
        sha256,
        backend: backend.backend,
        executor: backend.executor,
        adapter: backend.adapter,
        reason: backend.reason,
        load_ms,
        peak_rss_bytes: peak_rss_bytes(),
        only: if let [only] = images.as_slice() { Some(only.clone()) } else { None },
        images,
    })
}

/// The pictures of one run, one after the other.
struct Pictures<'a> {
    args: &'a DepthArgs,
    range: Vec<RangeFlag>,
    card: ModelCard,
    calibration: Option<Loaded>,
    /// Of a video that is looked back on: every picture's scale.
    looked_back: Vec<FrameScale>,
    /// Of a video: the scale so far.
    track: Option<ScaleTrack>,
    bar: ProgressBar,
    taken: BTreeSet<String>,
    reports: Vec<PictureReport>,
}

impl Pictures<'_> {
    /// Reads a picture, has the network look at it, writes what was asked for.
    fn take(
        &mut self,
        path: &Path,
        infer: impl FnOnce(&Frame<'_>, &mut Observer<'_>) -> fathom_runtime::Result<Inference>,
    ) -> anyhow::Result<()> {
        let name = path.display().to_string();
        self.bar.set_message(name.clone());
        let mut reading = Stopwatch::start();
        let picture = pictures::read(path)?;
        let ms = StageTimes::from([("read", reading.lap_ms())]);
        let index = self.reports.len();
        let mut calibration = self.calibration.as_ref().map(|loaded| loaded.for_size(picture.size())).transpose()?;
        let mut points = range_flag::points(&self.range, index, path);
        let spread = self.card.assumed_scale_spread();
        let known = self.looked_back.get(index);
        if let Some(known) = known {
            // The distances are in it.
            (calibration, points) = (Some(known.calibration.clone()), Vec::new());
        } else if let Some(calibration) = calibration.as_ref().filter(|_| self.args.video && self.track.is_none()) {
            self.track = Some(ScaleTrack::new(calibration.clone(), spread, picture.size())?);
        }
        let ask = points.is_empty() && known.is_none() && !self.args.video;
        let meaning = Meaning { calibration: calibration.as_ref(), points: &points, spread, track: self.track.as_mut(), ask };
        let mut seen = Seen::by(infer, (&name, &picture), meaning, ms).with_context(|| name.clone())?;
        let linked = known.map(|known| known.linked).or(self.track.as_ref().map(|track| index == 0 || track.is_linked()));
        if linked == Some(false) {
            seen.note("shows too little of the frame before: its scale begins anew");
        }
        let target = Target { folder: &self.args.out, stem: &free_stem(path, &mut self.taken), formats: &self.args.format };
        self.reports.push(seen.write(&self.card, target)?);
        self.bar.inc(1);
        Ok(())
    }
}

/// The file's stem, numbered where two pictures share it, so that no result overwrites another of the same run.
fn free_stem(path: &Path, taken: &mut BTreeSet<String>) -> String {
    let stem = path.file_stem().map_or_else(|| "image".into(), |stem| stem.to_string_lossy().into_owned());
    let numbered = (2..).map(|n| format!("{stem}-{n}"));
    let free = std::iter::once(stem.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(stem);
    taken.insert(free.clone());
    free
}

impl Report for DepthReport {
    fn text(&self) -> String {
        let device = self.adapter.as_deref().unwrap_or(self.backend);
        let mut lines = vec![format!("{} on {device} ({}), loaded in {:.0} ms", self.model, self.reason, self.load_ms)];
        for image in &self.images {
            let range = match (image.min, image.median, image.max) {
                (Some(min), Some(median), Some(max)) => format!("{min:.3} .. {median:.3} .. {max:.3}"),
                _ => "no depth anywhere".into(),
            };
            let ms: f64 = ["preprocess", "network", "postprocess"].iter().filter_map(|stage| image.ms.get(stage)).sum();
            let sigma = image.scale_sigma.map_or_else(String::new, |sigma| format!(" (scale +- {:.0}%)", 100.0 * sigma));
            lines.push(format!("\n{} ({}x{}): {} {range}{sigma}, {ms:.0} ms", image.image, image.width, image.height, image.unit));
            let without_scale = image.measure_at.iter().filter(|_| image.unit != "metres");
            lines.extend(without_scale.map(|asked| format!("  for metres, measure where it tells most: {}", asked.flag())));
            lines.extend(image.files.iter().map(|file| format!("  wrote {file}")));
            lines.extend(image.notes.iter().map(|note| format!("  note: {note}")));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_one_name_from_two_folders_get_results_of_two_names() {
        let mut taken = BTreeSet::new();
        let stems = ["a/x.png", "b/x.jpg", "c/x.png", "y"].map(|path| free_stem(Path::new(path), &mut taken));
        assert_eq!(stems, ["x", "x-2", "x-3", "y"]);
    }
}
