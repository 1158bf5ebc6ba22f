//! Softmax over the last axis.

use super::pitch;
use crate::{Error, Result};

/// Rows that each become a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// Number of rows.
    pub rows: usize,
    /// Values in a row; [`pitch`] apart.
    pub columns: usize,
}

/// `e^(x - max) / sum e^(x - max)` per row; padding lanes are 0.
///
/// # Errors
/// [`Error::Length`] if the input is not `rows pitch(columns)`.
pub fn softmax_f32(softmax: &Softmax, input: &[f32]) -> Result<Vec<f32>> {
    let pitch = pitch(softmax.columns);
    if input.len() != softmax.rows * pitch {
        return Err(Error::Length { what: "softmax input", got: input.len(), expected: softmax.rows * pitch });
    }
    let mut output = vec![0.0; input.len()];
    for (row, out) in input.chunks(pitch.max(1)).zip(output.chunks_mut(pitch.max(1))) {
        let row = &row[..softmax.columns];
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|x| (x - largest).exp()).sum();
        out.iter_mut().zip(row).for_each(|(y, x)| *y = (x - largest).exp() / sum);
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_do_not_overflow_and_rows_are_independent() {
        let output = softmax_f32(&Softmax { rows: 2, columns: 2 }, &[1000., 1000., 0., 0., 0., -1000., 0., 0.]).unwrap();
        assert_eq!(output, [0.5, 0.5, 0., 0., 1., 0., 0., 0.]);
    }
}
