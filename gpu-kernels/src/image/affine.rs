//! Depth as it leaves the device: dense floats with an affine map laid on them.

use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::nn::Operand;
use crate::split::linear;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    rows: u32,
    channels: u32,
    source_start: u32,
    source_pitch: u32,
    source_scale: f32,
    source_zero: i32,
    scale: f32,
    shift: f32,
    first_group: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "image/affine",
    wgsl: include_str!("affine.wgsl"),
    params: layout_of!(Params { rows, channels, source_start, source_pitch, source_scale, source_zero, scale, shift, first_group }),
    bindings: &[Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    // A sum and a product, which a device may fuse: 1 ULP of each, of operands up to a few times the result.
    tolerance: Tolerance { abs: 1e-6, rel: 5e-7 },
};

/// `scale (value + shift)` for each element of `rows` rows of `channels`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Factor.
    pub scale: f32,
    /// Added before.
    pub shift: f32,
}

impl Affine {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { scale: 1.0, shift: 0.0 };
}

/// The launch over `rows` rows of `channels`; the result is dense.
#[must_use]
pub fn prepare(affine: Affine, rows: usize, channels: usize, source: &Operand) -> Launch {
    let count = rows * channels;
    let params = Params {
        rows: rows as u32,
        channels: channels.max(1) as u32,
        source_start: source.start as u32,
        source_pitch: source.pitch as u32,
        source_scale: source.scale(),
        source_zero: source.zero(),
        scale: affine.scale,
        shift: affine.shift,
        first_group: 0,
    };
    let bytes = vec![source.rows_bytes(rows, channels), 4 * count as u64];
    Launch::new(&KERNEL, &params, linear(count, WG), bytes, count as u64).with("WG", WG).with("SOURCE", source.code())
}

/// Invocations of a workgroup.
const WG: u32 = 64;
