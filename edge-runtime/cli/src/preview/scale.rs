//! From a depth map's values to colours, and back to the values that the legend names.

use fathom_core::depth::{CalibratedDepth, OutputKind};
use fathom_core::frame::RgbImage;

use super::canvas::NO_DEPTH;
use crate::reading::Reading;

/// Share of pixels at either end whose values do not stretch the colours.
const CLIPPED: f64 = 0.01;

/// How values become nearness, 0 (far) to 1 (near): linearly in `axis`, between the values at its ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    axis: Axis,
    /// On the axis, which grows towards the camera.
    far: f32,
    near: f32,
}

/// What colours are linear in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    /// The value itself: relative inverse depth.
    RelativeInverse,
    /// Its negative: relative depth.
    RelativeDepth,
    /// Its inverse: depth up to scale.
    UpToScale,
    /// Its inverse: metres.
    Metres,
}

/// A value of the legend.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// 0 (far) to 1 (near).
    pub(super) nearness: f32,
    pub(super) label: String,
}

impl Scale {
    /// The scale that suits a reading: from its 1st to its 99th percentile.
    pub(super) fn of(reading: &Reading) -> Self {
        let axis = match reading {
            Reading::Relative(relative) if relative.kind() == OutputKind::InverseDepth => Axis::RelativeInverse,
            Reading::Relative(_) => Axis::RelativeDepth,
            Reading::Depth(CalibratedDepth::UpToScale(_)) => Axis::UpToScale,
            Reading::Depth(CalibratedDepth::Metres(_)) => Axis::Metres,
        };
        let mut along: Vec<f32> = reading.values().iter().filter_map(|&value| axis.of(value)).collect();
        if along.is_empty() {
            return Self { axis, far: 0.0, near: 1.0 };
        }
        let last = (along.len() - 1) as f64;
        let mut percentile = |share: f64| *along.select_nth_unstable_by((last * share).round() as usize, f32::total_cmp).1;
        let (far, near) = (percentile(CLIPPED), percentile(1.0 - CLIPPED));
        // A flat map gets one colour in the middle.
        let pad = if near > far { 0.0 } else { 0.5 * far.abs().max(1.0) };
        Self { axis, far: far - pad, near: near + pad }
    }

    /// The depth map in colours.
    pub(super) fn paint(&self, reading: &Reading) -> anyhow::Result<RgbImage> {
        let colour = |&value: &f32| self.nearness(value).map_or(NO_DEPTH, colour);
        Ok(RgbImage::new(reading.size(), reading.values().iter().map(colour).collect())?)
    }

    /// What the colours show.
    pub(super) const fn name(&self) -> &'static str {
        match self.axis {
            Axis::RelativeInverse => "relative inverse depth",
            Axis::RelativeDepth => "relative depth",
            Axis::UpToScale => "depth, up to scale",
            Axis::Metres => "depth, metres",
        }
    }

    /// One sentence on what the numbers are worth.
    pub(super) const fn remark(&self) -> &'static str {
        match self.axis {
            Axis::RelativeInverse | Axis::RelativeDepth => "not calibrated: order only, no unit",
            Axis::UpToScale => "calibrated shape; sizes have no unit",
            Axis::Metres => "metres along the viewing axis",
        }
    }

    /// Round values for the legend, at most about `most` of them, far ones first.
    pub(super) fn ticks(&self, most: usize) -> Vec<Tick> {
        let values = match self.axis {
            Axis::RelativeInverse | Axis::RelativeDepth => {
                let (low, high) = (self.axis.value(self.far), self.axis.value(self.near));
                even_steps(low.min(high), low.max(high), most)
            }
            Axis::UpToScale | Axis::Metres => round_depths(self.axis.value(self.near), self.axis.value(self.far)),
        };
        let unit = if self.axis == Axis::Metres { " m" } else { "" };
        let tick = |value: f32| Some(Tick { nearness: self.nearness(value)?, label: format!("{}{unit}", trimmed(value)) });
        let mut ticks: Vec<Tick> = values.into_iter().filter_map(tick).collect();
        ticks.sort_by(|a, b| a.nearness.total_cmp(&b.nearness));
        ticks
    }

    /// 0 (far) to 1 (near); `None` without depth.
    fn nearness(&self, value: f32) -> Option<f32> {
        self.axis.of(value).map(|along| ((along - self.far) / (self.near - self.far)).clamp(0.0, 1.0))
    }
}

impl Axis {
    fn of(self, value: f32) -> Option<f32> {
        match self {
            Self::RelativeInverse => Some(value),
            Self::RelativeDepth => Some(-value),
            Self::UpToScale | Self::Metres => (value > 0.0).then(|| 1.0 / value),
        }
    }

    fn value(self, along: f32) -> f32 {
        match self {
            Self::RelativeInverse => along,
            Self::RelativeDepth => -along,
            Self::UpToScale | Self::Metres => 1.0 / along.max(f32::MIN_POSITIVE),
        }
    }
}

/// The colour of a nearness: perceptually even from dark (far) to bright (near).
pub(super) fn colour(nearness: f32) -> [u8; 3] {
    // The first tenth of the map is nearly black and would hide the far end on a dark background.
    let colour = colorous::INFERNO.eval_continuous(f64::from(0.08 + 0.92 * nearness));
    [colour.r, colour.g, colour.b]
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn even_steps(low: f32, high: f32, most: usize) -> Vec<f32> {
    let least = (high - low) / most.max(1) as f32;
    let magnitude = 10_f32.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * magnitude).find(|&step| step >= least);
    let Some(step) = step.filter(|step| step.is_finite() && *step > 0.0) else { return vec![] };
    let first = (low / step).ceil();
    // Adding 0 turns -0 into 0.
    (0..=most).map(|i| (first + i as f32) * step + 0.0).take_while(|&value| value <= high).collect()
}

/// 1, 1.5, 2, 3, 5, 7 times powers of ten, from near to far.
fn round_depths(near: f32, far: f32) -> Vec<f32> {
    let decades = (near.log10().floor() as i32..=far.log10().ceil() as i32).take(12);
    let all = decades.flat_map(|decade| [1.0, 1.5, 2.0, 3.0, 5.0, 7.0].map(|digit| digit * 10_f32.powi(decade)));
    all.filter(|depth| (near..=far).contains(depth)).collect()
}

/// A number without needless zeros.
fn trimmed(value: f32) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_core::calibration::Calibration;
    use fathom_core::depth::RelativeDepth;
    use fathom_core::frame::Size;

    fn reading(kind: OutputKind, values: Vec<f32>, calibration: Option<&Calibration>) -> Reading {
        let size = Size::new(values.len() as u32, 1);
        Reading::new(RelativeDepth::new(size, kind, values).unwrap(), calibration).unwrap()
    }

    #[test]
    fn near_is_bright_whatever_the_networks_sign() {
        let brightness = |colour: [u8; 3]| colour.iter().map(|&c| u32::from(c)).sum::<u32>();
        for (kind, values) in [(OutputKind::InverseDepth, vec![1.0, 2.0, 3.0]), (OutputKind::Depth, vec![3.0, 2.0, 1.0])] {
            let reading = reading(kind, values, None);
            let painted = Scale::of(&reading).paint(&reading).unwrap();
            let [far, middle, near] = [0, 1, 2].map(|i| brightness(painted.pixels()[i]));
            assert!(far < middle && middle < near, "{kind:?}");
        }
    }

    #[test]
    fn depth_is_coloured_by_its_inverse_and_holes_are_grey() {
        let reading = reading(OutputKind::InverseDepth, vec![1.0, 0.5, 0.25, -1.0], Some(&Calibration::from_default_tau(0.0)));
        let scale = Scale::of(&reading);
        assert_eq!(scale.paint(&reading).unwrap().pixels()[3], NO_DEPTH);
        // Depths 1, 2 and 4: inverse depth 0.5 is a third of the way from 0.25 to 1.
        assert!((scale.nearness(2.0).unwrap() - 1.0 / 3.0).abs() < 1e-6);
        let labels: Vec<_> = scale.ticks(6).into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["3", "2", "1.5", "1"]);
    }

    #[test]
    fn ticks_of_relative_values_are_round_and_evenly_spaced() {
        assert_eq!(even_steps(0.13, 0.91, 5), [0.2, 0.4, 0.6, 0.8]);
        assert_eq!(even_steps(-1.0, 1.0, 4), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert!(even_steps(1.0, 1.0, 5).is_empty());
    }
}
