//! Functions of one operand, and conversion between floats and quantized bytes.

use fathom_core::ops::nn::Activation;
use fathom_core::ops::nn::elementwise::Unary;

use super::Operand;
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::split::linear;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    source_start: u32,
    source_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    rows: u32,
    channels: u32,
    alpha: f32,
    beta: f32,
    first_group: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/unary",
    wgsl: include_str!("unary.wgsl"),
    params: layout_of!(Params {
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale,
        target_scale,
        source_zero,
        target_zero,
        rows,
        channels,
        alpha,
        beta,
        first_group,
    }),
    bindings: &[Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    // exp may be off by 3 + 2 |x| ULP in WGSL: 1e-5 of the value at |x| = 40; erf by 3e-7; tanh by 1e-5 absolutely. A byte
    // result may land on the other side of a half: one step.
    tolerance: Tolerance { abs: 1e-5, rel: 1e-5 },
};

/// The launch for `rows` rows of `channels`.
#[must_use]
pub fn prepare(function: Unary, rows: usize, channels: usize, source: &Operand, target: &Operand) -> Launch {
    let (code, alpha, beta) = code(function);
    let [[source_start, source_pitch], [target_start, target_pitch]] = [source.quads(), target.quads()];
    let params = Params {
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        source_scale: source.scale(),
        target_scale: target.scale(),
        source_zero: source.zero(),
        target_zero: target.zero(),
        rows: rows as u32,
        channels: channels as u32,
        alpha,
        beta,
        first_group: 0,
    };
    let count = rows * channels.div_ceil(4);
    let bytes = vec![source.rows_bytes(rows, channels), target.rows_bytes(rows, channels)];
    Launch::new(&KERNEL, &params, linear(count, WG), bytes, count as u64)
        .with("WG", WG)
        .with("SOURCE", source.code())
        .with("TARGET", target.code())
        .with("FUNCTION", code)
}

/// Invocations of a workgroup.
const WG: u32 = 64;

/// `FUNCTION`, `alpha` and `beta`.
fn code(function: Unary) -> (u32, f32, f32) {
    let plain = |code| (code, 0.0, 0.0);
    match function {
        Unary::Identity | Unary::Activation(Activation::None) => plain(0),
        Unary::Activation(Activation::Relu) => plain(1),
        Unary::Activation(Activation::Clip { low, high }) => (2, low, high),
        Unary::Activation(Activation::LeakyRelu { slope }) => (3, slope, 0.0),
        Unary::Activation(Activation::Elu { alpha }) => (4, alpha, 0.0),
        Unary::Activation(Activation::Sigmoid) => plain(5),
        Unary::Activation(Activation::Silu) => plain(6),
        Unary::Activation(Activation::HardSwish) => plain(7),
        Unary::Activation(Activation::HardSigmoid { alpha, beta }) => (8, alpha, beta),
        Unary::Activation(Activation::Gelu) => plain(9),
        Unary::Activation(Activation::Tanh) => plain(10),
        Unary::Activation(Activation::Erf) => plain(11),
        Unary::Activation(Activation::Sqrt) => plain(12),
        Unary::Activation(Activation::Exp) => plain(13),
        Unary::Neg => plain(14),
        Unary::Abs => plain(15),
        Unary::Reciprocal => plain(16),
        Unary::Log => plain(17),
        Unary::Ceil => plain(18),
        Unary::Floor => plain(19),
        Unary::Round => plain(20),
        Unary::Softplus => plain(21),
    }
}
