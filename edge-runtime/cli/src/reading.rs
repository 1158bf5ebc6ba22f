//! What a network's answer means once a calibration is applied, or while there is none.

use fathom_core::calibration::Calibration;
use fathom_core::camera::Intrinsics;
use fathom_core::depth::{CalibratedDepth, OutputKind, PointCloud, RelativeDepth};
use fathom_core::frame::{RgbImage, Size};
use fathom_core::model::{FovEstimate, ModelCard};
use fathom_core::ops::image::backproject::backproject;

/// A depth map with its unit.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// The network's own numbers.
    Relative(RelativeDepth),
    /// Depth along z, up to scale or in metres.
    Depth(CalibratedDepth),
}

/// Smallest, middle and largest value; pixels without depth do not count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) min: f32,
    pub(crate) median: f32,
    pub(crate) max: f32,
}

impl Reading {
    /// Applies `calibration`; without one, only a network of metric depth gives depth, as its card claims.
    pub(crate) fn new(relative: RelativeDepth, calibration: Option<&Calibration>) -> anyhow::Result<Self> {
        Ok(match (calibration, relative.kind()) {
            (Some(calibration), _) => Self::Depth(calibration.apply(&relative)?),
            (None, OutputKind::MetricDepth) => Self::Depth(Calibration::from_default_tau(0.0).apply(&relative)?),
            (None, _) => Self::Relative(relative),
        })
    }

    /// Name of the unit in JSON.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Relative(relative) if relative.kind() == OutputKind::InverseDepth => "relative-inverse-depth",
            Self::Relative(_) => "relative-depth",
            Self::Depth(depth) => depth.unit_name(),
        }
    }

    /// `[height, width]`, row-major; of depth, 0 = no depth here.
    pub(crate) fn values(&self) -> &[f32] {
        match self {
            Self::Relative(relative) => relative.values(),
            Self::Depth(depth) => depth.values(),
        }
    }

    /// Width and height.
    pub(crate) const fn size(&self) -> Size {
        match self {
            Self::Relative(relative) => relative.size(),
            Self::Depth(depth) => depth.size(),
        }
    }

    /// `None` where no pixel has depth.
    pub(crate) fn range(&self) -> Option<Range> {
        let counts = |value: &&f32| matches!(self, Self::Relative(_)) || **value > 0.0;
        let mut values: Vec<f32> = self.values().iter().filter(counts).copied().collect();
        if values.is_empty() {
            return None;
        }
        let middle = values.len() / 2;
        let (below, &mut median, above) = values.select_nth_unstable_by(middle, f32::total_cmp);
        let min = below.iter().copied().fold(median, f32::min);
        let max = above.iter().copied().fold(median, f32::max);
        Some(Range { min, median, max })
    }
}

/// Horizontal field of view taken where nothing better is known, degrees: between a phone's wide camera and a webcam.
pub(crate) const ASSUMED_FOV_DEG: f64 = 60.0;

/// Points in space with sentences on what of them was measured and what assumed.
pub(crate) struct Lifted {
    pub(crate) cloud: PointCloud,
    pub(crate) notes: Vec<String>,
}

/// Lifts a reading to points. Where there is no calibration, the card's default shift and the network's or an assumed field of
/// view stand in, and the notes say so.
pub(crate) fn lift(
    reading: &Reading,
    picture: &RgbImage,
    calibration: Option<&Calibration>,
    fov: Option<FovEstimate>,
    card: &ModelCard,
) -> anyhow::Result<Lifted> {
    let mut notes = Vec::new();
    let depth = match reading {
        Reading::Depth(depth) => depth.clone(),
        Reading::Relative(relative) => {
            notes.push(format!("no calibration: the network's default shift {} was used, shapes are approximate", card.default_tau));
            Calibration::from_default_tau(card.default_tau).apply(relative)?
        }
    };
    let camera = match (calibration.and_then(|calibration| calibration.camera), fov) {
        (Some(camera), _) => camera.resized(reading.size()),
        (None, Some(fov)) => {
            let degrees = fov.fov_rad.to_degrees();
            notes.push(format!("field of view {degrees:.0} deg as the network sees it, not calibrated"));
            Intrinsics::from_fov(reading.size(), fov.fov_rad)?
        }
        (None, None) => {
            notes.push(format!("field of view assumed to be {ASSUMED_FOV_DEG} deg"));
            Intrinsics::from_fov(reading.size(), ASSUMED_FOV_DEG.to_radians())?
        }
    };
    let cloud = match &depth {
        CalibratedDepth::Metres(depth) => backproject(depth, &camera, picture)?,
        CalibratedDepth::UpToScale(depth) => {
            notes.push("up to scale: sizes have no unit".into());
            backproject(depth, &camera, picture)?
        }
    };
    Ok(Lifted { cloud, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_depth_leaves_out_pixels_without_depth() {
        let relative = RelativeDepth::new(Size::new(4, 1), OutputKind::InverseDepth, vec![-3.0, 0.5, 0.25, 1.0]).unwrap();
        let reading = Reading::new(relative.clone(), None).unwrap();
        assert_eq!((reading.unit(), reading.range().unwrap().min), ("relative-inverse-depth", -3.0));
        let reading = Reading::new(relative, Some(&Calibration::from_default_tau(0.0))).unwrap();
        let range = reading.range().unwrap();
        assert_eq!((reading.unit(), range.min, range.median, range.max), ("up-to-scale", 1.0, 2.0, 4.0));
    }

    #[test]
    fn a_metric_network_needs_no_calibration_for_metres() {
        let relative = RelativeDepth::new(Size::new(1, 1), OutputKind::MetricDepth, vec![2.0]).unwrap();
        assert_eq!(Reading::new(relative, None).unwrap().unit(), "metres");
    }
}
