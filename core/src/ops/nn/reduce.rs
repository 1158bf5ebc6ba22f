//! Mean, sum, largest and norm over axes.

use crate::{Error, Result};

/// What is made of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Mean; GlobalAveragePool is this over the image.
    Mean,
    /// Sum.
    Sum,
    /// Largest.
    Max,
    /// Square root of the sum of squares.
    L2,
}

/// Strided reduction: `out[k . out] = reduction over r of input[k . input + r . reduced_strides]`.
///
/// Shorter shapes have leading 1s. Strides are in elements and include the padding of the last axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// What is made of the values.
    pub reduction: Reduction,
    /// Extents of the kept axes.
    pub kept: [usize; 4],
    /// Their strides in the input.
    pub input: [usize; 4],
    /// Their strides in the result.
    pub out: [usize; 4],
    /// Extents of the reduced axes.
    pub reduced: [usize; 4],
    /// Their strides in the input.
    pub reduced_strides: [usize; 4],
}

impl Reduce {
    /// Values that enter one result.
    #[must_use]
    pub fn count(&self) -> usize {
        self.reduced.iter().product()
    }
}

/// Reduces floats; elements of the result outside the index space stay as they are.
///
/// # Errors
/// [`Error::Length`] if strides reach beyond the input or the result, [`Error::OutOfRange`] if an extent is 0.
pub fn reduce_f32(reduce: &Reduce, input: &[f32], out: &mut [f32]) -> Result<()> {
    let reach = |shape: &[usize; 4], strides: &[usize; 4]| shape.iter().zip(strides).map(|(n, s)| n.saturating_sub(1) * s).sum::<usize>();
    if reduce.kept.contains(&0) || reduce.reduced.contains(&0) {
        return Err(Error::OutOfRange { what: "extent of a reduction", got: "0".into(), allowed: "1 or more" });
    }
    let expected = reach(&reduce.kept, &reduce.input) + reach(&reduce.reduced, &reduce.reduced_strides) + 1;
    if input.len() < expected {
        return Err(Error::Length { what: "reduction input", got: input.len(), expected });
    }
    let expected = reach(&reduce.kept, &reduce.out) + 1;
    if out.len() < expected {
        return Err(Error::Length { what: "reduction result", got: out.len(), expected });
    }
    for kept in indices(reduce.kept) {
        let first = dot(kept, reduce.input);
        let values = indices(reduce.reduced).map(|r| input[first + dot(r, reduce.reduced_strides)]);
        out[dot(kept, reduce.out)] = match reduce.reduction {
            Reduction::Mean => values.sum::<f32>() / reduce.count() as f32,
            Reduction::Sum => values.sum(),
            Reduction::Max => values.fold(f32::NEG_INFINITY, f32::max),
            Reduction::L2 => values.map(|x| x * x).sum::<f32>().sqrt(),
        };
    }
    Ok(())
}

fn dot(index: [usize; 4], strides: [usize; 4]) -> usize {
    index.iter().zip(strides).map(|(i, s)| i * s).sum()
}

fn indices(shape: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
    let [n0, n1, n2, n3] = shape;
    (0..n0 * n1 * n2 * n3).map(move |i| [i / (n1 * n2 * n3), i / (n2 * n3) % n1, i / n3 % n2, i % n3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_over_pixels_keeps_channels() {
        let reduce = Reduce {
            reduction: Reduction::Mean,
            kept: [1, 1, 1, 2],
            input: [0, 0, 0, 1],
            out: [0, 0, 0, 1],
            reduced: [1, 1, 1, 3],
            reduced_strides: [0, 0, 0, 4],
        };
        let mut out = [0.0; 4];
        reduce_f32(&reduce, &[1., 10., 0., 0., 2., 20., 0., 0., 6., 60., 0., 0.], &mut out).unwrap();
        assert_eq!(out, [3., 30., 0., 0.]);
        let norm = Reduce { reduction: Reduction::L2, kept: [1; 4], reduced: [1, 1, 1, 2], reduced_strides: [0, 0, 0, 1], ..reduce };
        reduce_f32(&norm, &[3., 4.], &mut out).unwrap();
        assert_eq!(out[0], 5.0);
    }
}
