//! Matrix products, batched and strided: attention reads its heads where the projection left them.
//!
//! The kernels `gpu-kernels/src/nn/matmul*.wgsl` and the CPU executor are held to this: the byte form bit for bit.

use super::byte::Byte;
use super::pitch;
use crate::{Error, Result};

/// Where one operand's matrices lie, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Strided {
    /// First element of the first matrix.
    pub offset: usize,
    /// From one matrix to the next, per batch axis; 0 broadcasts.
    pub batch: [usize; 2],
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next: 1 for row-major, more for a transposed matrix.
    pub column: usize,
}

impl Strided {
    /// Index of an element.
    #[must_use]
    pub const fn at(&self, batch: [usize; 2], row: usize, column: usize) -> usize {
        self.offset + batch[0] * self.batch[0] + batch[1] * self.batch[1] + row * self.row + column * self.column
    }
}

/// `out[i, j, m, n] = sum over k of a[i, j, m, k] b[i, j, k, n]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatMul {
    /// Extents of the two batch axes.
    pub batch: [usize; 2],
    /// Rows of `a` and of the result.
    pub rows: usize,
    /// Columns of `a`, rows of `b`.
    pub inner: usize,
    /// Columns of `b` and of the result.
    pub columns: usize,
    /// First operand.
    pub a: Strided,
    /// Second operand.
    pub b: Strided,
    /// Result; its `column` is 1.
    pub out: Strided,
}

impl MatMul {
    /// Plain row-major matrices with [`pitch`]: `[rows, inner] x [inner, columns]`.
    #[must_use]
    pub const fn plain(rows: usize, inner: usize, columns: usize) -> Self {
        Self {
            batch: [1, 1],
            rows,
            inner,
            columns,
            a: Strided { offset: 0, batch: [0, 0], row: pitch(inner), column: 1 },
            b: Strided { offset: 0, batch: [0, 0], row: pitch(columns), column: 1 },
            out: Strided { offset: 0, batch: [0, 0], row: pitch(columns), column: 1 },
        }
    }

    /// Multiplications.
    #[must_use]
    pub const fn macs(&self) -> u64 {
        (self.batch[0] * self.batch[1] * self.rows) as u64 * (self.inner * self.columns) as u64
    }

    /// Sums in order: matrices one after the other, `[rows, columns]` with [`pitch`]`(columns)`; padding lanes 0.
    #[must_use]
    pub const fn sums_len(&self) -> usize {
        self.batch[0] * self.batch[1] * self.rows * pitch(self.columns)
    }

    fn check(&self, a: usize, b: usize) -> Result<()> {
        let last = [self.batch[0].saturating_sub(1), self.batch[1].saturating_sub(1)];
        let [rows, inner, columns] = [self.rows, self.inner, self.columns].map(|n| n.saturating_sub(1));
        for (what, got, expected) in
            [("first matrix", a, self.a.at(last, rows, inner) + 1), ("second matrix", b, self.b.at(last, inner, columns) + 1)]
        {
            if got < expected {
                return Err(Error::Length { what, got, expected });
            }
        }
        Ok(())
    }

    fn for_each_sum(&self, mut visit: impl FnMut([usize; 2], usize, usize, usize)) {
        for (i, j) in (0..self.batch[0]).flat_map(|i| (0..self.batch[1]).map(move |j| (i, j))) {
            for m in 0..self.rows {
                let first = ((i * self.batch[1] + j) * self.rows + m) * pitch(self.columns);
                (0..self.columns).for_each(|n| visit([i, j], m, n, first + n));
            }
        }
    }
}

/// Float products: the sums of [`MatMul::sums_len`]. The result's own strides are applied by [`scatter`].
///
/// # Errors
/// [`Error::Length`] if strides reach beyond an operand.
pub fn matmul_f32(product: &MatMul, a: &[f32], b: &[f32]) -> Result<Vec<f32>> {
    product.check(a.len(), b.len())?;
    let mut sums = vec![0.0; product.sums_len()];
    product.for_each_sum(|batch, m, n, to| {
        sums[to] = (0..product.inner).map(|k| a[product.a.at(batch, m, k)] * b[product.b.at(batch, k, n)]).sum();
    });
    Ok(sums)
}

/// Byte products `sum (a - zero_a) (b - zero_b)`: the sums of [`MatMul::sums_len`].
///
/// # Errors
/// [`Error::Length`] if strides reach beyond an operand.
pub fn matmul_bytes<A: Byte, B: Byte>(product: &MatMul, a: &[A], zero_a: i32, b: &[B], zero_b: i32) -> Result<Vec<i32>> {
    product.check(a.len(), b.len())?;
    let mut sums = vec![0_i32; product.sums_len()];
    product.for_each_sum(|batch, m, n, to| {
        for k in 0..product.inner {
            let [x, y] = [a[product.a.at(batch, m, k)].into() - zero_a, b[product.b.at(batch, k, n)].into() - zero_b];
            sums[to] = sums[to].wrapping_add(x * y);
        }
    });
    Ok(sums)
}

/// Puts finished values, in the order of [`MatMul::sums_len`], where the result's strides say.
///
/// # Errors
/// [`Error::Length`] if `values` are not [`MatMul::sums_len`] or the strides reach beyond `out`.
pub fn scatter<T: Copy>(product: &MatMul, values: &[T], out: &mut [T]) -> Result<()> {
    if values.len() != product.sums_len() {
        return Err(Error::Length { what: "matrix product", got: values.len(), expected: product.sums_len() });
    }
    let last = [product.batch[0].saturating_sub(1), product.batch[1].saturating_sub(1)];
    let expected = product.out.at(last, product.rows.saturating_sub(1), product.columns.saturating_sub(1)) + 1;
    if out.len() < expected {
        return Err(Error::Length { what: "matrix result", got: out.len(), expected });
    }
    product.for_each_sum(|batch, m, n, from| out[product.out.at(batch, m, n)] = values[from]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_operand_is_a_matter_of_strides() {
        let plain = MatMul::plain(1, 2, 2);
        let sums = matmul_f32(&plain, &[1., 2., 0., 0.], &[3., 4., 0., 0., 5., 6., 0., 0.]).unwrap();
        assert_eq!(sums, [13., 16., 0., 0.]);
        let transposed = MatMul { b: Strided { row: 1, column: 4, ..plain.b }, ..plain };
        let sums = matmul_f32(&transposed, &[1., 2., 0., 0.], &[3., 4., 0., 0., 5., 6., 0., 0.]).unwrap();
        assert_eq!(sums, [11., 17., 0., 0.]);
    }

    #[test]
    fn zero_points_are_subtracted_from_both_sides() {
        let sums = matmul_bytes(&MatMul::plain(1, 1, 1), &[7_u8, 0, 0, 0], 5, &[-3_i8, 0, 0, 0], -1).unwrap();
        assert_eq!(sums[0], -4);
    }
}
