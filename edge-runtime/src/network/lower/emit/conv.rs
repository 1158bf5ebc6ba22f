//! Convolutions and the numbers of their epilogues.

use fathom_core::ops::nn::Map;
use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue, RealEpilogue};
use fathom_core::quant::QuantParams;
use fathom_core::tensor::Elements;

use super::{CHANNELS_LAST, Emitter, shape_error};
use crate::Result;
use crate::network::lower::constant::Constant;
use crate::network::lower::finish::{Finish, Stage};
use crate::network::lower::net::{Conv, Node, Number};
use crate::network::plan::{Arithmetic, ByteArithmetic, StepOp, WeightId};

/// Quantization of the two operands of an integer sum.
pub(super) struct Operands {
    pub(super) a: QuantParams,
    pub(super) zero_b: i32,
    /// Scale of the second operand, one per output channel or column.
    pub(super) scales_b: Vec<f32>,
    /// Factor of the sum.
    pub(super) alpha: f32,
}

impl Emitter<'_> {
    pub(super) fn conv(&mut self, node: &Node, conv: &Conv) -> Result<()> {
        let x = self.map(node, node.inputs[0])?;
        let input = self.extents(x);
        let [first, second, kernel_h, kernel_w] = conv.weights.shape[..] else {
            return Err(shape_error(node, format!("weights of shape {:?}, expected 4 axes", conv.weights.shape)));
        };
        let (out_channels, in_channels) =
            if conv.transposed.is_some() { (second * conv.groups, first) } else { (first, second * conv.groups) };
        if [kernel_h, kernel_w] != conv.window.kernel
            || in_channels != input.channels
            || conv.groups == 0
            || !out_channels.is_multiple_of(conv.groups)
        {
            let message =
                format!("weights {:?} in {} groups do not fit {} input channels", conv.weights.shape, conv.groups, input.channels);
            return Err(shape_error(node, message));
        }
        let channel_axis = usize::from(conv.transposed.is_some());
        let operands = match self.net.number(node.inputs[0]) {
            Number::Bytes(a) if channel_axis == 0 || conv.groups == 1 => byte_weights(&conv.weights, channel_axis, out_channels)
                .map(|(bytes, scales_b)| (bytes, Operands { a, zero_b: 0, scales_b, alpha: 1.0 })),
            _ => None,
        };
        let gather = |i: usize| ordered(conv, out_channels, i);
        let count = conv.weights.len();
        let (elements, arithmetic) = match operands {
            Some((bytes, operands)) => {
                let elements = Elements::I8((0..count).map(|i| bytes[gather(i)]).collect());
                (elements, integer(&conv.finish, &operands))
            }
            None => {
                let reals = conv.weights.reals();
                let elements = Elements::F32((0..count).map(|i| reals[gather(i)]).collect());
                (elements, Arithmetic::Float(float(&conv.finish)))
            }
        };
        let weights = self.add_weight(&format!("{}.weights", node.name), elements);
        let mut inputs = vec![x];
        if conv.finish.has_residual() {
            inputs.push(self.map(node, node.inputs[1])?);
        }
        let op = self.conv_op(conv, input, out_channels, weights, arithmetic);
        let view = self.new_tensor(node.output, &CHANNELS_LAST);
        self.step(node, op, inputs, view.tensor);
        self.define(node, view)
    }

    fn conv_op(&self, conv: &Conv, input: Map, out_channels: usize, weights: WeightId, arithmetic: Arithmetic) -> StepOp {
        match conv.transposed {
            None => {
                let geometry = Conv2d { input, out_channels, window: conv.window, groups: conv.groups };
                StepOp::Conv { conv: geometry, weights, arithmetic }
            }
            Some(output_padding) => {
                let geometry = ConvTranspose2d { input, out_channels, window: conv.window, output_padding, groups: conv.groups };
                StepOp::ConvTranspose { conv: geometry, weights, arithmetic }
            }
        }
    }

    /// Extents of a channels-last map.
    pub(super) fn extents(&self, id: crate::network::plan::TensorId) -> Map {
        let shape = &self.tensors[id.0].shape;
        Map { height: shape[1], width: shape[2], channels: shape[3] }
    }
}

/// Index in ONNX's weights of element `i` of `[out_channels, kernel_h, kernel_w, group_channels]`.
fn ordered(conv: &Conv, out_channels: usize, i: usize) -> usize {
    let [kernel_h, kernel_w] = conv.window.kernel;
    let group_in = conv.weights.len() / (out_channels * kernel_h * kernel_w).max(1);
    let (c, rest) = (i % group_in, i / group_in);
    let (tap, o) = (rest % (kernel_h * kernel_w), rest / (kernel_h * kernel_w));
    match conv.transposed {
        None => (o * group_in + c) * kernel_h * kernel_w + tap,
        Some(_) => {
            let group_out = out_channels / conv.groups;
            let (group, within) = (o / group_out, o % group_out);
            ((group * group_in + c) * group_out + within) * kernel_h * kernel_w + tap
        }
    }
}

/// Weights as signed bytes around zero, and a scale per index of `axis`; `None` if they were not quantized so.
pub(super) fn byte_weights(weights: &Constant, axis: usize, extent: usize) -> Option<(Vec<i8>, Vec<f32>)> {
    let levels = weights.levels()?;
    Some((levels.centred(&weights.shape)?, levels.scales_along(axis, extent)?))
}

/// The epilogue of an integer sum.
pub(super) fn integer(finish: &Finish, operands: &Operands) -> Arithmetic {
    let units: Vec<f32> = operands.scales_b.iter().map(|s| operands.a.scale * s).collect();
    let result = match (finish.number, finish.float()) {
        (Number::Bytes(out), _) => ByteArithmetic::Byte(byte_epilogue(finish, &units, operands.alpha, out)),
        (Number::Float, epilogue) => {
            let mut epilogue = epilogue.unwrap_or_else(FloatEpilogue::none);
            let (bias, rest) = split_bias(finish, &units);
            epilogue.bias = rest;
            let multiplier = units.iter().map(|u| u * operands.alpha).collect();
            ByteArithmetic::Real(RealEpilogue { bias, multiplier, float: epilogue })
        }
    };
    Arithmetic::Bytes { zero_a: operands.a.zero_point, zero_b: operands.zero_b, result }
}

fn byte_epilogue(finish: &Finish, units: &[f32], alpha: f32, out: QuantParams) -> ByteEpilogue {
    let (low, high) = finish.clamp.unwrap_or((out.low(), out.high()));
    let mut epilogue = ByteEpilogue {
        bias: integer_bias(finish, units, alpha),
        // onnxruntime's order of operations: (scale_x * scale_w) / scale_y.
        multiplier: units.iter().map(|u| u * alpha / out.scale).collect(),
        zero_point: out.zero_point,
        low,
        high,
        table: None,
        residual: None,
        then: None,
    };
    for (stage, _) in &finish.stages {
        match stage {
            Stage::Table(table) if epilogue.residual.is_some() => epilogue.then = Some(table.bytes.clone()),
            Stage::Table(table) => epilogue.table = Some(table.bytes.clone()),
            Stage::Residual(sum) => epilogue.residual = *sum,
            Stage::Activation(_) => {}
        }
    }
    epilogue
}

/// The bias in whole units: as the file quantized it, or rounded.
fn integer_bias(finish: &Finish, units: &[f32], alpha: f32) -> Vec<i32> {
    let Some(bias) = &finish.bias else { return Vec::new() };
    if let Some(values) = bias_levels(bias, units) {
        return values;
    }
    let whole = |(i, &real): (usize, &f32)| (real / (units[i.min(units.len() - 1)] * alpha)).round_ties_even() as i32;
    bias.reals().iter().enumerate().map(whole).collect()
}

/// A bias that was quantized in these units stays whole, any other stays real.
fn split_bias(finish: &Finish, units: &[f32]) -> (Vec<i32>, Vec<f32>) {
    match &finish.bias {
        None => (Vec::new(), Vec::new()),
        Some(bias) => bias_levels(bias, units).map_or_else(|| (Vec::new(), bias.reals().into_owned()), |values| (values, Vec::new())),
    }
}

/// The bias's integers if its scales are the products of the operands' scales, to the accuracy of f32.
fn bias_levels(bias: &Constant, units: &[f32]) -> Option<Vec<i32>> {
    let levels = bias.levels()?;
    let scales = levels.scales_along(0, units.len())?;
    let same = scales.iter().zip(units).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs());
    (same && bias.len() == units.len() && levels.zero_points.iter().all(|&z| z == 0))
        .then(|| (0..bias.len()).map(|i| levels.value(i)).collect())
}

/// The epilogue of a float sum.
pub(super) fn float(finish: &Finish) -> FloatEpilogue {
    let mut epilogue = finish.float().unwrap_or_else(FloatEpilogue::none);
    if let Some(bias) = &finish.bias {
        epilogue.bias = bias.reals().into_owned();
    }
    if let (Some((low, high)), Number::Bytes(out)) = (finish.clamp, finish.number) {
        epilogue.activation = Activation::Clip { low: out.dequantize(low), high: out.dequantize(high) };
    }
    epilogue
}
