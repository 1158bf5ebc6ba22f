//! A float convolution before a kernel is chosen: what `conv_f32`, `conv_depthwise_f32` and `conv_transpose_f32` share.

use fathom_core::ops::nn::Activation;
use fathom_core::ops::nn::epilogue::FloatEpilogue;

use super::{Operand, epilogue};
use crate::kernel::Tolerance;

/// What follows a float sum in the kernel itself.
#[derive(Debug, Clone, Copy)]
pub struct FloatFinish<'a> {
    /// The numbers; see [`FloatFinish::fits`].
    pub epilogue: &'a FloatEpilogue,
    /// Where the residual lies, if there is one.
    pub residual: Option<Operand>,
}

impl FloatFinish<'_> {
    /// Whether the kernels can do all of it in one launch; otherwise the caller applies the rest with others.
    #[must_use]
    pub const fn fits(epilogue: &FloatEpilogue) -> bool {
        clamps_or_slopes(epilogue.activation) && (matches!(epilogue.then, Activation::None) || (epilogue.residual && clamps(epilogue.then)))
    }

    pub(crate) fn numbers(&self) -> Numbers {
        let [low, high] = epilogue::range(self.epilogue.activation);
        let [then_low, then_high] = epilogue::range(self.epilogue.then);
        let slope = if let Activation::LeakyRelu { slope } = self.epilogue.activation { slope } else { 1.0 };
        let residual = self.residual.unwrap_or(Operand { start: 0, pitch: 0, quant: None });
        Numbers { slope, low, high, then_low, then_high, residual }
    }

    /// Value of the constant `RESIDUAL`.
    pub(crate) fn code(&self) -> f64 {
        self.residual.map_or(0.0, |operand| operand.code() + 1.0)
    }

    /// One bias per output, four at a time.
    pub(crate) fn bias(&self, blocks: usize) -> Vec<u8> {
        let mut bias = self.epilogue.bias.clone();
        bias.resize(4 * blocks, 0.0);
        bytemuck::cast_slice(&bias).to_vec()
    }
}

/// An epilogue as parameters.
pub(crate) struct Numbers {
    pub(crate) slope: f32,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) then_low: f32,
    pub(crate) then_high: f32,
    pub(crate) residual: Operand,
}

/// Whether an activation is a range.
#[must_use]
pub const fn clamps(activation: Activation) -> bool {
    matches!(activation, Activation::None | Activation::Relu | Activation::Clip { .. })
}

/// Whether an activation is a range or a slope below 0.
#[must_use]
pub const fn clamps_or_slopes(activation: Activation) -> bool {
    clamps(activation) || matches!(activation, Activation::LeakyRelu { .. })
}

/// Float sums: the order of up to a few thousand terms and fused multiply-adds differ from the twin's. With terms of either
/// sign and magnitude about 1 the error grows as the root of their number: 1e-5 of the largest operand for 4,000 of them,
/// measured 4e-6 on lavapipe. A byte result may land beyond a half: one step.
pub(crate) const TOLERANCE: Tolerance = Tolerance { abs: 1e-4, rel: 1e-5 };

/// Weights `[out_channels, taps, group_in]` as `[block, tap, channel padded to four]` of four outputs each; groups that do not
/// consist of whole blocks are filled up with zeros.
pub(crate) fn pack(weights: &[f32], grouping: &Grouping, taps: usize) -> Vec<u8> {
    let Grouping { groups, in_channels, out_channels, .. } = *grouping;
    let [group_in, group_out] = [in_channels / groups, out_channels / groups];
    let blocks = out_channels.div_ceil(4);
    let mut packed: Vec<f32> = Vec::with_capacity(blocks * taps * grouping.quads * 16);
    for (block, tap) in (0..blocks).flat_map(|block| (0..taps).map(move |tap| (block, tap))) {
        for (c, o) in (0..4 * grouping.quads).flat_map(|c| (4 * block..4 * block + 4).map(move |o| (c, o))) {
            let c = if grouping.whole { Some(c) } else { c.checked_sub(o / group_out.max(1) * group_in) };
            packed.push(match c {
                Some(c) if c < group_in && o < out_channels => weights[(o * taps + tap) * group_in + c],
                _ => 0.0,
            });
        }
    }
    bytemuck::cast_slice(&packed).to_vec()
}

/// How groups appear to kernels that read four channels at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grouping {
    groups: usize,
    in_channels: usize,
    out_channels: usize,
    /// Whether groups (or the only one) consist of whole blocks; otherwise all channels are read for each output.
    whole: bool,
    /// Input quads read for each output.
    pub(crate) quads: usize,
    /// Blocks of four outputs of one group.
    pub(crate) group_blocks: usize,
}

impl Grouping {
    pub(crate) const fn of(groups: usize, in_channels: usize, out_channels: usize) -> Self {
        let [group_in, group_out] = [in_channels / groups, out_channels / groups];
        let whole = groups == 1 || group_in.is_multiple_of(4) && group_out.is_multiple_of(4);
        let quads = if whole { group_in.div_ceil(4) } else { in_channels.div_ceil(4) };
        let group_blocks = if whole { group_out.div_ceil(4) } else { out_channels.div_ceil(4) };
        Self { groups, in_channels, out_channels, whole, quads, group_blocks }
    }

    /// One group whatever there are: all channels are read for each output.
    pub(crate) const fn filled(groups: usize, in_channels: usize, out_channels: usize) -> Self {
        let [quads, group_blocks] = [in_channels.div_ceil(4), out_channels.div_ceil(4)];
        Self { groups, in_channels, out_channels, whole: groups == 1, quads, group_blocks }
    }
}
