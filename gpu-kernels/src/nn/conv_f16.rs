//! Float convolution with half-precision products: half the bytes of weights, and twice the arithmetic on boards that pair halves.

use half::f16;

use super::Prepared;
use super::conv_f32::FloatConv;
use super::conv_float::{Grouping, kernel, pack};
use crate::kernel::{Kernel, Need, Tolerance};

/// The kernel. Halves carry 11 bits: each operand and each sum of four products is off by up to 2^-11 of its size, which for
/// operands about 1 adds up to less than 2e-2 over a thousand terms of either sign; measured 4e-3 on lavapipe.
pub const KERNEL: Kernel = kernel("nn/conv_f16", include_str!("conv_f16.wgsl"), &[Need::F16], Tolerance { abs: 2e-2, rel: 2e-3 });

/// The launch, and the contents of weights and bias; `None` if a weight does not fit half precision.
#[must_use]
pub fn prepare(step: &FloatConv<'_>, workgroup: [u32; 2]) -> Option<Prepared> {
    let grouping = Grouping::of(step.conv.groups, step.conv.input.channels, step.conv.out_channels);
    let singles = pack(step.weights, &grouping, step.taps());
    let halves = bytemuck::cast_slice::<u8, [u8; 4]>(&singles).iter().map(|&bytes| f16::from_f32(f32::from_ne_bytes(bytes)));
    let halves: Vec<f16> = halves.collect();
    if !halves.iter().all(|weight| weight.is_finite()) {
        return None;
    }
    let weights = halves.iter().flat_map(|weight| weight.to_ne_bytes()).collect();
    let sums = step.sums([grouping.quads, grouping.group_blocks], weights);
    let invocations = [sums.output.width.div_ceil(4), sums.output.height, sums.blocks()];
    Some(sums.launch(&KERNEL, invocations, workgroup))
}
