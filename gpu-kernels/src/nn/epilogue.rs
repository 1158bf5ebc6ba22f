//! Constants of byte kernels' epilogues: bias with the zero point folded in, multipliers, and tables.
//!
//! Twin of `fathom_core::ops::nn::epilogue`. The addition of a residual is a table too, of all pairs of bytes: its
//! definition is a chain of fused multiply-adds, which devices may round otherwise.

use fathom_core::ops::nn::Activation;
use fathom_core::ops::nn::byte::{Byte, ByteTable};
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue, RealEpilogue};

/// What becomes of an integer sum.
#[derive(Debug, Clone, Copy)]
pub enum Finish<'a> {
    /// A byte; `signed` if it is an `i8`.
    Byte {
        /// The numbers.
        epilogue: &'a ByteEpilogue,
        /// Whether output and residual are `i8`.
        signed: bool,
    },
    /// A float.
    Real(&'a RealEpilogue),
}

impl Finish<'_> {
    /// Whether a second operand is added.
    #[must_use]
    pub const fn has_residual(&self) -> bool {
        match self {
            Self::Byte { epilogue, .. } => epilogue.residual.is_some(),
            Self::Real(real) => real.float.residual,
        }
    }

    /// Whether the kernels can do all of it in one launch; otherwise the caller applies the rest with another kernel.
    #[must_use]
    pub fn fits(&self) -> bool {
        match self {
            Self::Byte { epilogue, .. } => epilogue.residual.is_none() || epilogue.then.as_ref().is_none_or(|table| table.tables() == 1),
            Self::Real(real) => float_fits(&real.float),
        }
    }

    /// Whether the result is f32.
    #[must_use]
    pub const fn is_real(&self) -> bool {
        matches!(self, Self::Real(_))
    }

    /// Requantization's zero point and range, or zeros for a real result.
    #[must_use]
    pub const fn range(&self) -> [i32; 3] {
        match self {
            Self::Byte { epilogue, .. } => [epilogue.zero_point, epilogue.low, epilogue.high],
            Self::Real(_) => [0; 3],
        }
    }

    /// Range of a real result: infinite where there is no clamp.
    #[must_use]
    pub fn real_range(&self) -> [f32; 2] {
        match self {
            Self::Byte { .. } => [f32::NEG_INFINITY, f32::INFINITY],
            Self::Real(real) => range(real.float.activation),
        }
    }

    /// Per block of four columns: bias, multiplier, real bias; each four words. `correction[o]` is added to the bias.
    #[must_use]
    pub fn columns(&self, blocks: usize, correction: &[i32]) -> Vec<u8> {
        let (bias, multiplier, real_bias): (&[i32], &[f32], &[f32]) = match self {
            Self::Byte { epilogue, .. } => (&epilogue.bias, &epilogue.multiplier, &[]),
            Self::Real(real) => (&real.bias, &real.multiplier, &real.float.bias),
        };
        let mut words = Vec::with_capacity(blocks * 12);
        for block in 0..blocks {
            let lanes = 4 * block..4 * block + 4;
            let at = |values: &[i32], o: usize| values.get(o).copied().unwrap_or(0);
            words.extend(lanes.clone().map(|o| at(bias, o).wrapping_add(at(correction, o)).cast_unsigned()));
            words.extend(lanes.clone().map(|o| multiplier.get(o).copied().unwrap_or(0.0).to_bits()));
            words.extend(lanes.map(|o| real_bias.get(o).copied().unwrap_or(0.0).to_bits()));
        }
        bytemuck::cast_slice(&words).to_vec()
    }

    /// The 256-byte tables, then, with a residual, the table of pairs; and how many of the former there are.
    #[must_use]
    pub fn tables(&self) -> (u32, Vec<u8>) {
        let Self::Byte { epilogue, signed } = self else { return (0, Vec::new()) };
        let own = match (&epilogue.table, &epilogue.then, &epilogue.residual) {
            (Some(first), Some(then), None) => Some(first.then(then)),
            (None, Some(then), None) => Some(then.clone()),
            (table, _, _) => table.clone(),
        };
        let mut bytes = own.as_ref().map_or_else(Vec::new, |table| table.entries().to_vec());
        let count = (bytes.len() / 256) as u32;
        if let Some(sum) = &epilogue.residual {
            bytes.extend(pairs([*signed; 3], |own, other| sum.value(own, other), epilogue.then.as_ref()));
        }
        (count, bytes)
    }
}

/// Whether bias, one clamp and a residual are all there is.
#[must_use]
pub fn float_fits(float: &FloatEpilogue) -> bool {
    let clamp = matches!(float.activation, Activation::None | Activation::Relu | Activation::Clip { .. });
    clamp && float.then == Activation::None
}

/// The clamp that an activation is.
#[must_use]
pub const fn range(activation: Activation) -> [f32; 2] {
    match activation {
        Activation::Relu => [0.0, f32::MAX],
        Activation::Clip { low, high } => [low, high],
        _ => [f32::MIN, f32::MAX],
    }
}

/// `then[value(a, b)]` for every pair of bytes, at `256 bits(a) + bits(b)`: a
/// [`fathom_core::ops::nn::elementwise::ByteSum`] or
/// [`fathom_core::ops::nn::elementwise::ByteProduct`], evaluated. `signed` tells which of `a`, `b` and the result are `i8`.
#[must_use]
pub fn pairs(signed: [bool; 3], value: impl Fn(i32, i32) -> i32, then: Option<&ByteTable>) -> Vec<u8> {
    let number = |bits: u8, signed: bool| if signed { i32::from(bits.cast_signed()) } else { i32::from(bits) };
    let result = |q: i32| if signed[2] { i8::clamped(q).bits() } else { u8::clamped(q).bits() };
    let bits = (0..=255_u8).flat_map(|a| (0..=255_u8).map(move |b| (a, b)));
    bits.map(|(a, b)| {
        let q = result(value(number(a, signed[0]), number(b, signed[1])));
        then.map_or(q, |table| table.look_up(0, q))
    })
    .collect()
}
