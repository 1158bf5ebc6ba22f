//! Epilogues over tiles of sums, as vector loops; bit for bit what `fathom_core::ops::nn::epilogue` says.

use std::ops::Range;

use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::byte::{Byte, ByteTable};
use fathom_core::ops::nn::elementwise::ByteSum;
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue, RealEpilogue};
use fathom_core::quant::QuantParams;

/// Turns rows of integer sums into rows of the result's bytes.
#[derive(Debug)]
pub(super) struct ByteFinish {
    /// Bias less the first operand's zero point times the column sums of the second.
    offset: Vec<i32>,
    epilogue: ByteEpilogue,
    signed: bool,
    arch: pulp::Arch,
}

/// Turns rows of integer sums into rows of reals.
#[derive(Debug)]
pub(super) struct RealFinish {
    offset: Vec<i32>,
    epilogue: RealEpilogue,
    out: Option<QuantParams>,
    arch: pulp::Arch,
}

/// Turns rows of float sums into rows of reals.
#[derive(Debug)]
pub(super) struct FloatFinish {
    epilogue: FloatEpilogue,
    alpha: f32,
    out: Option<QuantParams>,
    arch: pulp::Arch,
}

/// A residual's row.
#[derive(Clone, Copy)]
pub(super) enum Residual<'a> {
    None,
    Floats(&'a [f32]),
    Bytes(&'a [u8], QuantParams),
}

/// A result's row, without padding.
pub(super) enum Row<'a> {
    Floats(&'a mut [f32]),
    Bytes(&'a mut [u8]),
}

impl ByteFinish {
    /// `column_sums` and `zero` fold the first operand's zero point into the bias.
    pub(super) fn new(epilogue: &ByteEpilogue, column_sums: &[i32], zero: i32, signed: bool) -> Self {
        Self { offset: offsets(&epilogue.bias, column_sums, zero), epilogue: epilogue.clone(), signed, arch: pulp::Arch::new() }
    }

    /// One row; `columns` are those of the whole result that the sums belong to.
    pub(super) fn row(&self, sums: &[i32], columns: Range<usize>, residual: Residual<'_>, out: &mut [u8]) {
        self.arch.dispatch(|| {
            if self.signed {
                self.row_of::<i8>(sums, columns.clone(), residual, out)
            } else {
                self.row_of::<u8>(sums, columns.clone(), residual, out)
            }
        });
    }

    #[inline(always)]
    fn row_of<B: Byte>(&self, sums: &[i32], columns: Range<usize>, residual: Residual<'_>, out: &mut [u8]) {
        let e = &self.epilogue;
        let bounds = [e.low - e.zero_point, e.high - e.zero_point].map(|b| b as f32);
        let offset = &self.offset[columns.clone()];
        let multiplier = &e.multiplier[columns.clone()];
        requantize_row(sums, offset, multiplier, bounds, e.zero_point, out);
        if let Some(table) = &e.table {
            look_up(table, columns.clone(), out);
        }
        if let (Some(sum), Residual::Bytes(other, _)) = (&e.residual, residual) {
            add_row::<B>(sum, other, out);
        }
        if let Some(table) = &e.then {
            look_up(table, columns, out);
        }
    }
}

impl RealFinish {
    pub(super) fn new(epilogue: &RealEpilogue, column_sums: &[i32], zero: i32, out: Option<QuantParams>) -> Self {
        Self { offset: offsets(&epilogue.bias, column_sums, zero), epilogue: epilogue.clone(), out, arch: pulp::Arch::new() }
    }

    pub(super) fn row(&self, sums: &[i32], columns: Range<usize>, residual: Residual<'_>, out: Row<'_>) {
        self.arch.dispatch(|| {
            let value = |i: usize| {
                let column = columns.start + i;
                let real = sums[i].wrapping_add(self.offset[column]) as f32 * self.epilogue.multiplier[column];
                self.epilogue.float.value(real, column, residual.at(i))
            };
            store(out, self.out, value);
        });
    }
}

impl FloatFinish {
    pub(super) fn new(epilogue: &FloatEpilogue, alpha: f32, out: Option<QuantParams>) -> Self {
        Self { epilogue: epilogue.clone(), alpha, out, arch: pulp::Arch::new() }
    }

    pub(super) fn row(&self, sums: &mut [f32], columns: Range<usize>, residual: Residual<'_>, out: Row<'_>) {
        self.arch.dispatch(|| {
            let e = &self.epilogue;
            if self.alpha != 1.0 {
                sums.iter_mut().for_each(|x| *x *= self.alpha);
            }
            if let Some(bias) = e.bias.get(columns.clone()) {
                sums.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
            }
            activate(e.activation, sums);
            if e.residual {
                match residual {
                    Residual::Floats(other) => sums.iter_mut().zip(other).for_each(|(x, r)| *x += r),
                    _ => sums.iter_mut().enumerate().for_each(|(i, x)| *x += residual.at(i)),
                }
                activate(e.then, sums);
            }
            match out {
                Row::Floats(out) => out.copy_from_slice(sums),
                out @ Row::Bytes(_) => store(out, self.out, |i| sums[i]),
            }
        });
    }
}

impl Residual<'_> {
    #[inline(always)]
    fn at(&self, i: usize) -> f32 {
        match self {
            Self::None => 0.0,
            Self::Floats(v) => v[i],
            Self::Bytes(v, quant) if quant.signed => quant.dequantize(v[i].cast_signed().into()),
            Self::Bytes(v, quant) => quant.dequantize(v[i].into()),
        }
    }
}

fn offsets(bias: &[i32], column_sums: &[i32], zero: i32) -> Vec<i32> {
    column_sums.iter().enumerate().map(|(c, sum)| bias.get(c).copied().unwrap_or(0).wrapping_sub(zero.wrapping_mul(*sum))).collect()
}

/// `requantize` of core for a row: adding and subtracting 1.5 * 2^23 rounds half to even, exactly, below 2^22.
#[inline(always)]
fn requantize_row(sums: &[i32], offset: &[i32], multiplier: &[f32], bounds: [f32; 2], zero_point: i32, out: &mut [u8]) {
    const MAGIC: f32 = 12_582_912.0;
    let magic_bits = MAGIC.to_bits().cast_signed();
    let shift = zero_point.wrapping_sub(magic_bits);
    for (((out, &sum), &offset), &multiplier) in out.iter_mut().zip(sums).zip(offset).zip(multiplier) {
        let scaled = sum.wrapping_add(offset) as f32 * multiplier;
        let clamped = scaled.max(bounds[0]).min(bounds[1]);
        *out = (clamped + MAGIC).to_bits().cast_signed().wrapping_add(shift) as u8;
    }
}

#[inline(always)]
fn look_up(table: &ByteTable, columns: Range<usize>, out: &mut [u8]) {
    if table.tables() == 1 {
        // A fixed-size table needs no bounds check.
        if let Ok(entries) = <&[u8; 256]>::try_from(table.entries()) {
            out.iter_mut().for_each(|b| *b = entries[usize::from(*b)]);
        }
    } else {
        out.iter_mut().zip(columns).for_each(|(b, column)| *b = table.look_up(column, *b));
    }
}

#[inline(always)]
fn add_row<B: Byte>(sum: &ByteSum, other: &[u8], out: &mut [u8]) {
    let sum = *sum;
    for (b, &r) in out.iter_mut().zip(other) {
        *b = B::clamped(sum.value(B::from_bits(*b).into(), B::from_bits(r).into())).bits();
    }
}

#[inline(always)]
fn activate(activation: Activation, row: &mut [f32]) {
    match activation {
        Activation::None => {}
        Activation::Relu => row.iter_mut().for_each(|x| *x = Activation::Relu.apply(*x)),
        Activation::Clip { low, high } => row.iter_mut().for_each(|x| *x = x.max(low).min(high)),
        Activation::LeakyRelu { slope } => row.iter_mut().for_each(|x| *x = if *x < 0.0 { slope * *x } else { *x }),
        Activation::Gelu => row.iter_mut().for_each(|x| *x = Activation::Gelu.apply(*x)),
        other => row.iter_mut().for_each(|x| *x = other.apply(*x)),
    }
}

#[inline(always)]
fn store(out: Row<'_>, quant: Option<QuantParams>, value: impl Fn(usize) -> f32) {
    match (out, quant) {
        (Row::Floats(out), _) => out.iter_mut().enumerate().for_each(|(i, x)| *x = value(i)),
        (Row::Bytes(out), Some(quant)) => out.iter_mut().enumerate().for_each(|(i, b)| *b = super::memory::bits(quant, value(i))),
        (Row::Bytes(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_core_says_at_ties_and_limits() {
        for (signed, zero_point) in [(false, 0), (false, 131), (true, -128), (true, 7)] {
            let (low, high) = if signed { (-128, 127) } else { (0, 255) };
            let sums: Vec<i32> = (-700..700).chain([i32::MIN, i32::MAX, i32::MAX - 3]).collect();
            let multiplier = vec![0.5; sums.len()];
            let epilogue =
                ByteEpilogue { bias: vec![1; sums.len()], multiplier, zero_point, low, high, table: None, residual: None, then: None };
            let finish = ByteFinish::new(&epilogue, &vec![3; sums.len()], 2, signed);
            let mut out = vec![0; sums.len()];
            finish.row(&sums, 0..sums.len(), Residual::None, &mut out);
            for (i, &sum) in sums.iter().enumerate() {
                let expected = if signed {
                    epilogue.value::<i8>(sum.wrapping_sub(6), i, 0).bits()
                } else {
                    epilogue.value::<u8>(sum.wrapping_sub(6), i, 0)
                };
                assert_eq!(out[i], expected, "sum {sum}, zero point {zero_point}");
            }
        }
    }
}
