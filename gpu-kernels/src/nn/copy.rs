//! Strided copies: by words where everything is a multiple of four bytes, else byte by byte; and fills.

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::copy::Copy;

use super::{Lay, Prepared};
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::split::linear;

/// Mirrors `struct Params` of both copy kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    shape: [[u32; 4]; 2],
    from_strides: [[i32; 4]; 2],
    to_strides: [[u32; 4]; 2],
    source_start: u32,
    target_start: u32,
    count: u32,
    first_group: u32,
}

/// Copies words.
pub const WORDS: Kernel = Kernel {
    name: "nn/copy",
    wgsl: include_str!("copy.wgsl"),
    params: layout_of!(Params { shape, from_strides, to_strides, source_start, target_start, count, first_group }),
    bindings: &[Access::ReadWrite, Access::Read, Access::ReadWrite],
    needs: &[],
    tolerance: Tolerance::EXACT,
};

/// Copies bytes.
pub const BYTES: Kernel = Kernel {
    name: "nn/copy_bytes",
    wgsl: include_str!("copy_bytes.wgsl"),
    params: layout_of!(Params { shape, from_strides, to_strides, source_start, target_start, count, first_group }),
    bindings: &[Access::ReadWrite, Access::Read, Access::ReadWrite],
    needs: &[],
    tolerance: Tolerance::EXACT,
};

/// The launch and the table. `starts` are added to the copy's offsets, in elements; `bytes` tells whether elements are bytes.
#[must_use]
pub fn prepare(copy: &Copy, starts: [usize; 2], bytes: bool, table: Option<&ByteTable>) -> Prepared {
    let shifted = Copy { source_offset: copy.source_offset + starts[0], target_offset: copy.target_offset + starts[1], ..*copy };
    let (copy, kernel) = match (bytes, in_words(&shifted)) {
        (false, _) => (shifted, &WORDS),
        (true, Some(words)) => (words, &WORDS),
        (true, None) => (shifted, &BYTES),
    };
    let mapped = table.is_some();
    let table = table.map_or_else(|| ByteTable::from_fn(|q| q).entries().to_vec(), |table| table.entries().to_vec());
    let six = |values: [u32; 6]| [[values[0], values[1], values[2], values[3]], [values[4], values[5], 1, 1]];
    let [s0, s1, s2, s3, s4, s5] = copy.source.map(|stride| stride as i32);
    let params = Params {
        shape: six(copy.shape.map(|extent| extent as u32)),
        from_strides: [[s0, s1, s2, s3], [s4, s5, 0, 0]],
        to_strides: six(copy.target.map(|stride| stride as u32)),
        source_start: copy.source_offset as u32,
        target_start: copy.target_offset as u32,
        count: copy.count() as u32,
        first_group: 0,
    };
    let unit = if kernel.name == BYTES.name { 1 } else { 4 };
    let reach = |start: usize, strides: [isize; 6]| {
        let last = copy.shape.iter().zip(strides).map(|(n, s)| (*n as isize - 1) * s.max(0)).sum::<isize>();
        ((start + last.unsigned_abs() + 1) * unit).next_multiple_of(4) as u64
    };
    let least = vec![reach(copy.source_offset, copy.source), 256, reach(copy.target_offset, copy.target.map(|stride| stride as isize))];
    let mut launch = Launch::new(kernel, &params, linear(copy.count(), WG), least, copy.count() as u64).with("WG", WG);
    if kernel.name == WORDS.name {
        launch = launch.with("MAPPED", u8::from(mapped));
    }
    Prepared { launch, constants: vec![table] }
}

/// The same copy of bytes with a word as its element, if all it does is a multiple of four. A row whose length is none takes
/// its padding along, where it ends the row on both sides.
fn in_words(copy: &Copy) -> Option<Copy> {
    let whole = |n: usize| n.is_multiple_of(4);
    let outer = |i: usize| copy.shape[i] == 1 || copy.source[i].unsigned_abs().is_multiple_of(4) && whole(copy.target[i]);
    let dense = copy.source[5] == 1 && copy.target[5] == 1 && whole(copy.shape[5]);
    if !(dense && whole(copy.source_offset) && whole(copy.target_offset) && (0..5).all(outer)) {
        return None;
    }
    let quarter = |i: usize, stride: isize| if i == 5 { 1 } else { stride / 4 };
    Some(Copy {
        shape: std::array::from_fn(|i| if i == 5 { copy.shape[5] / 4 } else { copy.shape[i] }),
        source_offset: copy.source_offset / 4,
        source: std::array::from_fn(|i| quarter(i, copy.source[i])),
        target_offset: copy.target_offset / 4,
        target: std::array::from_fn(|i| quarter(i, copy.target[i] as isize).unsigned_abs()),
    })
}

/// Mirrors `struct Params` of the fill kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct FillParams {
    start: u32,
    pitch: u32,
    rows: u32,
    words: u32,
    value: u32,
    last: u32,
    first_group: u32,
    reserved: u32,
}

/// Fills rows.
pub const FILL: Kernel = Kernel {
    name: "nn/fill",
    wgsl: include_str!("fill.wgsl"),
    params: layout_of!(FillParams { start, pitch, rows, words, value, last, first_group, reserved }),
    bindings: &[Access::ReadWrite],
    needs: &[],
    tolerance: Tolerance::EXACT,
};

/// Sets `rows` rows of `channels` elements to `bits`, padding lanes to 0. `channels` must not be 0.
#[must_use]
pub fn fill(bits: u32, bytes: bool, rows: usize, channels: usize, target: Lay) -> Launch {
    let words = if bytes { channels.div_ceil(4) } else { channels };
    let (value, last) = if bytes {
        let carried = 8 * ((channels - 1) % 4 + 1) as u32;
        (bits & 0xff | (bits & 0xff) << 8 | (bits & 0xff) << 16 | (bits & 0xff) << 24, u32::MAX >> (32 - carried))
    } else {
        (bits, u32::MAX)
    };
    let params = FillParams {
        start: target.start,
        pitch: target.pitch,
        rows: rows as u32,
        words: words as u32,
        value,
        last,
        first_group: 0,
        reserved: 0,
    };
    Launch::new(&FILL, &params, linear(rows * words, WG), vec![target.binding_bytes(rows, words)], (rows * words) as u64).with("WG", WG)
}

/// Invocations of a workgroup.
const WG: u32 = 64;
