//! Byte convolution with exact float sums and weights spread over a subgroup: for devices whose memory is slow.

use super::Prepared;
use super::conv_bytes::{ByteConv, TOLERANCE, binding_bytes, fill, pair};
use crate::kernel::{Access, Kernel, Launch, Need};
use crate::layout_of;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    input: [u32; 2],
    output: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    pad: [u32; 2],
    segments: [u32; 2],
    source_start: u32,
    source_pitch: u32,
    residual_start: u32,
    residual_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    words: u32,
    limit: u32,
    chunks: u32,
    group_blocks: u32,
    blocks: u32,
    channels: u32,
    fill: u32,
    zero_point: i32,
    low: i32,
    high: i32,
    tables: u32,
    low_real: f32,
    high_real: f32,
    origin_x: u32,
    origin_y: u32,
    origin_z: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/conv_spread",
    wgsl: include_str!("conv_spread.wgsl"),
    params: layout_of!(Params {
        input,
        output,
        stride,
        dilation,
        pad,
        segments,
        source_start,
        source_pitch,
        residual_start,
        residual_pitch,
        target_start,
        target_pitch,
        words,
        limit,
        chunks,
        group_blocks,
        blocks,
        channels,
        fill,
        zero_point,
        low,
        high,
        tables,
        low_real,
        high_real,
        origin_x,
        origin_y,
        origin_z,
    }),
    bindings: &[Access::ReadWrite, Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
    needs: &[Need::Subgroups],
    tolerance: TOLERANCE,
};

/// Lanes of the narrowest subgroup that the kernel can use.
pub const LEAST_LANES: u32 = 4;

/// Invocations of a workgroup, and the lanes that share the load of weights where subgroups are wide enough.
const LANES: u32 = 8;

/// Integers up to here are exact in f32, and so is every sum of such that stays below.
pub(crate) const EXACT_LIMIT: u64 = 1 << 24;

/// The launch, and the contents of weights, columns and tables; `None` if sums could leave the exact integers of f32.
///
/// * `lanes`: invocations of the device's narrowest subgroup; `None` too if there are fewer than [`LEAST_LANES`].
#[must_use]
pub fn prepare(step: &ByteConv<'_>, lanes: u32) -> Option<Prepared> {
    if step.largest_sum() > EXACT_LIMIT || lanes < LEAST_LANES {
        return None;
    }
    let conv = step.tiled();
    let out = conv.output();
    let blocks = step.blocks();
    let [kernel_h, kernel_w] = conv.window.kernel;
    // Taps of a kernel row are consecutive words where pixels are nothing but the channels read.
    let whole_rows = conv.window.dilation[1] == 1 && step.source.pitch as usize == blocks.words && blocks.groups == 1;
    let (segments_x, taps) = if whole_rows { (1, kernel_w) } else { (kernel_w, 1) };
    let run = taps * blocks.words;
    let chunks = run.div_ceil(4);
    let whole = |unit| [step.source.start, step.source.pitch, blocks.words as u32].iter().all(|words| words.is_multiple_of(unit));
    let (tables, table_bytes) = step.finish.tables();
    let [zero_point, low, high] = step.finish.range();
    let [low_real, high_real] = step.finish.real_range();
    let params = Params {
        input: pair([conv.input.height, conv.input.width]),
        output: pair([out.height, out.width]),
        stride: pair(conv.window.stride),
        dilation: pair(conv.window.dilation),
        pad: pair(conv.window.pad_before),
        segments: pair([kernel_h, segments_x]),
        source_start: step.source.start,
        source_pitch: step.source.pitch,
        residual_start: step.residual.start,
        residual_pitch: step.residual.pitch,
        target_start: step.target.start,
        target_pitch: step.target.pitch,
        words: blocks.words as u32,
        limit: ((conv.input.width.max(1) - 1) * step.source.pitch as usize + blocks.words) as u32,
        chunks: chunks as u32,
        group_blocks: blocks.group_blocks as u32,
        blocks: blocks.blocks as u32,
        channels: out.channels as u32,
        fill: fill(step.zero_point),
        zero_point,
        low,
        high,
        tables,
        low_real,
        high_real,
        origin_x: 0,
        origin_y: 0,
        origin_z: 0,
    };
    // One workgroup: as wide as the map, and as high as that leaves.
    let tiles = out.width.div_ceil(4) as u32;
    let wide = tiles.next_power_of_two().min(LANES);
    let pairs = blocks.blocks.div_ceil(2);
    let mut weights = Vec::with_capacity(pairs * kernel_h * segments_x * chunks * 32);
    for (pair, ky) in (0..pairs).flat_map(|pair| (0..kernel_h).map(move |ky| (pair, ky))) {
        for (sx, chunk) in (0..segments_x).flat_map(|sx| (0..chunks).map(move |chunk| (sx, chunk))) {
            for (o, at) in (8 * pair..8 * pair + 8).flat_map(|o| (4 * chunk..4 * chunk + 4).map(move |at| (o, at))) {
                let (kx, word) = (sx + at / blocks.words, at % blocks.words);
                weights.push(if at < run { step.weight_word(&blocks, o, ky * kernel_w + kx, word) } else { 0 });
            }
        }
    }
    let correction = step.correction(step.zero_point);
    let constants = vec![bytemuck::cast_slice(&weights).to_vec(), step.finish.columns(blocks.blocks, &correction), table_bytes];
    let [source, residual, target] = binding_bytes(conv.input, out, &step.finish, [step.source, step.residual, step.target]);
    let bytes = vec![source, constants[0].len() as u64, constants[1].len() as u64, constants[2].len() as u64, residual, target];
    let workgroups = [tiles.div_ceil(wide), (out.height as u32).div_ceil(LANES / wide), pairs as u32];
    let launch = Launch::new(&KERNEL, &params, workgroups, bytes, conv.macs())
        .entry(if whole(4) {
            "main_quads"
        } else if whole(2) {
            "main_pairs"
        } else {
            "main_words"
        })
        .with("LANES_X", wide)
        .with("NARROW", u8::from(lanes < LANES))
        .with("SIGNED", u8::from(step.signed))
        .with("RESIDUAL", u8::from(step.finish.has_residual()))
        .with("REAL", u8::from(step.finish.is_real()));
    Some(Prepared { launch, constants })
}
