//! QuantizeLinear and DequantizeLinear: kept as they are, their parameters checked.

use fathom_core::tensor::{Element, Elements};

use crate::Result;
use crate::network::graph::{Op, ValueId};
use crate::network::import::call::Call;

/// QuantizeLinear to u8 or i8.
pub(super) fn quantize(call: &mut Call<'_>) -> Result<ValueId> {
    let (x, scale) = (call.float_input(0)?, call.float_input(1)?);
    let mut operands = vec![x, scale];
    let mut element = Element::U8;
    if let Some(zero_point) = call.optional(2) {
        call.expect_element(zero_point, &[Element::U8, Element::I8])?;
        element = call.element(zero_point);
        operands.push(zero_point);
    }
    let axis = parameters(call, x, scale, call.optional(2))?;
    let (shape, output) = (call.shape(x).to_vec(), call.output(0));
    let inputs = operands.into_iter().map(Some).collect();
    let resolved = crate::network::import::builder::Resolved { op: Op::QuantizeLinear { axis }, inputs, element, shape, work: 0 };
    call.builder.emit(&call.name, &output, resolved)
}

/// DequantizeLinear of u8, i8, or i32 (biases).
pub(super) fn dequantize(call: &mut Call<'_>) -> Result<ValueId> {
    let (x, scale) = (call.input(0)?, call.float_input(1)?);
    call.expect_element(x, &[Element::U8, Element::I8, Element::I32])?;
    let mut operands = vec![x, scale];
    if let Some(zero_point) = call.optional(2) {
        call.expect_element(zero_point, &[call.element(x)])?;
        operands.push(zero_point);
    }
    let axis = parameters(call, x, scale, call.optional(2))?;
    let (shape, output) = (call.shape(x).to_vec(), call.output(0));
    let inputs = operands.into_iter().map(Some).collect();
    let resolved =
        crate::network::import::builder::Resolved { op: Op::DequantizeLinear { axis }, inputs, element: Element::F32, shape, work: 0 };
    call.builder.emit(&call.name, &output, resolved)
}

/// Checks scale and zero point; gives the axis of a per-axis scale.
fn parameters(call: &Call<'_>, x: ValueId, scale: ValueId, zero_point: Option<ValueId>) -> Result<usize> {
    if call.int("block_size", 0)? != 0 {
        return Err(call.unsupported("blocked quantization"));
    }
    let steps = scales(call, scale)?;
    let rank = call.shape(x).len();
    let axis =
        if steps == 1 { call.int("axis", 1).map(|a| call.axis(a, rank).unwrap_or(0))? } else { call.axis(call.int("axis", 1)?, rank)? };
    if steps != 1 && call.shape(x)[axis] != steps {
        return Err(call.error(format!(
            "has {steps} scales for {} slices along axis {axis} of {:?}",
            call.shape(x)[axis],
            call.value_name(x)
        )));
    }
    if let Some(id) = zero_point {
        zero_points(call, id, steps)?;
    }
    Ok(axis)
}

/// Checks that all scales are constant, finite and above zero; gives their number.
pub(super) fn scales(call: &Call<'_>, id: ValueId) -> Result<usize> {
    let values = call.floats(id)?;
    if call.shape(id).len() > 1 || values.is_empty() {
        return Err(call.error(format!("scale {:?} has shape {:?}, expected one number or one axis", call.value_name(id), call.shape(id))));
    }
    match values.iter().position(|scale| !(scale.is_finite() && *scale > 0.0)) {
        Some(bad) => {
            Err(call.error(format!("scale {:?}[{bad}] is {}, expected a finite number above 0", call.value_name(id), values[bad])))
        }
        None => Ok(values.len()),
    }
}

/// Checks that zero points are constant and as many as the scales; those of i32 must be 0.
pub(super) fn zero_points(call: &Call<'_>, id: ValueId, steps: usize) -> Result<()> {
    let tensor = call.constant(id)?;
    if tensor.len() != steps || tensor.shape().len() > 1 {
        let message =
            format!("zero point {:?} has shape {:?}, expected as many as the scales ({steps})", call.value_name(id), tensor.shape());
        return Err(call.error(message));
    }
    match tensor.elements() {
        Elements::I32(values) if values.iter().any(|v| *v != 0) => {
            Err(call.unsupported(format_args!("zero point {:?} of an i32 value, which is not 0", call.value_name(id))))
        }
        _ => Ok(()),
    }
}
