//! Depthwise byte convolutions, four kernel rows at a time: lanes are channels.
//!
//! Of each channel of each pixel, the bytes of up to four input lines are laid side by side, block by block of channels, so that a
//! column of the kernel is one step of [`Dot::add_products`]. Sums stay in registers and leave them as bytes.

use fathom_core::ops::nn::conv::Conv2d;

use super::byte_finish::{Block, ByteFinish};
use super::dot::{Dot, Job, LANES, Machine, Weights};
use super::epilogue::{Residual, Target};
use super::gemm::{Kernels, bytes, unsigned};
use super::memory::{Operand, Output};
use super::work::{Scratch, Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A depthwise convolution with its weights in vectors.
#[derive(Debug)]
pub(super) struct PreparedColumns {
    conv: Conv2d,
    machine: Machine,
    /// `[blocks of channels, kernel rows / 4, kernel columns]`.
    weights: Vec<Weights>,
    /// What padding counts as, in unsigned bytes.
    zero: u8,
    flip: u8,
    finish: ByteFinish,
}

/// Kernel rows that are summed together.
const ROWS: usize = 4;

/// Neighbouring output pixels that are summed together.
const TILE: usize = 8;

impl PreparedColumns {
    /// Whether the convolution is depthwise, of bytes to bytes.
    pub(super) fn takes(conv: &Conv2d, arithmetic: &Arithmetic, kernels: &Kernels) -> bool {
        let depthwise = conv.groups > 1 && conv.groups == conv.input.channels && conv.groups == conv.out_channels;
        depthwise && arithmetic.bytes_to_bytes().is_some() && kernels.machine().is_some()
    }

    pub(super) fn new(
        plan: &Plan,
        step: &Step,
        conv: &Conv2d,
        weights: WeightId,
        arithmetic: &Arithmetic,
        kernels: &Kernels,
    ) -> Result<Option<Self>> {
        let (Some(machine), Some((zero_a, epilogue))) = (kernels.machine(), arithmetic.bytes_to_bytes()) else { return Ok(None) };
        let w = bytes(&plan.weight(weights).elements)?;
        let [kernel_h, kernel_w] = conv.window.kernel;
        let at = |channel: usize, ky: usize, kx: usize| {
            if channel < conv.out_channels && ky < kernel_h { w[(channel * kernel_h + ky) * kernel_w + kx] } else { 0 }
        };
        let sums: Vec<i32> = w.chunks(kernel_h * kernel_w).map(|taps| taps.iter().map(|&w| i32::from(w)).sum()).collect();
        let (zero, flip) = unsigned(plan, step, zero_a);
        let finish = ByteFinish::new(epilogue, &sums, zero, plan.tensor(step.output).quant);
        let mut packed = Vec::with_capacity(finish.blocks().len() * kernel_h.div_ceil(ROWS) * kernel_w);
        for block in finish.blocks() {
            for (ky, kx) in (0..kernel_h).step_by(ROWS).flat_map(|ky| (0..kernel_w).map(move |kx| (ky, kx))) {
                packed.push(std::array::from_fn(|i| at(block.first + i / ROWS, ky + i % ROWS, kx)));
            }
        }
        Ok(Some(Self { conv: *conv, machine, weights: packed, zero: zero as u8, flip, finish }))
    }

    /// Bytes of the weights held.
    pub(super) fn size(&self) -> usize {
        size_of::<Weights>() * self.weights.len()
    }

    pub(super) fn run(&self, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
        let target = Target::whole(out.tensor.pitch, self.conv.out_channels);
        let map = self.conv.output();
        let lines = workers.lines(map.height);
        workers.chunks(out.bytes, lines * map.width * target.pitch, |i, rows, scratch| {
            for (y, rows) in rows.chunks_mut(map.width * target.pitch).enumerate() {
                self.line(inputs, i * lines + y, &target, rows, scratch);
            }
        });
    }

    fn line(&self, inputs: &[Operand<'_>], y: usize, target: &Target, rows: &mut [u8], scratch: &mut Scratch) {
        let window = self.conv.window;
        let out_width = self.conv.output().width;
        let width = (out_width.max(TILE) - 1) * window.stride[1] + (window.kernel[1] - 1) * window.dilation[1] + 1;
        let groups = window.kernel[0].div_ceil(ROWS);
        let quads = at_least(&mut scratch.quads, groups * width);
        self.machine.run(LineSums { this: self, x: &inputs[0], y, quads, width, pitch: target.pitch, rows: &mut *rows });
        let pixel = y * out_width;
        let residual = inputs.get(1).map(|r| Residual::new(r, pixel * r.tensor.pitch, r.tensor.pitch));
        self.finish.stages(target, residual, rows);
    }
}

/// One line of output pixels.
struct LineSums<'a> {
    this: &'a PreparedColumns,
    x: &'a Operand<'a>,
    y: usize,
    /// `[kernel rows / 4, width]`: room for one block of channels.
    quads: &'a mut [[u32; LANES]],
    /// Pixels of a line, padding included, up to the last that a whole tile of outputs reads.
    width: usize,
    /// Bytes from one result to the next.
    pitch: usize,
    rows: &'a mut [u8],
}

impl Job for LineSums<'_> {
    #[inline(always)]
    fn run<D: Dot>(self, dot: D) {
        let Self { this, x, y, quads, width, pitch, rows } = self;
        let window = this.conv.window;
        let count = this.conv.output().width;
        let [kernel_h, kernel_w] = window.kernel;
        for (block, weights) in this.finish.blocks().iter().zip(this.weights.chunks_exact(kernel_h.div_ceil(ROWS) * kernel_w)) {
            for ky in 0..kernel_h {
                this.lay(dot, x, block.first, y, ky, &mut quads[ky / ROWS * width..][..width]);
            }
            let tiles = Tiles { dot, this, block, width, pitch, count };
            match (window.stride[1], kernel_w, window.dilation[1]) {
                (1, 3, 1) => tiles.run::<1, 3, 10>(quads, weights, rows),
                (2, 3, 1) => tiles.run::<2, 3, 17>(quads, weights, rows),
                (1, 5, 1) => tiles.run::<1, 5, 12>(quads, weights, rows),
                (2, 5, 1) => tiles.run::<2, 5, 19>(quads, weights, rows),
                _ => tiles.run_any(quads, weights, rows),
            }
        }
    }
}

impl PreparedColumns {
    /// Lays the bytes of kernel row `ky`, from channel `first` on, beside those of the rows before.
    #[inline(always)]
    fn lay<D: Dot>(&self, dot: D, x: &Operand<'_>, first: usize, y: usize, ky: usize, quads: &mut [[u32; LANES]]) {
        let (window, input) = (self.conv.window, self.conv.input);
        let fresh = ky.is_multiple_of(ROWS);
        let row = |quads: &mut [u32; LANES], levels: &[u8; LANES]| {
            let before = if fresh { [0; LANES] } else { *quads };
            *quads = dot.lay(before, levels, ky % ROWS);
        };
        let line = (y * window.stride[0] + ky * window.dilation[0]).checked_sub(window.pad_before[0]);
        let Some(line) = line.filter(|&line| line < input.height) else {
            return quads.iter_mut().for_each(|quads| row(quads, &[self.zero; LANES]));
        };
        let left = window.pad_before[1].min(quads.len());
        let (before, rest) = quads.split_at_mut(left);
        let (inside, after) = rest.split_at_mut(input.width.min(rest.len()));
        before.iter_mut().chain(after).for_each(|quads| row(quads, &[self.zero; LANES]));
        let mut bytes = &x.bytes[line * input.width * x.tensor.pitch + first..];
        for quads in inside {
            match bytes.first_chunk() {
                Some(levels) if self.flip == 0 => row(quads, levels),
                _ => row(quads, &self.unusual(bytes)),
            }
            bytes = bytes.get(x.tensor.pitch..).unwrap_or_default();
        }
    }

    /// Signed bytes, or the last pixels of few channels.
    #[cold]
    fn unusual(&self, bytes: &[u8]) -> [u8; LANES] {
        let mut levels = [0; LANES];
        levels.iter_mut().zip(bytes).for_each(|(to, from)| *to = from ^ self.flip);
        levels
    }
}

/// The tiles of one block of channels along a line.
struct Tiles<'a, D> {
    dot: D,
    this: &'a PreparedColumns,
    block: &'a Block,
    width: usize,
    pitch: usize,
    count: usize,
}

impl<D: Dot> Tiles<'_, D> {
    /// With stride `S`, `K` kernel columns, and tiles that read `SPAN` neighbouring pixels.
    #[inline(always)]
    fn run<const S: usize, const K: usize, const SPAN: usize>(&self, quads: &[[u32; LANES]], weights: &[Weights], rows: &mut [u8]) {
        self.each_tile(rows, |first, sums| {
            for (quads, weights) in quads.chunks_exact(self.width).zip(weights.as_chunks::<K>().0) {
                let Some(quads) = quads.get(first.wrapping_mul(S)..).and_then(<[_]>::first_chunk::<SPAN>) else { return };
                for k in 0..K {
                    let weights = self.dot.weights(&weights[k]);
                    for p in 0..TILE {
                        sums[p] = self.dot.add_products(sums[p], self.dot.quads(&quads[p * S + k]), weights);
                    }
                }
            }
        });
    }

    /// As [`Tiles::run`], for any geometry.
    #[inline(always)]
    fn run_any(&self, quads: &[[u32; LANES]], weights: &[Weights], rows: &mut [u8]) {
        let window = self.this.conv.window;
        self.each_tile(rows, |first, sums| {
            for (quads, weights) in quads.chunks_exact(self.width).zip(weights.chunks_exact(window.kernel[1])) {
                for (k, weights) in weights.iter().enumerate() {
                    let weights = self.dot.weights(weights);
                    for p in 0..TILE {
                        let quads = &quads[(first + p) * window.stride[1] + k * window.dilation[1]];
                        sums[p] = self.dot.add_products(sums[p], self.dot.quads(quads), weights);
                    }
                }
            }
        });
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "numbers of registers, not places in memory")]
    fn each_tile(&self, rows: &mut [u8], add: impl Fn(usize, &mut [D::Sums; TILE])) {
        let Self { dot, this, block, pitch, count, .. } = *self;
        let rounding = this.finish.rounding();
        for first in (0..count).step_by(TILE) {
            // The last tile overlaps its neighbour to be whole.
            let first = first.min(count.saturating_sub(TILE));
            let mut sums = [dot.sums(&block.offset); TILE];
            add(first, &mut sums);
            let mut start = first.wrapping_mul(pitch);
            for p in 0..TILE {
                if count >= TILE || p < count {
                    this.finish.put(block, dot.requantize(sums[p], &block.multiplier, rounding), rows, start);
                }
                start = start.wrapping_add(pitch);
            }
        }
    }
}
