//! A byte convolution before a tactic is chosen: what the tactics `conv_dot4`, `conv_spread`, `conv_matrix` and
//! `conv_depthwise` share, and `conv_transpose_bytes` with them.

use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::{Map, Window};

use super::epilogue::Finish;
use super::{Lay, Prepared};
use crate::kernel::{Access, Kernel, Launch, Layout, Need, Tolerance};
use crate::layout_of;

/// Mirrors `struct Params` of the kernels that share `Sums`.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    input: [u32; 2],
    output: [u32; 2],
    kernel: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    pad: [u32; 2],
    source_start: u32,
    source_pitch: u32,
    residual_start: u32,
    residual_pitch: u32,
    target_start: u32,
    target_pitch: u32,
    words: u32,
    group_blocks: u32,
    blocks: u32,
    channels: u32,
    flip: u32,
    fill: u32,
    zero_point: i32,
    low: i32,
    high: i32,
    tables: u32,
    low_real: f32,
    high_real: f32,
    origin_x: u32,
    origin_y: u32,
    origin_z: u32,
    reserved: u32,
}

const LAYOUT: Layout = layout_of!(Params {
    input,
    output,
    kernel,
    stride,
    dilation,
    pad,
    source_start,
    source_pitch,
    residual_start,
    residual_pitch,
    target_start,
    target_pitch,
    words,
    group_blocks,
    blocks,
    channels,
    flip,
    fill,
    zero_point,
    low,
    high,
    tables,
    low_real,
    high_real,
    origin_x,
    origin_y,
    origin_z,
    reserved,
});

/// A kernel with these parameters; its bindings are source, weights, columns, tables, residual and target.
pub(crate) const fn kernel(name: &'static str, wgsl: &'static str, needs: &'static [Need]) -> Kernel {
    Kernel {
        name,
        wgsl,
        params: LAYOUT,
        bindings: &[Access::ReadWrite, Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
        needs,
        tolerance: TOLERANCE,
    }
}

/// Bytes come out bit for bit. A real result is one multiplication and one addition from the exact sum: 2 ULP, rounded up.
pub(crate) const TOLERANCE: Tolerance = Tolerance { abs: 0.0, rel: 3e-7 };

/// What a byte convolution of either direction says to its kernel.
pub(crate) struct Sums<'a> {
    pub(crate) input: Map,
    pub(crate) output: Map,
    pub(crate) window: Window,
    pub(crate) macs: u64,
    pub(crate) signed: bool,
    pub(crate) zero_point: i32,
    pub(crate) finish: Finish<'a>,
    /// Where source, residual and target lie.
    pub(crate) lays: [Lay; 3],
    /// Input words read for each output.
    pub(crate) words: usize,
    /// Blocks of four output channels of one group.
    pub(crate) group_blocks: usize,
    /// As the kernel wants them.
    pub(crate) weights: Vec<u8>,
    /// Added to the bias of each output.
    pub(crate) correction: Vec<i32>,
}

impl Sums<'_> {
    /// Blocks of four output channels.
    pub(crate) const fn blocks(&self) -> usize {
        self.output.channels.div_ceil(4)
    }

    /// A launch of `invocations` along x, y and z, and the contents of weights, columns and tables.
    pub(crate) fn launch(self, kernel: &'static Kernel, invocations: [usize; 3], workgroup: [u32; 2]) -> Prepared {
        let blocks = self.blocks();
        let [source, residual, target] = self.lays;
        let (tables, table_bytes) = self.finish.tables();
        let [zero_point, low, high] = self.finish.range();
        let [low_real, high_real] = self.finish.real_range();
        let params = Params {
            input: pair([self.input.height, self.input.width]),
            output: pair([self.output.height, self.output.width]),
            kernel: pair(self.window.kernel),
            stride: pair(self.window.stride),
            dilation: pair(self.window.dilation),
            pad: pair(self.window.pad_before),
            source_start: source.start,
            source_pitch: source.pitch,
            residual_start: residual.start,
            residual_pitch: residual.pitch,
            target_start: target.start,
            target_pitch: target.pitch,
            words: self.words as u32,
            group_blocks: self.group_blocks as u32,
            blocks: blocks as u32,
            channels: self.output.channels as u32,
            flip: if self.signed { 0 } else { 0x8080_8080 },
            fill: fill(self.zero_point),
            zero_point,
            low,
            high,
            tables,
            low_real,
            high_real,
            origin_x: 0,
            origin_y: 0,
            origin_z: 0,
            reserved: 0,
        };
        let constants = vec![self.weights, self.finish.columns(blocks, &self.correction), table_bytes];
        let [source, residual, target] = binding_bytes(self.input, self.output, &self.finish, self.lays);
        let bytes = vec![source, constants[0].len() as u64, constants[1].len() as u64, constants[2].len() as u64, residual, target];
        let launch = Launch::new(kernel, &params, groups(invocations, workgroup), bytes, self.macs)
            .with("WG_X", workgroup[0])
            .with("WG_Y", workgroup[1])
            .with("RESIDUAL", u8::from(self.finish.has_residual()))
            .with("REAL", u8::from(self.finish.is_real()));
        Prepared { launch, constants }
    }
}

/// A convolution of bytes with everything that follows it.
#[derive(Debug, Clone, Copy)]
pub struct ByteConv<'a> {
    /// Geometry.
    pub conv: Conv2d,
    /// `[out_channels, kernel_h, kernel_w, group_channels]`.
    pub weights: &'a [i8],
    /// Whether the input is `i8`.
    pub signed: bool,
    /// Zero point of the input.
    pub zero_point: i32,
    /// What follows.
    pub finish: Finish<'a>,
    /// Where the input lies.
    pub source: Lay,
    /// Where the residual lies; anything if there is none.
    pub residual: Lay,
    /// Where the output lies.
    pub target: Lay,
}

/// Geometry after grouping was resolved for kernels that read whole words: either a few groups of whole blocks, or one group
/// whose weights were filled up with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// Groups.
    pub groups: usize,
    /// Input channels of one group.
    pub group_channels: usize,
    /// Input words of one group.
    pub words: usize,
    /// Blocks of four output channels in all.
    pub blocks: usize,
    /// Those of one group.
    pub group_blocks: usize,
}

impl ByteConv<'_> {
    /// The geometry that kernels see: a 1x1 convolution of a narrow map is one of a single long row, which fills tiles.
    pub(crate) fn tiled(&self) -> Conv2d {
        let conv = self.conv;
        let window = &conv.window;
        let pointwise = window.kernel == [1, 1] && window.stride == [1, 1] && [window.pad_before, window.pad_after] == [[0, 0]; 2];
        if !pointwise || conv.input.width >= NARROW {
            return conv;
        }
        let input = Map { height: 1, width: conv.input.height * conv.input.width, channels: conv.input.channels };
        Conv2d { input, ..conv }
    }

    /// Adapted grouping. Pairs of blocks must not straddle groups, since an invocation computes two.
    pub(crate) fn blocks(&self) -> Blocks {
        let conv = &self.conv;
        let blocks = conv.out_channels.div_ceil(4);
        let group_out = conv.out_channels / conv.groups;
        if conv.groups > 1 && conv.group_channels().is_multiple_of(4) && group_out.is_multiple_of(8) {
            let words = conv.group_channels() / 4;
            return Blocks { groups: conv.groups, group_channels: conv.group_channels(), words, blocks, group_blocks: group_out / 4 };
        }
        let words = conv.input.channels.div_ceil(4);
        Blocks { groups: 1, group_channels: conv.input.channels, words, blocks, group_blocks: blocks.next_multiple_of(2) }
    }

    /// Weight of output `o` at a tap for channel `c` of the (adapted) group; 0 where there is none.
    pub(crate) fn weight(&self, blocks: &Blocks, o: usize, tap: usize, c: usize) -> i8 {
        let conv = &self.conv;
        let taps = conv.window.kernel[0] * conv.window.kernel[1];
        let own = conv.group_channels();
        let c = if blocks.groups == conv.groups { Some(c) } else { c.checked_sub(o / (conv.out_channels / conv.groups) * own) };
        match c {
            Some(c) if c < own && o < conv.out_channels => self.weights[(o * taps + tap) * own + c],
            _ => 0,
        }
    }

    /// Four weights as one word: channels `4 word ..` of the group.
    pub(crate) fn weight_word(&self, blocks: &Blocks, o: usize, tap: usize, word: usize) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|lane| self.weight(blocks, o, tap, 4 * word + lane).cast_unsigned()))
    }

    /// `-zero sum(w)` per output: what the bias takes up where inputs enter the sum with `zero` still in them.
    pub(crate) fn correction(&self, zero: i32) -> Vec<i32> {
        let each = self.weights.len() / self.conv.out_channels.max(1);
        let sums = self.weights.chunks_exact(each.max(1)).map(|w| w.iter().fold(0_i32, |sum, &w| sum.wrapping_add(i32::from(w))));
        sums.map(|sum| sum.wrapping_mul(zero).wrapping_neg()).collect()
    }

    /// Largest magnitude that any partial sum over raw input bytes can reach.
    pub(crate) fn largest_sum(&self) -> u64 {
        let each = self.weights.len() / self.conv.out_channels.max(1);
        let sum = |w: &[i8]| w.iter().map(|w| u64::from(w.unsigned_abs())).sum::<u64>();
        let largest = self.weights.chunks_exact(each.max(1)).map(sum).max().unwrap_or(0);
        largest * if self.signed { 128 } else { 255 }
    }

    /// What this says to a kernel that reads `words` for each output, in groups of `group_blocks` blocks.
    pub(crate) fn sums(&self, conv: &Conv2d, [words, group_blocks]: [usize; 2], weights: Vec<u8>, correction: Vec<i32>) -> Sums<'_> {
        Sums {
            input: conv.input,
            output: conv.output(),
            window: conv.window,
            macs: conv.macs(),
            signed: self.signed,
            zero_point: self.zero_point,
            finish: self.finish,
            lays: [self.source, self.residual, self.target],
            words,
            group_blocks,
            weights,
            correction,
        }
    }
}

/// A zero point in all four lanes.
pub(crate) fn fill(zero_point: i32) -> u32 {
    u32::from_le_bytes([zero_point as u8; 4])
}

/// Least bytes of source, residual and target.
pub(crate) fn binding_bytes(input: Map, output: Map, finish: &Finish<'_>, [source, residual, target]: [Lay; 3]) -> [u64; 3] {
    let words = if finish.is_real() { output.channels.next_multiple_of(4) } else { output.channels.div_ceil(4) };
    let pixels = output.height * output.width;
    let source = source.binding_bytes(input.height * input.width, input.channels.div_ceil(4));
    let residual = if finish.has_residual() { residual.binding_bytes(pixels, words) } else { 4 };
    [source, residual, target.binding_bytes(pixels, words)]
}

/// Workgroups of so many invocations along x and y, one along z.
pub(crate) fn groups([x, y, z]: [usize; 3], [wide, high]: [u32; 2]) -> [u32; 3] {
    [(x as u32).div_ceil(wide), (y as u32).div_ceil(high), z as u32]
}

/// Columns of a subgroup's tile: 8 invocations of 4 pixels.
const NARROW: usize = 32;

/// Two extents as the kernels take them.
pub(crate) fn pair(extents: [usize; 2]) -> [u32; 2] {
    extents.map(|extent| extent as u32)
}
