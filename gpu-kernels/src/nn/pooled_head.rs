//! Mean over the image and two small fully connected layers, in one launch.

use fathom_core::ops::nn::Activation;
use fathom_core::ops::nn::epilogue::FloatEpilogue;

use super::conv_float::{TOLERANCE, clamps};
use super::epilogue::range;
use super::{Operand, Prepared};
use crate::kernel::{Access, Kernel, Launch};
use crate::layout_of;

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    pixels: u32,
    channels: u32,
    hidden: u32,
    outputs: u32,
    source_start: u32,
    source_pitch: u32,
    target_start: u32,
    source_zero: i32,
    mean_zero: i32,
    source_scale: f32,
    mean_scale: f32,
    hidden_low: f32,
    hidden_high: f32,
    low: f32,
    high: f32,
    reserved: u32,
}

/// The kernel.
pub const KERNEL: Kernel = Kernel {
    name: "nn/pooled_head",
    wgsl: include_str!("pooled_head.wgsl"),
    params: layout_of!(Params {
        pixels,
        channels,
        hidden,
        outputs,
        source_start,
        source_pitch,
        target_start,
        source_zero,
        mean_zero,
        source_scale,
        mean_scale,
        hidden_low,
        hidden_high,
        low,
        high,
        reserved,
    }),
    bindings: &[Access::ReadWrite, Access::Read, Access::ReadWrite],
    needs: &[],
    tolerance: TOLERANCE,
};

/// A fully connected layer of one row.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// `[outputs, inputs]`.
    pub weights: &'a [f32],
    /// Bias and range.
    pub epilogue: &'a FloatEpilogue,
    /// Factor of the sum.
    pub alpha: f32,
}

impl Layer<'_> {
    fn fits(&self) -> bool {
        clamps(self.epilogue.activation) && !self.epilogue.residual && self.epilogue.then == Activation::None
    }

    fn numbers(&self, outputs: usize) -> impl Iterator<Item = f32> {
        let bias = (0..outputs).map(|o| self.epilogue.bias.get(o).copied().unwrap_or(0.0));
        self.weights.iter().map(|weight| self.alpha * weight).chain(bias)
    }
}

/// The launch and the weights; `mean` says what the mean's tensor holds. `None` if an epilogue is more than bias and range, the
/// result is bytes, or the layers are too wide for one workgroup's memory.
#[must_use]
pub fn prepare(
    pixels: usize,
    channels: usize,
    source: &Operand,
    mean: &Operand,
    layers: [Layer<'_>; 2],
    target: &Operand,
) -> Option<Prepared> {
    let [first, second] = layers;
    let hidden = first.weights.len() / channels.max(1);
    let outputs = second.weights.len() / hidden.max(1);
    let narrow = (1..=2048).contains(&channels) && (1..=1024).contains(&hidden) && outputs > 0;
    if !(narrow && first.fits() && second.fits() && target.quant.is_none()) {
        return None;
    }
    let [hidden_low, hidden_high] = range(first.epilogue.activation);
    let [low, high] = range(second.epilogue.activation);
    let params = Params {
        pixels: pixels as u32,
        channels: channels as u32,
        hidden: hidden as u32,
        outputs: outputs as u32,
        source_start: source.start as u32,
        source_pitch: source.pitch as u32,
        target_start: target.start as u32,
        source_zero: source.zero(),
        mean_zero: mean.zero(),
        source_scale: source.scale(),
        mean_scale: mean.scale(),
        hidden_low,
        hidden_high,
        low,
        high,
        reserved: 0,
    };
    let numbers: Vec<f32> = first.numbers(hidden).chain(second.numbers(outputs)).collect();
    let constants = vec![bytemuck::cast_slice(&numbers).to_vec()];
    let bytes = vec![source.rows_bytes(pixels, channels), constants[0].len() as u64, target.binding_bytes(outputs)];
    let work = (pixels * channels + first.weights.len() + second.weights.len()) as u64;
    let launch =
        Launch::new(&KERNEL, &params, [1, 1, 1], bytes, work).with("WG", 64).with("SOURCE", source.code()).with("MEAN", mean.code());
    Some(Prepared { launch, constants })
}
