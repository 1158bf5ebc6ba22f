//! MaxPool and AveragePool. `ceil_mode` is resolved to padding behind.

use fathom_core::ops::nn::Window;

use super::window;
use crate::Result;
use crate::network::graph::{Op, ValueId};
use crate::network::import::call::Call;

/// MaxPool; only its values, not their indices.
pub(super) fn max(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.ranked(0, 4)?;
    if call.int("storage_order", 0)? != 0 {
        return Err(call.unsupported("storage_order 1"));
    }
    let (window, _) = pool_window(call, x)?;
    emit(call, Op::MaxPool(window), x, window)
}

/// AveragePool.
pub(super) fn average(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.ranked(0, 4)?;
    let op = average_op(call, x)?;
    let Op::AveragePool { window, .. } = op else { return Err(call.error("is not an average pool")) };
    emit(call, op, x, window)
}

/// AveragePool's operation over `x`.
pub(super) fn average_op(call: &Call<'_>, x: ValueId) -> Result<Op> {
    let count_include_pad = call.flag("count_include_pad", false)?;
    let (window, extended) = pool_window(call, x)?;
    if count_include_pad && extended {
        return Err(call.unsupported("ceil_mode with count_include_pad where the last window leaves the padded input"));
    }
    Ok(Op::AveragePool { window, count_include_pad })
}

/// The pool's window, and whether `ceil_mode` extended the padding behind.
fn pool_window(call: &Call<'_>, x: ValueId) -> Result<(Window, bool)> {
    let input = [call.shape(x)[2], call.shape(x)[3]];
    let kernel = window::pair(call, "kernel_shape", 0, 1)?;
    if kernel == [0; 2] {
        return Err(call.error("attribute \"kernel_shape\" is missing"));
    }
    let mut window = window::window(call, input, kernel)?;
    let mut extended = false;
    for axis in 0..2 {
        let extent = window.dilation[axis] * (kernel[axis] - 1) + 1;
        if window.pad_before[axis] >= extent || window.pad_after[axis] >= extent {
            return Err(
                call.error(format!("padding {:?} and {:?} is not below the window {kernel:?}", window.pad_before, window.pad_after))
            );
        }
        if call.flag("ceil_mode", false)? {
            let padded = input[axis] + window.pad_before[axis] + window.pad_after[axis];
            let over = (padded - extent) % window.stride[axis];
            let starts_inside = padded - extent - over + window.stride[axis] < input[axis] + window.pad_before[axis];
            if over > 0 && starts_inside {
                window.pad_after[axis] += window.stride[axis] - over;
                extended = true;
            }
        }
    }
    Ok((window, extended))
}

/// Shape of a pool's result.
pub(super) fn pooled(shape: &[usize], window: Window) -> Vec<usize> {
    let [rows, columns] = window.output([shape[2], shape[3]]);
    vec![shape[0], shape[1], rows, columns]
}

fn emit(call: &mut Call<'_>, op: Op, x: ValueId, window: Window) -> Result<ValueId> {
    let shape = pooled(call.shape(x), window);
    let work = super::super::builder::count(&shape).saturating_mul((window.kernel[0] * window.kernel[1]) as u64);
    call.emit_worth(op, &[x], shape, work)
}
