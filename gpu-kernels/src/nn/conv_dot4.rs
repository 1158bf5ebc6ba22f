//! Byte convolution with four-byte dot products: the tactic that every device can run.

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
    words: u32,
    group_blocks: u32,
    blocks: u32,
    channels: u32,
    flip: u32,
    fill: u32,
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
    name: "nn/conv_dot4",
    wgsl: include_str!("conv_dot4.wgsl"),
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
        group_blocks,
        blocks,
        channels,
        flip,
        fill,
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

/// The launch, and the contents of weights, columns and tables.
#[must_use]
pub fn prepare(step: &ByteConv<'_>, workgroup: [u32; 2]) -> Prepared {
    let conv = step.tiled();
    let out = conv.output();
    let blocks = step.blocks();
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let offset = if step.signed { 0 } else { 128 };
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
        words: blocks.words as u32,
        group_blocks: blocks.group_blocks as u32,
        blocks: blocks.blocks as u32,
        channels: out.channels as u32,
        flip: if step.signed { 0 } else { 0x8080_8080 },
        fill: step.fill(),
        zero_point,
        low,
        high,
        tables,
        low_real,
        high_real,
        origin_y: 0,
        reserved: 0,
    };
    let mut weights = Vec::with_capacity(blocks.blocks.next_multiple_of(2) * taps * blocks.words * 4);
    for block in 0..blocks.blocks.next_multiple_of(2) {
        for (tap, word) in (0..taps).flat_map(|tap| (0..blocks.words).map(move |word| (tap, word))) {
            weights.extend((0..4).map(|lane| step.weight_word(&blocks, 4 * block + lane, tap, word)));
        }
    }
    let constants = vec![
        bytemuck::cast_slice(&weights).to_vec(),
        step.finish.columns(blocks.blocks, &step.correction(step.zero_point - offset)),
        table_bytes,
    ];
    let [source, residual, target] = step.bytes();
    let bytes = vec![source, constants[0].len() as u64, constants[1].len() as u64, constants[2].len() as u64, residual, target];
    let workgroups = [
        (out.width.div_ceil(4) as u32).div_ceil(workgroup[0]),
        (out.height as u32).div_ceil(workgroup[1]),
        (blocks.blocks as u32).div_ceil(2),
    ];
    let launch = Launch::new(&KERNEL, &params, workgroups, bytes, conv.macs())
        .with("WG_X", workgroup[0])
        .with("WG_Y", workgroup[1])
        .with("RESIDUAL", u8::from(step.finish.has_residual()))
        .with("REAL", u8::from(step.real()));
    Prepared { launch, constants }
}
