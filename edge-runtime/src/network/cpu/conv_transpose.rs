//! Transposed convolutions whose taps do not overlap (kernel = stride): one matrix product, its columns spread over the taps.

use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;
use fathom_core::ops::nn::pitch;

use super::epilogue::{FloatFinish, IntegerFinish, Residual, Target, TileRows};
use super::gemm::{Kernels, PackedBytes, PackedFloats, Rows, bytes, floats, unsigned};
use super::memory::{Operand, Output};
use super::work::{Failure, Scratch, Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A transposed convolution with its weights packed as `[channels, taps out_channels]`.
#[derive(Debug)]
pub(super) struct PreparedConvTranspose {
    conv: ConvTranspose2d,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Bytes { matrix: PackedBytes, flip: u8, taps: Vec<IntegerFinish> },
    Floats { matrix: PackedFloats, finish: FloatFinish },
}

impl PreparedConvTranspose {
    /// Whether the taps of neighbouring pixels stay apart and nothing is cropped.
    pub(super) fn takes(conv: &ConvTranspose2d) -> bool {
        let w = &conv.window;
        w.kernel == w.stride && w.dilation == [1, 1] && [w.pad_before, w.pad_after, conv.output_padding] == [[0, 0]; 3] && conv.groups == 1
    }

    pub(super) fn new(
        plan: &Plan,
        step: &Step,
        conv: &ConvTranspose2d,
        weights: WeightId,
        arithmetic: &Arithmetic,
        kernels: &Kernels,
    ) -> Result<Self> {
        let elements = &plan.weight(weights).elements;
        let (channels, outs) = (conv.input.channels, conv.out_channels);
        let taps = conv.window.kernel[0] * conv.window.kernel[1];
        let inner = pitch(channels);
        // Column `tap outs + o`, row `c`, of the plan's `[out_channels, taps, channels]`.
        let from = |k: usize, n: usize| (k < channels).then_some(((n % outs) * taps + n / outs) * channels + k);
        let out = plan.tensor(step.output).quant;
        let weights = match arithmetic {
            Arithmetic::Float(epilogue) => {
                let w = floats(elements)?;
                let matrix = kernels.pack_floats(inner, taps * outs, |k, n| from(k, n).map_or(0.0, |i| w[i]));
                Weights::Floats { matrix, finish: FloatFinish::new(epilogue, 1.0, out) }
            }
            Arithmetic::Bytes { zero_a, result, .. } => {
                let w = bytes(elements)?;
                let matrix = kernels.pack_bytes(inner, taps * outs, |k, n| from(k, n).map_or(0, |i| w[i]));
                let (zero, flip) = unsigned(plan, step, *zero_a);
                let taps = matrix.sums.chunks(outs).map(|sums| IntegerFinish::new(result, sums, zero, out)).collect();
                Weights::Bytes { matrix, flip, taps }
            }
        };
        Ok(Self { conv: *conv, weights })
    }

    /// Bytes of the packed weights.
    pub(super) fn size(&self) -> usize {
        match &self.weights {
            Weights::Bytes { matrix, .. } => matrix.size(),
            Weights::Floats { matrix, .. } => matrix.size(),
        }
    }

    pub(super) fn run(&self, kernels: &Kernels, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) -> Result<()> {
        let failure = Failure::default();
        let target = Target::whole(out.tensor.pitch, self.conv.out_channels);
        let chunk = self.conv.window.kernel[0] * self.conv.output().width * out.tensor.pitch;
        if out.tensor.quant.is_none() {
            workers.chunks(out.f32(), chunk, |y, rows, s| {
                failure.keep(self.line(kernels, inputs, y, &target, &mut TileRows::Floats(rows), s))
            });
        } else {
            workers
                .chunks(out.bytes, chunk, |y, rows, s| failure.keep(self.line(kernels, inputs, y, &target, &mut TileRows::Bytes(rows), s)));
        }
        failure.result()
    }

    /// One line of input pixels: a band of output lines.
    fn line(
        &self,
        kernels: &Kernels,
        inputs: &[Operand<'_>],
        y: usize,
        target: &Target,
        rows: &mut TileRows<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let x = &inputs[0];
        let (width, outs) = (self.conv.input.width, self.conv.out_channels);
        let inner = pitch(self.conv.input.channels);
        let (start, stride) = (y * width * x.tensor.pitch, x.tensor.pitch);
        let range = start..start + (width - 1) * stride + inner;
        let [kernel_h, kernel_w] = self.conv.window.kernel;
        let columns = kernel_h * kernel_w * outs;
        let out_width = self.conv.output().width;
        let place = |tap: usize, px: usize| (tap / kernel_w) * out_width + px * kernel_w + tap % kernel_w;
        let other = |pixel: usize| {
            let r = inputs.get(1)?;
            Some(Residual::new(r, (y * kernel_h * out_width + pixel) * r.tensor.pitch, r.tensor.pitch))
        };
        match &self.weights {
            Weights::Bytes { matrix, flip, taps } => {
                let data = at_least(&mut scratch.bytes, range.len());
                data.iter_mut().zip(&x.bytes[range]).for_each(|(to, from)| *to = from ^ flip);
                let sums = at_least(&mut scratch.byte_sums, width * columns);
                kernels.multiply_bytes(Rows { data, count: width, stride }, matrix, sums)?;
                for (i, sums) in sums.chunks(outs).enumerate() {
                    let pixel = place(i % taps.len(), i / taps.len());
                    taps[i % taps.len()].rows(sums, target, other(pixel), &mut rows.from(pixel * target.pitch));
                }
            }
            Weights::Floats { matrix, finish } => {
                let data = at_least(&mut scratch.floats, range.len());
                match x.quant() {
                    None => data.copy_from_slice(&x.f32()[range]),
                    Some(quant) => super::vector::dequantize_row(quant, &x.bytes[range], data),
                }
                let sums = at_least(&mut scratch.float_sums, width * columns);
                kernels.multiply_floats(Rows { data, count: width, stride }, matrix, sums)?;
                for (i, sums) in sums.chunks_mut(outs).enumerate() {
                    let pixel = place(i % (kernel_h * kernel_w), i / (kernel_h * kernel_w));
                    finish.rows(sums, target, other(pixel), &mut rows.from(pixel * target.pitch));
                }
            }
        }
        Ok(())
    }
}
