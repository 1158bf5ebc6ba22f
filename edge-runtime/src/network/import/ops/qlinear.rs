//! QOperator form: QLinearConv and QLinearMatMul are kept; onnxruntime's QLinearAdd and its like, which have no integer
//! definition in ONNX, become the float operator between DequantizeLinear and QuantizeLinear.

use fathom_core::ops::nn::Activation;
use fathom_core::tensor::Element;

use super::{convolution, elementwise, matmul as product, pool, quantize};
use crate::Result;
use crate::network::graph::{Binary, Op, Reduce, Unary, ValueId};
use crate::network::import::call::Call;

const BYTES: &[Element] = &[Element::U8, Element::I8];

/// Checks operand `index` with its scale and zero point behind it; `slices` scales are allowed beside one.
fn triple(call: &Call<'_>, index: usize, slices: usize) -> Result<[ValueId; 3]> {
    let [x, scale, zero_point] = [call.input(index)?, call.float_input(index + 1)?, call.input(index + 2)?];
    call.expect_element(x, BYTES)?;
    call.expect_element(zero_point, &[call.element(x)])?;
    let steps = quantize::scales(call, scale)?;
    if steps != 1 && steps != slices {
        return Err(call.error(format!("has {steps} scales for {slices} slices of {:?}", call.value_name(x))));
    }
    quantize::zero_points(call, zero_point, steps)?;
    Ok([x, scale, zero_point])
}

/// Checks the scale and zero point of a result; gives its element type with them.
fn result(call: &Call<'_>, index: usize) -> Result<([ValueId; 2], Element)> {
    let (scale, zero_point) = (call.float_input(index)?, call.input(index + 1)?);
    call.expect_element(zero_point, BYTES)?;
    if quantize::scales(call, scale)? != 1 {
        return Err(call.error(format!("scale {:?} of the result must be one number", call.value_name(scale))));
    }
    quantize::zero_points(call, zero_point, 1)?;
    Ok(([scale, zero_point], call.element(zero_point)))
}

fn emit(call: &mut Call<'_>, op: Op, operands: &[ValueId], element: Element, shape: Vec<usize>, work: u64) -> Result<ValueId> {
    let output = call.output(0);
    let inputs = operands.iter().copied().map(Some).collect();
    call.builder.emit(&call.name, &output, crate::network::import::builder::Resolved { op, inputs, element, shape, work })
}

/// QLinearConv.
pub(super) fn conv(call: &mut Call<'_>) -> Result<ValueId> {
    let x = triple(call, 0, 1)?;
    let slices = call.shape(call.input(3)?).first().copied().unwrap_or(0);
    let w = triple(call, 3, slices)?;
    let (y, element) = result(call, 6)?;
    let geometry = convolution::geometry(call, x[0], w[0])?;
    let mut operands = [&x[..], &w[..], &y[..]].concat();
    if let Some(bias) = call.optional(8) {
        call.expect_element(bias, &[Element::I32])?;
        if call.shape(bias) != [geometry.shape[1]] {
            return Err(call.error(format!("bias has shape {:?}, expected [{}]", call.shape(bias), geometry.shape[1])));
        }
        operands.push(bias);
    }
    let op = Op::QLinearConv { window: geometry.window, groups: geometry.groups };
    emit(call, op, &operands, element, geometry.shape, geometry.work)
}

/// QLinearMatMul.
pub(super) fn matmul(call: &mut Call<'_>) -> Result<ValueId> {
    let a = triple(call, 0, 1)?;
    let columns = call.shape(call.input(3)?).last().copied().unwrap_or(0);
    let b = triple(call, 3, columns)?;
    let (y, element) = result(call, 6)?;
    let (shape, work) = product::product(call, a[0], b[0])?;
    emit(call, Op::QLinearMatMul, &[&a[..], &b[..], &y[..]].concat(), element, shape, work)
}

/// Adds `real = scale (q - zero_point)` of operand `index` as a step.
fn dequantized(call: &mut Call<'_>, step: &str, index: usize) -> Result<ValueId> {
    let operands = triple(call, index, 1)?;
    let shape = call.shape(operands[0]).to_vec();
    call.intermediate(step, Op::DequantizeLinear { axis: 0 }, &operands, Element::F32, shape)
}

/// Adds the result's quantization behind `real`.
fn quantized(call: &mut Call<'_>, real: ValueId, index: usize) -> Result<ValueId> {
    let ([scale, zero_point], element) = result(call, index)?;
    let shape = call.shape(real).to_vec();
    emit(call, Op::QuantizeLinear { axis: 0 }, &[real, scale, zero_point], element, shape, 0)
}

/// QLinearAdd, QLinearMul.
pub(super) fn binary(call: &mut Call<'_>) -> Result<ValueId> {
    let op = if call.node.op_type == "QLinearAdd" { Binary::Add } else { Binary::Mul };
    let (a, b) = (dequantized(call, "a", 0)?, dequantized(call, "b", 3)?);
    let shape = elementwise::joint_shape(call, a, b)?;
    let real = call.intermediate("real", Op::Binary(op), &[a, b], Element::F32, shape)?;
    quantized(call, real, 6)
}

/// QLinearLeakyRelu, QLinearSigmoid.
pub(super) fn unary(call: &mut Call<'_>) -> Result<ValueId> {
    let slope = call.float("alpha", 0.01)?;
    let activation = if call.node.op_type == "QLinearSigmoid" { Activation::Sigmoid } else { Activation::LeakyRelu { slope } };
    if !slope.is_finite() {
        return Err(call.error(format!("attribute \"alpha\" is {slope}, expected a finite number")));
    }
    let x = dequantized(call, "x", 0)?;
    let shape = call.shape(x).to_vec();
    let real = call.intermediate("real", Op::Unary(Unary::Activation(activation)), &[x], Element::F32, shape)?;
    quantized(call, real, 3)
}

/// QLinearSoftmax.
pub(super) fn softmax(call: &mut Call<'_>) -> Result<ValueId> {
    let x = dequantized(call, "x", 0)?;
    let shape = call.shape(x).to_vec();
    let axis = call.axis(call.int("axis", -1)?, shape.len())?;
    if axis + 1 != shape.len() {
        return Err(call.unsupported("an axis other than the last"));
    }
    let real = call.intermediate("real", Op::Softmax { axis }, &[x], Element::F32, shape)?;
    quantized(call, real, 3)
}

fn channels_first(call: &Call<'_>, id: ValueId) -> Result<()> {
    if call.flag("channels_last", false)? || call.shape(id).len() != 4 {
        return Err(call.unsupported(format_args!("channels_last, or an input of shape {:?}", call.shape(id))));
    }
    Ok(())
}

/// QLinearAveragePool.
pub(super) fn average_pool(call: &mut Call<'_>) -> Result<ValueId> {
    let x = dequantized(call, "x", 0)?;
    channels_first(call, x)?;
    let op = pool::average_op(call, x)?;
    let Op::AveragePool { window, .. } = op else { return Err(call.error("is not an average pool")) };
    let shape = pool::pooled(call.shape(x), window);
    let real = call.intermediate("real", op, &[x], Element::F32, shape)?;
    quantized(call, real, 3)
}

/// QLinearGlobalAveragePool.
pub(super) fn global_average_pool(call: &mut Call<'_>) -> Result<ValueId> {
    let x = dequantized(call, "x", 0)?;
    channels_first(call, x)?;
    let shape = vec![call.shape(x)[0], call.shape(x)[1], 1, 1];
    let op = Op::Reduce { kind: Reduce::Mean, axes: vec![2, 3], keep_dims: true };
    let real = call.intermediate("real", op, &[x], Element::F32, shape)?;
    quantized(call, real, 3)
}

/// QLinearConcat: `y_scale, y_zp, (x, scale, zp)...`.
pub(super) fn concat(call: &mut Call<'_>) -> Result<ValueId> {
    let parts = call.inputs.len().saturating_sub(2) / 3;
    if parts == 0 || call.inputs.len() != 2 + 3 * parts {
        return Err(call.error(format!("has {} operands, expected two and three for each part", call.inputs.len())));
    }
    let mut operands = Vec::with_capacity(parts);
    for part in 0..parts {
        operands.push(dequantized(call, &format!("part{part}"), 2 + 3 * part)?);
    }
    let (axis, shape) = super::select::joined(call, &operands)?;
    let real = call.intermediate("real", Op::Concat { axis }, &operands, Element::F32, shape)?;
    quantized(call, real, 0)
}
