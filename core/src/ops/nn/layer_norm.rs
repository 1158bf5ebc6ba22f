//! Layer normalization over the last axis.

use super::pitch;
use crate::{Error, Result};

/// Rows that are each brought to mean 0 and variance 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    /// Number of rows.
    pub rows: usize,
    /// Values in a row; [`pitch`] apart.
    pub columns: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

/// `(x - mean) / sqrt(variance + epsilon) scale + bias` per row; padding lanes are 0. Source: ONNX operator LayerNormalization.
///
/// * `scale`, `bias`: one per column; an empty bias is none.
///
/// # Errors
/// [`Error::Length`] naming the argument.
pub fn layer_norm_f32(norm: &LayerNorm, input: &[f32], scale: &[f32], bias: &[f32]) -> Result<Vec<f32>> {
    let pitch = pitch(norm.columns);
    for (what, got, expected) in [
        ("layer norm input", input.len(), norm.rows * pitch),
        ("layer norm scale", scale.len(), norm.columns),
        ("layer norm bias", bias.len(), if bias.is_empty() { 0 } else { norm.columns }),
    ] {
        if got != expected {
            return Err(Error::Length { what, got, expected });
        }
    }
    let mut output = vec![0.0; input.len()];
    let count = norm.columns.max(1) as f32;
    for (row, out) in input.chunks(pitch.max(1)).zip(output.chunks_mut(pitch.max(1))) {
        let row = &row[..norm.columns];
        let mean = row.iter().sum::<f32>() / count;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
        let factor = 1.0 / (variance + norm.epsilon).sqrt();
        for (c, x) in row.iter().enumerate() {
            out[c] = (x - mean) * factor * scale[c] + bias.get(c).copied().unwrap_or(0.0);
        }
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gets_mean_bias_and_deviation_scale() {
        let norm = LayerNorm { rows: 1, columns: 2, epsilon: 0.0 };
        assert_eq!(layer_norm_f32(&norm, &[1., 3., 0., 0.], &[2., 2.], &[10., 10.]).unwrap(), [8., 12., 0., 0.]);
        assert_eq!(layer_norm_f32(&norm, &[1., 3., 0., 0.], &[2., 2.], &[]).unwrap(), [-2., 2., 0., 0.]);
    }
}
