//! Constants, and the shape arithmetic that is supported on constants only.

use fathom_core::tensor::{Element, Elements, Tensor};

use crate::Result;
use crate::network::graph::ValueId;
use crate::network::import::call::Call;
use crate::network::import::onnx::data_type;
use crate::network::import::{decode, fold};

/// Constant: a tensor, a number or numbers in attributes.
pub(super) fn constant(call: &mut Call<'_>) -> Result<ValueId> {
    let attributes = call.attributes;
    let tensor = if let Some(proto) = call.attribute(attributes.tensor("value"))? {
        let mut proto = proto.clone();
        proto.name = call.output(0);
        decode::tensor(proto, None)?
    } else if let Some(value) = call.attribute(attributes.float("value_float"))? {
        Tensor::f32(vec![], vec![value])?
    } else if let Some(values) = call.attribute(attributes.floats("value_floats"))? {
        Tensor::f32(vec![values.len()], values.to_vec())?
    } else if let Some(value) = call.attribute(attributes.int("value_int"))? {
        Tensor::new(vec![], Elements::I64(vec![value]))?
    } else if let Some(values) = call.attribute(attributes.ints("value_ints"))? {
        Tensor::new(vec![values.len()], Elements::I64(values.to_vec()))?
    } else {
        return Err(call.unsupported("a constant without a tensor, a number or numbers"));
    };
    let output = call.output(0);
    call.builder.constant(&output, tensor)
}

/// ConstantOfShape: one value (0 unless given) repeated.
pub(super) fn constant_of_shape(call: &mut Call<'_>) -> Result<ValueId> {
    let extents = call.integers(call.input(0)?)?;
    let shape: Option<Vec<usize>> = extents.iter().map(|&e| usize::try_from(e).ok()).collect();
    let shape = shape.ok_or_else(|| call.error(format!("shape {extents:?} has a negative extent")))?;
    let value = match call.attribute(call.attributes.tensor("value"))? {
        Some(proto) => decode::tensor(proto.clone(), None)?,
        None => Tensor::f32(vec![1], vec![0.0])?,
    };
    if value.len() != 1 {
        return Err(call.error(format!("its value has {} elements, expected 1", value.len())));
    }
    call.fold(value.element(), &shape, |_| fold::index::repeated(&value, &shape))
}

/// Shape: known, whatever the value.
pub(super) fn shape(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let extents: Vec<i64> = call.shape(x).iter().map(|&e| e as i64).collect();
    let rank = extents.len() as i64;
    let bound = |value: i64| if value < 0 { value.saturating_add(rank) } else { value }.clamp(0, rank) as usize;
    let (start, end) = (bound(call.int("start", 0)?), bound(call.int("end", rank)?));
    let part = extents.get(start..end).unwrap_or_default().to_vec();
    call.fold(Element::I64, &[part.len()], |_| Ok(Tensor::new(vec![part.len()], Elements::I64(part))?))
}

/// Cast: of constants to any type; of the rest from float to float only, where it does nothing.
pub(super) fn cast(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let code = call.int("to", 0)?;
    let to = match i32::try_from(code).unwrap_or(0) {
        data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 | data_type::DOUBLE => Element::F32,
        data_type::INT64 => Element::I64,
        data_type::INT32 => Element::I32,
        data_type::UINT8 => Element::U8,
        data_type::INT8 => Element::I8,
        data_type::BOOL => Element::Bool,
        other => return Err(call.unsupported(format_args!("cast to {}", data_type::name(other)))),
    };
    if call.element(x) == to {
        return call.pass(x);
    }
    if call.builder.constant_of(x).is_none() {
        return Err(call.unsupported(format_args!(
            "cast of {} to {} of a value that depends on the image",
            call.element(x).name(),
            to.name()
        )));
    }
    let shape = call.shape(x).to_vec();
    call.fold(to, &shape, |b| fold::number::cast(fold::known(b, x)?, to))
}

/// Equal, Less, Greater, And, Or of constants.
pub(super) fn compare(call: &mut Call<'_>) -> Result<ValueId> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    call.constant(a)?;
    call.constant(b)?;
    call.expect_element(b, &[call.element(a)])?;
    let shape = super::elementwise::joint_shape(call, a, b)?;
    let operator = call.node.op_type.as_str();
    call.fold(Element::Bool, &shape, |known| fold::number::compare(operator, fold::known(known, a)?, fold::known(known, b)?, &shape))
}

/// Not, of a constant.
pub(super) fn not(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    call.expect_element(x, &[Element::Bool])?;
    call.constant(x)?;
    let shape = call.shape(x).to_vec();
    call.fold(Element::Bool, &shape, |b| fold::number::not(fold::known(b, x)?))
}

/// Where, of constants.
pub(super) fn select(call: &mut Call<'_>) -> Result<ValueId> {
    let [condition, a, b] = [call.input(0)?, call.input(1)?, call.input(2)?];
    for id in [condition, a, b] {
        call.constant(id)?;
    }
    call.expect_element(condition, &[Element::Bool])?;
    call.expect_element(b, &[call.element(a)])?;
    let joint = super::elementwise::joint_shape(call, a, b)?;
    let shape = fold::broadcast(&joint, call.shape(condition));
    let shape = shape.ok_or_else(|| call.error(format!("condition {:?} does not broadcast to {joint:?}", call.shape(condition))))?;
    let element = call.element(a);
    call.fold(element, &shape, |known| fold::index::select([condition, a, b].map(|id| fold::known(known, id)), &shape))
}

/// Range of constants.
pub(super) fn range(call: &mut Call<'_>) -> Result<ValueId> {
    let ids = [call.input(0)?, call.input(1)?, call.input(2)?];
    let element = call.element(ids[0]);
    for id in ids {
        call.expect_element(id, &[element])?;
        if call.constant(id)?.len() != 1 {
            return Err(call.error(format!("operand {:?} has shape {:?}, expected one number", call.value_name(id), call.shape(id))));
        }
    }
    let plan = if element == Element::F32 {
        let [start, limit, delta] = [call.scalar(ids[0])?, call.scalar(ids[1])?, call.scalar(ids[2])?].map(f64::from);
        fold::number::Range { start, delta, length: ((limit - start) / delta).ceil().max(0.0) }
    } else {
        let number = |id| call.integers(id).map(|v| v[0]);
        let [start, limit, delta] = [number(ids[0])?, number(ids[1])?, number(ids[2])?];
        let bound = 1_i64 << 52;
        if [start, limit, delta].iter().any(|v| !(-bound..=bound).contains(v)) {
            return Err(call.error(format!("{start}..{limit} by {delta} is beyond 2^52")));
        }
        let [start, limit, delta] = [start as f64, limit as f64, delta as f64];
        fold::number::Range { start, delta, length: ((limit - start) / delta).ceil().max(0.0) }
    };
    if !(plan.length.is_finite() && plan.length < 1e15 && plan.delta != 0.0) {
        return Err(call.error("is endless"));
    }
    call.fold(element, &[plan.length as usize], |_| plan.values(element))
}

/// CumSum along one axis of a constant.
pub(super) fn cumulative_sum(call: &mut Call<'_>) -> Result<ValueId> {
    let (x, axis) = (call.input(0)?, call.input(1)?);
    let shape = call.constant(x)?.shape().to_vec();
    let [axis] = call.integers(axis)?[..] else { return Err(call.error("its axis is not one number")) };
    let axis = call.axis(axis, shape.len())?;
    let order = fold::number::CumulativeOrder { axis, exclusive: call.flag("exclusive", false)?, reverse: call.flag("reverse", false)? };
    let element = call.element(x);
    call.expect_element(x, &[Element::F32, Element::I64, Element::I32])?;
    call.fold(element, &shape, |b| fold::number::cumulative_sum(fold::known(b, x)?, order))
}

/// Sin, Cos of a constant.
pub(super) fn trigonometry(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.float_input(0)?;
    call.constant(x)?;
    let function: fn(f32) -> f32 = if call.node.op_type == "Sin" { f32::sin } else { f32::cos };
    let shape = call.shape(x).to_vec();
    call.fold(Element::F32, &shape, |b| {
        Ok(Tensor::f32(shape.clone(), fold::known(b, x)?.as_f32()?.iter().map(|&v| function(v)).collect())?)
    })
}
