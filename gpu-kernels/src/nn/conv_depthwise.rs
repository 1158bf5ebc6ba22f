//! Depthwise byte convolution.

use super::Prepared;
use super::conv_bytes::{ByteConv, kernel};
use crate::kernel::Kernel;

/// The kernel.
pub const KERNEL: Kernel = kernel("nn/conv_depthwise", include_str!("conv_depthwise.wgsl"), &[]);

/// The launch, and the contents of weights, columns and tables; `None` unless every channel is a group of its own.
#[must_use]
pub fn prepare(step: &ByteConv<'_>, workgroup: [u32; 2]) -> Option<Prepared> {
    let conv = &step.conv;
    if conv.groups != conv.input.channels || conv.groups != conv.out_channels {
        return None;
    }
    let blocks = conv.out_channels.div_ceil(4);
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let quads = [step.source.start, step.source.pitch, blocks as u32].iter().all(|words| words.is_multiple_of(4));
    // Blocks of four channels, or of sixteen: consecutive words.
    let wide = if quads { 4 } else { 1 };
    let weight = |o: usize, tap: usize| step.weights.get(o * taps + tap).map_or(0, |weight| weight.cast_unsigned());
    let words = (0..blocks / wide).flat_map(|block| (0..taps).map(move |tap| (block, tap)));
    let weights: Vec<u8> = words.flat_map(|(block, tap)| (0..4 * wide).map(move |lane| weight(4 * wide * block + lane, tap))).collect();
    let sums = step.sums(conv, [1, 1], weights, step.correction(step.zero_point));
    let across = if quads { sums.output.width.div_ceil(2) * blocks / 4 } else { sums.output.width * blocks };
    let invocations = [across, sums.output.height, 1];
    let mut prepared = sums.launch(&KERNEL, invocations, workgroup);
    prepared.launch = prepared.launch.entry(if quads { "main_quads" } else { "main" }).with("SIGNED", u8::from(step.signed));
    Some(prepared)
}
