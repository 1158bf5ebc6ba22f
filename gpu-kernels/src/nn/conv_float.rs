//! A float convolution before a kernel is chosen: what `conv_f32`, `conv_f16`, `conv_depthwise_f32` and `conv_transpose_f32` share.

use fathom_core::ops::nn::epilogue::FloatEpilogue;
use fathom_core::ops::nn::{Activation, Map, Window};

use super::conv_bytes::{groups, pair};
use super::{Operand, Prepared, epilogue};
use crate::kernel::{Access, Kernel, Launch, Layout, Need, Tolerance};
use crate::layout_of;

/// Mirrors `struct Params` of every float convolution's kernel.
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
    source_scale: f32,
    residual_scale: f32,
    target_scale: f32,
    source_zero: i32,
    residual_zero: i32,
    target_zero: i32,
    quads: u32,
    group_blocks: u32,
    blocks: u32,
    channels: u32,
    slope: f32,
    low: f32,
    high: f32,
    then_low: f32,
    then_high: f32,
    origin_x: u32,
    origin_y: u32,
    origin_z: u32,
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
    source_scale,
    residual_scale,
    target_scale,
    source_zero,
    residual_zero,
    target_zero,
    quads,
    group_blocks,
    blocks,
    channels,
    slope,
    low,
    high,
    then_low,
    then_high,
    origin_x,
    origin_y,
    origin_z,
});

/// A kernel with these parameters; its bindings are source, weights, bias, residual and target.
pub(crate) const fn kernel(name: &'static str, wgsl: &'static str, needs: &'static [Need], tolerance: Tolerance) -> Kernel {
    Kernel {
        name,
        wgsl,
        params: LAYOUT,
        bindings: &[Access::ReadWrite, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
        needs,
        tolerance,
    }
}

/// What a float convolution of either direction says to its kernel.
pub(crate) struct Sums<'a> {
    pub(crate) input: Map,
    pub(crate) output: Map,
    pub(crate) window: Window,
    pub(crate) macs: u64,
    pub(crate) finish: FloatFinish<'a>,
    pub(crate) source: Operand,
    pub(crate) target: Operand,
    /// Input quads read for each output, and blocks of four outputs of one group.
    pub(crate) quads: usize,
    pub(crate) group_blocks: usize,
    /// As the kernel wants them.
    pub(crate) weights: Vec<u8>,
}

impl Sums<'_> {
    /// Blocks of four output channels.
    pub(crate) const fn blocks(&self) -> usize {
        self.output.channels.div_ceil(4)
    }

    /// A launch of `invocations` along x, y and z, and the contents of weights and bias.
    pub(crate) fn launch(self, kernel: &'static Kernel, invocations: [usize; 3], workgroup: [u32; 2]) -> Prepared {
        let (blocks, numbers) = (self.blocks(), self.finish.numbers());
        let [[source_start, source_pitch], [target_start, target_pitch]] = [self.source.quads(), self.target.quads()];
        let [residual_start, residual_pitch] = numbers.residual.quads();
        let params = Params {
            input: pair([self.input.height, self.input.width]),
            output: pair([self.output.height, self.output.width]),
            kernel: pair(self.window.kernel),
            stride: pair(self.window.stride),
            dilation: pair(self.window.dilation),
            pad: pair(self.window.pad_before),
            source_start,
            source_pitch,
            residual_start,
            residual_pitch,
            target_start,
            target_pitch,
            source_scale: self.source.scale(),
            residual_scale: numbers.residual.scale(),
            target_scale: self.target.scale(),
            source_zero: self.source.zero(),
            residual_zero: numbers.residual.zero(),
            target_zero: self.target.zero(),
            quads: self.quads as u32,
            group_blocks: self.group_blocks as u32,
            blocks: blocks as u32,
            channels: self.output.channels as u32,
            slope: numbers.slope,
            low: numbers.low,
            high: numbers.high,
            then_low: numbers.then_low,
            then_high: numbers.then_high,
            origin_x: 0,
            origin_y: 0,
            origin_z: 0,
        };
        let pixels = self.output.height * self.output.width;
        let constants = vec![self.weights, self.finish.bias(blocks)];
        let bytes = vec![
            self.source.rows_bytes(self.input.height * self.input.width, self.input.channels),
            constants[0].len() as u64,
            constants[1].len() as u64,
            self.finish.residual.map_or(4, |residual| residual.rows_bytes(pixels, self.output.channels)),
            self.target.rows_bytes(pixels, self.output.channels),
        ];
        let launch = Launch::new(kernel, &params, groups(invocations, workgroup), bytes, self.macs)
            .with("WG_X", workgroup[0])
            .with("WG_Y", workgroup[1])
            .with("SOURCE", self.source.code())
            .with("TARGET", self.target.code())
            .with("RESIDUAL", self.finish.code());
        Prepared { launch, constants }
    }
}

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
