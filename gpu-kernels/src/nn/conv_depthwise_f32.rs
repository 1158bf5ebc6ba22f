//! Depthwise float convolution.

use super::Prepared;
use super::conv_f32::FloatConv;
use super::conv_float::{TOLERANCE, kernel};
use crate::kernel::Kernel;

/// The kernel.
pub const KERNEL: Kernel = kernel("nn/conv_depthwise_f32", include_str!("conv_depthwise_f32.wgsl"), &[], TOLERANCE);

/// The launch, and the contents of weights and bias; `None` unless every channel is a group of its own.
#[must_use]
pub fn prepare(step: &FloatConv<'_>, workgroup: [u32; 2]) -> Option<Prepared> {
    let conv = &step.conv;
    if conv.groups != conv.input.channels || conv.groups != conv.out_channels {
        return None;
    }
    let (taps, blocks) = (step.taps(), conv.out_channels.div_ceil(4));
    let weight = |block: usize, tap: usize, lane: usize| step.weights.get((4 * block + lane) * taps + tap).copied().unwrap_or(0.0);
    let places = (0..blocks).flat_map(|block| (0..taps).map(move |tap| (block, tap)));
    let weights: Vec<f32> = places.flat_map(|(block, tap)| std::array::from_fn::<f32, 4, _>(|lane| weight(block, tap, lane))).collect();
    let sums = step.sums([1, 1], bytemuck::cast_slice(&weights).to_vec());
    let invocations = [sums.output.width * blocks, sums.output.height, 1];
    Some(sums.launch(&KERNEL, invocations, workgroup))
}
