//! Softmax, LayerNormalization, BatchNormalization.

use fathom_core::tensor::{Element, Tensor};

use crate::Result;
use crate::network::graph::{Binary, Op, ValueId};
use crate::network::import::call::Call;

/// Softmax. Before opset 13 it runs over all axes from `axis` on, which is a Reshape around the later form.
pub(super) fn softmax(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.float_input(0)?;
    let shape = call.shape(x).to_vec();
    let flat = call.opset < 13;
    let axis = call.axis(call.int("axis", if flat { 1 } else { -1 })?, shape.len())?;
    if !flat || shape[axis + 1..].iter().all(|&extent| extent == 1) {
        return call.emit(Op::Softmax { axis }, &[x], shape);
    }
    let two = vec![shape[..axis].iter().product(), shape[axis..].iter().product()];
    let joined = call.intermediate("joined", Op::Reshape, &[x], Element::F32, two.clone())?;
    let soft = call.intermediate("soft", Op::Softmax { axis: 1 }, &[joined], Element::F32, two)?;
    call.emit(Op::Reshape, &[soft], shape)
}

/// LayerNormalization over the last axis.
pub(super) fn layer(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.float_input(0)?;
    let shape = call.shape(x).to_vec();
    let axis = call.axis(call.int("axis", -1)?, shape.len())?;
    if axis + 1 != shape.len() {
        return Err(call.unsupported(format_args!("normalization from axis {axis} of {shape:?}, only the last is")));
    }
    let epsilon = call.float("epsilon", 1e-5)?;
    if !(epsilon.is_finite() && epsilon > 0.0) {
        return Err(call.error(format!("epsilon is {epsilon}, expected a finite number above 0")));
    }
    let mut operands = vec![x, call.float_input(1)?];
    if call.optional(2).is_some() {
        operands.push(call.float_input(2)?);
    }
    for &id in &operands[1..] {
        if call.shape(id) != [shape[axis]] {
            return Err(call.error(format!(
                "operand {:?} has shape {:?}, expected [{}]",
                call.value_name(id),
                call.shape(id),
                shape[axis]
            )));
        }
    }
    call.emit(Op::LayerNormalization { epsilon }, &operands, shape)
}

/// BatchNormalization with constant statistics: `x scale / sqrt(var + epsilon) + (bias - mean ...)`, a Mul and an Add.
pub(super) fn batch(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.float_input(0)?;
    let shape = call.shape(x).to_vec();
    if call.flag("training_mode", false)? || shape.len() < 2 {
        return Err(call.unsupported(format_args!("training, or an input of shape {shape:?}")));
    }
    let epsilon = call.float("epsilon", 1e-5)?;
    let channels = shape[1];
    let column = |index: usize| {
        let id = call.float_input(index)?;
        let values = call.floats(id)?;
        if call.shape(id) == [channels] {
            return Ok(values);
        }
        Err(call.error(format!("operand {:?} has shape {:?}, expected [{channels}]", call.value_name(id), call.shape(id))))
    };
    let (scale, bias, mean, variance) = (column(1)?, column(2)?, column(3)?, column(4)?);
    let factor: Vec<f32> = scale.iter().zip(variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
    let offset: Vec<f32> = bias.iter().zip(mean).zip(&factor).map(|((b, m), f)| b - m * f).collect();
    let mut column_shape = vec![1; shape.len()];
    column_shape[1] = channels;
    let factor = call.bring("factor", Tensor::f32(column_shape.clone(), factor)?)?;
    let offset = call.bring("offset", Tensor::f32(column_shape, offset)?)?;
    let scaled = call.intermediate("scaled", Op::Binary(Binary::Mul), &[x, factor], Element::F32, shape.clone())?;
    call.emit(Op::Binary(Binary::Add), &[scaled, offset], shape)
}
