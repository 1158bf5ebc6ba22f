//! Whether nearer looks nearer: rank correlation, which no monotone map of the output can change.

use crate::depth::OutputKind;
use crate::measures::Pair;

/// Spearman's rank correlation of predicted and true depth; ties share their mean rank. `1`: perfect order, for
/// inverse-depth networks too (their output counts negated). `None` where either side is constant.
///
/// ```
/// use fathom_core::{depth::OutputKind, measures::{Pair, order::spearman}};
/// let pairs = [(0.0, 1.0), (5.0, 2.0), (6.0, 9.0)].map(|(predicted, truth_m)| Pair { predicted, truth_m });
/// assert_eq!(spearman(OutputKind::Depth, &pairs), Some(1.0));
/// assert_eq!(spearman(OutputKind::InverseDepth, &pairs), Some(-1.0));
/// ```
#[must_use]
pub fn spearman(kind: OutputKind, raw: &[Pair]) -> Option<f64> {
    let sign = if kind == OutputKind::InverseDepth { -1.0 } else { 1.0 };
    let predicted = mean_ranks(raw.iter().map(|pair| sign * pair.predicted));
    let truth = mean_ranks(raw.iter().map(|pair| pair.truth_m));
    // Ranks run from 0 to n - 1, ties or not, so both means are known.
    let middle = (raw.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let spread = product(&predicted, &predicted) * product(&truth, &truth);
    (spread > 0.0).then(|| product(&predicted, &truth) / spread.sqrt())
}

/// The rank of each value, from 0; equal values share the mean of their ranks.
fn mean_ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<(f64, usize)> = values.enumerate().map(|(i, value)| (value, i)).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; sorted.len()];
    let mut before = 0;
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        for &(_, i) in ties {
            ranks[i] = before as f64 + (ties.len() - 1) as f64 / 2.0;
        }
        before += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(mean_ranks([3.0, 1.0, 3.0, 0.0].into_iter()), [2.5, 1.0, 2.5, 0.0]);
        // Ranks (0, 1.5, 1.5, 3) and (0, 1, 2, 3): sums of products 4.5, of squares 4.5 and 5.
        let pairs = [(1.0, 1.0), (2.0, 2.0), (2.0, 3.0), (4.0, 4.0)].map(|(predicted, truth_m)| Pair { predicted, truth_m });
        let got = spearman(OutputKind::Depth, &pairs).unwrap();
        assert!((got - 4.5 / (4.5_f64 * 5.0).sqrt()).abs() < 1e-12, "{got}");
    }

    #[test]
    fn a_constant_output_has_no_order() {
        let pairs = [(1.0, 1.0), (1.0, 2.0)].map(|(predicted, truth_m)| Pair { predicted, truth_m });
        assert_eq!(spearman(OutputKind::Depth, &pairs), None);
        assert_eq!(spearman(OutputKind::Depth, &[]), None);
    }
}
