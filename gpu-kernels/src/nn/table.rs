//! Bytes to bytes by table.

use fathom_core::ops::nn::byte::ByteTable;

use super::{Lay, Prepared};
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
    rows: u32,
    channels: u32,
    tables: u32,
    first_group: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/table",
    wgsl: include_str!("table.wgsl"),
    params: layout_of!(Params { source_start, source_pitch, target_start, target_pitch, rows, channels, tables, first_group }),
    bindings: &[Access::ReadWrite, Access::Read, Access::ReadWrite],
    needs: &[],
    tolerance: Tolerance::EXACT,
};

/// The launch for `rows` rows of `channels`, and the table.
#[must_use]
pub fn prepare(table: &ByteTable, rows: usize, channels: usize, source: Lay, target: Lay) -> Prepared {
    let params = Params {
        source_start: source.start,
        source_pitch: source.pitch,
        target_start: target.start,
        target_pitch: target.pitch,
        rows: rows as u32,
        channels: channels as u32,
        tables: table.tables() as u32,
        first_group: 0,
    };
    let words = channels.div_ceil(4);
    let count = rows * words;
    let bytes = vec![source.binding_bytes(rows, words), table.entries().len() as u64, target.binding_bytes(rows, words)];
    let launch = Launch::new(&KERNEL, &params, linear(count, WG), bytes, count as u64).with("WG", WG);
    Prepared { launch, constants: vec![table.entries().to_vec()] }
}

/// Invocations of a workgroup.
const WG: u32 = 64;
