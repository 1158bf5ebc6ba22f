//! Two-dimensional convolution: dense, grouped, depthwise, dilated; in bytes and in floats.
//!
//! This is the definition. The kernels `gpu-kernels/src/nn/conv*.wgsl` and the CPU executor are held to it: the byte
//! form bit for bit.

use super::byte::Byte;
use super::{Map, Window, pitch};
use crate::{Error, Result};

/// Geometry of one convolution. Group `g` reads channels `g C/groups ..` and writes channels `g O/groups ..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Input extents.
    pub input: Map,
    /// Output channels; a multiple of `groups`.
    pub out_channels: usize,
    /// Taps, stride, dilation and padding.
    pub window: Window,
    /// Groups; divides the input's channels. `groups == channels == out_channels` is depthwise.
    pub groups: usize,
}

impl Conv2d {
    /// Output extents.
    #[must_use]
    pub fn output(&self) -> Map {
        let [height, width] = self.window.output([self.input.height, self.input.width]);
        Map { height, width, channels: self.out_channels }
    }

    /// Input channels of one group.
    #[must_use]
    pub const fn group_channels(&self) -> usize {
        self.input.channels / self.groups
    }

    /// Weights in memory: `[out_channels, kernel_h, kernel_w, group_channels]`, without padding.
    #[must_use]
    pub const fn weights_len(&self) -> usize {
        self.out_channels * self.window.kernel[0] * self.window.kernel[1] * self.group_channels()
    }

    /// Multiplications, counting taps in the padding.
    #[must_use]
    pub fn macs(&self) -> u64 {
        let out = self.output();
        (out.height * out.width) as u64 * self.weights_len() as u64
    }

    fn check(&self, input: usize, weights: usize) -> Result<()> {
        let length = |what, got, expected| if got == expected { Ok(()) } else { Err(Error::Length { what, got, expected }) };
        length("convolution input", input, self.input.len())?;
        length("convolution weights", weights, self.weights_len())
    }

    /// Calls `tap(weight_index, input_index)` for each tap of output `(y, x, channel)` that lies inside the image.
    fn taps(&self, y: usize, x: usize, channel: usize, mut tap: impl FnMut(usize, usize)) {
        let [kernel_h, kernel_w] = self.window.kernel;
        let group_channels = self.group_channels();
        let first = channel / (self.out_channels / self.groups) * group_channels;
        for ky in 0..kernel_h {
            let Some(iy) = source(y, ky, &self.window, 0, self.input.height) else { continue };
            for kx in 0..kernel_w {
                let Some(ix) = source(x, kx, &self.window, 1, self.input.width) else { continue };
                for c in 0..group_channels {
                    let weight = ((channel * kernel_h + ky) * kernel_w + kx) * group_channels + c;
                    tap(weight, self.input.at(iy, ix) + first + c);
                }
            }
        }
    }
}

/// Input coordinate of tap `k` for output `o` along `axis`; `None` in the padding.
fn source(o: usize, k: usize, window: &Window, axis: usize, extent: usize) -> Option<usize> {
    let i = (o * window.stride[axis] + k * window.dilation[axis]).checked_sub(window.pad_before[axis])?;
    (i < extent).then_some(i)
}

/// Byte convolution's sums: `sum w (x - zero_point)`, so that padding counts as the zero point. Bias and what follows are
/// [`super::epilogue`]'s; together they are the ONNX operator QLinearConv with symmetric weights.
///
/// * `input`: extents `conv.input` with [`pitch`].
/// * `weights`: `[out_channels, kernel_h, kernel_w, group_channels]`, zero point 0.
/// * Returns extents `conv.output()` with [`pitch`]; padding lanes are 0.
///
/// # Errors
/// [`Error::Length`] naming the argument.
pub fn conv2d_bytes<B: Byte>(conv: &Conv2d, input: &[B], zero_point: i32, weights: &[i8]) -> Result<Vec<i32>> {
    conv.check(input.len(), weights.len())?;
    let out = conv.output();
    let mut sums = vec![0_i32; out.len()];
    for_each_output(out, |y, x, channel, index| {
        conv.taps(y, x, channel, |w, i| {
            let product = i32::from(weights[w]) * (input[i].into() - zero_point);
            sums[index] = sums[index].wrapping_add(product);
        });
    });
    Ok(sums)
}

/// Float convolution's sums: `sum w x`, padding counts as 0. Layouts as [`conv2d_bytes`].
///
/// # Errors
/// [`Error::Length`] naming the argument.
pub fn conv2d_f32(conv: &Conv2d, input: &[f32], weights: &[f32]) -> Result<Vec<f32>> {
    conv.check(input.len(), weights.len())?;
    let out = conv.output();
    let mut output = vec![0.0; out.len()];
    for_each_output(out, |y, x, channel, index| {
        conv.taps(y, x, channel, |w, i| output[index] += weights[w] * input[i]);
    });
    Ok(output)
}

fn for_each_output(out: Map, mut write: impl FnMut(usize, usize, usize, usize)) {
    debug_assert_eq!(out.at(0, 1) - out.at(0, 0), pitch(out.channels));
    for y in 0..out.height {
        for x in 0..out.width {
            for channel in 0..out.channels {
                write(y, x, channel, out.at(y, x) + channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::nn::epilogue::ByteEpilogue;

    fn three_by_three(channels: usize, groups: usize) -> Conv2d {
        let window = Window { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], pad_before: [1, 1], pad_after: [1, 1] };
        Conv2d { input: Map { height: 3, width: 3, channels }, out_channels: channels, window, groups }
    }

    #[test]
    fn a_box_filter_sums_what_is_inside_the_image() {
        let conv = three_by_three(1, 1);
        let input: Vec<f32> = (0..9).flat_map(|i| [i as f32, 0.0, 0.0, 0.0]).collect();
        let output = conv2d_f32(&conv, &input, &[1.0; 9]).unwrap();
        let first: Vec<f32> = output.chunks(4).map(|p| p[0]).collect();
        assert_eq!(first, [0. + 1. + 3. + 4., 1. + 2. + 4. + 5., 3. + 4. + 6. + 7., 4. + 5. + 7. + 8.]);
    }

    #[test]
    fn padding_counts_as_the_zero_point_and_the_clamp_is_the_activation() {
        let conv = three_by_three(1, 1);
        let input: Vec<u8> = (0..9).flat_map(|_| [12, 0, 0, 0]).collect();
        let sums = conv2d_bytes(&conv, &input, 10, &[1; 9]).unwrap();
        let epilogue =
            ByteEpilogue { bias: vec![-4], multiplier: vec![0.5], zero_point: 3, low: 3, high: 8, table: None, residual: None, then: None };
        let output = epilogue.apply::<u8>(&sums, 1, None).unwrap();
        // Four taps of 2 inside the image: 8 - 4 = 4, times 0.5 is 2, plus 3.
        assert!(output.chunks(4).all(|p| p == [5, 0, 0, 0]));
    }

    #[test]
    fn depthwise_groups_do_not_mix_channels() {
        let conv = three_by_three(5, 5);
        let mut input = vec![0.0; conv.input.len()];
        input[conv.input.at(1, 1) + 3] = 1.0;
        let output = conv2d_f32(&conv, &input, &[1.0; 45]).unwrap();
        assert!(output.chunks(8).all(|p| p == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
    }
}
