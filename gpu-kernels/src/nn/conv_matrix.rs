//! Byte convolution on cooperative matrices: tensor cores.

use super::Prepared;
use super::conv_bytes::{ByteConv, kernel};
use super::conv_spread::EXACT_LIMIT;
use crate::kernel::{Kernel, Need};

/// The kernel.
pub const KERNEL: Kernel = kernel("nn/conv_matrix", include_str!("conv_matrix.wgsl"), &[Need::F16, Need::CooperativeMatrix]);

/// The launch, and the contents of weights, columns and tables; `None` if sums could leave the exact integers of f32, or if
/// groups of outputs read different inputs.
///
/// * `lanes`: invocations of the device's subgroups, which must all be as wide.
#[must_use]
pub fn prepare(step: &ByteConv<'_>, lanes: u32) -> Option<Prepared> {
    let (conv, blocks) = (step.tiled(), step.blocks());
    if step.largest_sum() > EXACT_LIMIT || blocks.groups > 1 || lanes == 0 {
        return None;
    }
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let (tiles, chunks) = (conv.out_channels.div_ceil(TILE), blocks.words.div_ceil(4));
    let mut weights: Vec<u32> = Vec::with_capacity(tiles * taps * chunks * TILE * 4);
    for (tile, tap) in (0..tiles).flat_map(|tile| (0..taps).map(move |tap| (tile, tap))) {
        for (chunk, o) in (0..chunks).flat_map(|chunk| (TILE * tile..TILE * (tile + 1)).map(move |o| (chunk, o))) {
            weights.extend((4 * chunk..4 * chunk + 4).map(|word| step.weight_word(&blocks, o, tap, word)));
        }
    }
    let correction = step.correction(step.zero_point);
    let sums = step.sums(&conv, [blocks.words, blocks.group_blocks], bytemuck::cast_slice(&weights).to_vec(), correction);
    let invocations = [sums.output.width.div_ceil(TILE) * lanes as usize, sums.output.height, tiles];
    let mut prepared = sums.launch(&KERNEL, invocations, [lanes, 1]);
    prepared.launch = prepared.launch.with("SIGNED", u8::from(step.signed));
    Some(prepared)
}

/// Pixels and outputs of a workgroup.
const TILE: usize = 32;
