//! Transposed byte convolution.

use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;

use super::conv_bytes::pair;
use super::epilogue::Finish;
use super::{Lay, Prepared};
use crate::kernel::{Access, Kernel, Launch, Tolerance};
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
    flip: u32,
    zero_point: i32,
    low: i32,
    high: i32,
    tables: u32,
    low_real: f32,
    high_real: f32,
    origin_y: u32,
    reserved: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/conv_transpose_bytes",
    wgsl: include_str!("conv_transpose_bytes.wgsl"),
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
        flip,
        zero_point,
        low,
        high,
        tables,
        low_real,
        high_real,
        origin_y,
        reserved,
    }),
    bindings: &[Access::ReadWrite, Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    // Bytes come out bit for bit. A real result is one multiplication and one addition from the exact sum: 2 ULP, rounded up.
    tolerance: Tolerance { abs: 0.0, rel: 3e-7 },
};

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
    let (tables, table_bytes) = step.finish.tables();
    let [zero_point, low, high] = match step.finish {
        Finish::Byte { epilogue, .. } => [epilogue.zero_point, epilogue.low, epilogue.high],
        Finish::Real(_) => [0; 3],
    };
    let [low_real, high_real] = step.finish.real_range();
    let params = Params {
        input: pair([conv.input.height, conv.input.width]),
        output: pair([out.height, out.width]),
        kernel: pair(conv.window.kernel),
        stride: pair(conv.window.stride),
        dilation: pair(conv.window.dilation),
        pad: pair(conv.window.pad_before),
        source_start: step.source.start,
        source_pitch: step.source.pitch,
        residual_start: step.residual.start,
        residual_pitch: step.residual.pitch,
        target_start: step.target.start,
        target_pitch: step.target.pitch,
        words: words as u32,
        blocks: blocks as u32,
        channels: out.channels as u32,
        flip: if step.signed { 0 } else { 0x8080_8080 },
        zero_point,
        low,
        high,
        tables,
        low_real,
        high_real,
        origin_y: 0,
        reserved: 0,
    };
    let constants = vec![bytemuck::cast_slice(&weights(step, words, blocks)).to_vec(), step.finish.columns(blocks, &[]), table_bytes];
    let real = matches!(step.finish, Finish::Real(_));
    let out_words = if real { out.channels.next_multiple_of(4) } else { blocks };
    let pixels = out.height * out.width;
    let residual = if step.finish.has_residual() { step.residual.binding_bytes(pixels, out_words) } else { 4 };
    let bytes = vec![
        step.source.binding_bytes(conv.input.height * conv.input.width, words),
        constants[0].len() as u64,
        constants[1].len() as u64,
        constants[2].len() as u64,
        residual,
        step.target.binding_bytes(pixels, out_words),
    ];
    let workgroups = [(out.width as u32).div_ceil(workgroup[0]), (out.height as u32).div_ceil(workgroup[1]), blocks as u32];
    let launch = Launch::new(&KERNEL, &params, workgroups, bytes, conv.macs())
        .with("WG_X", workgroup[0])
        .with("WG_Y", workgroup[1])
        .with("RESIDUAL", u8::from(step.finish.has_residual()))
        .with("REAL", u8::from(real));
    Prepared { launch, constants }
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
