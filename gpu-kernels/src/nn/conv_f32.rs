//! Float convolution.

use fathom_core::ops::nn::conv::Conv2d;

use super::conv_float::{FloatFinish, Grouping, Sums, TOLERANCE, kernel, pack};
use super::{Operand, Prepared};
use crate::kernel::Kernel;

/// The kernel.
pub const KERNEL: Kernel = kernel("nn/conv_f32", include_str!("conv_f32.wgsl"), &[], TOLERANCE);

/// A float convolution with everything that follows it.
#[derive(Debug, Clone, Copy)]
pub struct FloatConv<'a> {
    /// Geometry.
    pub conv: Conv2d,
    /// `[out_channels, kernel_h, kernel_w, group_channels]`.
    pub weights: &'a [f32],
    /// What follows.
    pub finish: FloatFinish<'a>,
    /// The input.
    pub source: Operand,
    /// The output.
    pub target: Operand,
}

impl<'a> FloatConv<'a> {
    pub(crate) const fn taps(&self) -> usize {
        self.conv.window.kernel[0] * self.conv.window.kernel[1]
    }

    pub(crate) fn sums(&self, [quads, group_blocks]: [usize; 2], weights: Vec<u8>) -> Sums<'a> {
        let Self { conv, finish, source, target, .. } = *self;
        let (input, output, window, macs) = (conv.input, conv.output(), conv.window, conv.macs());
        Sums { input, output, window, macs, finish, source, target, quads, group_blocks, weights }
    }
}

/// The launch, and the contents of weights and bias.
#[must_use]
pub fn prepare(step: &FloatConv<'_>, workgroup: [u32; 2]) -> Prepared {
    let grouping = Grouping::of(step.conv.groups, step.conv.input.channels, step.conv.out_channels);
    let sums = step.sums([grouping.quads, grouping.group_blocks], pack(step.weights, &grouping, step.taps()));
    let invocations = [sums.output.width.div_ceil(4), sums.output.height, sums.blocks()];
    sums.launch(&KERNEL, invocations, workgroup)
}
