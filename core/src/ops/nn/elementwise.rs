//! Element by element: one operand, two broadcast operands, sums and products of quantized bytes.

use super::Activation;
use crate::quant::QuantParams;
use crate::{Error, Result};

/// Element-wise functions of one operand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
    /// One of the activations that also fuse.
    Activation(Activation),
    /// `-x`.
    Neg,
    /// `|x|`.
    Abs,
    /// `1 / x`.
    Reciprocal,
    /// `ln x`.
    Log,
    /// Smallest integer not below.
    Ceil,
    /// Largest integer not above.
    Floor,
    /// Half to even.
    Round,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `x`.
    Identity,
}

impl Unary {
    /// The function's value.
    #[inline]
    #[must_use]
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Activation(activation) => activation.apply(x),
            Self::Neg => -x,
            Self::Abs => x.abs(),
            Self::Reciprocal => 1.0 / x,
            Self::Log => x.ln(),
            Self::Ceil => x.ceil(),
            Self::Floor => x.floor(),
            Self::Round => x.round_ties_even(),
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Identity => x,
        }
    }
}

/// Element-wise functions of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a b`.
    Mul,
    /// `a / b`.
    Div,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// `a ^ b`.
    Pow,
    /// `a` above 0, `a b` below.
    PRelu,
}

impl Binary {
    /// The function's value.
    #[inline]
    #[must_use]
    pub fn apply(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Max => a.max(b),
            Self::Min => a.min(b),
            Self::Pow => a.powf(b),
            Self::PRelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
        }
    }
}

/// Axes of a broadcast operation and of a [`super::reduce::Reduce`]'s result; shorter shapes have leading 1s.
pub const RANK: usize = 4;

/// Two operands over one index space: element `i` of the result is at `i . out`, of the operands at `i . a` and `i . b`.
///
/// A stride of 0 broadcasts. Strides are in elements and include the padding of the last axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Broadcast {
    /// Extents of the result, outermost first.
    pub shape: [usize; RANK],
    /// Strides of the first operand.
    pub a: [usize; RANK],
    /// Strides of the second operand.
    pub b: [usize; RANK],
    /// Strides of the result.
    pub out: [usize; RANK],
}

impl Broadcast {
    /// Calls `visit(index in a, index in b, index in the result)` for each element, in order.
    pub fn for_each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let dot = |i: [usize; RANK], strides: &[usize; RANK]| i.iter().zip(strides).map(|(i, s)| i * s).sum::<usize>();
        let [n0, n1, n2, n3] = self.shape;
        for i0 in 0..n0 {
            for i1 in 0..n1 {
                for i2 in 0..n2 {
                    for i3 in 0..n3 {
                        let i = [i0, i1, i2, i3];
                        visit(dot(i, &self.a), dot(i, &self.b), dot(i, &self.out));
                    }
                }
            }
        }
    }

    /// Elements that a tensor read or written with `strides` must hold at least.
    #[must_use]
    pub fn extent(&self, strides: &[usize; RANK]) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().zip(strides).map(|(n, s)| (n - 1) * s).sum::<usize>() + 1 }
    }

    fn check(&self, a: usize, b: usize, out: usize) -> Result<()> {
        for (what, got, strides) in [("first operand", a, &self.a), ("second operand", b, &self.b), ("result", out, &self.out)] {
            if got < self.extent(strides) {
                return Err(Error::Length { what, got, expected: self.extent(strides) });
            }
        }
        Ok(())
    }
}

/// `activation(a op b)` over floats; elements of the result outside the index space stay as they are.
///
/// # Errors
/// [`Error::Length`] if an operand or the result is shorter than its strides reach.
pub fn binary_f32(op: Binary, activation: Activation, axes: &Broadcast, a: &[f32], b: &[f32], out: &mut [f32]) -> Result<()> {
    axes.check(a.len(), b.len(), out.len())?;
    axes.for_each(|i, j, k| out[k] = activation.apply(op.apply(a[i], b[j])));
    Ok(())
}

/// Sum of two quantized values, quantized: `clamp(round_half_even(fma(a, factor_a, fma(b, factor_b, fixed))))`.
///
/// Source: onnxruntime's `QLinearAdd` (MLAS `qladd`), whose order of fused multiply-adds this keeps, hence bit-exact
/// agreement. Fused multiply-add is not promised by WGSL: a kernel takes the 65,536 results as a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByteSum {
    /// `scale_a / scale_out`.
    pub factor_a: f32,
    /// `scale_b / scale_out`.
    pub factor_b: f32,
    /// `zero_point_out - fma(factor_a, zero_point_a, factor_b zero_point_b)`.
    pub fixed: f32,
    /// Whether [`ByteSum::value`] is given `b` first: the order matters to the last bit.
    pub swapped: bool,
    /// Smallest result; above the byte's own limit where an activation was folded in.
    pub low: i32,
    /// Largest result.
    pub high: i32,
}

impl ByteSum {
    /// The sum from the quantizations of operands and result.
    #[must_use]
    pub fn new(a: QuantParams, b: QuantParams, out: QuantParams) -> Self {
        let factor_a = a.scale / out.scale;
        let factor_b = b.scale / out.scale;
        let fixed = out.zero_point as f32 - factor_a.mul_add(a.zero_point as f32, factor_b * b.zero_point as f32);
        Self { factor_a, factor_b, fixed, swapped: false, low: out.low(), high: out.high() }
    }

    /// The same sum for callers that hold the second operand first.
    #[must_use]
    pub const fn swap(self) -> Self {
        Self { swapped: !self.swapped, ..self }
    }

    /// The quantized sum of two quantized values.
    #[inline]
    #[must_use]
    pub fn value(&self, first: i32, second: i32) -> i32 {
        let (a, b) = if self.swapped { (second, first) } else { (first, second) };
        let sum = (a as f32).mul_add(self.factor_a, (b as f32).mul_add(self.factor_b, self.fixed));
        sum.round_ties_even().clamp(self.low as f32, self.high as f32) as i32
    }
}

/// Product of two quantized values, quantized: `clamp(round_half_even(fma((a - zero_a) (b - zero_b), factor, zero_out)))`.
///
/// Source: onnxruntime's `QLinearMul` (MLAS `qlmul`), bit for bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByteProduct {
    /// Zero point of the first operand.
    pub zero_a: i32,
    /// Zero point of the second operand.
    pub zero_b: i32,
    /// `scale_a scale_b / scale_out`.
    pub factor: f32,
    /// Zero point of the result.
    pub zero_out: i32,
    /// Smallest result.
    pub low: i32,
    /// Largest result.
    pub high: i32,
}

impl ByteProduct {
    /// The product from the quantizations of operands and result.
    #[must_use]
    pub fn new(a: QuantParams, b: QuantParams, out: QuantParams) -> Self {
        let factor = a.scale * b.scale / out.scale;
        Self { zero_a: a.zero_point, zero_b: b.zero_point, factor, zero_out: out.zero_point, low: out.low(), high: out.high() }
    }

    /// The quantized product of two quantized values.
    #[inline]
    #[must_use]
    pub fn value(&self, a: i32, b: i32) -> i32 {
        let product = ((a - self.zero_a) * (b - self.zero_b)) as f32;
        let sum = product.mul_add(self.factor, self.zero_out as f32);
        sum.round_ties_even().clamp(self.low as f32, self.high as f32) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_broadcasts_over_the_pixels() {
        let axes = Broadcast { shape: [1, 1, 2, 3], a: [0, 0, 4, 1], b: [0, 0, 0, 1], out: [0, 0, 4, 1] };
        let mut out = [0.0; 8];
        binary_f32(Binary::Mul, Activation::None, &axes, &[1., 2., 3., 0., 4., 5., 6., 0.], &[10., 100., 1000.], &mut out).unwrap();
        assert_eq!(out, [10., 200., 3000., 0., 40., 500., 6000., 0.]);
        assert!(binary_f32(Binary::Mul, Activation::None, &axes, &[0.0; 6], &[0.0; 3], &mut out).is_err());
    }

    #[test]
    fn a_quantized_sum_rounds_half_to_even_and_saturates() {
        let q = |scale, zero| QuantParams::new(scale, zero, false).unwrap();
        let sum = ByteSum::new(q(0.5, 0), q(0.5, 0), q(1.0, 10));
        assert_eq!([sum.value(1, 0), sum.value(1, 2), sum.value(255, 255)], [10, 12, 255]);
        let product = ByteProduct::new(q(0.5, 2), q(1.0, 0), q(1.0, 7));
        assert_eq!([product.value(0, 3), product.value(3, 1), product.value(5, 1)], [4, 8, 8]);
    }

    #[test]
    fn softplus_neither_overflows_nor_loses_its_tail() {
        assert_eq!(Unary::Softplus.apply(100.0), 100.0);
        assert!(Unary::Softplus.apply(-50.0) > 0.0);
    }
}
