//! Softmax and layer normalization over rows.

use fathom_core::ops::nn::layer_norm::LayerNorm;
use fathom_core::ops::nn::softmax::Softmax;

use super::{Operand, Prepared};
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::split::linear;

/// Mirrors `struct Params` of the softmax kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SoftmaxParams {
    source_start: u32,
    source_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    rows: u32,
    columns: u32,
    first_group: u32,
    reserved: u32,
}

/// Softmax.
pub const SOFTMAX: Kernel = Kernel {
    name: "nn/softmax",
    wgsl: include_str!("softmax.wgsl"),
    params: layout_of!(SoftmaxParams {
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale,
        target_scale,
        source_zero,
        target_zero,
        rows,
        columns,
        first_group,
        reserved,
    }),
    bindings: &[Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    // exp may be off by 3 + 2 |x| ULP in WGSL, and values far below the largest do not count: 1e-5 of the value.
    tolerance: Tolerance { abs: 1e-6, rel: 1e-5 },
};

/// Mirrors `struct Params` of the layer normalization kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct LayerNormParams {
    source_start: u32,
    source_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    rows: u32,
    columns: u32,
    epsilon: f32,
    first_group: u32,
}

/// Layer normalization.
pub const LAYER_NORM: Kernel = Kernel {
    name: "nn/layer_norm",
    wgsl: include_str!("layer_norm.wgsl"),
    params: layout_of!(LayerNormParams {
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale,
        target_scale,
        source_zero,
        target_zero,
        rows,
        columns,
        epsilon,
        first_group,
    }),
    bindings: &[Access::ReadWrite, Access::Read, Access::ReadWrite],
    needs: &[],
    // Two sums over the row in another order, a root and a division of 2.5 ULP: 1e-5 of values near 1.
    tolerance: Tolerance { abs: 1e-5, rel: 1e-5 },
};

/// Softmax over the last axis.
#[must_use]
pub fn softmax(softmax: &Softmax, source: &Operand, target: &Operand) -> Launch {
    let [[source_start, source_pitch], [target_start, target_pitch]] = [source.quads(), target.quads()];
    let params = SoftmaxParams {
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale: source.scale(),
        target_scale: target.scale(),
        source_zero: source.zero(),
        target_zero: target.zero(),
        rows: softmax.rows as u32,
        columns: softmax.columns as u32,
        first_group: 0,
        reserved: 0,
    };
    let bytes = vec![source.rows_bytes(softmax.rows, softmax.columns), target.rows_bytes(softmax.rows, softmax.columns)];
    Launch::new(&SOFTMAX, &params, linear(softmax.rows, WG), bytes, (softmax.rows * softmax.columns) as u64)
        .with("WG", WG)
        .with("SOURCE", source.code())
        .with("TARGET", target.code())
}

/// Layer normalization over the last axis; an empty bias is none.
#[must_use]
pub fn layer_norm(norm: &LayerNorm, scale: &[f32], bias: &[f32], source: &Operand, target: &Operand) -> Prepared {
    let [[source_start, source_pitch], [target_start, target_pitch]] = [source.quads(), target.quads()];
    let params = LayerNormParams {
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale: source.scale(),
        target_scale: target.scale(),
        source_zero: source.zero(),
        target_zero: target.zero(),
        rows: norm.rows as u32,
        columns: norm.columns as u32,
        epsilon: norm.epsilon,
        first_group: 0,
    };
    let padded = norm.columns.next_multiple_of(4);
    let mut numbers = scale.to_vec();
    numbers.resize(padded, 0.0);
    numbers.extend_from_slice(bias);
    numbers.resize(2 * padded, 0.0);
    let constants = vec![bytemuck::cast_slice(&numbers).to_vec()];
    let bytes = vec![source.rows_bytes(norm.rows, norm.columns), constants[0].len() as u64, target.rows_bytes(norm.rows, norm.columns)];
    let launch = Launch::new(&LAYER_NORM, &params, linear(norm.rows, WG), bytes, (norm.rows * norm.columns) as u64)
        .with("WG", WG)
        .with("SOURCE", source.code())
        .with("TARGET", target.code());
    Prepared { launch, constants }
}

/// Invocations of a workgroup.
const WG: u32 = 64;
