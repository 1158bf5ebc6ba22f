//! Conv and ConvTranspose on two-dimensional feature maps.

use fathom_core::ops::nn::Window;

use super::window::{self, AutoPad, bounded};
use crate::Result;
use crate::network::graph::{Op, ValueId};
use crate::network::import::call::Call;

/// Shapes of a convolution that agree with one another.
pub(super) struct Geometry {
    pub(super) window: Window,
    pub(super) groups: usize,
    pub(super) shape: Vec<usize>,
    pub(super) work: u64,
}

/// Conv's geometry from the shapes of its input and weights.
pub(super) fn geometry(call: &Call<'_>, x: ValueId, w: ValueId) -> Result<Geometry> {
    let (input, weights) = (call.shape(x), call.shape(w));
    let ([batch, channels, height, width], &[out, group_channels, _, _]) = (input, weights) else {
        return Err(call.unsupported(format_args!("input {input:?} with weights {weights:?}; both need 4 axes")));
    };
    let groups = bounded(call, "group", call.int("group", 1)?, 1)?;
    if group_channels.checked_mul(groups) != Some(*channels) || out == 0 || out % groups != 0 {
        return Err(call.error(format!("weights {weights:?} in {groups} groups do not fit an input of {channels} channels")));
    }
    let kernel = window::kernel(call, weights)?;
    let window = window::window(call, [*height, *width], kernel)?;
    let [rows, columns] = window.output([*height, *width]);
    let shape = vec![*batch, out, rows, columns];
    let taps = (group_channels * kernel[0] * kernel[1]) as u64;
    let work = (rows as u64).saturating_mul(columns as u64).saturating_mul(out as u64).saturating_mul(taps);
    Ok(Geometry { window, groups, shape, work })
}

/// Conv.
pub(super) fn conv(call: &mut Call<'_>) -> Result<ValueId> {
    let (x, w) = (call.ranked(0, 4)?, call.ranked(1, 4)?);
    let Geometry { window, groups, shape, work } = geometry(call, x, w)?;
    let operands = with_bias(call, vec![x, w], shape[1])?;
    call.emit_worth(Op::Conv { window, groups }, &operands, shape, work)
}

/// ConvTranspose: `out = stride (in - 1) + output_padding + extent - before - after`.
pub(super) fn transpose(call: &mut Call<'_>) -> Result<ValueId> {
    let (x, w) = (call.ranked(0, 4)?, call.ranked(1, 4)?);
    let (input, weights) = (call.shape(x).to_vec(), call.shape(w).to_vec());
    let groups = bounded(call, "group", call.int("group", 1)?, 1)?;
    if weights[0] != input[1] || input[1] % groups != 0 {
        return Err(call.error(format!("weights {weights:?} in {groups} groups do not fit an input of {} channels", input[1])));
    }
    let out = weights[1].checked_mul(groups).ok_or_else(|| call.error("has too many output channels"))?;
    let kernel = window::kernel(call, &weights)?;
    let stride = window::pair(call, "strides", 1, 1)?;
    let dilation = window::pair(call, "dilations", 1, 1)?;
    let output_padding = window::pair(call, "output_padding", 0, 0)?;
    if (0..2).any(|axis| output_padding[axis] >= stride[axis].max(dilation[axis])) {
        return Err(call.error(format!("output_padding {output_padding:?} must be below stride {stride:?} or dilation {dilation:?}")));
    }
    let full: [usize; 2] =
        std::array::from_fn(|axis| stride[axis] * (input[axis + 2] - 1) + output_padding[axis] + dilation[axis] * (kernel[axis] - 1) + 1);
    let (pad_before, pad_after) = transpose_pads(call, full, [input[2], input[3]], stride)?;
    let window = Window { kernel, stride, dilation, pad_before, pad_after };
    let mut shape = vec![input[0], out, 0, 0];
    for axis in 0..2 {
        shape[axis + 2] = full[axis]
            .checked_sub(pad_before[axis] + pad_after[axis])
            .filter(|&extent| extent > 0)
            .ok_or_else(|| call.error(format!("padding {pad_before:?} and {pad_after:?} leaves nothing of an output of {full:?}")))?;
    }
    let work = (input[2] as u64 * input[3] as u64).saturating_mul(weights.iter().product::<usize>() as u64);
    let operands = with_bias(call, vec![x, w], out)?;
    call.emit_worth(Op::ConvTranspose { window, groups, output_padding }, &operands, shape, work)
}

/// What is cropped from the full output: given, or what leaves `output_shape` or `in * stride`.
fn transpose_pads(call: &Call<'_>, full: [usize; 2], input: [usize; 2], stride: [usize; 2]) -> Result<([usize; 2], [usize; 2])> {
    let mode = window::auto_pad(call)?;
    let target = match (call.attributes.has("output_shape"), mode) {
        (true, _) => window::pair(call, "output_shape", 0, 1)?,
        (false, AutoPad::Explicit) => return window::explicit_pads(call),
        (false, AutoPad::Valid) => return Ok(([0; 2], [0; 2])),
        (false, AutoPad::SameUpper | AutoPad::SameLower) => [input[0] * stride[0], input[1] * stride[1]],
    };
    let mut pads = [(0, 0); 2];
    for axis in 0..2 {
        let total = full[axis].checked_sub(target[axis]);
        let total = total.ok_or_else(|| call.unsupported(format_args!("an output of {target:?}, larger than its full extent {full:?}")))?;
        // ONNX puts the odd one before, unless SAME_UPPER.
        let side = if mode == AutoPad::SameUpper { AutoPad::SameUpper } else { AutoPad::SameLower };
        pads[axis] = window::split_pad(total, side);
    }
    Ok((pads.map(|p| p.0), pads.map(|p| p.1)))
}

/// Appends the bias, if there is one: `[out]`.
fn with_bias(call: &Call<'_>, mut operands: Vec<ValueId>, out: usize) -> Result<Vec<ValueId>> {
    if call.optional(2).is_some() {
        let bias = call.float_input(2)?;
        if call.shape(bias) != [out] {
            return Err(call.error(format!("bias {:?} has shape {:?}, expected [{out}]", call.value_name(bias), call.shape(bias))));
        }
        operands.push(bias);
    }
    Ok(operands)
}
