//! Mirrored or repeated border around a feature map.

use fathom_core::ops::nn::pad::Pad;

use super::Lay;
use super::conv_bytes::pair;
use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::split::linear;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    input: [u32; 2],
    output: [u32; 2],
    before: [u32; 2],
    source_start: u32,
    source_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    words: u32,
    reflect: u32,
    first_group: u32,
    reserved: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/pad",
    wgsl: include_str!("pad.wgsl"),
    params: layout_of!(Params {
        input,
        output,
        before,
        source_start,
        source_pitch,
        target_start,
        target_pitch,
        words,
        reflect,
        first_group,
        reserved,
    }),
    bindings: &[Access::ReadWrite, Access::ReadWrite],
    needs: &[],
    tolerance: Tolerance::EXACT,
};

/// The launch; `words` are those of one pixel, padding lanes included.
#[must_use]
pub fn prepare(pad: &Pad, words: usize, source: Lay, target: Lay) -> Launch {
    let out = pad.output();
    let params = Params {
        input: pair([pad.input.height, pad.input.width]),
        output: pair([out.height, out.width]),
        before: pair(pad.before),
        source_start: source.start,
        source_pitch: source.pitch,
        target_start: target.start,
        target_pitch: target.pitch,
        words: words as u32,
        reflect: u32::from(pad.reflect),
        first_group: 0,
        reserved: 0,
    };
    let pixels = out.height * out.width;
    let bytes = vec![source.binding_bytes(pad.input.height * pad.input.width, words), target.binding_bytes(pixels, words)];
    Launch::new(&KERNEL, &params, linear(pixels * words, WG), bytes, (pixels * words) as u64).with("WG", WG)
}

/// Invocations of a workgroup.
const WG: u32 = 64;
