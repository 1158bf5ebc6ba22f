//! Bringing network output to metres with the help of ground truth: by scale only, or by the affine oracle.
//!
//! Both are [`Affine`]s in the network's own space: `1/d = s (x + tau)` for inverse-depth networks, `d = s (x + tau)`
//! for depth networks (and metric ones, whose oracle shows what an affine map would still repair).

use crate::depth::OutputKind;
use crate::measures::{Pair, median};

/// Largest depth a prediction is taken for, metres: the range of KITTI's and DDAD's protocols. Where an affine map sends
/// a pixel beyond it, or behind the camera, the prediction counts as this.
pub const FAR_M: f64 = 80.0;

/// Smallest depth a prediction is taken for, metres.
pub const NEAR_M: f64 = 1e-3;

/// Scale and shift of a network's output, `s (x + tau)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// `s`: metres per unit, or inverse metres per unit.
    pub scale: f64,
    /// `tau`, in units of the network's output.
    pub tau: f64,
}

impl Affine {
    /// Depth of one output value, metres, within [`NEAR_M`]`..=`[`FAR_M`].
    #[must_use]
    pub fn depth_m(&self, kind: OutputKind, x: f64) -> f64 {
        let mapped = self.scale * (x + self.tau);
        match kind {
            OutputKind::InverseDepth => (1.0 / mapped.max(1.0 / FAR_M)).max(NEAR_M),
            OutputKind::Depth | OutputKind::MetricDepth => mapped.clamp(NEAR_M, FAR_M),
        }
    }

    /// The pairs with their predictions turned into metres.
    #[must_use]
    pub fn apply(&self, kind: OutputKind, raw: &[Pair]) -> Vec<Pair> {
        raw.iter().map(|pair| Pair { predicted: self.depth_m(kind, pair.predicted), ..*pair }).collect()
    }
}

/// Scale only, for a given tau: the median of true depth over predicted depth. `None` if no pixel lies before the camera.
#[must_use]
pub fn scale_only(kind: OutputKind, raw: &[Pair], tau: f64) -> Option<Affine> {
    let ratio = |pair: &Pair| {
        let shifted = pair.predicted + tau;
        match kind {
            OutputKind::InverseDepth => pair.truth_m * shifted,
            OutputKind::Depth | OutputKind::MetricDepth => pair.truth_m / shifted,
        }
    };
    let metres_per_unit = median(raw.iter().filter(|pair| pair.predicted + tau > 0.0).map(ratio).collect())?;
    let scale = if kind == OutputKind::InverseDepth { 1.0 / metres_per_unit } else { metres_per_unit };
    Some(Affine { scale, tau })
}

/// The affine oracle: least squares in the network's own space, pixels weighted by `1 / d*`.
///
/// Minimises `sum (1 / d*) (a x + b - y)^2` with `y = 1 / d*` for inverse-depth networks and `y = d*` for depth networks;
/// then `s = a`, `tau = b / a`. Give it the pairs of one frame, or of all frames of a domain.
///
/// `None` if the output is constant or fewer than two pixels have truth: no affine map is determined then.
#[must_use]
pub fn affine_oracle(kind: OutputKind, raw: &[Pair]) -> Option<Affine> {
    let target = |pair: &Pair| if kind == OutputKind::InverseDepth { 1.0 / pair.truth_m } else { pair.truth_m };
    let weight = |pair: &Pair| 1.0 / pair.truth_m;
    let total: f64 = raw.iter().map(weight).sum();
    let mean = |value: &dyn Fn(&Pair) -> f64| raw.iter().map(|pair| weight(pair) * value(pair)).sum::<f64>() / total;
    let (x_mean, y_mean) = (mean(&|pair| pair.predicted), mean(&target));
    let variance = mean(&|pair| (pair.predicted - x_mean).powi(2));
    let covariance = mean(&|pair| (pair.predicted - x_mean) * (target(pair) - y_mean));
    let a = covariance / variance;
    let b = y_mean - a * x_mean;
    // Below this share of the mean square, what varies is the rounding of f32 outputs.
    let constant = variance <= f64::from(f32::EPSILON).powi(2) * mean(&|pair| pair.predicted.powi(2));
    (!constant && a.is_finite() && a != 0.0).then_some(Affine { scale: a, tau: b / a })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(values: &[(f64, f64)]) -> Vec<Pair> {
        values.iter().map(|&(predicted, truth_m)| Pair { predicted, truth_m }).collect()
    }

    #[test]
    fn the_scale_is_the_median_ratio() {
        // Inverse depth, tau 1: depths 1/2, 1/4, 1/5 against 1, 1, 1: ratios 2, 4, 5.
        let pairs = raw(&[(1.0, 1.0), (3.0, 1.0), (4.0, 1.0)]);
        let affine = scale_only(OutputKind::InverseDepth, &pairs, 1.0).unwrap();
        assert_eq!(affine, Affine { scale: 0.25, tau: 1.0 });
        assert_eq!(affine.depth_m(OutputKind::InverseDepth, 1.0), 2.0);
        // Depth: ratios 2 / 1, 3 / 3, 10 / 2.
        let pairs = raw(&[(1.0, 2.0), (3.0, 3.0), (2.0, 10.0)]);
        assert_eq!(scale_only(OutputKind::Depth, &pairs, 0.0).unwrap().scale, 2.0);
    }

    #[test]
    fn an_affine_network_is_recovered_exactly() {
        // x = 4 / d - 1, hence 1/d = 0.25 (x + 1).
        let pairs = raw(&[(3.0, 1.0), (1.0, 2.0), (0.0, 4.0), (-0.5, 8.0)]);
        let affine = affine_oracle(OutputKind::InverseDepth, &pairs).unwrap();
        assert!((affine.scale - 0.25).abs() < 1e-12 && (affine.tau - 1.0).abs() < 1e-12, "{affine:?}");
    }

    #[test]
    fn near_pixels_weigh_more_than_far_ones() {
        // Depth network, x = 0 seen at 1 m and 3 m, x = 1 at 2 m: weights 1, 1/3, 1/2.
        // Through the weighted mean (1 + 1) / (1 + 1/3) = 1.5 at x = 0 and 2 at x = 1: d = 0.5 x + 1.5.
        let affine = affine_oracle(OutputKind::Depth, &raw(&[(0.0, 1.0), (0.0, 3.0), (1.0, 2.0)])).unwrap();
        assert!((affine.scale - 0.5).abs() < 1e-12 && (affine.tau - 3.0).abs() < 1e-12, "{affine:?}");
    }

    #[test]
    fn a_constant_output_has_no_oracle() {
        assert_eq!(affine_oracle(OutputKind::Depth, &raw(&[(0.1, 1.0), (0.1, 2.0), (0.1, 3.0)])), None);
        assert_eq!(affine_oracle(OutputKind::Depth, &[]), None);
        assert_eq!(scale_only(OutputKind::Depth, &raw(&[(-1.0, 1.0)]), 0.0), None);
    }

    #[test]
    fn what_lies_behind_the_camera_counts_as_far() {
        let affine = Affine { scale: 1.0, tau: 0.0 };
        assert_eq!(affine.depth_m(OutputKind::InverseDepth, -2.0), FAR_M);
        assert_eq!(affine.depth_m(OutputKind::Depth, 1e9), FAR_M);
    }
}
