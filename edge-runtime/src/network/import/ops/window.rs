//! Windows of convolutions and pools: kernel, stride, dilation and padding, `auto_pad` resolved.

use fathom_core::ops::nn::Window;

use crate::Result;
use crate::network::import::call::Call;

/// A number of the file within `low ..= Limits::window`.
pub(super) fn bounded(call: &Call<'_>, what: &str, value: i64, low: u64) -> Result<usize> {
    let limit = call.builder.limits.window;
    match u64::try_from(value) {
        Ok(v) if (low..=limit).contains(&v) => Ok(v as usize),
        _ => Err(call.error(format!("{what} is {value}, allowed is {low} to {limit}"))),
    }
}

/// Two integers of an attribute, vertical first.
pub(super) fn pair(call: &Call<'_>, name: &str, default: usize, low: u64) -> Result<[usize; 2]> {
    match call.attribute(call.attributes.ints(name))? {
        None | Some([]) => Ok([default; 2]),
        Some(&[vertical, horizontal]) => Ok([bounded(call, name, vertical, low)?, bounded(call, name, horizontal, low)?]),
        Some(other) => Err(call.unsupported(format_args!("{name} {other:?}, only two axes are"))),
    }
}

/// Where padding comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AutoPad {
    /// From the attribute `pads`.
    Explicit,
    /// None.
    Valid,
    /// As much as keeps `ceil(in / stride)`; an odd one behind.
    SameUpper,
    /// As `SameUpper`; an odd one before.
    SameLower,
}

pub(super) fn auto_pad(call: &Call<'_>) -> Result<AutoPad> {
    match call.text("auto_pad", "NOTSET")? {
        "" | "NOTSET" => Ok(AutoPad::Explicit),
        "VALID" => Ok(AutoPad::Valid),
        "SAME_UPPER" => Ok(AutoPad::SameUpper),
        "SAME_LOWER" => Ok(AutoPad::SameLower),
        other => Err(call.error(format!("auto_pad is {other:?}, expected NOTSET, VALID, SAME_UPPER or SAME_LOWER"))),
    }
}

/// The attribute `pads`: before and behind.
pub(super) fn explicit_pads(call: &Call<'_>) -> Result<([usize; 2], [usize; 2])> {
    match call.attribute(call.attributes.ints("pads"))? {
        None | Some([]) => Ok(([0; 2], [0; 2])),
        Some(&[top, left, bottom, right]) => {
            let pad = |value| bounded(call, "pads", value, 0);
            Ok(([pad(top)?, pad(left)?], [pad(bottom)?, pad(right)?]))
        }
        Some(other) => Err(call.unsupported(format_args!("pads {other:?}, only two axes are"))),
    }
}

/// Splits padding into before and behind.
pub(super) const fn split_pad(total: usize, mode: AutoPad) -> (usize, usize) {
    let half = total / 2;
    if matches!(mode, AutoPad::SameLower) { (total - half, half) } else { (half, total - half) }
}

/// The window of a convolution or pool over `input` rows and columns.
///
/// # Errors
/// Numbers outside the limits, or a window that does not fit the padded input.
pub(super) fn window(call: &Call<'_>, input: [usize; 2], kernel: [usize; 2]) -> Result<Window> {
    let stride = pair(call, "strides", 1, 1)?;
    let dilation = pair(call, "dilations", 1, 1)?;
    let mode = auto_pad(call)?;
    let (pad_before, pad_after) = match mode {
        AutoPad::Explicit => explicit_pads(call)?,
        AutoPad::Valid => ([0; 2], [0; 2]),
        AutoPad::SameUpper | AutoPad::SameLower => {
            let pads: [(usize, usize); 2] = std::array::from_fn(|axis| {
                let extent = dilation[axis] * (kernel[axis] - 1) + 1;
                let outputs = input[axis].div_ceil(stride[axis]);
                split_pad(((outputs - 1) * stride[axis] + extent).saturating_sub(input[axis]), mode)
            });
            (pads.map(|p| p.0), pads.map(|p| p.1))
        }
    };
    let window = Window { kernel, stride, dilation, pad_before, pad_after };
    if window.output(input).contains(&0) {
        return Err(call.error(format!(
            "window {kernel:?} (dilation {dilation:?}) does not fit an input of {input:?} with padding {pad_before:?} and {pad_after:?}"
        )));
    }
    Ok(window)
}

/// Rows and columns of a kernel, checked against the attribute `kernel_shape` where it is given.
pub(super) fn kernel(call: &Call<'_>, weights: &[usize]) -> Result<[usize; 2]> {
    let kernel = [bounded(call, "kernel height", weights[2] as i64, 1)?, bounded(call, "kernel width", weights[3] as i64, 1)?];
    let declared = pair(call, "kernel_shape", 0, 1)?;
    if declared != [0; 2] && declared != kernel {
        return Err(call.error(format!("kernel_shape is {declared:?}, the weights have {kernel:?}")));
    }
    Ok(kernel)
}
