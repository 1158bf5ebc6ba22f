//! Depthwise convolutions: blocks of channels in registers, taps inside, a tile of neighbouring output pixels at a time.

use fathom_core::ops::nn::conv::Conv2d;
use pulp::{Arch, Simd, WithSimd};

use super::epilogue::{FloatFinish, IntegerFinish, Residual, Target, TileRows};
use super::gemm::{bytes, floats};
use super::lines::{BLOCK, Bring, Lines, Reading, TILE, Taps, add_products, multiply_add, whole};
use super::memory::{Operand, Output};
use super::work::{Scratch, Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A depthwise convolution with its weights block by block of channels.
#[derive(Debug)]
pub(super) struct PreparedDepthwise {
    conv: Conv2d,
    lines: Lines,
    /// `[blocks, taps, BLOCK]`.
    taps: Vec<f32>,
    reading: Reading,
    finish: Finish,
    arch: Arch,
}

#[derive(Debug)]
enum Finish {
    Bytes(IntegerFinish),
    Floats(FloatFinish),
}

impl PreparedDepthwise {
    /// Whether sums of so many taps are exact.
    pub(super) fn takes(conv: &Conv2d) -> bool {
        let depthwise = conv.groups > 1 && conv.groups == conv.input.channels && conv.groups == conv.out_channels;
        depthwise && Lines::exact(conv.window.kernel[0] * conv.window.kernel[1])
    }

    pub(super) fn new(plan: &Plan, step: &Step, conv: &Conv2d, weights: WeightId, arithmetic: &Arithmetic) -> Result<Self> {
        let elements = &plan.weight(weights).elements;
        let count = conv.window.kernel[0] * conv.window.kernel[1];
        let lines = Lines::new(conv);
        let out = plan.tensor(step.output).quant;
        let (taps, reading, finish) = match arithmetic {
            Arithmetic::Float(epilogue) => {
                let w = floats(elements)?;
                (blocked(&lines, conv.out_channels, count, |i| w[i]), Reading::Reals, Finish::Floats(FloatFinish::new(epilogue, 1.0, out)))
            }
            Arithmetic::Bytes { zero_a, result, .. } => {
                let w = bytes(elements)?;
                let column_sums: Vec<i32> = w.chunks(count.max(1)).map(|taps| taps.iter().map(|&w| i32::from(w)).sum()).collect();
                let finish = Finish::Bytes(IntegerFinish::new(result, &column_sums, *zero_a, out));
                (blocked(&lines, conv.out_channels, count, |i| f32::from(w[i])), Reading::Levels { zero: *zero_a }, finish)
            }
        };
        Ok(Self { conv: *conv, lines, taps, reading, finish, arch: Arch::new() })
    }

    /// Bytes of the weights held.
    pub(super) fn size(&self) -> usize {
        4 * self.taps.len()
    }

    pub(super) fn run(&self, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
        let target = Target::whole(out.tensor.pitch, self.conv.out_channels);
        let map = self.conv.output();
        let lines = workers.lines(map.height);
        let chunk = lines * map.width * out.tensor.pitch;
        if out.tensor.quant.is_none() {
            workers.chunks(out.f32(), chunk, |i, rows, s| self.band(inputs, i * lines, &target, &mut TileRows::Floats(rows), s));
        } else {
            workers.chunks(out.bytes, chunk, |i, rows, s| self.band(inputs, i * lines, &target, &mut TileRows::Bytes(rows), s));
        }
    }

    /// Output lines from `first` on, as many as `rows` hold.
    fn band(&self, inputs: &[Operand<'_>], first: usize, target: &Target, rows: &mut TileRows<'_>, scratch: &mut Scratch) {
        let (channels, width) = (self.conv.out_channels, self.conv.output().width);
        let count = rows.count(target.pitch).div_ceil(width);
        let mut held = self.lines.hold(&mut scratch.floats);
        let mut starts = vec![0; self.conv.window.kernel[0]];
        for y in 0..count {
            let bring =
                Bring { lines: &self.lines, held: &mut held, x: &inputs[0], reading: self.reading, y: first + y, starts: &mut starts };
            self.arch.dispatch(bring);
            let pixel = (first + y) * width;
            let residual = inputs.get(1).map(|r| Residual::new(r, pixel * r.tensor.pitch, r.tensor.pitch));
            let mut rows = rows.from(y * width * target.pitch);
            match &self.finish {
                Finish::Bytes(finish) => {
                    let sums = at_least(&mut scratch.byte_sums, width * channels);
                    self.arch.dispatch(LineSums { this: self, lines: held.floats(), starts: &starts, sums: &mut *sums });
                    finish.rows(sums, target, residual, &mut rows);
                }
                Finish::Floats(finish) => {
                    let sums = at_least(&mut scratch.float_sums, width * channels);
                    self.arch.dispatch(LineSums { this: self, lines: held.floats(), starts: &starts, sums: &mut *sums });
                    finish.rows(sums, target, residual, &mut rows);
                }
            }
        }
    }
}

/// Weights `[channels, taps]` as blocks of channels, `[taps, BLOCK]` each; lanes that are no channel hold 0.
fn blocked(lines: &Lines, channels: usize, count: usize, weight: impl Fn(usize) -> f32) -> Vec<f32> {
    let lane = |channel: usize, tap: usize| if channel < channels { weight(channel * count + tap) } else { 0.0 };
    let starts = (0..lines.blocks()).map(|block| lines.first_channel(block));
    starts.flat_map(|first| (0..count * BLOCK).map(move |k| (first + k % BLOCK, k / BLOCK))).map(|(c, tap)| lane(c, tap)).collect()
}

/// A sum as an epilogue takes it.
trait Sum: Copy {
    /// From a float, which is whole if the epilogue takes integers.
    fn of(total: f32) -> Self;
}

impl Sum for f32 {
    #[inline(always)]
    fn of(total: f32) -> Self {
        total
    }
}

impl Sum for i32 {
    #[inline(always)]
    fn of(total: f32) -> Self {
        whole(total)
    }
}

/// The sums of one line of output pixels, `[pixel, channel]`.
struct LineSums<'a, T> {
    this: &'a PreparedDepthwise,
    lines: &'a [f32],
    starts: &'a [usize],
    sums: &'a mut [T],
}

impl<T: Sum> WithSimd for LineSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { this, lines, starts, sums } = self;
        let channels = this.conv.out_channels;
        let taps = Taps::of(&this.conv);
        let (block_len, tile_len) = (this.lines.block_len(), TILE * taps.stride * BLOCK);
        let block_taps = this.conv.window.kernel[0] * taps.columns * BLOCK;
        let count = BLOCK.min(channels);
        for (block, weights) in this.taps.chunks_exact(block_taps).enumerate() {
            let first = this.lines.first_channel(block);
            for (t, pixels) in sums.chunks_mut(TILE * channels).enumerate() {
                let mut totals = [[0.0; BLOCK]; TILE];
                let at = block * block_len + t * tile_len;
                let starts = starts.iter().map(|start| start.wrapping_add(at));
                taps.visit(lines, starts, weights, BLOCK, |w, pixels| {
                    let Some(w) = w.first_chunk() else { return };
                    add_products(&mut totals, pixels, w, multiply_add::<S>);
                });
                for (pixel, totals) in pixels.chunks_exact_mut(channels).zip(&totals) {
                    let sums = totals.map(T::of);
                    match pixel[first..].first_chunk_mut() {
                        Some(block) if count == BLOCK => *block = sums,
                        _ => pixel[first..first + count].copy_from_slice(&sums[..count]),
                    }
                }
            }
        }
    }
}
