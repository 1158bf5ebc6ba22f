//! The results of one picture, written in the formats asked for.

use std::collections::BTreeSet;
use std::path::Path;

use clap::ValueEnum;
use fathom_calibration::anchors::frame_scale::frame_scale;
use fathom_calibration::anchors::range::RangePoint;
use fathom_calibration::anchors::spot::best_spots;
use fathom_calibration::track::ScaleTrack;
use fathom_core::calibration::Calibration;
use fathom_core::depth::{CalibratedDepth, OutputKind, RelativeDepth};
use fathom_core::frame::{Frame, RgbImage};
use fathom_core::model::{FovEstimate, ModelCard, ScaleSpread};
use fathom_runtime::engine::Inference;
use fathom_runtime::trace::Observer;
use serde::Serialize;

use crate::clock::{StageTimes, Stopwatch};
use crate::exit::Refusal;
use crate::io::{npy, ply, png16};
use crate::preview;
use crate::range_flag::Asked;
use crate::reading::{Reading, lift};

/// What may be written of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Format {
    /// float32 array.
    Npy,
    /// Millimetres in 16 bits.
    Png16,
    /// Coloured points.
    Ply,
    /// Picture beside its depth.
    Preview,
}

impl Format {
    const fn ending(self) -> &'static str {
        match self {
            Self::Npy => "depth.npy",
            Self::Png16 => "depth.png",
            Self::Ply => "ply",
            Self::Preview => "preview.png",
        }
    }
}

/// Where the results of a picture go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) stem: &'a str,
    pub(crate) formats: &'a [Format],
}

/// What was found in one picture.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PictureReport {
    pub(crate) image: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) unit: &'static str,
    pub(crate) min: Option<f32>,
    pub(crate) median: Option<f32>,
    pub(crate) max: Option<f32>,
    /// One sigma of the scale, relative; of metres only.
    pub(crate) scale_sigma: Option<f64>,
    /// Horizontal, as the network sees it.
    pub(crate) fov_deg: Option<f64>,
    /// Where a measured distance would tell this picture's scale best; of depth without a scale, and of single pictures that have the camera's.
    pub(crate) measure_at: Option<Asked>,
    pub(crate) ms: StageTimes,
    pub(crate) files: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// What makes depth of the network's answer to one picture.
#[derive(Debug)]
pub(crate) struct Meaning<'a> {
    /// The camera's calibration.
    pub(crate) calibration: Option<&'a Calibration>,
    /// Distances measured in this very picture.
    pub(crate) points: &'a [RangePoint],
    /// What the card says of the network's scale; for the points.
    pub(crate) spread: ScaleSpread,
    /// The scale of the pictures before this one, where they are those of a video.
    pub(crate) track: Option<&'a mut ScaleTrack>,
    /// Whether to say where a distance would help although there is a scale: it is the camera's, and pictures lie off that.
    pub(crate) ask: bool,
}

impl Meaning<'_> {
    /// The calibration for this picture.
    fn of(self, picture: &Frame<'_>, relative: &RelativeDepth) -> anyhow::Result<Option<Calibration>> {
        let Some(camera) = self.calibration else { return Ok(None) };
        Ok(Some(match self.track {
            Some(track) => track.add(picture, relative, self.points)?,
            None => frame_scale(camera, self.spread, relative, relative.size(), self.points)?,
        }))
    }
}

/// A picture and what the network says of it, calibrated where there is a calibration.
pub(crate) struct Seen<'a> {
    name: &'a str,
    notes: Vec<String>,
    picture: &'a RgbImage,
    calibration: Option<Calibration>,
    measure_at: Option<Asked>,
    reading: Reading,
    fov: Option<FovEstimate>,
    ms: StageTimes,
}

impl<'a> Seen<'a> {
    /// Asks `infer`, an engine's way to do it. `ms` holds the stages that came before.
    pub(crate) fn by(
        infer: impl FnOnce(&Frame<'_>, &mut Observer<'_>) -> fathom_runtime::Result<Inference>,
        (name, picture): (&'a str, &'a RgbImage),
        meaning: Meaning<'_>,
        mut ms: StageTimes,
    ) -> anyhow::Result<Self> {
        let mut stopwatch = Stopwatch::start();
        let inference = infer(&picture.as_frame(), &mut |stage| {
            ms.insert(stage.name(), stopwatch.lap_ms());
        })?;
        let ask = meaning.ask;
        let calibration = meaning.of(&picture.as_frame(), &inference.relative)?;
        let to_tell = calibration.as_ref().filter(|calibration| ask || calibration.ln_scale.is_none());
        let spot = to_tell.and_then(|calibration| best_spots(&inference.relative, calibration.tau, picture.size(), 1).pop());
        let measure_at = spot.map(|spot| Asked::at(name, spot));
        let reading = Reading::new(inference.relative, calibration.as_ref())?;
        Ok(Self { name, notes: Vec::new(), picture, calibration, measure_at, reading, fov: inference.fov, ms })
    }

    /// Adds what the report should say of this picture.
    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// Writes what `target` asks for. The engine that saw the picture may be gone by then: `card` is its network's.
    pub(crate) fn write(self, card: &ModelCard, target: Target<'_>) -> anyhow::Result<PictureReport> {
        let Self { name, mut notes, picture, calibration, measure_at, reading, fov, mut ms } = self;
        let mut stopwatch = Stopwatch::start();
        let mut files = Vec::new();
        for format in target.formats.iter().copied().collect::<BTreeSet<_>>() {
            let path = target.folder.join(format!("{}.{}", target.stem, format.ending()));
            match format {
                Format::Npy => npy::write(&path, reading.size(), reading.values())?,
                Format::Png16 => match &reading {
                    Reading::Depth(CalibratedDepth::Metres(depth)) => png16::write(&path, depth)?,
                    _ => return Err(not_metres().into()),
                },
                Format::Ply => {
                    let mut lifted = lift(&reading, picture, calibration.as_ref(), fov, card)?;
                    let unit = if matches!(&reading, Reading::Depth(CalibratedDepth::Metres(_))) { "metres" } else { "up-to-scale" };
                    let facts = [format!("fathom: {name}, unit {unit}, camera frame x right, y down, z forward")];
                    ply::write(&path, &lifted.cloud, &[&facts[..], &lifted.notes].concat())?;
                    notes.append(&mut lifted.notes);
                }
                Format::Preview => preview::write(&path, target.stem, picture, &reading)?,
            }
            files.push(path.display().to_string());
        }
        ms.insert("write", stopwatch.lap_ms());
        let range = reading.range();
        Ok(PictureReport {
            image: name.to_owned(),
            width: reading.size().width,
            height: reading.size().height,
            unit: reading.unit(),
            min: range.map(|range| range.min),
            median: range.map(|range| range.median),
            max: range.map(|range| range.max),
            scale_sigma: calibration.filter(|c| c.ln_scale.is_some()).map(|c| c.ln_scale_sigma()).filter(|sigma| sigma.is_finite()),
            fov_deg: fov.map(|fov| fov.fov_rad.to_degrees()),
            measure_at,
            ms,
            files,
            notes,
        })
    }
}

/// Refuses before any work is done what can not be written: png16 needs metres, from a calibration with a scale or a metric network.
pub(crate) fn check_formats(formats: &[Format], kind: OutputKind, has_scale: bool) -> Result<(), Refusal> {
    let metres = has_scale || kind == OutputKind::MetricDepth;
    if formats.contains(&Format::Png16) && !metres { Err(not_metres()) } else { Ok(()) }
}

fn not_metres() -> Refusal {
    Refusal(
        "png16 holds millimetres, and this depth has no scale; give --calibration with one \
         (`fathom calibrate --range FILE:U,V,METRES` in a few places finds it), or --range for each picture, or write npy"
            .into(),
    )
}
