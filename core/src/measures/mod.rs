//! How depth is judged: every formula by which the project reports accuracy, once.
//!
//! Ground truth is metres, `[height, width]` row-major, and 0 where there is none; such pixels never count. What a
//! network says is first aligned ([`alignment`]), then measured ([`accuracy`], [`order`], [`surface`], [`camera`]).
//! Sums are f64.

pub mod accuracy;
pub mod alignment;
pub mod camera;
pub mod order;
pub mod surface;

/// One pixel with ground truth: what was predicted and what is true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Network output or depth, by context.
    pub predicted: f64,
    /// True depth along z, metres, above 0.
    pub truth_m: f64,
}

/// The pixels that have ground truth. Both slices are the same image, row-major; the shorter one ends the pairing.
#[must_use]
pub fn pairs(predicted: &[f32], truth_m: &[f32]) -> Vec<Pair> {
    let both = predicted.iter().zip(truth_m).filter(|(p, t)| p.is_finite() && t.is_finite() && **t > 0.0);
    both.map(|(&p, &t)| Pair { predicted: f64::from(p), truth_m: f64::from(t) }).collect()
}

/// The median; of an even number of values the mean of the middle two. `None` of no values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = if even { below.iter().copied().max_by(f64::total_cmp) } else { None };
    Some(lower.map_or(upper, |lower| (lower + upper) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_without_truth_or_with_nan_do_not_count() {
        let got = pairs(&[1.0, 2.0, f32::NAN, 4.0], &[0.0, 5.0, 5.0, f32::INFINITY]);
        assert_eq!(got, [Pair { predicted: 2.0, truth_m: 5.0 }]);
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }
}
