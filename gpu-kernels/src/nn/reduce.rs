//! Mean, sum, largest and norm over axes.

use fathom_core::ops::nn::reduce::{Reduce, Reduction};

use super::Operand;
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::split::linear;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    kept: [u32; 4],
    kept_strides: [u32; 4],
    out_strides: [u32; 4],
    reduced: [u32; 4],
    reduced_strides: [u32; 4],
    source_start: u32,
    target_start: u32,
    source_scale: f32,
    target_scale: f32,
    source_zero: i32,
    target_zero: i32,
    first_group: u32,
    reserved: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/reduce",
    wgsl: include_str!("reduce.wgsl"),
    params: layout_of!(Params {
        kept,
        kept_strides,
        out_strides,
        reduced,
        reduced_strides,
        source_start,
        target_start,
        source_scale,
        target_scale,
        source_zero,
        target_zero,
        first_group,
        reserved,
    }),
    bindings: &[Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    // Sums are in the twin's order; the division and the root may be off by 2.5 ULP. A byte may land beyond a half: one step.
    tolerance: Tolerance { abs: 1e-6, rel: 1e-6 },
};

/// The launch. Of the operands, only `start` and `quant` matter: strides are the reduction's.
#[must_use]
pub fn prepare(reduce: &Reduce, source: &Operand, target: &Operand) -> Launch {
    let four = |values: [usize; 4]| values.map(|value| value as u32);
    let params = Params {
        kept: four(reduce.kept),
        kept_strides: four(reduce.input),
        out_strides: four(reduce.out),
        reduced: four(reduce.reduced),
        reduced_strides: four(reduce.reduced_strides),
        source_start: source.start as u32,
        target_start: target.start as u32,
        source_scale: source.scale(),
        target_scale: target.scale(),
        source_zero: source.zero(),
        target_zero: target.zero(),
        first_group: 0,
        reserved: 0,
    };
    let reach = |shape: &[usize; 4], strides: &[usize; 4]| shape.iter().zip(strides).map(|(n, s)| n.saturating_sub(1) * s).sum::<usize>();
    let read = reach(&reduce.kept, &reduce.input) + reach(&reduce.reduced, &reduce.reduced_strides) + 1;
    let bytes = vec![source.binding_bytes(read), target.binding_bytes(reach(&reduce.kept, &reduce.out) + 1)];
    let results = reduce.kept.iter().product::<usize>();
    let function: u8 = match reduce.reduction {
        Reduction::Mean => 0,
        Reduction::Sum => 1,
        Reduction::Max => 2,
        Reduction::L2 => 3,
    };
    Launch::new(&KERNEL, &params, linear(results, WG), bytes, (results * reduce.count()) as u64)
        .with("WG", WG)
        .with("SOURCE", source.code())
        .with("TARGET", target.code())
        .with("FUNCTION", function)
}

/// Invocations of a workgroup.
const WG: u32 = 64;
