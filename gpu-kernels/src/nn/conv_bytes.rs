//! A byte convolution before a tactic is chosen: what the tactics `conv_dot4`, `conv_spread` and `conv_depthwise` share.

use fathom_core::ops::nn::Map;
use fathom_core::ops::nn::conv::Conv2d;

use super::Lay;
use super::epilogue::Finish;

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

    /// The input's zero point in all four lanes.
    pub(crate) fn fill(&self) -> u32 {
        u32::from_le_bytes([self.zero_point as u8; 4])
    }

    /// Requantization's zero point and range, or zeros for a real result.
    pub(crate) fn range(&self) -> [i32; 3] {
        match self.finish {
            Finish::Byte { epilogue, .. } => [epilogue.zero_point, epilogue.low, epilogue.high],
            Finish::Real(_) => [0; 3],
        }
    }

    /// Whether the result is f32.
    pub(crate) const fn real(&self) -> bool {
        matches!(self.finish, Finish::Real(_))
    }

    /// Least bytes of source, residual and target.
    pub(crate) fn bytes(&self) -> [u64; 3] {
        let out = self.conv.output();
        let words = if self.real() { out.channels.next_multiple_of(4) } else { out.channels.div_ceil(4) };
        let source = self.source.binding_bytes(self.conv.input.height * self.conv.input.width, self.conv.input.channels.div_ceil(4));
        let residual = if self.finish.has_residual() { self.residual.binding_bytes(out.height * out.width, words) } else { 4 };
        [source, residual, self.target.binding_bytes(out.height * out.width, words)]
    }
}

/// Columns of a subgroup's tile: 8 invocations of 4 pixels.
const NARROW: usize = 32;

/// Two extents as the kernels take them.
pub(crate) fn pair(extents: [usize; 2]) -> [u32; 2] {
    extents.map(|extent| extent as u32)
}
