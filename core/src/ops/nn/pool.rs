//! Maximum and mean over windows.

use super::byte::Byte;
use super::{Map, Window};
use crate::{Error, Result};

/// What a window yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// The largest value inside the image.
    Max,
    /// The mean.
    Average {
        /// Whether padding counts in the divisor.
        count_include_pad: bool,
    },
}

/// Geometry of one pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Input extents.
    pub input: Map,
    /// Output extents `[height, width]`. Where `ceil_mode` made them larger than the window's formula, the last window overhangs.
    pub output: [usize; 2],
    /// Taps, stride, dilation and padding.
    pub window: Window,
    /// What a window yields.
    pub pooling: Pooling,
}

impl Pool {
    /// Output extents.
    #[must_use]
    pub const fn output(&self) -> Map {
        Map { height: self.output[0], width: self.output[1], channels: self.input.channels }
    }

    /// Taps of output `(y, x)` inside the image: indices of their first channels.
    fn taps(&self, y: usize, x: usize) -> impl Iterator<Item = usize> {
        let source = move |o: usize, k: usize, axis: usize, extent: usize| {
            let i = (o * self.window.stride[axis] + k * self.window.dilation[axis]).checked_sub(self.window.pad_before[axis])?;
            (i < extent).then_some(i)
        };
        let [kernel_h, kernel_w] = self.window.kernel;
        (0..kernel_h)
            .flat_map(move |ky| (0..kernel_w).map(move |kx| (ky, kx)))
            .filter_map(move |(ky, kx)| Some(self.input.at(source(y, ky, 0, self.input.height)?, source(x, kx, 1, self.input.width)?)))
    }

    /// Taps that the mean divides by at output `(y, x)`: those inside the image, or inside the padded image.
    #[must_use]
    pub fn divisor(&self, y: usize, x: usize) -> usize {
        if self.pooling != (Pooling::Average { count_include_pad: true }) {
            return self.taps(y, x).count();
        }
        let inside = |o: usize, axis: usize, extent: usize| {
            let padded = extent + self.window.pad_before[axis] + self.window.pad_after[axis];
            (0..self.window.kernel[axis]).filter(|k| o * self.window.stride[axis] + k * self.window.dilation[axis] < padded).count()
        };
        inside(y, 0, self.input.height) * inside(x, 1, self.input.width)
    }

    fn check(&self, input: usize) -> Result<()> {
        if input == self.input.len() {
            Ok(())
        } else {
            Err(Error::Length { what: "pooling input", got: input, expected: self.input.len() })
        }
    }

    fn fold<T: Copy>(&self, padding: T, mut value: impl FnMut(usize, usize, usize) -> T) -> Vec<T> {
        let out = self.output();
        let mut output = vec![padding; out.len()];
        for (y, x) in (0..out.height).flat_map(|y| (0..out.width).map(move |x| (y, x))) {
            (0..out.channels).for_each(|c| output[out.at(y, x) + c] = value(y, x, c));
        }
        output
    }
}

/// Pools floats. Extents `pool.output()` with [`super::pitch`]; padding lanes, and windows wholly in the padding, are 0.
///
/// # Errors
/// [`Error::Length`] if the input is not `pool.input`.
pub fn pool_f32(pool: &Pool, input: &[f32]) -> Result<Vec<f32>> {
    pool.check(input.len())?;
    Ok(pool.fold(0.0, |y, x, c| match pool.pooling {
        Pooling::Max => pool.taps(y, x).map(|at| input[at + c]).reduce(f32::max).unwrap_or(0.0),
        Pooling::Average { .. } => pool.taps(y, x).map(|at| input[at + c]).sum::<f32>() / pool.divisor(y, x).max(1) as f32,
    }))
}

/// Largest bytes; exact, since quantization is monotonous. Layout as [`pool_f32`].
///
/// # Errors
/// [`Error::Length`] if the input is not `pool.input`; [`Error::OutOfRange`] for a mean, which is computed in floats.
pub fn max_pool_bytes<B: Byte>(pool: &Pool, input: &[B]) -> Result<Vec<B>> {
    pool.check(input.len())?;
    if pool.pooling != Pooling::Max {
        return Err(Error::OutOfRange { what: "pooling of bytes", got: "mean".into(), allowed: "max" });
    }
    let zero = B::from_bits(0);
    let largest = |y, x, c| pool.taps(y, x).map(|at| input[at + c]).max_by_key(|&b| Into::<i32>::into(b));
    Ok(pool.fold(zero, |y, x, c| largest(y, x, c).unwrap_or(zero)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_by_two(pooling: Pooling) -> Pool {
        let window = Window { kernel: [2, 2], stride: [1, 1], dilation: [1, 1], pad_before: [1, 1], pad_after: [0, 0] };
        Pool { input: Map { height: 1, width: 2, channels: 1 }, output: [1, 2], window, pooling }
    }

    #[test]
    fn the_mean_counts_padding_only_when_told() {
        let input = [4., 0., 0., 0., 8., 0., 0., 0.];
        let counted = pool_f32(&two_by_two(Pooling::Average { count_include_pad: true }), &input).unwrap();
        let inside = pool_f32(&two_by_two(Pooling::Average { count_include_pad: false }), &input).unwrap();
        assert_eq!([counted[0], counted[4], inside[0], inside[4]], [1., 3., 4., 6.]);
    }

    #[test]
    fn the_largest_byte_is_never_the_padding() {
        let output = max_pool_bytes(&two_by_two(Pooling::Max), &[-9_i8, 0, 0, 0, -7, 0, 0, 0]).unwrap();
        assert_eq!([output[0], output[4]], [-9, -7]);
    }
}
