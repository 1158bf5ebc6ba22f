//! Sums and products of two byte operands, by a table of all pairs of bytes.
//!
//! The twin is a chain of fused multiply-adds, which a device may round otherwise; the table is the twin evaluated.

use fathom_core::ops::nn::elementwise::Broadcast;

use super::Prepared;
use crate::kernel::{Access, Kernel, Launch, Tolerance, linear};
use crate::layout_of;

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
    reserved: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/byte_pair",
    wgsl: include_str!("byte_pair.wgsl"),
    params: layout_of!(Params { shape, a_strides, b_strides, out_strides, a_start, b_start, out_start, reserved }),
    bindings: &[Access::ReadWrite, Access::ReadWrite, Access::Read, Access::ReadWrite],
    needs: &[],
    tolerance: Tolerance::EXACT,
};

/// The launch and the table, which is one of [`super::epilogue::pairs`]. `starts` are the first elements of `a`, `b` and the result. `None` if an operand's last axis is neither dense nor broadcast.
#[must_use]
pub fn prepare(axes: &Broadcast, starts: [usize; 3], pairs: Vec<u8>) -> Option<Prepared> {
    let axes = in_quads(axes)?;
    let params = Params {
        shape: axes.shape.map(|extent| extent as u32),
        a_strides: axes.a.map(|stride| stride as u32),
        b_strides: axes.b.map(|stride| stride as u32),
        out_strides: axes.out.map(|stride| stride as u32),
        a_start: starts[0] as u32,
        b_start: starts[1] as u32,
        out_start: starts[2] as u32,
        reserved: 0,
    };
    let reach = |start: usize, strides| (start + axes.extent(strides)).next_multiple_of(4) as u64;
    let bytes = vec![reach(starts[0], &axes.a), reach(starts[1], &axes.b), pairs.len() as u64, reach(starts[2], &axes.out)];
    let count = axes.shape[..3].iter().product::<usize>() * axes.shape[3].div_ceil(4);
    let launch = Launch::new(&KERNEL, &params, linear(count, WG), bytes, count as u64).with("WG", WG);
    Some(Prepared { launch, constants: vec![pairs] })
}

/// The same index space in a form whose last axis can be read and written four elements at a time; `None` if there is none.
///
/// Where the last axis runs over pixels (merged with them, since there is one channel), it becomes an axis of its own.
pub(crate) fn in_quads(axes: &Broadcast) -> Option<Broadcast> {
    let mut axes = *axes;
    if axes.out[3] != 1 && axes.shape[3] > 1 && axes.shape[0] == 1 {
        let shifted = |strides: [usize; 4], last| [strides[1], strides[2], strides[3], last];
        axes = Broadcast { shape: shifted(axes.shape, 1), a: shifted(axes.a, 0), b: shifted(axes.b, 0), out: shifted(axes.out, 1) };
    }
    if axes.shape[3] == 1 {
        (axes.a[3], axes.b[3], axes.out[3]) = (0, 0, 1);
    }
    let whole = |strides: &[usize; 4]| strides[3] == 1 && (0..3).all(|i| axes.shape[i] == 1 || strides[i].is_multiple_of(4));
    let operand = |strides: &[usize; 4]| strides[3] == 0 || whole(strides);
    (operand(&axes.a) && operand(&axes.b) && whole(&axes.out)).then_some(axes)
}

/// Invocations of a workgroup.
const WG: u32 = 64;
