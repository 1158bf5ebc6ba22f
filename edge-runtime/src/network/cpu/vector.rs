//! Loops over rows of floats that compilers turn into vector code. Callers run them under `pulp`'s dispatch.

use fathom_core::ops::nn::activation::{Activation, erf};
use fathom_core::quant::QuantParams;

/// Applies an activation in place.
#[inline(always)]
pub(super) fn activate(activation: Activation, row: &mut [f32]) {
    match activation {
        Activation::None => {}
        Activation::Relu => row.iter_mut().for_each(|x| *x = x.max(0.0)),
        Activation::Clip { low, high } => row.iter_mut().for_each(|x| *x = x.max(low).min(high)),
        Activation::LeakyRelu { slope } => row.iter_mut().for_each(|x| *x = if *x < 0.0 { slope * *x } else { *x }),
        Activation::Sigmoid => row.iter_mut().for_each(|x| *x = 1.0 / (1.0 + exp(-*x))),
        Activation::Silu => row.iter_mut().for_each(|x| *x /= 1.0 + exp(-*x)),
        Activation::Gelu => row.iter_mut().for_each(|x| *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2))),
        Activation::Exp => row.iter_mut().for_each(|x| *x = exp(*x)),
        other => row.iter_mut().for_each(|x| *x = other.apply(*x)),
    }
}

/// `e^x` within 2 ULP between -87 and 88, beyond which it is 0 or the largest power of two times a rest.
///
/// Source: Cephes `expf`: `2^n e^r` with `n = round(x / ln 2)` and a polynomial for `e^r`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.3);
    let n = x * std::f32::consts::LOG2_E + MAGIC - MAGIC;
    // ln 2 in two parts: the first is exact in the product.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 1.666_666_5e-1) * r + 0.5;
    let e = p * r * r + r + 1.0;
    // Adding n to the exponent's bits; n is whole and within -126..=127 by the clamp.
    let exponent = (n + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()) << 23;
    f32::from_bits(e.to_bits().wrapping_add(exponent))
}

/// `QuantParams::quantize` for a row, as bits.
#[inline(always)]
pub(super) fn quantize_row(quant: QuantParams, reals: &[f32], out: &mut [u8]) {
    const MAGIC: f32 = 12_582_912.0;
    let low = (quant.low() - quant.zero_point) as f32;
    let high = (quant.high() - quant.zero_point) as f32;
    let shift = quant.zero_point.wrapping_sub(MAGIC.to_bits().cast_signed());
    for (out, &real) in out.iter_mut().zip(reals) {
        let steps = real / quant.scale;
        // A NaN becomes the zero point, as in core.
        let steps = if steps.is_nan() { 0.0 } else { steps };
        let clamped = steps.max(low).min(high);
        *out = (clamped + MAGIC).to_bits().cast_signed().wrapping_add(shift) as u8;
    }
}

/// Bytes as the reals they stand for.
#[inline(always)]
pub(super) fn dequantize_row(quant: QuantParams, bytes: &[u8], out: &mut [f32]) {
    if quant.signed {
        out.iter_mut().zip(bytes).for_each(|(x, b)| *x = quant.scale * i32::from(b.cast_signed()).wrapping_sub(quant.zero_point) as f32);
    } else {
        out.iter_mut().zip(bytes).for_each(|(x, &b)| *x = quant.scale * i32::from(b).wrapping_sub(quant.zero_point) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error <= 2.0 * f64::from(f32::EPSILON), "exp({x}): relative error {error:e}");
        }
        assert!(exp(-1000.0) < 1e-37);
    }

    #[test]
    fn rows_quantize_as_core_does() {
        for (scale, zero, signed) in [(0.1, 3, false), (2.0, -5, true), (1e-3, 255, false)] {
            let quant = QuantParams::new(scale, zero, signed).unwrap();
            let reals: Vec<f32> = (-600..600).map(|i| i as f32 * scale * 0.5).chain([f32::NAN, f32::INFINITY, -1e30]).collect();
            let mut out = vec![0; reals.len()];
            quantize_row(quant, &reals, &mut out);
            for (real, bits) in reals.iter().zip(out) {
                assert_eq!(bits, super::super::memory::bits(quant, *real), "{real} with scale {scale}");
            }
        }
    }
}
