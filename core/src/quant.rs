//! Affine quantization: `real = scale (q - zero_point)`, as ONNX and its runtimes define it.

use crate::{Error, Result};

/// Quantization of a whole tensor to bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantParams {
    /// Size of one step; finite and positive.
    pub scale: f32,
    /// The byte that stands for 0. Within 0..=255 for `u8`, -128..=127 for `i8`.
    pub zero_point: i32,
    /// Whether the bytes are signed.
    pub signed: bool,
}

impl QuantParams {
    /// Checked parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless the scale is finite and positive and the zero point fits its byte.
    pub fn new(scale: f32, zero_point: i32, signed: bool) -> Result<Self> {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::OutOfRange { what: "quantization scale", got: scale.to_string(), allowed: "finite and above 0" });
        }
        let params = Self { scale, zero_point, signed };
        if zero_point < params.low() || zero_point > params.high() {
            return Err(Error::OutOfRange { what: "zero point", got: zero_point.to_string(), allowed: "the range of its byte" });
        }
        Ok(params)
    }

    /// Smallest quantized value.
    #[must_use]
    pub const fn low(&self) -> i32 {
        if self.signed { -128 } else { 0 }
    }

    /// Largest quantized value.
    #[must_use]
    pub const fn high(&self) -> i32 {
        if self.signed { 127 } else { 255 }
    }

    /// `clamp(round_half_even(real / scale) + zero_point)`. NaN gives the zero point.
    ///
    /// Source: ONNX operator QuantizeLinear, opset 13.
    #[inline]
    #[must_use]
    pub fn quantize(&self, real: f32) -> i32 {
        let steps = (real / self.scale).round_ties_even();
        // Far outside any byte, yet exact in i32 after adding a zero point; `as` sends NaN to 0.
        (steps.clamp(-1e6, 1e6) as i32 + self.zero_point).clamp(self.low(), self.high())
    }

    /// `scale (q - zero_point)`.
    #[inline]
    #[must_use]
    pub fn dequantize(&self, q: i32) -> f32 {
        self.scale * (q - self.zero_point) as f32
    }
}

/// Turns an `i32` accumulator into a byte: `clamp(round_half_even(acc * multiplier) + zero_point, low, high)`.
///
/// `multiplier` is `scale_x * scale_w / scale_y` in f32; the product is one f32 multiplication. This is what
/// onnxruntime's QLinearConv computes (MLAS `MlasRequantizeOutput`), hence bit-exact agreement.
#[inline]
#[must_use]
pub fn requantize(acc: i32, multiplier: f32, zero_point: i32, low: i32, high: i32) -> i32 {
    let scaled = acc as f32 * multiplier;
    let clamped = scaled.clamp((low - zero_point) as f32, (high - zero_point) as f32);
    clamped.round_ties_even() as i32 + zero_point
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_half_to_even() {
        let q = QuantParams::new(1.0, 10, false).unwrap();
        assert_eq!([q.quantize(0.5), q.quantize(1.5), q.quantize(2.5), q.quantize(-300.0), q.quantize(f32::NAN)], [10, 12, 12, 0, 10]);
        assert_eq!([requantize(1, 0.5, 0, 0, 255), requantize(3, 0.5, 0, 0, 255), requantize(-5, 0.5, 3, 0, 255)], [0, 2, 1]);
    }

    #[test]
    fn a_zero_point_outside_its_byte_is_refused() {
        assert!(QuantParams::new(1.0, 128, true).is_err());
        assert!(QuantParams::new(0.0, 0, false).is_err());
    }
}
