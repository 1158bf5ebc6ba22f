//! Transposed float convolution.

use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;

use super::conv_bytes::pair;
use super::conv_float::{FloatFinish, Grouping, TOLERANCE, pack};
use super::{Operand, Prepared};
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
    source_scale: f32,
    residual_scale: f32,
    target_scale: f32,
    source_zero: i32,
    residual_zero: i32,
    target_zero: i32,
    quads: u32,
    blocks: u32,
    channels: u32,
    slope: f32,
    low: f32,
    high: f32,
    then_low: f32,
    then_high: f32,
    origin_y: u32,
    reserved: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/conv_transpose_f32",
    wgsl: include_str!("conv_transpose_f32.wgsl"),
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
        source_scale,
        residual_scale,
        target_scale,
        source_zero,
        residual_zero,
        target_zero,
        quads,
        blocks,
        channels,
        slope,
        low,
        high,
        then_low,
        then_high,
        origin_y,
        reserved,
    }),
    bindings: &[Access::ReadWrite, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    tolerance: TOLERANCE,
};

/// A transposed float convolution with everything that follows it.
#[derive(Debug, Clone, Copy)]
pub struct FloatConvTranspose<'a> {
    /// Geometry.
    pub conv: ConvTranspose2d,
    /// `[out_channels, kernel_h, kernel_w, group_channels]`.
    pub weights: &'a [f32],
    /// What follows.
    pub finish: FloatFinish<'a>,
    /// The input.
    pub source: Operand,
    /// The output.
    pub target: Operand,
}

/// The launch, and the contents of weights and bias. Groups are filled up with zeros.
#[must_use]
pub fn prepare(step: &FloatConvTranspose<'_>, workgroup: [u32; 2]) -> Prepared {
    let conv = &step.conv;
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let grouping = Grouping::filled(conv.groups, conv.input.channels, conv.out_channels);
    let out = conv.output();
    let blocks = out.channels.div_ceil(4);
    let numbers = step.finish.numbers();
    let [[source_start, source_pitch], [target_start, target_pitch]] = [step.source.quads(), step.target.quads()];
    let [residual_start, residual_pitch] = numbers.residual.quads();
    let params = Params {
        input: pair([conv.input.height, conv.input.width]),
        output: pair([out.height, out.width]),
        kernel: pair(conv.window.kernel),
        stride: pair(conv.window.stride),
        dilation: pair(conv.window.dilation),
        pad: pair(conv.window.pad_before),
        source_start,
        source_pitch,
        residual_start,
        residual_pitch,
        target_start,
        target_pitch,
        source_scale: step.source.scale(),
        residual_scale: numbers.residual.scale(),
        target_scale: step.target.scale(),
        source_zero: step.source.zero(),
        residual_zero: numbers.residual.zero(),
        target_zero: step.target.zero(),
        quads: grouping.quads as u32,
        blocks: blocks as u32,
        channels: out.channels as u32,
        slope: numbers.slope,
        low: numbers.low,
        high: numbers.high,
        then_low: numbers.then_low,
        then_high: numbers.then_high,
        origin_y: 0,
        reserved: 0,
    };
    let constants = vec![pack(step.weights, &grouping, taps), step.finish.bias(blocks)];
    let pixels = out.height * out.width;
    let bytes = vec![
        step.source.rows_bytes(conv.input.height * conv.input.width, conv.input.channels),
        constants[0].len() as u64,
        constants[1].len() as u64,
        step.finish.residual.map_or(4, |residual| residual.rows_bytes(pixels, out.channels)),
        step.target.rows_bytes(pixels, out.channels),
    ];
    let workgroups = [(out.width as u32).div_ceil(workgroup[0]), (out.height as u32).div_ceil(workgroup[1]), blocks as u32];
    let launch = Launch::new(&KERNEL, &params, workgroups, bytes, conv.macs())
        .with("WG_X", workgroup[0])
        .with("WG_Y", workgroup[1])
        .with("SOURCE", step.source.code())
        .with("TARGET", step.target.code())
        .with("RESIDUAL", step.finish.code());
    Prepared { launch, constants }
}
