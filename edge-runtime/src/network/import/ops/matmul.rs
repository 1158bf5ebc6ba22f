//! MatMul and Gemm.

use fathom_core::tensor::Element;

use crate::Result;
use crate::network::graph::{Op, ValueId};
use crate::network::import::builder::count;
use crate::network::import::call::Call;
use crate::network::import::fold::broadcast;

/// Shape of `a b`, batch axes broadcast, and the number of multiplications.
pub(super) fn product(call: &Call<'_>, a: ValueId, b: ValueId) -> Result<(Vec<usize>, u64)> {
    let (a, b) = (call.shape(a), call.shape(b));
    let ([batch_a @ .., rows, inner_a], [batch_b @ .., inner_b, columns]) = (a, b) else {
        return Err(call.unsupported(format_args!("operands {a:?} and {b:?}; both need at least 2 axes")));
    };
    let batch = broadcast(batch_a, batch_b).filter(|_| inner_a == inner_b);
    let mut shape = batch.ok_or_else(|| call.error(format!("operands {a:?} and {b:?} do not fit one another")))?;
    shape.extend([*rows, *columns]);
    let work = count(&shape).saturating_mul(*inner_a as u64);
    Ok((shape, work))
}

/// MatMul.
pub(super) fn matmul(call: &mut Call<'_>) -> Result<ValueId> {
    let (a, b) = (call.float_input(0)?, call.float_input(1)?);
    let (shape, work) = product(call, a, b)?;
    call.emit_worth(Op::MatMul, &[a, b], shape, work)
}

/// Gemm.
pub(super) fn gemm(call: &mut Call<'_>) -> Result<ValueId> {
    let (a, b) = (call.ranked(0, 2)?, call.ranked(1, 2)?);
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    if !(alpha.is_finite() && beta.is_finite()) {
        return Err(call.error(format!("alpha {alpha} and beta {beta} must be finite")));
    }
    let (trans_a, trans_b) = (call.flag("transA", false)?, call.flag("transB", false)?);
    let oriented = |shape: &[usize], transposed: bool| if transposed { [shape[1], shape[0]] } else { [shape[0], shape[1]] };
    let ([rows, inner], [inner_b, columns]) = (oriented(call.shape(a), trans_a), oriented(call.shape(b), trans_b));
    if inner != inner_b {
        return Err(call.error(format!("operands {:?} and {:?} do not fit one another", call.shape(a), call.shape(b))));
    }
    let shape = vec![rows, columns];
    let mut operands = vec![a, b];
    if let Some(c) = call.optional(2) {
        call.expect_element(c, &[Element::F32])?;
        if broadcast(call.shape(c), &shape).as_ref() != Some(&shape) {
            return Err(call.error(format!("operand C has shape {:?}, which does not broadcast to {shape:?}", call.shape(c))));
        }
        operands.push(c);
    }
    let work = count(&shape).saturating_mul(inner as u64);
    call.emit_worth(Op::Gemm { alpha, beta, trans_a, trans_b }, &operands, shape, work)
}
