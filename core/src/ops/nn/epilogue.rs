//! What follows the sums of a convolution or matrix product in the same step: bias, activation, residual, requantization.
//!
//! Sums are `[rows, columns]` with [`pitch`]`(columns)` elements a row: pixels by output channels, or matrix rows by columns.

use super::activation::Activation;
use super::byte::{Byte, ByteTable};
use super::elementwise::ByteSum;
use super::pitch;
use crate::quant::requantize;
use crate::{Error, Result};

/// For float sums: `y = then(activation(sum + bias) + residual)`.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatEpilogue {
    /// One per column; empty for none.
    pub bias: Vec<f32>,
    /// Applied to the sum with its bias.
    pub activation: Activation,
    /// Whether a second operand of the output's shape is added after the activation.
    pub residual: bool,
    /// Applied after the residual.
    pub then: Activation,
}

impl FloatEpilogue {
    /// Sums pass unchanged.
    #[must_use]
    pub const fn none() -> Self {
        Self { bias: Vec::new(), activation: Activation::None, residual: false, then: Activation::None }
    }

    /// Whether sums pass unchanged.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// The value from one sum.
    #[must_use]
    pub fn value(&self, sum: f32, column: usize, residual: f32) -> f32 {
        let biased = sum + self.bias.get(column).copied().unwrap_or(0.0);
        let activated = self.activation.apply(biased);
        if self.residual { self.then.apply(activated + residual) } else { self.then.apply(activated) }
    }

    /// Applies to all sums in place; padding lanes become 0.
    ///
    /// # Errors
    /// [`Error::Length`] if the bias is neither empty nor one per column, or the residual is missing or of another length.
    pub fn apply(&self, sums: &mut [f32], columns: usize, residual: Option<&[f32]>) -> Result<()> {
        check_per_column("epilogue bias", self.bias.len(), columns, true)?;
        check_residual(self.residual, sums.len(), residual.map(<[f32]>::len))?;
        let pitch = pitch(columns);
        for (i, sum) in sums.iter_mut().enumerate() {
            let column = i % pitch;
            *sum = if column < columns { self.value(*sum, column, residual.map_or(0.0, |r| r[i])) } else { 0.0 };
        }
        Ok(())
    }
}

/// For integer sums whose result is a byte, in this order:
/// `q = requantize(sum + bias, multiplier, zero_point, low, high)`; `q = table[q]`; `q = residual(q, other)`; `q = then[q]`.
///
/// Each stage rounds to a byte of its own, as the separate operators QLinearConv, a table and QLinearAdd do.
#[derive(Debug, Clone, PartialEq)]
pub struct ByteEpilogue {
    /// In units of `scale_x scale_w`, one per column; empty for none. The input's zero point is not folded in here.
    pub bias: Vec<i32>,
    /// `scale_x scale_w / scale_y` in f32, one per column.
    pub multiplier: Vec<f32>,
    /// Zero point of the requantized sum.
    pub zero_point: i32,
    /// Smallest requantized value; above the byte's own limit where ReLU or Clip was folded in.
    pub low: i32,
    /// Largest requantized value.
    pub high: i32,
    /// Activation between requantization and residual.
    pub table: Option<ByteTable>,
    /// Addition of a second operand of the output's shape.
    pub residual: Option<ByteSum>,
    /// Activation after the residual.
    pub then: Option<ByteTable>,
}

impl ByteEpilogue {
    /// The byte from one sum. `B` is the type before and after every stage; `residual` is the other operand's value.
    #[must_use]
    pub fn value<B: Byte>(&self, sum: i32, column: usize, residual: i32) -> B {
        let biased = sum.wrapping_add(self.bias.get(column).copied().unwrap_or(0));
        let mut q = B::clamped(requantize(biased, self.multiplier[column], self.zero_point, self.low, self.high));
        if let Some(table) = &self.table {
            q = B::from_bits(table.look_up(column, q.bits()));
        }
        if let Some(sum) = &self.residual {
            q = B::clamped(sum.value(q.into(), residual));
        }
        if let Some(table) = &self.then {
            q = B::from_bits(table.look_up(column, q.bits()));
        }
        q
    }

    /// Applies to all sums; padding lanes become 0.
    ///
    /// # Errors
    /// [`Error::Length`] if multipliers or bias are not one per column, or the residual is missing or of another length.
    pub fn apply<B: Byte>(&self, sums: &[i32], columns: usize, residual: Option<&[B]>) -> Result<Vec<B>> {
        check_per_column("epilogue bias", self.bias.len(), columns, true)?;
        check_per_column("epilogue multipliers", self.multiplier.len(), columns, false)?;
        check_residual(self.residual.is_some(), sums.len(), residual.map(<[B]>::len))?;
        let pitch = pitch(columns);
        let byte = |(i, &sum): (usize, &i32)| {
            let column = i % pitch;
            if column >= columns {
                return B::from_bits(0);
            }
            self.value(sum, column, residual.map_or(0, |r| r[i].into()))
        };
        Ok(sums.iter().enumerate().map(byte).collect())
    }
}

/// For integer sums whose result stays a real number: `float(multiplier (sum + bias))`.
#[derive(Debug, Clone, PartialEq)]
pub struct RealEpilogue {
    /// In units of `scale_x scale_w`, one per column; empty for none.
    pub bias: Vec<i32>,
    /// `scale_x scale_w`, one per column.
    pub multiplier: Vec<f32>,
    /// What follows.
    pub float: FloatEpilogue,
}

impl RealEpilogue {
    /// The value from one sum.
    #[must_use]
    pub fn value(&self, sum: i32, column: usize, residual: f32) -> f32 {
        let biased = sum.wrapping_add(self.bias.get(column).copied().unwrap_or(0));
        self.float.value(biased as f32 * self.multiplier[column], column, residual)
    }

    /// Applies to all sums; padding lanes become 0.
    ///
    /// # Errors
    /// As [`ByteEpilogue::apply`].
    pub fn apply(&self, sums: &[i32], columns: usize, residual: Option<&[f32]>) -> Result<Vec<f32>> {
        check_per_column("epilogue bias", self.bias.len(), columns, true)?;
        check_per_column("epilogue multipliers", self.multiplier.len(), columns, false)?;
        check_residual(self.float.residual, sums.len(), residual.map(<[f32]>::len))?;
        let pitch = pitch(columns);
        let value = |(i, &sum): (usize, &i32)| {
            let column = i % pitch;
            if column < columns { self.value(sum, column, residual.map_or(0.0, |r| r[i])) } else { 0.0 }
        };
        Ok(sums.iter().enumerate().map(value).collect())
    }
}

fn check_per_column(what: &'static str, got: usize, columns: usize, may_be_empty: bool) -> Result<()> {
    if got == columns || (may_be_empty && got == 0) { Ok(()) } else { Err(Error::Length { what, got, expected: columns }) }
}

fn check_residual(wanted: bool, expected: usize, got: Option<usize>) -> Result<()> {
    match (wanted, got) {
        (false, _) => Ok(()),
        (true, Some(got)) if got == expected => Ok(()),
        (true, got) => Err(Error::Length { what: "epilogue residual", got: got.unwrap_or(0), expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_epilogue_adds_the_residual_between_its_two_activations() {
        let epilogue = FloatEpilogue {
            bias: vec![1.0],
            activation: Activation::Relu,
            residual: true,
            then: Activation::Clip { low: -1.0, high: 6.0 },
        };
        let mut sums = vec![-5.0, 9.0, 9.0, 9.0];
        epilogue.apply(&mut sums, 1, Some(&[-3.0, 0.0, 0.0, 0.0])).unwrap();
        assert_eq!(sums, [-1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_missing_residual_is_an_error_and_not_zero() {
        let epilogue = FloatEpilogue { residual: true, ..FloatEpilogue::none() };
        assert!(epilogue.apply(&mut [0.0; 4], 1, None).is_err());
    }
}
