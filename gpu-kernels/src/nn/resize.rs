//! Resampling of feature maps, in floats or bytes.

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::resize::{Resize, ResizeMode};

use super::conv_bytes::pair;
use super::{Operand, Prepared};
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::split::linear;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    input: [u32; 2],
    output: [u32; 2],
    source_start: u32,
    source_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    channels: u32,
    taps: u32,
    first_group: u32,
    reserved: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/resize",
    wgsl: include_str!("resize.wgsl"),
    params: layout_of!(Params {
        input,
        output,
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale,
        target_scale,
        source_zero,
        target_zero,
        channels,
        taps,
        first_group,
        reserved,
    }),
    bindings: &[Access::ReadWrite, Access::Read, Access::Read, Access::ReadWrite],
    needs: &[],
    // Up to 20 products and sums of weights that cubic makes as large as 1.3, each 1 ULP of the largest sample, fused or not:
    // 4e-6 of values near 1. A byte may land beyond a half: one step.
    tolerance: Tolerance { abs: 4e-6, rel: 4e-6 },
};

/// The launch, the sample positions and the table that rounded bytes pass through. A nearest choice of bytes is exact if both
/// sides have one quantization.
#[must_use]
pub fn prepare(resize: &Resize, source: &Operand, target: &Operand, then: Option<&ByteTable>) -> Prepared {
    let choice = matches!(resize.mode, ResizeMode::Nearest(_)) && source.quant == target.quant;
    let (source, target) = if choice { (source.raw(), target.raw()) } else { (*source, *target) };
    let [[source_start, source_pitch], [target_start, target_pitch]] = [source.quads(), target.quads()];
    let params = Params {
        input: pair([resize.input.height, resize.input.width]),
        output: pair(resize.output),
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale: source.scale(),
        target_scale: target.scale(),
        source_zero: source.zero(),
        target_zero: target.zero(),
        channels: resize.input.channels as u32,
        taps: resize.tap_count() as u32,
        first_group: 0,
        reserved: 0,
    };
    let positions: Vec<u32> = (0..2)
        .flat_map(|axis| (0..resize.output[axis]).map(move |o| resize.taps(axis, o)))
        .flat_map(|taps| taps.at.map(|at| at as u32).into_iter().chain(taps.weight.map(f32::to_bits)))
        .collect();
    let channels = resize.input.channels;
    let pixels = resize.output[0] * resize.output[1];
    let count = pixels * channels.div_ceil(4);
    let table = then.map_or_else(Vec::new, |table| table.entries().to_vec());
    let constants = vec![bytemuck::cast_slice(&positions).to_vec(), table];
    let bytes = vec![
        source.rows_bytes(resize.input.height * resize.input.width, channels),
        constants[0].len() as u64,
        constants[1].len() as u64,
        target.rows_bytes(pixels, channels),
    ];
    let work = (count * resize.tap_count() * resize.tap_count()) as u64;
    let launch = Launch::new(&KERNEL, &params, linear(count, WG), bytes, work)
        .with("WG", WG)
        .with("SOURCE", source.code())
        .with("TARGET", target.code())
        .with("MAPPED", u8::from(then.is_some()));
    Prepared { launch, constants }
}

/// Invocations of a workgroup.
const WG: u32 = 64;
