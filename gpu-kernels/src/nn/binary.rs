//! Two broadcast operands, floats on the inside.

use fathom_core::ops::nn::elementwise::{Binary, Broadcast};

use super::Operand;
use super::quads::Quads;
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::split::linear;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    shape: [u32; 4],
    a_strides: [u32; 4],
    b_strides: [u32; 4],
    out_strides: [u32; 4],
    a_start: u32,
    b_start: u32,
    out_start: u32,
    a_zero: i32,
    b_zero: i32,
    target_zero: i32,
    a_scale: f32,
    b_scale: f32,
    target_scale: f32,
    low: f32,
    high: f32,
    first_group: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/binary",
    wgsl: include_str!("binary.wgsl"),
    params: layout_of!(Params {
        shape,
        a_strides,
        b_strides,
        out_strides,
        a_start,
        b_start,
        out_start,
        a_zero,
        b_zero,
        target_zero,
        a_scale,
        b_scale,
        target_scale,
        low,
        high,
        first_group,
    }),
    bindings: &[Access::ReadWrite, Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    // Division may be off by 2.5 ULP, pow (exp2 of y log2 x) by 1e-5 of the value. A byte may land beyond a half: one step.
    tolerance: Tolerance { abs: 1e-6, rel: 1e-5 },
};

/// The launch; `range` clamps the result. Of the operands, only `start` and `quant` matter: strides are the axes'. `None` if elements
/// of the result share a quad that no single invocation writes.
#[must_use]
pub fn prepare(function: Binary, axes: &Broadcast, range: [f32; 2], a: &Operand, b: &Operand, target: &Operand) -> Option<Launch> {
    let quads = Quads::of(axes)?;
    let axes = &quads.axes;
    let params = Params {
        shape: axes.shape.map(|extent| extent as u32),
        a_strides: axes.a.map(|stride| stride as u32),
        b_strides: axes.b.map(|stride| stride as u32),
        out_strides: axes.out.map(|stride| stride as u32),
        a_start: a.start as u32,
        b_start: b.start as u32,
        out_start: target.start as u32,
        a_zero: a.zero(),
        b_zero: b.zero(),
        target_zero: target.zero(),
        a_scale: a.scale(),
        b_scale: b.scale(),
        target_scale: target.scale(),
        low: range[0],
        high: range[1],
        first_group: 0,
    };
    let bytes =
        vec![a.binding_bytes(axes.extent(&axes.a)), b.binding_bytes(axes.extent(&axes.b)), target.binding_bytes(axes.extent(&axes.out))];
    let count = quads.invocations();
    let launch = Launch::new(&KERNEL, &params, linear(count, WG), bytes, count as u64)
        .with("WG", WG)
        .with("A", a.code())
        .with("B", b.code())
        .with("TARGET", target.code())
        .with("EACH", quads.each as u32)
        .with("A_FORM", quads.forms[0].code())
        .with("B_FORM", quads.forms[1].code())
        .with("FUNCTION", code(function));
    Some(launch)
}

/// Invocations of a workgroup.
const WG: u32 = 64;

const fn code(function: Binary) -> u8 {
    match function {
        Binary::Add => 0,
        Binary::Sub => 1,
        Binary::Mul => 2,
        Binary::Div => 3,
        Binary::Max => 4,
        Binary::Min => 5,
        Binary::Pow => 6,
        Binary::PRelu => 7,
    }
}
