//! Depthwise byte convolution and the pointwise one behind it, in one launch.

use fathom_core::ops::nn::epilogue::ByteEpilogue;

use super::conv_bytes::{ByteConv, TOLERANCE, binding_bytes, fill, pair};
use super::conv_spread::EXACT_LIMIT;
use super::epilogue::Finish;
use super::{Lay, Prepared};
use crate::kernel::{Access, Kernel, Launch};
use crate::layout_of;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    input: [u32; 2],
    output: [u32; 2],
    kernel: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    pad: [u32; 2],
    source_start: u32,
    source_pitch: u32,
    residual_start: u32,
    residual_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    words: u32,
    blocks: u32,
    channels: u32,
    fill: u32,
    middle_zero: i32,
    middle_low: i32,
    middle_high: i32,
    zero_point: i32,
    low: i32,
    high: i32,
    tables: u32,
    flip: u32,
    origin_y: u32,
    reserved: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/conv_separable",
    wgsl: include_str!("conv_separable.wgsl"),
    params: layout_of!(Params {
        input,
        output,
        kernel,
        stride,
        dilation,
        pad,
        source_start,
        source_pitch,
        residual_start,
        residual_pitch,
        target_start,
        target_pitch,
        words,
        blocks,
        channels,
        fill,
        middle_zero,
        middle_low,
        middle_high,
        zero_point,
        low,
        high,
        tables,
        flip,
        origin_y,
        reserved,
    }),
    bindings: &[
        Access::ReadWrite,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::ReadWrite,
        Access::ReadWrite,
    ],
    needs: &[],
    tolerance: TOLERANCE,
};

/// A depthwise convolution whose result only the pointwise one reads. Where the bytes in between would lie does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Separable<'a> {
    /// The first.
    pub depthwise: ByteConv<'a>,
    /// The second.
    pub pointwise: ByteConv<'a>,
}

/// The launch, and the contents of taps, columns, weights, columns and tables; `None` if the two are not of that kind, the
/// bytes in between need more than clamping, the channels exceed a workgroup's memory, or sums could leave the exact integers of f32.
///
/// * `floats`: whether products are summed in floats; for devices without integer dot products.
#[must_use]
pub fn prepare(step: &Separable<'_>, floats: bool) -> Option<Prepared> {
    let Separable { depthwise, pointwise } = step;
    let (first, second) = (&depthwise.conv, &pointwise.conv);
    let words = first.out_channels.div_ceil(4);
    let is_depthwise = first.groups == first.input.channels && first.groups == first.out_channels;
    let window = &second.window;
    let is_pointwise = [window.kernel, window.stride] == [[1, 1]; 2] && [window.pad_before, window.pad_after] == [[0, 0]; 2];
    let fits = is_depthwise && is_pointwise && second.groups == 1 && second.input == first.output() && words <= MAX_WORDS;
    let exact = depthwise.largest_sum().max(pointwise.largest_sum()) <= EXACT_LIMIT;
    let Finish::Byte { epilogue: ByteEpilogue { zero_point, low, high, table: None, residual: None, then: None, .. }, .. } =
        depthwise.finish
    else {
        return None;
    };
    if !(fits && exact) || pointwise.finish.is_real() {
        return None;
    }
    let (out, grouping) = (second.output(), pointwise.blocks());
    let blocks = out.channels.div_ceil(4);
    let (tables, table_bytes) = pointwise.finish.tables();
    let [result_zero, result_low, result_high] = pointwise.finish.range();
    let params = Params {
        input: pair([first.input.height, first.input.width]),
        output: pair([out.height, out.width]),
        kernel: pair(first.window.kernel),
        stride: pair(first.window.stride),
        dilation: pair(first.window.dilation),
        pad: pair(first.window.pad_before),
        source_start: depthwise.source.start,
        source_pitch: depthwise.source.pitch,
        residual_start: pointwise.residual.start,
        residual_pitch: pointwise.residual.pitch,
        target_start: pointwise.target.start,
        target_pitch: pointwise.target.pitch,
        words: words as u32,
        blocks: blocks as u32,
        channels: out.channels as u32,
        fill: fill(depthwise.zero_point),
        middle_zero: *zero_point,
        middle_low: *low,
        middle_high: *high,
        zero_point: result_zero,
        low: result_low,
        high: result_high,
        tables,
        flip: if pointwise.signed { 0 } else { 0x8080_8080 },
        origin_y: 0,
        reserved: 0,
    };
    let count = first.window.kernel[0] * first.window.kernel[1];
    let weight = |o: usize, tap: usize| depthwise.weights.get(o * count + tap).map_or(0, |weight| weight.cast_unsigned());
    let places = (0..words).flat_map(|word| (0..count).map(move |tap| (word, tap)));
    let taps: Vec<u8> = places.flat_map(|(word, tap)| (4 * word..4 * word + 4).map(move |o| weight(o, tap))).collect();
    let products: Vec<u32> = (0..words)
        .flat_map(|word| (0..4 * blocks).map(move |o| (word, o)))
        .map(|(word, o)| pointwise.weight_word(&grouping, o, 0, word))
        .collect();
    // The kernel shifts unsigned bytes to signed ones where it takes integer dot products.
    let offset = if pointwise.signed || floats { 0 } else { 128 };
    let constants = vec![
        taps,
        depthwise.finish.columns(words, &depthwise.correction(depthwise.zero_point)),
        bytemuck::cast_slice(&products).to_vec(),
        pointwise.finish.columns(blocks, &pointwise.correction(pointwise.zero_point - offset)),
        table_bytes,
    ];
    let nowhere = Lay { start: 0, pitch: 0 };
    let [source, ..] = binding_bytes(first.input, first.output(), &depthwise.finish, [depthwise.source, nowhere, nowhere]);
    let [_, residual, target] = binding_bytes(second.input, out, &pointwise.finish, [nowhere, pointwise.residual, pointwise.target]);
    let mut bytes = vec![source];
    bytes.extend(constants.iter().map(|contents| contents.len() as u64));
    bytes.extend([residual, target]);
    let workgroups = [1, ((out.height * out.width) as u32).div_ceil(PIXELS), 1];
    let launch = Launch::new(&KERNEL, &params, workgroups, bytes, first.macs() + second.macs())
        .with("WG", WG)
        .with("SIGNED", u8::from(depthwise.signed))
        .with("MIDDLE_SIGNED", u8::from(pointwise.signed))
        .with("RESIDUAL", u8::from(pointwise.finish.has_residual()))
        .with("FLOATS", u8::from(floats));
    Some(Prepared { launch, constants })
}

/// Words of a pixel in between that a workgroup's memory holds eight times: 15 of the 16 KiB that every device has.
const MAX_WORDS: usize = 480;

/// Pixels of a workgroup.
const PIXELS: u32 = 8;

/// Invocations of a workgroup.
const WG: u32 = 64;
