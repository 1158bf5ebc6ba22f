//! The results of one picture, written in the formats asked for.

use std::collections::BTreeSet;
use std::path::Path;

use clap::ValueEnum;
use fathom_core::calibration::Calibration;
use fathom_core::depth::{CalibratedDepth, OutputKind};
use fathom_core::frame::RgbImage;
use fathom_runtime::engine::Engine;
use serde::Serialize;

use crate::clock::{StageTimes, Stopwatch};
use crate::exit::Refusal;
use crate::io::{npy, ply, png16};
use crate::preview;
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
    /// Horizontal, as the network sees it.
    pub(crate) fov_deg: Option<f64>,
    pub(crate) ms: StageTimes,
    pub(crate) files: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Runs the network on a picture and writes what `target` asks for. `ms` holds the stages that came before.
pub(crate) fn infer_and_write(
    engine: &mut Engine,
    (name, picture): (&str, &RgbImage),
    calibration: Option<&Calibration>,
    target: Target<'_>,
    mut ms: StageTimes,
) -> anyhow::Result<PictureReport> {
    let mut stopwatch = Stopwatch::start();
    let inference = engine.infer_observed(&picture.as_frame(), &mut |stage| {
        ms.insert(stage.name(), stopwatch.lap_ms());
    })?;
    let fov = inference.fov;
    let reading = Reading::new(inference.relative, calibration)?;
    let mut notes = Vec::new();
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
                let mut lifted = lift(&reading, picture, calibration, fov, engine.card())?;
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
        fov_deg: fov.map(|fov| fov.fov_rad.to_degrees()),
        ms,
        files,
        notes,
    })
}

/// Refuses before any work is done what can not be written: png16 needs metres, from a calibration with a scale or a metric network.
pub(crate) fn check_formats(formats: &[Format], kind: OutputKind, has_scale: bool) -> Result<(), Refusal> {
    let metres = has_scale || kind == OutputKind::MetricDepth;
    if formats.contains(&Format::Png16) && !metres { Err(not_metres()) } else { Ok(()) }
}

fn not_metres() -> Refusal {
    Refusal(
        "png16 holds millimetres, and this depth has no scale; give --calibration with one \
         (`fathom calibrate --range U,V,METRES` finds it), or write npy"
            .into(),
    )
}
