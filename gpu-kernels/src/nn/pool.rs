//! Largest or mean of windows, in floats or bytes.

use fathom_core::ops::nn::pool::{Pool, Pooling};

use super::Operand;
use super::conv_bytes::pair;
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::split::linear;

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
    padded: [u32; 2],
    source_start: u32,
    source_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    channels: u32,
    first_group: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/pool",
    wgsl: include_str!("pool.wgsl"),
    params: layout_of!(Params {
        input,
        output,
        kernel,
        stride,
        dilation,
        pad,
        padded,
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale,
        target_scale,
        source_zero,
        target_zero,
        channels,
        first_group,
    }),
    bindings: &[Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    // A mean's one division may be off by 2.5 ULP; its sum is in the twin's order. A byte may land beyond a half: one step.
    tolerance: Tolerance { abs: 1e-6, rel: 1e-6 },
};

/// The launch. The largest of bytes is a choice, for which both sides must have one quantization.
#[must_use]
pub fn prepare(pool: &Pool, source: &Operand, target: &Operand) -> Launch {
    let mean = pool.pooling != Pooling::Max;
    let (source, target) = if mean { (*source, *target) } else { (source.raw(), target.raw()) };
    let input = [pool.input.height, pool.input.width];
    let [[source_start, source_pitch], [target_start, target_pitch]] = [source.quads(), target.quads()];
    let params = Params {
        input: pair(input),
        output: pair(pool.output),
        kernel: pair(pool.window.kernel),
        stride: pair(pool.window.stride),
        dilation: pair(pool.window.dilation),
        pad: pair(pool.window.pad_before),
        padded: std::array::from_fn(|axis| (input[axis] + pool.window.pad_before[axis] + pool.window.pad_after[axis]) as u32),
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale: source.scale(),
        target_scale: target.scale(),
        source_zero: source.zero(),
        target_zero: target.zero(),
        channels: pool.input.channels as u32,
        first_group: 0,
    };
    let pixels = pool.output[0] * pool.output[1];
    let count = pixels * pool.input.channels.div_ceil(4);
    let channels = pool.input.channels;
    let bytes = vec![source.rows_bytes(input[0] * input[1], channels), target.rows_bytes(pixels, channels)];
    let counts_pad = pool.pooling == Pooling::Average { count_include_pad: true };
    Launch::new(&KERNEL, &params, linear(count, WG), bytes, (count * pool.window.kernel[0] * pool.window.kernel[1]) as u64)
        .with("WG", WG)
        .with("SOURCE", source.code())
        .with("TARGET", target.code())
        .with("MEAN", u8::from(mean))
        .with("COUNT_PAD", u8::from(counts_pad))
}

/// Invocations of a workgroup.
const WG: u32 = 64;
