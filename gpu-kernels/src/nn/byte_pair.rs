//! Sums and products of two byte operands, by a table of all pairs of bytes.
//!
//! The twin is a chain of fused multiply-adds, which a device may round otherwise; the table is the twin evaluated.

use fathom_core::ops::nn::elementwise::Broadcast;

use super::Prepared;
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
    first_group: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/byte_pair",
    wgsl: include_str!("byte_pair.wgsl"),
    params: layout_of!(Params { shape, a_strides, b_strides, out_strides, a_start, b_start, out_start, first_group }),
    bindings: &[Access::ReadWrite, Access::ReadWrite, Access::Read, Access::ReadWrite],
    needs: &[],
    tolerance: Tolerance::EXACT,
};

/// The launch and the table, which is one of [`super::epilogue::pairs`]. `starts` are the first elements of `a`, `b` and the result.
/// `None` if elements of the result share a word that no single invocation writes.
#[must_use]
pub fn prepare(axes: &Broadcast, starts: [usize; 3], pairs: Vec<u8>) -> Option<Prepared> {
    let quads = Quads::of(axes)?;
    let axes = &quads.axes;
    let params = Params {
        shape: axes.shape.map(|extent| extent as u32),
        a_strides: axes.a.map(|stride| stride as u32),
        b_strides: axes.b.map(|stride| stride as u32),
        out_strides: axes.out.map(|stride| stride as u32),
        a_start: starts[0] as u32,
        b_start: starts[1] as u32,
        out_start: starts[2] as u32,
        first_group: 0,
    };
    let reach = |start: usize, strides| (start + axes.extent(strides)).next_multiple_of(4) as u64;
    let bytes = vec![reach(starts[0], &axes.a), reach(starts[1], &axes.b), pairs.len() as u64, reach(starts[2], &axes.out)];
    let count = quads.invocations();
    let launch = Launch::new(&KERNEL, &params, linear(count, WG), bytes, count as u64)
        .with("WG", WG)
        .with("EACH", quads.each as u32)
        .with("A_FORM", quads.forms[0].code())
        .with("B_FORM", quads.forms[1].code());
    Some(Prepared { launch, constants: vec![pairs] })
}

/// Invocations of a workgroup.
const WG: u32 = 64;
