//! Functions of one or two operands, element by element.

use fathom_core::ops::nn::Activation;
use fathom_core::tensor::Element;

use crate::Result;
use crate::network::graph::{Binary, Op, Unary, ValueId};
use crate::network::import::call::Call;
use crate::network::import::fold::broadcast;

/// Relu, Sigmoid, Abs and the like.
pub(super) fn unary(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    numeric(call, x)?;
    let op = function(call)?;
    let shape = call.shape(x).to_vec();
    call.emit(Op::Unary(op), &[x], shape)
}

fn function(call: &Call<'_>) -> Result<Unary> {
    let number = |name, default| {
        let value = call.float(name, default)?;
        if value.is_finite() { Ok(value) } else { Err(call.error(format!("attribute {name:?} is {value}, expected a finite number"))) }
    };
    let activation = match call.node.op_type.as_str() {
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu { slope: number("alpha", 0.01)? },
        "Elu" => Activation::Elu { alpha: number("alpha", 1.0)? },
        "Sigmoid" => Activation::Sigmoid,
        "HardSwish" => Activation::HardSwish,
        "HardSigmoid" => Activation::HardSigmoid { alpha: number("alpha", 0.2)?, beta: number("beta", 0.5)? },
        "Gelu" if call.text("approximate", "none")? == "none" => Activation::Gelu,
        "Gelu" => return Err(call.unsupported("approximate Gelu")),
        "Tanh" => Activation::Tanh,
        "Erf" => Activation::Erf,
        "Sqrt" => Activation::Sqrt,
        "Exp" => Activation::Exp,
        "Neg" => return Ok(Unary::Neg),
        "Abs" => return Ok(Unary::Abs),
        "Reciprocal" => return Ok(Unary::Reciprocal),
        "Log" => return Ok(Unary::Log),
        "Ceil" => return Ok(Unary::Ceil),
        "Floor" => return Ok(Unary::Floor),
        "Round" => return Ok(Unary::Round),
        "Softplus" => return Ok(Unary::Softplus),
        _ => return Err(call.unsupported("no such function")),
    };
    Ok(Unary::Activation(activation))
}

/// Floats, or integers of constants.
fn numeric(call: &Call<'_>, id: ValueId) -> Result<()> {
    let constant = call.builder.constant_of(id).is_some();
    call.expect_element(id, if constant { &[Element::F32, Element::I64, Element::I32] } else { &[Element::F32] })
}

/// Clip: bounds are attributes before opset 11, operands since; either may be absent.
pub(super) fn clip(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    if call.element(x) == Element::I64 {
        return clip_integers(call, x);
    }
    call.expect_element(x, &[Element::F32])?;
    let bound = |attribute, index, open: f32| match call.optional(index) {
        Some(id) => call.scalar(id),
        None => call.float(attribute, open),
    };
    let low = bound("min", 1, f32::NEG_INFINITY)?.max(f32::MIN);
    let high = bound("max", 2, f32::INFINITY)?.min(f32::MAX);
    if low > high {
        return Err(call.error(format!("lower bound {low} is above upper bound {high}")));
    }
    let shape = call.shape(x).to_vec();
    call.emit(Op::Unary(Unary::Activation(Activation::Clip { low, high })), &[x], shape)
}

/// Clip of extents: a Max and a Min of constants.
fn clip_integers(call: &mut Call<'_>, x: ValueId) -> Result<ValueId> {
    let mut id = x;
    let shape = call.shape(x).to_vec();
    for (index, step, op) in [(1, "low", Binary::Max), (2, "high", Binary::Min)] {
        if let Some(bound) = call.optional(index) {
            call.expect_element(bound, &[Element::I64])?;
            call.constant(bound)?;
            if call.shape(bound).iter().product::<usize>() != 1 {
                return Err(call.error(format!(
                    "its bound {:?} has shape {:?}, expected one element",
                    call.value_name(bound),
                    call.shape(bound)
                )));
            }
            id = call.intermediate(step, Op::Binary(op), &[id, bound], Element::I64, shape.clone())?;
        }
    }
    call.pass(id)
}

fn binary_op(name: &str) -> Option<Binary> {
    Some(match name {
        "Add" | "Sum" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        "Pow" => Binary::Pow,
        "PRelu" => Binary::PRelu,
        _ => return None,
    })
}

/// Shape of two operands broadcast.
pub(super) fn joint_shape(call: &Call<'_>, a: ValueId, b: ValueId) -> Result<Vec<usize>> {
    let (left, right) = (call.shape(a), call.shape(b));
    broadcast(left, right).ok_or_else(|| call.error(format!("operands {left:?} and {right:?} do not broadcast")))
}

/// Add, Sub, Mul, Div, Pow.
pub(super) fn binary(call: &mut Call<'_>) -> Result<ValueId> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    numeric(call, a)?;
    // Pow alone may mix types: an integer exponent of floats.
    let b = if call.element(a) == Element::F32 && call.node.op_type == "Pow" { as_float(call, b)? } else { b };
    call.expect_element(b, &[call.element(a)])?;
    let op = binary_op(&call.node.op_type).ok_or_else(|| call.unsupported("no such function"))?;
    let shape = joint_shape(call, a, b)?;
    call.emit(Op::Binary(op), &[a, b], shape)
}

fn as_float(call: &mut Call<'_>, id: ValueId) -> Result<ValueId> {
    if call.element(id) == Element::F32 {
        return Ok(id);
    }
    let values: Vec<f32> = call.integers(id)?.iter().map(|&v| v as f32).collect();
    let tensor = fathom_core::tensor::Tensor::f32(call.shape(id).to_vec(), values)?;
    call.bring("as_float", tensor)
}

/// PRelu: the slope broadcasts to the input.
pub(super) fn prelu(call: &mut Call<'_>) -> Result<ValueId> {
    let (x, slope) = (call.float_input(0)?, call.float_input(1)?);
    let shape = joint_shape(call, x, slope)?;
    if shape != call.shape(x) {
        return Err(call.error(format!("slope {:?} does not broadcast to {:?}", call.shape(slope), call.shape(x))));
    }
    call.emit(Op::Binary(Binary::PRelu), &[x, slope], shape)
}

/// Max, Min and Sum of any number of operands, as a chain of two-operand steps.
pub(super) fn variadic(call: &mut Call<'_>) -> Result<ValueId> {
    let op = Op::Binary(binary_op(&call.node.op_type).ok_or_else(|| call.unsupported("no such function"))?);
    let operands = (0..call.inputs.len()).map(|index| call.input(index)).collect::<Result<Vec<_>>>()?;
    let Some((&first, rest)) = operands.split_first() else { return Err(call.error("has no operands")) };
    numeric(call, first)?;
    let Some((&last, middle)) = rest.split_last() else { return call.pass(first) };
    let element = call.element(first);
    let mut sum = first;
    for (index, &operand) in middle.iter().enumerate() {
        call.expect_element(operand, &[element])?;
        let shape = joint_shape(call, sum, operand)?;
        sum = call.intermediate(&index.to_string(), op.clone(), &[sum, operand], element, shape)?;
    }
    call.expect_element(last, &[element])?;
    let shape = joint_shape(call, sum, last)?;
    call.emit(op, &[sum, last], shape)
}
