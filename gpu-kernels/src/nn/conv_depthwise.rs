//! Depthwise byte convolution.

use super::Prepared;
use super::conv_bytes::{ByteConv, pair};
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
    blocks: u32,
    channels: u32,
    fill: u32,
    zero_point: i32,
    low: i32,
    high: i32,
    tables: u32,
    low_real: f32,
    high_real: f32,
    origin_y: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/conv_depthwise",
    wgsl: include_str!("conv_depthwise.wgsl"),
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
        blocks,
        channels,
        fill,
        zero_point,
        low,
        high,
        tables,
        low_real,
        high_real,
        origin_y,
    }),
    bindings: &[Access::ReadWrite, Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    // Bytes come out bit for bit. A real result is one multiplication and one addition from the exact sum: 2 ULP, rounded up.
    tolerance: Tolerance { abs: 0.0, rel: 3e-7 },
};

/// The launch, and the contents of weights, columns and tables; `None` unless every channel is a group of its own.
#[must_use]
pub fn prepare(step: &ByteConv<'_>, workgroup: [u32; 2]) -> Option<Prepared> {
    let conv = &step.conv;
    if conv.groups != conv.input.channels || conv.groups != conv.out_channels {
        return None;
    }
    let out = conv.output();
    let blocks = out.channels.div_ceil(4);
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let (tables, table_bytes) = step.finish.tables();
    let [zero_point, low, high] = step.range();
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
        blocks: blocks as u32,
        channels: out.channels as u32,
        fill: step.fill(),
        zero_point,
        low,
        high,
        tables,
        low_real,
        high_real,
        origin_y: 0,
    };
    let quads = [step.source.start, step.source.pitch, blocks as u32].iter().all(|words| words.is_multiple_of(4));
    // Blocks of four channels, or of sixteen: consecutive words.
    let wide = if quads { 4 } else { 1 };
    let weight = |o: usize, tap: usize| step.weights.get(o * taps + tap).map_or(0, |weight| weight.cast_unsigned());
    let words = (0..blocks / wide).flat_map(|block| (0..taps).map(move |tap| (block, tap)));
    let weights: Vec<u8> = words.flat_map(|(block, tap)| (0..4 * wide).map(move |lane| weight(4 * wide * block + lane, tap))).collect();
    let constants = vec![weights, step.finish.columns(blocks, &step.correction(step.zero_point)), table_bytes];
    let [source, residual, target] = step.bytes();
    let bytes = vec![source, constants[0].len() as u64, constants[1].len() as u64, constants[2].len() as u64, residual, target];
    let across = if quads { out.width.div_ceil(2) * blocks / 4 } else { out.width * blocks };
    let workgroups = [(across as u32).div_ceil(workgroup[0]), (out.height as u32).div_ceil(workgroup[1]), 1];
    let launch = Launch::new(&KERNEL, &params, workgroups, bytes, conv.macs())
        .entry(if quads { "main_quads" } else { "main" })
        .with("WG_X", workgroup[0])
        .with("WG_Y", workgroup[1])
        .with("SIGNED", u8::from(step.signed))
        .with("RESIDUAL", u8::from(step.finish.has_residual()))
        .with("REAL", u8::from(step.real()));
    Some(Prepared { launch, constants })
}
