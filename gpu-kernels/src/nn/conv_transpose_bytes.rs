//! Transposed byte convolution.

use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;

use super::conv_bytes::{Sums, kernel};
use super::epilogue::Finish;
use super::{Lay, Prepared};
use crate::kernel::Kernel;

/// The kernel.
pub const KERNEL: Kernel = kernel("nn/conv_transpose_bytes", include_str!("conv_transpose_bytes.wgsl"), &[]);

/// A transposed convolution of bytes with everything that follows it.
#[derive(Debug, Clone, Copy)]
pub struct ByteConvTranspose<'a> {
    /// Geometry.
    pub conv: ConvTranspose2d,
    /// `[out_channels, kernel_h, kernel_w, group_channels]`.
    pub weights: &'a [i8],
    /// Whether the input is `i8`.
    pub signed: bool,
    /// Zero point of the input.
    pub zero_point: i32,
    /// What follows.
    pub finish: Finish<'a>,
    /// Where the input lies.
    pub source: Lay,
    /// Where the residual lies; anything if there is none.
    pub residual: Lay,
    /// Where the output lies.
    pub target: Lay,
}

/// The launch, and the contents of weights, columns and tables.
#[must_use]
pub fn prepare(step: &ByteConvTranspose<'_>, workgroup: [u32; 2]) -> Prepared {
    let conv = &step.conv;
    let out = conv.output();
    let [words, blocks] = [conv.input.channels.div_ceil(4), out.channels.div_ceil(4)];
    let sums = Sums {
        input: conv.input,
        output: out,
        window: conv.window,
        macs: conv.macs(),
        signed: step.signed,
        zero_point: step.zero_point,
        finish: step.finish,
        lays: [step.source, step.residual, step.target],
        words,
        group_blocks: blocks,
        weights: bytemuck::cast_slice(&weights(step, words, blocks)).to_vec(),
        correction: Vec::new(),
    };
    sums.launch(&KERNEL, [out.width, out.height, blocks], workgroup)
}

/// `[block, tap, word + 1]`, four outputs each; groups are filled up with zeros. The word behind the last is what the input's
/// zero point contributes per landing tap.
fn weights(step: &ByteConvTranspose<'_>, words: usize, blocks: usize) -> Vec<u32> {
    let conv = &step.conv;
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let [group_in, group_out] = [conv.input.channels / conv.groups, conv.out_channels / conv.groups];
    let offset = if step.signed { 0 } else { 128 };
    let weight = |o: usize, tap: usize, c: usize| match c.checked_sub(o / group_out.max(1) * group_in) {
        Some(c) if c < group_in && o < conv.out_channels => step.weights[(o * taps + tap) * group_in + c],
        _ => 0,
    };
    let mut packed = Vec::with_capacity(blocks * taps * (words + 1) * 4);
    for (block, tap) in (0..blocks).flat_map(|block| (0..taps).map(move |tap| (block, tap))) {
        for (word, lane) in (0..words).flat_map(|word| (0..4).map(move |lane| (word, lane))) {
            let four = std::array::from_fn(|c| weight(4 * block + lane, tap, 4 * word + c).cast_unsigned());
            packed.push(u32::from_le_bytes(four));
        }
        packed.extend((4 * block..4 * block + 4).map(|o| {
            let sum: i32 = (0..conv.input.channels).map(|c| i32::from(weight(o, tap, c))).sum();
            sum.wrapping_mul(offset - step.zero_point).cast_unsigned()
        }));
    }
    packed
}
