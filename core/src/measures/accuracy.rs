//! Errors of depth in metres: AbsRel, delta1, and the share of a gap that a calibration closed.

use crate::measures::Pair;

/// Mean of `|d - d*| / d*`. Source: Eigen et al., *Depth Map Prediction from a Single Image*, NIPS 2014. `None` of no pixels.
///
/// ```
/// use fathom_core::measures::{Pair, accuracy::abs_rel};
/// let pairs = [Pair { predicted: 1.5, truth_m: 1.0 }, Pair { predicted: 3.0, truth_m: 4.0 }];
/// assert_eq!(abs_rel(&pairs), Some(0.375)); // (0.5 + 0.25) / 2
/// ```
#[must_use]
pub fn abs_rel(pairs: &[Pair]) -> Option<f64> {
    mean(pairs, |pair| (pair.predicted - pair.truth_m).abs() / pair.truth_m)
}

/// Share of pixels with `max(d / d*, d* / d) < 1.25`. Source: as [`abs_rel`]. `None` of no pixels.
#[must_use]
pub fn delta1(pairs: &[Pair]) -> Option<f64> {
    let within = |pair: &Pair| pair.predicted > 0.0 && (pair.predicted / pair.truth_m).max(pair.truth_m / pair.predicted) < 1.25;
    mean(pairs, |pair| f64::from(u8::from(within(pair))))
}

/// Gap closed: `(E_start - E_calibrated) / (E_start - E_oracle)`, where E is AbsRel after scale only.
///
/// 1: as good as the domain's oracle; 0: no better than the start; negative: worse. `None` if the start was no worse
/// than the oracle: there was no gap.
#[must_use]
pub fn gap_closed(start: f64, calibrated: f64, oracle: f64) -> Option<f64> {
    (start > oracle).then(|| (start - calibrated) / (start - oracle))
}

fn mean(pairs: &[Pair], of: impl Fn(&Pair) -> f64) -> Option<f64> {
    (!pairs.is_empty()).then(|| pairs.iter().map(of).sum::<f64>() / pairs.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(values: &[(f64, f64)]) -> Vec<Pair> {
        values.iter().map(|&(predicted, truth_m)| Pair { predicted, truth_m }).collect()
    }

    #[test]
    fn delta1_is_strict_and_symmetric() {
        // 1.25 exactly is outside on both sides; 1.24 is inside on both; no depth (0) is outside.
        assert_eq!(delta1(&pairs(&[(1.25, 1.0), (1.0, 1.25), (1.24, 1.0), (1.0, 1.24), (0.0, 1.0)])), Some(0.4));
    }

    #[test]
    fn a_pixel_without_predicted_depth_costs_a_full_relative_error() {
        assert_eq!(abs_rel(&pairs(&[(0.0, 5.0), (5.0, 5.0)])), Some(0.5));
        assert_eq!((abs_rel(&[]), delta1(&[])), (None, None));
    }

    #[test]
    fn the_gap_is_measured_from_the_start_to_the_oracle() {
        assert_eq!(gap_closed(0.5, 0.3125, 0.25), Some(0.75));
        assert!(gap_closed(0.2, 0.3, 0.1).unwrap() < 0.0);
        assert_eq!(gap_closed(0.1, 0.1, 0.1), None);
    }
}
