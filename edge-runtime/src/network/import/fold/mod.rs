//! Constant folding: operations of the graph evaluated on constants. Shape arithmetic vanishes here, and so does what a
//! frozen network computes from weights alone (position embeddings). Dequantization is left alone, so that bytes stay bytes.
//!
//! The builder has counted the result's bytes against the file's account before anything here makes room for it.

pub(super) mod index;
pub(super) mod number;
mod resize;

use fathom_core::tensor::{Element, Tensor};

use super::builder::{Builder, value_error};
use crate::Result;
use crate::network::graph::{Op, ValueId};

/// The shape of two operands broadcast, axes aligned at the end; `None` if they do not fit.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// The contents of a constant.
pub(super) fn known(builder: &Builder, id: ValueId) -> Result<&Tensor> {
    builder.constant_of(id).ok_or_else(|| value_error(&builder.value(id).name, "must be constant"))
}

/// Whether an operation on constants alone is folded.
pub(super) const fn folds(op: &Op) -> bool {
    matches!(
        op,
        Op::Unary(_)
            | Op::Binary(_)
            | Op::Concat { .. }
            | Op::Slice { .. }
            | Op::Transpose { .. }
            | Op::Reshape
            | Op::Expand
            | Op::Gather { .. }
            | Op::Resize { .. }
            | Op::QuantizeLinear { .. }
    )
}

/// The result of an operation that [`folds`], of a shape and element type already inferred.
pub(super) fn evaluate(op: &Op, operands: &[&Tensor], element: Element, shape: &[usize]) -> Result<Tensor> {
    match (op, operands) {
        (Op::Unary(unary), [x]) => number::unary(*unary, x),
        (Op::Binary(binary), [a, b]) => number::binary(*binary, a, b, shape),
        (Op::Concat { axis }, parts) => index::concat(parts, *axis, shape),
        (Op::Slice { starts, steps }, [x]) => index::slice(x, starts, steps, shape),
        (Op::Transpose { perm }, [x]) => index::transpose(x, perm, shape),
        (Op::Reshape, [x]) => Ok((*x).clone().reshape(shape.to_vec())?),
        (Op::Expand, [x]) => index::expand(x, shape),
        (Op::Gather { axis }, [x, indices]) => index::gather(x, indices, *axis, shape),
        (Op::Resize { mode, coordinates, scales }, [x]) => resize::resize(x, *mode, *coordinates, *scales, shape),
        (Op::QuantizeLinear { axis }, [x, scale]) => number::quantize(x, scale, None, *axis, element),
        (Op::QuantizeLinear { axis }, [x, scale, zero_point]) => number::quantize(x, scale, Some(zero_point), *axis, element),
        _ => Err(value_error("", format!("{op:?} of {} constants cannot be folded", operands.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::broadcast;

    #[test]
    fn shapes_broadcast_from_the_last_axis() {
        assert_eq!(broadcast(&[3, 1], &[2, 1, 4]), Some(vec![2, 3, 4]));
        assert_eq!(broadcast(&[], &[2]), Some(vec![2]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(broadcast(&[0], &[1]), Some(vec![0]));
    }
}
