//! Reductions that keep the last axis: all its columns at a time. Bit for bit what core's plain loops give: each column is
//! reduced in the same order.

use fathom_core::ops::nn::reduce::{Reduce, Reduction};
use pulp::{Arch, Simd, WithSimd};

use super::memory::{Operand, Output};
use super::vector::dequantize_row;
use crate::network::plan::PlanTensor;

/// Whether columns lie side by side before and behind, and the result is one row of them.
pub(super) fn takes(reduce: &Reduce, out: &PlanTensor) -> bool {
    let [outer @ .., columns] = reduce.kept;
    let one_row = outer == [1; 3] && out.rows() == 1 && out.channels() == columns;
    one_row && reduce.input[3] == 1 && reduce.out[3] == 1 && !reduce.reduced.contains(&0)
}

/// Reduces.
pub(super) fn run(reduce: &Reduce, inputs: &[Operand<'_>], out: &mut Output<'_>) {
    let columns = reduce.kept[3];
    let (mut row, mut folded) = (vec![0.0; columns], vec![0.0; columns]);
    Arch::new().dispatch(Fold { reduce, x: &inputs[0], row: &mut row, folded: &mut folded });
    out.put_reals(&folded);
}

struct Fold<'a> {
    reduce: &'a Reduce,
    x: &'a Operand<'a>,
    row: &'a mut [f32],
    folded: &'a mut [f32],
}

impl WithSimd for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { reduce, x, row, folded } = self;
        // What adding up begins with: the zero that leaves every number as it is.
        folded.fill(if reduce.reduction == Reduction::Max { f32::NEG_INFINITY } else { -0.0 });
        let [n0, n1, n2, n3] = reduce.reduced;
        let [s0, s1, s2, s3] = reduce.reduced_strides;
        let starts = (0..n0 * n1 * n2).map(|i| i / (n1 * n2) * s0 + i / n2 % n1 * s1 + i % n2 * s2);
        for start in starts.flat_map(|start| (0..n3).map(move |i| start + i * s3)) {
            match x.quant() {
                None => row.copy_from_slice(&x.f32()[start..start + row.len()]),
                Some(quant) => dequantize_row(quant, &x.bytes[start..start + row.len()], row),
            }
            match reduce.reduction {
                Reduction::Mean | Reduction::Sum => folded.iter_mut().zip(&*row).for_each(|(sum, x)| *sum += x),
                Reduction::Max => folded.iter_mut().zip(&*row).for_each(|(most, &x)| *most = most.max(x)),
                Reduction::L2 => folded.iter_mut().zip(&*row).for_each(|(sum, x)| *sum += x * x),
            }
        }
        match reduce.reduction {
            Reduction::Mean => folded.iter_mut().for_each(|x| *x /= reduce.count() as f32),
            Reduction::L2 => folded.iter_mut().for_each(|x| *x = x.sqrt()),
            Reduction::Sum | Reduction::Max => {}
        }
    }
}
