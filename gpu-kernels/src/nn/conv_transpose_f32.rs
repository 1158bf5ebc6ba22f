//! Transposed float convolution.

use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;

use super::conv_float::{FloatFinish, Grouping, Sums, TOLERANCE, kernel, pack};
use super::{Operand, Prepared};
use crate::kernel::Kernel;

/// The kernel.
pub const KERNEL: Kernel = kernel("nn/conv_transpose_f32", include_str!("conv_transpose_f32.wgsl"), &[], TOLERANCE);

/// A transposed float convolution with everything that follows it.
#[derive(Debug, Clone, Copy)]
pub struct FloatConvTranspose<'a> {
    /// Geometry.
    pub conv: ConvTranspose2d,
    /// `[out_channels, kernel_h, kernel_w, group_channels]`.
    pub weights: &'a [f32],
    /// What follows.
    pub finish: FloatFinish<'a>,
    /// The input.
    pub source: Operand,
    /// The output.
    pub target: Operand,
}

/// The launch, and the contents of weights and bias. Groups are filled up with zeros.
#[must_use]
pub fn prepare(step: &FloatConvTranspose<'_>, workgroup: [u32; 2]) -> Prepared {
    let FloatConvTranspose { conv, finish, source, target, .. } = *step;
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let grouping = Grouping::filled(conv.groups, conv.input.channels, conv.out_channels);
    let weights = pack(step.weights, &grouping, taps);
    let (input, output, window, macs) = (conv.input, conv.output(), conv.window, conv.macs());
    let Grouping { quads, group_blocks, .. } = grouping;
    let sums = Sums { input, output, window, macs, finish, source, target, quads, group_blocks, weights };
    let invocations = [output.width, output.height, sums.blocks()];
    sums.launch(&KERNEL, invocations, workgroup)
}
