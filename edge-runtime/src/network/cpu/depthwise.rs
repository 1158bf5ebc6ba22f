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
        let out = plan.tensor(step.output).quant;
        let weights = match arithmetic {
            Arithmetic::Float(epilogue) => {
                let w = floats(elements)?;
                let taps = blocked(channels, count, |i| w[i]);
                Weights::Floats { taps, finish: FloatFinish::new(epilogue, 1.0, out) }
            }
            Arithmetic::Bytes { zero_a, result, .. } => {
                let w = bytes(elements)?;
                let taps = blocked(channels, count, |i| i16::from(w[i]));
                let column_sums: Vec<i32> = w.chunks(count.max(1)).map(|taps| taps.iter().map(|&w| i32::from(w)).sum()).collect();
                let signed = plan.tensor(step.inputs[0]).quant.is_some_and(|q| q.signed);
                Weights::Bytes { taps, zero: *zero_a, signed, finish: IntegerFinish::new(result, &column_sums, *zero_a, out) }
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

/// Weights `[channels, taps]` as blocks of channels, `[taps, BLOCK]` each; lanes that are no channel hold 0.
fn blocked<T: Copy + Default>(channels: usize, count: usize, weight: impl Fn(usize) -> T) -> Vec<T> {
    let lane = |first: usize, tap: usize, i: usize| if first + i < channels { weight((first + i) * count + tap) } else { T::default() };
    let blocks = (0..channels).step_by(BLOCK).map(|first| block_start(channels, first));
    blocks.flat_map(|first| (0..count * BLOCK).map(move |k| (first, k))).map(|(first, k)| lane(first, k / BLOCK, k % BLOCK)).collect()
}

/// First channel of the block at `first`: the last block overlaps its neighbour to be whole.
fn block_start(channels: usize, first: usize) -> usize {
    first.min(channels.saturating_sub(BLOCK))
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
    /// Where the channels of each tap of output pixel `x` start in the input; [`OUTSIDE`] in the padding.
    #[inline(always)]
    fn starts(&self, x: usize, starts: &mut [usize]) {
        let Window { kernel: [_, kernel_w], stride, dilation, pad_before, .. } = self.conv.window;
        let (height, width) = (self.conv.input.height, self.conv.input.width);
        // Wrapping below zero lands far above any extent.
        let top = self.y.wrapping_mul(stride[0]).wrapping_sub(pad_before[0]);
        let left = x.wrapping_mul(stride[1]).wrapping_sub(pad_before[1]);
        for (ky, line) in starts.chunks_mut(kernel_w).enumerate() {
            let iy = top.wrapping_add(ky.wrapping_mul(dilation[0]));
            for (kx, start) in line.iter_mut().enumerate() {
                let ix = left.wrapping_add(kx.wrapping_mul(dilation[1]));
                let inside = iy < height && ix < width;
                *start = if inside { iy.wrapping_mul(width).wrapping_add(ix).wrapping_mul(self.pitch) } else { OUTSIDE };
            }
        }
    }

    fn taps(&self) -> usize {
        self.conv.window.kernel[0] * self.conv.window.kernel[1]
    }
}

/// Stands for a tap in the padding.
const OUTSIDE: usize = usize::MAX;

/// Channels whose sums are kept in registers together.
const BLOCK: usize = 16;

/// The sums of one line: `sums[pixel, channel] = sum over taps of multiply_add(x, w)`, with `padding` outside the image.
#[inline(always)]
fn line_sums<X: Copy, W, T: Copy + Default>(
    line: Line<'_>,
    x: &[X],
    weights: &[W],
    padding: X,
    sums: &mut [T],
    multiply_add: impl Fn([T; BLOCK], &[X; BLOCK], &[W; BLOCK]) -> [T; BLOCK],
) {
    let (channels, taps) = (line.channels, line.taps());
    let outside = [padding; BLOCK];
    let mut starts = vec![OUTSIDE; taps];
    let count = BLOCK.min(channels);
    for (px, pixel) in sums.chunks_exact_mut(channels).take(line.out_width).enumerate() {
        line.starts(px, &mut starts);
        for (block, weights) in weights.chunks_exact(taps * BLOCK).enumerate() {
            let first = block_start(channels, block * BLOCK);
            let mut total = [T::default(); BLOCK];
            for (&start, w) in starts.iter().zip(weights.chunks_exact(BLOCK)) {
                let Ok(w) = <&[W; BLOCK]>::try_from(w) else { continue };
                let mut few = outside;
                let x = if start == OUTSIDE {
                    &outside
                } else {
                    let from = start.wrapping_add(first);
                    match x.get(from..from.wrapping_add(BLOCK)).and_then(|x| x.try_into().ok()) {
                        Some(whole) if count == BLOCK => whole,
                        _ => {
                            few[..count].copy_from_slice(&x[from..from + count]);
                            &few
                        }
                    }
                };
                total = multiply_add(total, x, w);
            }
            pixel[first..first + count].copy_from_slice(&total[..count]);
        }
    }
}

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
        line_sums(self.line, self.x, self.taps, B::clamped(self.zero), self.sums, byte_products::<B>);
    }
}

#[inline(always)]
fn byte_products<B: Byte>(mut total: [i32; BLOCK], x: &[B; BLOCK], w: &[i16; BLOCK]) -> [i32; BLOCK] {
    for i in 0..BLOCK {
        let byte: i32 = x[i].into();
        total[i] = total[i].wrapping_add(i32::from((byte as i16).wrapping_mul(w[i])));
    }
    total
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
        line_sums(self.line, self.x, self.taps, 0.0, self.sums, float_products);
    }
}

#[inline(always)]
fn float_products(mut total: [f32; BLOCK], x: &[f32; BLOCK], w: &[f32; BLOCK]) -> [f32; BLOCK] {
    for i in 0..BLOCK {
        total[i] += x[i] * w[i];
    }
    total
}
