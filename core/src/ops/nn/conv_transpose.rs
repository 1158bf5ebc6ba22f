//! Two-dimensional transposed convolution, grouped, with output padding; in bytes and in floats.
//!
//! This is the definition. The kernels `gpu-kernels/src/nn/conv_transpose*.wgsl` and the CPU executor are held to it.

use super::byte::Byte;
use super::{Map, Window, pitch};
use crate::{Error, Result};

/// Geometry of one transposed convolution: input pixel `i` adds `w[k] x[i]` to output pixel `i stride + k dilation - pad_before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvTranspose2d {
    /// Input extents.
    pub input: Map,
    /// Output channels; a multiple of `groups`.
    pub out_channels: usize,
    /// Taps, stride, dilation; the padding crops the output.
    pub window: Window,
    /// Rows and columns added behind the output.
    pub output_padding: [usize; 2],
    /// Groups; divides the input's channels.
    pub groups: usize,
}

impl ConvTranspose2d {
    /// Output extents: `(in - 1) stride + dilation (kernel - 1) + 1 + output_padding - before - after`; 0 where negative.
    ///
    /// Source: ONNX operator ConvTranspose.
    #[must_use]
    pub fn output(&self) -> Map {
        let window = &self.window;
        let [height, width] = std::array::from_fn(|axis| {
            let input = [self.input.height, self.input.width][axis];
            let full = input.saturating_sub(1) * window.stride[axis] + window.dilation[axis] * (window.kernel[axis] - 1) + 1;
            (full + self.output_padding[axis]).saturating_sub(window.pad_before[axis] + window.pad_after[axis])
        });
        Map { height, width, channels: self.out_channels }
    }

    /// Weights in memory, as of a convolution: `[out_channels, kernel_h, kernel_w, group_channels]`.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.out_channels * self.window.kernel[0] * self.window.kernel[1] * (self.input.channels / self.groups)
    }

    /// Multiplications, counting taps that fall outside the output.
    #[must_use]
    pub const fn macs(&self) -> u64 {
        (self.input.height * self.input.width) as u64 * self.weights_len() as u64
    }

    fn check(&self, input: usize, weights: usize) -> Result<()> {
        for (what, got, expected) in
            [("transposed convolution input", input, self.input.len()), ("transposed convolution weights", weights, self.weights_len())]
        {
            if got != expected {
                return Err(Error::Length { what, got, expected });
            }
        }
        Ok(())
    }

    /// Calls `tap(output_index, weight_index, input_index)` for each product that lands inside the output.
    fn taps(&self, mut tap: impl FnMut(usize, usize, usize)) {
        let out = self.output();
        let [kernel_h, kernel_w] = self.window.kernel;
        let group_in = self.input.channels / self.groups;
        let group_out = self.out_channels / self.groups;
        for (y, x) in (0..self.input.height).flat_map(|y| (0..self.input.width).map(move |x| (y, x))) {
            for (ky, kx) in (0..kernel_h).flat_map(|ky| (0..kernel_w).map(move |kx| (ky, kx))) {
                let Some(oy) = self.target(y, ky, 0, out.height) else { continue };
                let Some(ox) = self.target(x, kx, 1, out.width) else { continue };
                for o in 0..self.out_channels {
                    for c in 0..group_in {
                        let weight = ((o * kernel_h + ky) * kernel_w + kx) * group_in + c;
                        tap(out.at(oy, ox) + o, weight, self.input.at(y, x) + o / group_out * group_in + c);
                    }
                }
            }
        }
    }

    /// Output coordinate of tap `k` of input `i` along `axis`; `None` outside.
    fn target(&self, i: usize, k: usize, axis: usize, extent: usize) -> Option<usize> {
        let at = (i * self.window.stride[axis] + k * self.window.dilation[axis]).checked_sub(self.window.pad_before[axis])?;
        (at < extent).then_some(at)
    }
}

/// Float sums, without bias. Output extents `conv.output()` with [`pitch`]; padding lanes are 0.
///
/// # Errors
/// [`Error::Length`] naming the argument.
pub fn conv_transpose2d_f32(conv: &ConvTranspose2d, input: &[f32], weights: &[f32]) -> Result<Vec<f32>> {
    conv.check(input.len(), weights.len())?;
    debug_assert_eq!(conv.input.at(0, 1), pitch(conv.input.channels));
    let mut sums = vec![0.0; conv.output().len()];
    conv.taps(|o, w, i| sums[o] += weights[w] * input[i]);
    Ok(sums)
}

/// Byte sums `w (x - zero_point)`, without bias. Layout as [`conv_transpose2d_f32`].
///
/// # Errors
/// [`Error::Length`] naming the argument.
pub fn conv_transpose2d_bytes<B: Byte>(conv: &ConvTranspose2d, input: &[B], zero_point: i32, weights: &[i8]) -> Result<Vec<i32>> {
    conv.check(input.len(), weights.len())?;
    let mut sums = vec![0_i32; conv.output().len()];
    conv.taps(|o, w, i| sums[o] = sums[o].wrapping_add(i32::from(weights[w]) * (input[i].into() - zero_point)));
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(kernel: usize, stride: usize, pad: usize) -> Window {
        Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2], pad_before: [pad; 2], pad_after: [pad; 2] }
    }

    #[test]
    fn equal_kernel_and_stride_tile_the_output() {
        let conv = ConvTranspose2d {
            input: Map { height: 1, width: 2, channels: 1 },
            out_channels: 1,
            window: square(2, 2, 0),
            output_padding: [0, 0],
            groups: 1,
        };
        let output = conv_transpose2d_f32(&conv, &[1., 0., 0., 0., 10., 0., 0., 0.], &[1., 2., 3., 4.]).unwrap();
        let first: Vec<f32> = output.chunks(4).map(|p| p[0]).collect();
        assert_eq!(first, [1., 2., 10., 20., 3., 4., 30., 40.]);
    }

    #[test]
    fn overlapping_taps_add_and_the_padding_crops() {
        let conv = ConvTranspose2d {
            input: Map { height: 1, width: 2, channels: 1 },
            out_channels: 1,
            window: square(3, 2, 1),
            output_padding: [1, 1],
            groups: 1,
        };
        assert_eq!(conv.output(), Map { height: 2, width: 4, channels: 1 });
        let output = conv_transpose2d_bytes(&conv, &[6_u8, 0, 0, 0, 7, 0, 0, 0], 5, &[1; 9]).unwrap();
        let first: Vec<i32> = output.chunks(4).map(|p| p[0]).collect();
        // Row of taps: 1 at 0..3 of the first pixel, 2 at 2..5 of the second, cropped by one: [1, 1 + 2, 2, 2].
        assert_eq!(first, [1, 3, 2, 2, 1, 3, 2, 2]);
    }
}
