//! Depthwise convolutions: channel blocks in registers, taps inside, one line of output pixels at a time.
//!
//! Sums wrap instead of being checked: bytes times weights over the largest kernel stay far inside `i32`, and a check in
//! the inner loop would keep it from becoming vector code.

use fathom_core::ops::nn::Window;
use fathom_core::ops::nn::byte::Byte;
use fathom_core::ops::nn::conv::Conv2d;
use pulp::{Arch, Simd, WithSimd};

use super::epilogue::{FloatFinish, IntegerFinish, Residual, Target, TileRows};
use super::gemm::{bytes, floats};
use super::memory::{Operand, Output};
use super::vector::dequantize_row;
use super::work::{Scratch, Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A depthwise convolution with its weights tap by tap.
#[derive(Debug)]
pub(super) struct PreparedDepthwise {
    conv: Conv2d,
    weights: Weights,
    arch: Arch,
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

impl PreparedDepthwise {
    pub(super) fn new(plan: &Plan, step: &Step, conv: &Conv2d, weights: WeightId, arithmetic: &Arithmetic) -> Result<Self> {
        let elements = &plan.weight(weights).elements;
        let count = conv.window.kernel[0] * conv.window.kernel[1];
        let channels = conv.out_channels;
        // Element `i` of `[taps, channels]` in the plan's `[channels, taps]`.
        let from = |i: usize| (i % channels) * count + i / channels;
        let out = plan.tensor(step.output).quant;
        let weights = match arithmetic {
            Arithmetic::Float(epilogue) => {
                let w = floats(elements)?;
                let taps = (0..w.len()).map(|i| w[from(i)]).collect();
                Weights::Floats { taps, finish: FloatFinish::new(epilogue, 1.0, out) }
            }
            Arithmetic::Bytes { zero_a, result, .. } => {
                let w = bytes(elements)?;
                let taps = (0..w.len()).map(|i| i16::from(w[from(i)])).collect();
                let sums: Vec<i32> = w.chunks(count.max(1)).map(|taps| taps.iter().map(|&w| i32::from(w)).sum()).collect();
                let signed = plan.tensor(step.inputs[0]).quant.is_some_and(|q| q.signed);
                Weights::Bytes { taps, zero: *zero_a, signed, finish: IntegerFinish::new(result, &sums, *zero_a, out) }
            }
        };
        Ok(Self { conv: *conv, weights, arch: Arch::new() })
    }

    /// Bytes of the weights held.
    pub(super) fn size(&self) -> usize {
        match &self.weights {
            Weights::Bytes { taps, .. } => 2 * taps.len(),
            Weights::Floats { taps, .. } => 4 * taps.len(),
        }
    }

    pub(super) fn run(&self, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
        let target = Target::whole(out.tensor.pitch, self.conv.out_channels);
        let chunk = self.conv.output().width * out.tensor.pitch;
        if out.tensor.quant.is_none() {
            workers.chunks(out.f32(), chunk, |y, rows, scratch| self.line(inputs, y, &target, &mut TileRows::Floats(rows), scratch));
        } else {
            workers.chunks(out.bytes, chunk, |y, rows, scratch| self.line(inputs, y, &target, &mut TileRows::Bytes(rows), scratch));
        }
    }

    /// One line of output pixels.
    fn line(&self, inputs: &[Operand<'_>], y: usize, target: &Target, rows: &mut TileRows<'_>, scratch: &mut Scratch) {
        let channels = self.conv.out_channels;
        let out_width = self.conv.output().width;
        let x = &inputs[0];
        let line = Line { conv: &self.conv, y, pitch: x.tensor.pitch, out_width, channels };
        let residual = inputs.get(1).map(|r| Residual::new(r, y * out_width * r.tensor.pitch, r.tensor.pitch));
        match &self.weights {
            Weights::Bytes { taps, zero, signed, finish } => {
                let sums = at_least(&mut scratch.byte_sums, out_width * channels);
                if *signed {
                    self.arch.dispatch(ByteLine::<i8> { line, x: bytemuck::cast_slice(&x.bytes), taps, zero: *zero, sums });
                } else {
                    self.arch.dispatch(ByteLine::<u8> { line, x: &x.bytes, taps, zero: *zero, sums });
                }
                finish.rows(sums, target, residual, rows);
            }
            Weights::Floats { taps, finish } => {
                let sums = at_least(&mut scratch.float_sums, out_width * channels);
                match x.quant() {
                    None => self.arch.dispatch(FloatLine { line, x: x.f32(), taps, sums }),
                    Some(quant) => {
                        let reals = at_least(&mut scratch.floats, x.bytes.len());
                        dequantize_row(quant, &x.bytes, reals);
                        self.arch.dispatch(FloatLine { line, x: reals, taps, sums });
                    }
                }
                finish.rows(sums, target, residual, rows);
            }
        }
    }
}

/// Geometry of one line of output pixels.
#[derive(Clone, Copy)]
struct Line<'a> {
    conv: &'a Conv2d,
    y: usize,
    /// Elements from one pixel of the input to the next.
    pitch: usize,
    out_width: usize,
    channels: usize,
}

impl Line<'_> {
    /// Calls `tap(tap, start)` for each tap of output pixel `x`; `start` is where its channels start, `None` in the padding.
    #[inline(always)]
    fn taps(&self, x: usize, mut tap: impl FnMut(usize, Option<usize>)) {
        let Window { kernel: [kernel_h, kernel_w], stride, dilation, pad_before, .. } = self.conv.window;
        let (height, width) = (self.conv.input.height, self.conv.input.width);
        // Wrapping below zero lands far above any extent.
        let top = (self.y * stride[0]).wrapping_sub(pad_before[0]);
        let left = (x * stride[1]).wrapping_sub(pad_before[1]);
        for ky in 0..kernel_h {
            let iy = top.wrapping_add(ky * dilation[0]);
            for kx in 0..kernel_w {
                let ix = left.wrapping_add(kx * dilation[1]);
                let inside = iy < height && ix < width;
                tap(ky * kernel_w + kx, if inside { Some((iy * width + ix) * self.pitch) } else { None });
            }
        }
    }

    /// The block of channels from `first` on, as `(first, length)`: the last one overlaps its neighbour to be whole.
    #[inline(always)]
    fn block(&self, first: usize) -> (usize, usize) {
        (first.min(self.channels.saturating_sub(BLOCK)), BLOCK.min(self.channels))
    }
}

/// Channels whose sums are kept in registers together.
const BLOCK: usize = 16;

struct ByteLine<'a, B> {
    line: Line<'a>,
    x: &'a [B],
    taps: &'a [i16],
    zero: i32,
    sums: &'a mut [i32],
}

impl<B: Byte> WithSimd for ByteLine<'_, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { line, x, taps, zero, sums } = self;
        let channels = line.channels;
        for first in (0..channels).step_by(BLOCK) {
            let (first, count) = line.block(first);
            for px in 0..line.out_width {
                let mut total = [0_i32; BLOCK];
                line.taps(px, |tap, start| {
                    let w = &taps[tap * channels + first..tap * channels + first + count];
                    match (start, <&[i16; BLOCK]>::try_from(w)) {
                        (Some(start), Ok(w)) => {
                            if let Ok(x) = <&[B; BLOCK]>::try_from(&x[start + first..start + first + BLOCK]) {
                                multiply_add(x, w, &mut total);
                            }
                        }
                        (Some(start), Err(_)) => {
                            let x = &x[start + first..start + first + count];
                            total.iter_mut().zip(x).zip(w).for_each(|((t, &x), &w)| *t = t.wrapping_add(x.into().wrapping_mul(w.into())));
                        }
                        (None, _) => total.iter_mut().zip(w).for_each(|(t, &w)| *t = t.wrapping_add(zero.wrapping_mul(w.into()))),
                    }
                });
                sums[px * channels + first..px * channels + first + count].copy_from_slice(&total[..count]);
            }
        }
    }
}

#[inline(always)]
fn multiply_add<B: Byte>(x: &[B; BLOCK], w: &[i16; BLOCK], total: &mut [i32; BLOCK]) {
    for i in 0..BLOCK {
        let byte: i32 = x[i].into();
        total[i] = total[i].wrapping_add(i32::from((byte as i16).wrapping_mul(w[i])));
    }
}

struct FloatLine<'a> {
    line: Line<'a>,
    x: &'a [f32],
    taps: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for FloatLine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { line, x, taps, sums } = self;
        let channels = line.channels;
        for first in (0..channels).step_by(BLOCK) {
            let (first, count) = line.block(first);
            for px in 0..line.out_width {
                let mut total = [0.0_f32; BLOCK];
                line.taps(px, |tap, start| {
                    let Some(start) = start else { return };
                    let w = &taps[tap * channels + first..tap * channels + first + count];
                    let x = &x[start + first..start + first + count];
                    match (<&[f32; BLOCK]>::try_from(x), <&[f32; BLOCK]>::try_from(w)) {
                        (Ok(x), Ok(w)) => (0..BLOCK).for_each(|i| total[i] += x[i] * w[i]),
                        _ => total.iter_mut().zip(x).zip(w).for_each(|((t, x), w)| *t += x * w),
                    }
                });
                sums[px * channels + first..px * channels + first + count].copy_from_slice(&total[..count]);
            }
        }
    }
}
