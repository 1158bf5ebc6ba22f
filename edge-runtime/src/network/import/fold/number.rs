//! Folds that compute: arithmetic, comparison, casts, ranges, sums. Integers saturate instead of wrapping; a division of
//! integers by zero gives 0, as nothing sensible depends on it.

use fathom_core::ops::nn::Activation;
use fathom_core::quant::QuantParams;
use fathom_core::tensor::{Element, Elements, Tensor};

use super::index::{Walk, broadcast_strides, strides};
use crate::network::graph::{Binary, Unary};
use crate::{Error, Result};

fn wrong_type(what: &'static str, got: Element) -> Error {
    fathom_core::Error::ElementType { what, got: got.name(), expected: "f32, i32 or i64" }.into()
}

pub(super) fn unary(function: Unary, x: &Tensor) -> Result<Tensor> {
    let elements = match x.elements() {
        Elements::F32(values) => Elements::F32(values.iter().map(|&v| function.apply(v)).collect()),
        Elements::I64(values) => Elements::I64(
            values
                .iter()
                .map(|&v| unary_i64(function, v))
                .collect::<Option<_>>()
                .ok_or_else(|| wrong_type("function of integers", Element::I64))?,
        ),
        other => return Err(wrong_type("function", other.element())),
    };
    Ok(Tensor::new(x.shape().to_vec(), elements)?)
}

fn unary_i64(function: Unary, x: i64) -> Option<i64> {
    match function {
        Unary::Neg => Some(x.saturating_neg()),
        Unary::Abs => Some(x.saturating_abs()),
        Unary::Identity | Unary::Ceil | Unary::Floor | Unary::Round => Some(x),
        Unary::Activation(Activation::Relu) => Some(x.max(0)),
        _ => None,
    }
}

/// Pairs of positions in two operands for each position of their joint shape.
fn pairs(a: &Tensor, b: &Tensor, shape: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    Walk::new(0, broadcast_strides(a.shape(), shape), shape).zip(Walk::new(0, broadcast_strides(b.shape(), shape), shape))
}

pub(super) fn binary(function: Binary, a: &Tensor, b: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let indices = pairs(a, b, shape);
    let elements = match (a.elements(), b.elements()) {
        (Elements::F32(x), Elements::F32(y)) => Elements::F32(indices.map(|(i, j)| function.apply(x[i], y[j])).collect()),
        (Elements::I64(x), Elements::I64(y)) => Elements::I64(indices.map(|(i, j)| binary_i64(function, x[i], y[j])).collect()),
        (Elements::I32(x), Elements::I32(y)) => {
            let narrow = |v: i64| v.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            Elements::I32(indices.map(|(i, j)| narrow(binary_i64(function, x[i].into(), y[j].into()))).collect())
        }
        (_, other) => return Err(wrong_type("arithmetic", other.element())),
    };
    Ok(Tensor::new(shape.to_vec(), elements)?)
}

fn binary_i64(function: Binary, a: i64, b: i64) -> i64 {
    match function {
        Binary::Add => a.saturating_add(b),
        Binary::Sub => a.saturating_sub(b),
        Binary::Mul => a.saturating_mul(b),
        Binary::Div => a.checked_div(b).unwrap_or(0),
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Pow => a.saturating_pow(b.clamp(0, 64) as u32),
        Binary::PRelu => {
            if a > 0 {
                a
            } else {
                a.saturating_mul(b)
            }
        }
    }
}

/// Equal, Less, Greater of numbers; Equal, And, Or of truth values.
pub(in super::super) fn compare(operator: &str, a: &Tensor, b: &Tensor, shape: &[usize]) -> Result<Tensor> {
    fn by<T: PartialOrd>(operator: &str, a: &T, b: &T) -> bool {
        match operator {
            "Less" => a < b,
            "Greater" => a > b,
            _ => a == b,
        }
    }
    let indices = pairs(a, b, shape);
    let holds: Vec<bool> = match (a.elements(), b.elements()) {
        (Elements::F32(x), Elements::F32(y)) => indices.map(|(i, j)| by(operator, &x[i], &y[j])).collect(),
        (Elements::I64(x), Elements::I64(y)) => indices.map(|(i, j)| by(operator, &x[i], &y[j])).collect(),
        (Elements::I32(x), Elements::I32(y)) => indices.map(|(i, j)| by(operator, &x[i], &y[j])).collect(),
        (Elements::Bool(x), Elements::Bool(y)) => indices
            .map(|(i, j)| match operator {
                "And" => x[i] && y[j],
                "Or" => x[i] || y[j],
                _ => x[i] == y[j],
            })
            .collect(),
        (_, other) => return Err(wrong_type("comparison", other.element())),
    };
    Ok(Tensor::new(shape.to_vec(), Elements::Bool(holds))?)
}

pub(in super::super) fn not(x: &Tensor) -> Result<Tensor> {
    let Elements::Bool(values) = x.elements() else { return Err(wrong_type("negation", x.element())) };
    Ok(Tensor::new(x.shape().to_vec(), Elements::Bool(values.iter().map(|v| !v).collect()))?)
}

/// Casts as ONNX does: floats towards zero, saturating; anything but 0 is true.
pub(in super::super) fn cast(x: &Tensor, to: Element) -> Result<Tensor> {
    fn all<T>(x: &Elements, from_float: impl Fn(f32) -> T, from_integer: impl Fn(i64) -> T) -> Vec<T> {
        match x {
            Elements::F32(v) => v.iter().map(|&v| from_float(v)).collect(),
            Elements::I8(v) => v.iter().map(|&v| from_integer(v.into())).collect(),
            Elements::U8(v) => v.iter().map(|&v| from_integer(v.into())).collect(),
            Elements::I32(v) => v.iter().map(|&v| from_integer(v.into())).collect(),
            Elements::I64(v) => v.iter().map(|&v| from_integer(v)).collect(),
            Elements::Bool(v) => v.iter().map(|&v| from_integer(v.into())).collect(),
        }
    }
    let x_elements = x.elements();
    let elements = match to {
        Element::F32 => Elements::F32(all(x_elements, |v| v, |v| v as f32)),
        Element::I8 => Elements::I8(all(x_elements, |v| v as i8, |v| v as i8)),
        Element::U8 => Elements::U8(all(x_elements, |v| v as u8, |v| v as u8)),
        Element::I32 => Elements::I32(all(x_elements, |v| v as i32, |v| v as i32)),
        Element::I64 => Elements::I64(all(x_elements, |v| v as i64, |v| v)),
        Element::Bool => Elements::Bool(all(x_elements, |v| v != 0.0, |v| v != 0)),
    };
    Ok(Tensor::new(x.shape().to_vec(), elements)?)
}

/// `start + i delta`.
#[derive(Clone, Copy)]
pub(in super::super) struct Range {
    pub(in super::super) start: f64,
    pub(in super::super) delta: f64,
    pub(in super::super) length: f64,
}

impl Range {
    pub(in super::super) fn values(self, element: Element) -> Result<Tensor> {
        let length = self.length as usize;
        let values = (0..length).map(|i| self.start + i as f64 * self.delta);
        let elements = match element {
            Element::F32 => Elements::F32(values.map(|v| v as f32).collect()),
            Element::I32 => Elements::I32(values.map(|v| v as i32).collect()),
            Element::I64 => Elements::I64(values.map(|v| v as i64).collect()),
            other => return Err(wrong_type("range", other)),
        };
        Ok(Tensor::new(vec![length], elements)?)
    }
}

/// How a running sum goes.
#[derive(Clone, Copy)]
pub(in super::super) struct CumulativeOrder {
    pub(in super::super) axis: usize,
    pub(in super::super) exclusive: bool,
    pub(in super::super) reverse: bool,
}

pub(in super::super) fn cumulative_sum(x: &Tensor, order: CumulativeOrder) -> Result<Tensor> {
    fn sums<T: Copy>(values: &[T], zero: T, shape: &[usize], order: CumulativeOrder, add: impl Fn(T, T) -> T) -> Vec<T> {
        let extent = shape[order.axis];
        let stride = strides(shape)[order.axis] as usize;
        let mut sums = values.to_vec();
        for start in (0..values.len()).filter(|i| (i / stride).is_multiple_of(extent)) {
            let mut sum = zero;
            for step in 0..extent {
                let position = start + stride * if order.reverse { extent - 1 - step } else { step };
                let next = add(sum, values[position]);
                sums[position] = if order.exclusive { sum } else { next };
                sum = next;
            }
        }
        sums
    }
    if x.is_empty() {
        return Ok(x.clone());
    }
    let elements = match x.elements() {
        Elements::F32(v) => Elements::F32(sums(v, 0.0, x.shape(), order, |a, b| a + b)),
        Elements::I32(v) => Elements::I32(sums(v, 0, x.shape(), order, i32::saturating_add)),
        Elements::I64(v) => Elements::I64(sums(v, 0, x.shape(), order, i64::saturating_add)),
        other => return Err(wrong_type("running sum", other.element())),
    };
    Ok(Tensor::new(x.shape().to_vec(), elements)?)
}

/// Quantizes a constant: exporters for TensorRT keep weights as floats before a QuantizeLinear.
pub(super) fn quantize(x: &Tensor, scale: &Tensor, zero_point: Option<&Tensor>, axis: usize, element: Element) -> Result<Tensor> {
    let (values, scales) = (x.as_f32()?, scale.as_f32()?);
    let zero_points: Vec<i32> = match zero_point.map(Tensor::elements) {
        Some(Elements::U8(v)) => v.iter().map(|&v| v.into()).collect(),
        Some(Elements::I8(v)) => v.iter().map(|&v| v.into()).collect(),
        _ => vec![0; scales.len()],
    };
    let params =
        scales.iter().zip(zero_points).map(|(&s, z)| QuantParams::new(s, z, element == Element::I8)).collect::<Result<Vec<_>, _>>()?;
    let (stride, extent) = if scales.len() == 1 { (values.len().max(1), 1) } else { (strides(x.shape())[axis] as usize, x.shape()[axis]) };
    let bytes = values.iter().enumerate().map(|(i, &v)| params[i / stride % extent].quantize(v));
    let elements = if element == Element::I8 {
        Elements::I8(bytes.map(|q| q as i8).collect())
    } else {
        Elements::U8(bytes.map(|q| q as u8).collect())
    };
    Ok(Tensor::new(x.shape().to_vec(), elements)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_saturate_and_never_divide_by_zero() {
        assert_eq!(binary_i64(Binary::Mul, i64::MAX, 2), i64::MAX);
        assert_eq!(binary_i64(Binary::Div, i64::MIN, -1), 0);
        assert_eq!(binary_i64(Binary::Div, 7, 0), 0);
        assert_eq!(binary_i64(Binary::Pow, 10, 400), i64::MAX);
    }

    #[test]
    fn a_running_sum_can_be_exclusive_and_run_backwards() {
        let x = Tensor::new(vec![2, 3], Elements::I64(vec![1, 2, 3, 4, 5, 6])).unwrap();
        let order = CumulativeOrder { axis: 1, exclusive: true, reverse: true };
        assert_eq!(cumulative_sum(&x, order).unwrap().elements(), &Elements::I64(vec![5, 3, 0, 11, 6, 0]));
    }

    #[test]
    fn weights_quantize_per_axis() {
        let x = Tensor::f32(vec![2, 2], vec![1.0, -1.0, 1.0, -1.0]).unwrap();
        let scale = Tensor::f32(vec![2], vec![0.5, 0.25]).unwrap();
        assert_eq!(quantize(&x, &scale, None, 0, Element::I8).unwrap().elements(), &Elements::I8(vec![2, -2, 4, -4]));
    }
}
