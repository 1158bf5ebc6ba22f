//! Byte convolution with four-byte dot products: the tactic that every device can run.

use super::Prepared;
use super::conv_bytes::{ByteConv, kernel};
use crate::kernel::Kernel;

/// The kernel.
pub const KERNEL: Kernel = kernel("nn/conv_dot4", include_str!("conv_dot4.wgsl"), &[]);

/// The launch, and the contents of weights, columns and tables.
#[must_use]
pub fn prepare(step: &ByteConv<'_>, workgroup: [u32; 2]) -> Prepared {
    let (conv, blocks) = (step.tiled(), step.blocks());
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    // The kernel shifts unsigned bytes to signed ones.
    let offset = if step.signed { 0 } else { 128 };
    let pairs = blocks.blocks.div_ceil(2);
    let mut weights: Vec<u32> = Vec::with_capacity(2 * pairs * taps * blocks.words * 4);
    for block in 0..2 * pairs {
        for (tap, word) in (0..taps).flat_map(|tap| (0..blocks.words).map(move |word| (tap, word))) {
            weights.extend((0..4).map(|lane| step.weight_word(&blocks, 4 * block + lane, tap, word)));
        }
    }
    let correction = step.correction(step.zero_point - offset);
    let sums = step.sums(&conv, [blocks.words, blocks.group_blocks], bytemuck::cast_slice(&weights).to_vec(), correction);
    let invocations = [sums.output.width.div_ceil(4), sums.output.height, pairs];
    sums.launch(&KERNEL, invocations, workgroup)
}
