//! Depthwise convolutions: channel blocks in registers, taps inside.

use fathom_core::ops::nn::byte::Byte;
use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::{Window, pitch};

use super::conv::{IntegerFinish, TileRows, residual_row};
use super::epilogue::{FloatFinish, Residual};
use super::gemm::{bytes, floats};
use super::memory::{Operand, Output};
use super::work::{Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A depthwise convolution with its weights tap by tap.
#[derive(Debug)]
pub(super) struct PreparedDepthwise {
    conv: Conv2d,
    weights: Weights,
    arch: pulp::Arch,
}

#[derive(Debug)]
enum Weights {
    /// `[taps, channels]`; products of bytes fit in 16 bits.
    Bytes {
        taps: Vec<i16>,
        zero: i32,
        signed: bool,
        finish: IntegerFinish,
    },
    Floats {
        taps: Vec<f32>,
        finish: FloatFinish,
    },
}

/// Channels whose sums are kept in registers together.
const BLOCK: usize = 32;

impl PreparedDepthwise {
    pub(super) fn new(plan: &Plan, step: &Step, conv: &Conv2d, weights: WeightId, arithmetic: &Arithmetic) -> Result<Self> {
        let elements = &plan.weight(weights).elements;
        let count = conv.window.kernel[0] * conv.window.kernel[1];
        let channels = conv.out_channels;
        let padded = pitch(channels).next_multiple_of(BLOCK);
        let place = |i: usize| (i % count) * padded + i / count;
        let out = plan.tensor(step.output).quant;
        let weights = match arithmetic {
            Arithmetic::Float(epilogue) => {
                let mut taps = vec![0.0; count * padded];
                floats(elements)?.iter().enumerate().for_each(|(i, &w)| taps[place(i)] = w);
                Weights::Floats { taps, finish: FloatFinish::new(epilogue, 1.0, out) }
            }
            Arithmetic::Bytes { zero_a, result, .. } => {
                let mut taps = vec![0; count * padded];
                bytes(elements)?.iter().enumerate().for_each(|(i, &w)| taps[place(i)] = i16::from(w));
                let sums: Vec<i32> = (0..channels).map(|c| (0..count).map(|t| i32::from(taps[t * padded + c])).sum()).collect();
                let signed = plan.tensor(step.inputs[0]).quant.is_some_and(|q| q.signed);
                Weights::Bytes { taps, zero: *zero_a, signed, finish: IntegerFinish::new(result, &sums, *zero_a, out) }
            }
        };
        Ok(Self { conv: *conv, weights, arch: pulp::Arch::new() })
    }

    /// Bytes of the weights held.
    pub(super) fn size(&self) -> usize {
        match &self.weights {
            Weights::Bytes { taps, .. } => 2 * taps.len(),
            Weights::Floats { taps, .. } => 4 * taps.len(),
        }
    }

    pub(super) fn run(&self, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
        let width = self.conv.output().width;
        let out_pitch = out.tensor.pitch;
        let chunk = width * out_pitch;
        if out.tensor.quant.is_none() {
            workers.chunks(out.f32(), chunk, |y, rows, scratch| {
                self.line(inputs, y, &mut TileRows::Floats(rows), out_pitch, &mut scratch.byte_sums, &mut scratch.float_sums);
            });
        } else {
            workers.chunks(out.bytes, chunk, |y, rows, scratch| {
                self.line(inputs, y, &mut TileRows::Bytes(rows), out_pitch, &mut scratch.byte_sums, &mut scratch.float_sums);
            });
        }
    }

    /// One row of output pixels.
    fn line(
        &self,
        inputs: &[Operand<'_>],
        y: usize,
        rows: &mut TileRows<'_>,
        out_pitch: usize,
        byte_sums: &mut Vec<i32>,
        float_sums: &mut Vec<f32>,
    ) {
        let channels = self.conv.out_channels;
        let padded = pitch(channels).next_multiple_of(BLOCK);
        let x = &inputs[0];
        let width = self.conv.output().width;
        for px in 0..width {
            let taps = Taps::at(&self.conv, x.tensor.pitch, y, px);
            let start = px * out_pitch;
            let residual = inputs.get(1).map_or(Residual::None, |r| residual_row(r, (y * width + px) * r.tensor.pitch, &(0..channels)));
            match &self.weights {
                Weights::Bytes { taps: weights, zero, signed, finish } => {
                    let sums = at_least(byte_sums, padded);
                    self.arch.dispatch(|| {
                        if *signed {
                            byte_pixel::<i8>(bytemuck::cast_slice(&x.bytes), &taps, weights, *zero, channels, sums);
                        } else {
                            byte_pixel::<u8>(&x.bytes, &taps, weights, *zero, channels, sums);
                        }
                    });
                    finish.row(&sums[..channels], 0..channels, residual, rows.columns(start, 0..channels));
                }
                Weights::Floats { taps: weights, finish } => {
                    let sums = at_least(float_sums, padded);
                    match x.quant() {
                        None => self.arch.dispatch(|| float_pixel(x.f32(), &taps, weights, channels, sums)),
                        Some(quant) => {
                            let value = |b: u8| quant.dequantize(if quant.signed { b.cast_signed().into() } else { b.into() });
                            dequantized_pixel(&x.bytes, &taps, weights, channels, value, sums);
                        }
                    }
                    finish.row(&mut sums[..channels], 0..channels, residual, rows.columns(start, 0..channels));
                }
            }
            if out_pitch == pitch(channels) {
                rows.clear(start, channels..out_pitch);
            }
        }
    }
}

/// For each tap of one output pixel, where its channels start in the input; `None` in the padding.
struct Taps {
    starts: Vec<Option<usize>>,
}

impl Taps {
    fn at(conv: &Conv2d, pitch: usize, y: usize, x: usize) -> Self {
        let Window { kernel: [kernel_h, kernel_w], stride, dilation, pad_before, .. } = conv.window;
        let source = |o: usize, k: usize, axis: usize, extent: usize| {
            let i = (o * stride[axis] + k * dilation[axis]).checked_sub(pad_before[axis])?;
            (i < extent).then_some(i)
        };
        let starts = (0..kernel_h * kernel_w)
            .map(|tap| {
                let iy = source(y, tap / kernel_w, 0, conv.input.height)?;
                let ix = source(x, tap % kernel_w, 1, conv.input.width)?;
                Some((iy * conv.input.width + ix) * pitch)
            })
            .collect();
        Self { starts }
    }
}

#[inline(always)]
fn byte_pixel<B: Byte>(x: &[B], taps: &Taps, weights: &[i16], zero: i32, channels: usize, sums: &mut [i32]) {
    let padded = weights.len() / taps.starts.len();
    for (block, sums) in sums.chunks_exact_mut(BLOCK).enumerate() {
        let first = block * BLOCK;
        let mut total = [0_i32; BLOCK];
        let live = channels.saturating_sub(first).min(BLOCK);
        for (tap, start) in taps.starts.iter().enumerate() {
            let w = &weights[tap * padded + first..tap * padded + first + BLOCK];
            match start {
                Some(start) if live == BLOCK => {
                    let x = &x[start + first..start + first + BLOCK];
                    for i in 0..BLOCK {
                        let byte: i32 = x[i].into();
                        total[i] += i32::from((byte as i16).wrapping_mul(w[i]));
                    }
                }
                Some(start) => {
                    for (i, &byte) in x[start + first..start + first + live].iter().enumerate() {
                        total[i] += byte.into() * i32::from(w[i]);
                    }
                }
                None => (0..BLOCK).for_each(|i| total[i] += zero * i32::from(w[i])),
            }
        }
        sums.copy_from_slice(&total);
    }
}

#[inline(always)]
fn float_pixel(x: &[f32], taps: &Taps, weights: &[f32], channels: usize, sums: &mut [f32]) {
    let padded = weights.len() / taps.starts.len();
    for (block, sums) in sums.chunks_exact_mut(BLOCK).enumerate() {
        let first = block * BLOCK;
        let mut total = [0.0_f32; BLOCK];
        let live = channels.saturating_sub(first).min(BLOCK);
        for (tap, start) in taps.starts.iter().enumerate() {
            let Some(start) = start else { continue };
            let w = &weights[tap * padded + first..tap * padded + first + BLOCK];
            if live == BLOCK {
                let x = &x[start + first..start + first + BLOCK];
                for i in 0..BLOCK {
                    total[i] = x[i].mul_add(w[i], total[i]);
                }
            } else {
                x[start + first..start + first + live].iter().enumerate().for_each(|(i, x)| total[i] += x * w[i]);
            }
        }
        sums.copy_from_slice(&total);
    }
}

/// Bytes read as reals: rare, so plain.
fn dequantized_pixel(x: &[u8], taps: &Taps, weights: &[f32], channels: usize, value: impl Fn(u8) -> f32, sums: &mut [f32]) {
    let padded = weights.len() / taps.starts.len();
    sums.fill(0.0);
    for (tap, start) in taps.starts.iter().enumerate() {
        let Some(start) = start else { continue };
        (0..channels).for_each(|c| sums[c] += value(x[start + c]) * weights[tap * padded + c]);
    }
}
