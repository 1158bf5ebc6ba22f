//! Byte convolutions, four input channels of a pixel at a time: lanes are output channels.
//!
//! Nothing is laid out anew: a kernel row over a pixel is one run of bytes of the input line. Lines are copied only where they need
//! padding or another sign. Sums stay in registers and leave them as bytes.

use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::{Window, pitch};

use super::byte_finish::{Block, ByteFinish};
use super::conv::WeightLayout;
use super::dot::{Addition, Dot, Job, Machine, Weights};
use super::epilogue::{Residual, Target};
use super::gemm::{Kernels, bytes, unsigned};
use super::memory::{Operand, Output};
use super::work::{Scratch, Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A convolution with its weights in vectors.
#[derive(Debug)]
pub(super) struct PreparedQuads {
    conv: Conv2d,
    machine: Machine,
    /// `[groups of blocks, kernel rows, quads of a row, blocks of the group]`.
    weights: Vec<Weights>,
    /// Bytes of a pixel that are read.
    lanes: usize,
    /// What padding counts as, in unsigned bytes.
    zero: u8,
    flip: u8,
    finish: ByteFinish,
}

/// Bytes of a chunk's inputs and results: what the first cache holds.
const CHUNK_BYTES: usize = 32 << 10;

/// Least and most pixels of a chunk.
const CHUNK_PIXELS: (usize, usize) = (48, 1024);

impl PreparedQuads {
    /// Whether the convolution is of bytes to bytes in one group. Of one or two output channels most lanes would be idle.
    pub(super) fn takes(conv: &Conv2d, arithmetic: &Arithmetic, kernels: &Kernels) -> bool {
        kernels.dense_machine().is_some() && conv.groups == 1 && conv.out_channels >= 4 && arithmetic.bytes_to_bytes().is_some()
    }

    pub(super) fn new(
        plan: &Plan,
        step: &Step,
        conv: &Conv2d,
        weights: WeightId,
        arithmetic: &Arithmetic,
        kernels: &Kernels,
    ) -> Result<Option<Self>> {
        let (Some(machine), Some((zero_a, epilogue))) = (kernels.dense_machine(), arithmetic.bytes_to_bytes()) else { return Ok(None) };
        let w = bytes(&plan.weight(weights).elements)?;
        let layout = WeightLayout::of(conv);
        let at = |k, n| if n < conv.out_channels { layout.at(0, k, n).map_or(0, |i| w[i]) } else { 0 };
        let sums: Vec<i32> = (0..conv.out_channels).map(|n| (0..layout.inner).map(|k| i32::from(at(k, n))).sum()).collect();
        let (zero, flip) = unsigned(plan, step, zero_a);
        let finish = ByteFinish::new(epilogue, &sums, zero, plan.tensor(step.output).quant);
        let mut packed = Vec::with_capacity(layout.inner / 4 * finish.blocks().len());
        for group in groups(finish.blocks()) {
            for quad in 0..layout.inner / 4 {
                // Joined windows are read column by column.
                let [kernel_h, kernel_w] = conv.window.kernel;
                let quad = if joins(conv) { quad % kernel_h * kernel_w + quad / kernel_h } else { quad };
                packed.extend(group.iter().map(|block| std::array::from_fn(|i| at(4 * quad + i % 4, block.first + i / 4))));
            }
        }
        Ok(Some(Self { conv: *conv, machine, weights: packed, lanes: pitch(conv.input.channels), zero: zero as u8, flip, finish }))
    }

    /// Bytes of the weights held.
    pub(super) fn size(&self) -> usize {
        size_of::<Weights>() * self.weights.len()
    }

    pub(super) fn run(&self, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
        let target = Target::whole(out.tensor.pitch, self.conv.out_channels);
        let map = self.conv.output();
        let direct = self.reads_directly();
        let chunk = if direct {
            let most = CHUNK_BYTES / (self.lanes + map.channels);
            workers.share(out.tensor.rows(), (most / 8 * 8).clamp(CHUNK_PIXELS.0, CHUNK_PIXELS.1))
        } else {
            workers.lines(map.height) * map.width
        };
        workers.chunks(out.bytes, chunk * target.pitch, |i, rows, scratch| {
            let first = i * chunk;
            if direct {
                let x = &inputs[0];
                let from = Lines { bytes: &x.bytes[first * x.tensor.pitch..], starts: &[0], pitch: x.tensor.pitch };
                self.line(&from, &target, inputs.get(1), first, rows);
            } else {
                self.band(inputs, first / map.width, &target, rows, scratch);
            }
        });
    }

    /// Quads of each run of bytes.
    fn run_quads(&self) -> usize {
        let [kernel_h, kernel_w] = self.conv.window.kernel;
        match self.conv.window.dilation {
            _ if joins(&self.conv) => kernel_h * kernel_w,
            [_, 1] => self.lanes / 4 * kernel_w,
            _ => self.lanes / 4,
        }
    }

    /// Whether each output pixel reads the input's own bytes of one pixel, in order.
    fn reads_directly(&self) -> bool {
        let Window { kernel, stride, pad_before, pad_after, .. } = self.conv.window;
        self.flip == 0 && kernel == [1, 1] && stride == [1, 1] && pad_before == [0, 0] && pad_after == [0, 0]
    }

    /// Output lines from `first` on, as many as `rows` hold.
    fn band(&self, inputs: &[Operand<'_>], first: usize, target: &Target, rows: &mut [u8], scratch: &mut Scratch) {
        let Window { kernel: [kernel_h, kernel_w], stride, dilation, pad_before, .. } = self.conv.window;
        let out_width = self.conv.output().width;
        let width = (out_width - 1) * stride[1] + (kernel_w - 1) * dilation[1] + 1;
        let slots = (kernel_h - 1) * dilation[0] + 1;
        let line_len = width * self.lanes;
        let buffer = at_least(&mut scratch.bytes, slots * line_len);
        let mut held = vec![None; slots];
        // Runs of neighbouring bytes: a kernel row, or each of its taps where they lie apart.
        let taps = if dilation[1] == 1 { 1 } else { kernel_w };
        let mut starts = vec![0; if joins(&self.conv) { 1 } else { kernel_h * taps }];
        for (y, rows) in rows.chunks_mut(out_width * target.pitch).enumerate() {
            let y = first + y;
            let line = |ky: usize| (y * stride[0] + ky * dilation[0]) as isize - pad_before[0] as isize;
            let pitch = if joins(&self.conv) {
                (0..kernel_h).for_each(|ky| self.join(&inputs[0], line(ky), ky, &mut buffer.as_chunks_mut().0[..width * kernel_h]));
                stride[1] * kernel_h * self.lanes
            } else {
                for (ky, starts) in starts.chunks_exact_mut(taps).enumerate() {
                    let slot = line(ky).rem_euclid(slots as isize).unsigned_abs();
                    if held[slot] != Some(line(ky)) {
                        self.copy(&inputs[0], line(ky), &mut buffer[slot * line_len..][..line_len]);
                        held[slot] = Some(line(ky));
                    }
                    starts.iter_mut().enumerate().for_each(|(kx, start)| *start = slot * line_len + kx * dilation[1] * self.lanes);
                }
                stride[1] * self.lanes
            };
            self.line(&Lines { bytes: buffer, starts: &starts, pitch }, target, inputs.get(1), y * out_width, rows);
        }
    }

    /// One input line with its padding as row `ky` of the windows, which are columns of pixels one behind the other.
    fn join(&self, x: &Operand<'_>, line: isize, ky: usize, to: &mut [[u8; 4]]) {
        let input = self.conv.input;
        let zero = [self.zero; 4];
        let mut columns = to.chunks_exact_mut(self.conv.window.kernel[0]);
        if let Some(line) = usize::try_from(line).ok().filter(|&line| line < input.height) {
            columns.by_ref().take(self.conv.window.pad_before[1]).for_each(|column| column[ky] = zero);
            let pixels = x.bytes[line * input.width * x.tensor.pitch..].chunks(x.tensor.pitch).take(input.width);
            for (pixel, column) in pixels.zip(columns.by_ref()) {
                let Some(pixel) = pixel.first_chunk::<4>() else { return };
                column[ky] = [pixel[0] ^ self.flip, pixel[1] ^ self.flip, pixel[2] ^ self.flip, pixel[3] ^ self.flip];
            }
        }
        columns.for_each(|column| column[ky] = zero);
    }

    /// One input line with its padding.
    fn copy(&self, x: &Operand<'_>, line: isize, to: &mut [u8]) {
        let input = self.conv.input;
        let Some(line) = usize::try_from(line).ok().filter(|&line| line < input.height) else { return to.fill(self.zero) };
        let left = self.conv.window.pad_before[1] * self.lanes;
        let (before, rest) = to.split_at_mut(left.min(to.len()));
        let seen = (input.width * self.lanes).min(rest.len());
        let (inside, after) = rest.split_at_mut(seen);
        before.fill(self.zero);
        after.fill(self.zero);
        let from = &x.bytes[line * input.width * x.tensor.pitch..];
        if x.tensor.pitch == self.lanes {
            inside.copy_from_slice(&from[..seen]);
        } else {
            let pixels = inside.chunks_exact_mut(self.lanes).zip(from.chunks(x.tensor.pitch));
            pixels.for_each(|(to, from)| to.copy_from_slice(&from[..self.lanes]));
        }
        if self.flip != 0 {
            inside.iter_mut().for_each(|b| *b ^= self.flip);
        }
    }

    /// Neighbouring output pixels, the first of which is pixel `first` of the map.
    fn line(&self, from: &Lines<'_>, target: &Target, residual: Option<&Operand<'_>>, first: usize, rows: &mut [u8]) {
        let count = rows.len().div_ceil(target.pitch);
        let added = self.finish.addition().zip(residual).map(|(addition, other)| Other {
            addition,
            bytes: &other.bytes[first * other.tensor.pitch..],
            pitch: other.tensor.pitch,
        });
        let to_add = if added.is_none() { residual } else { None };
        self.machine.run(LineSums { this: self, from, added, pitch: target.pitch, count, rows: &mut *rows });
        let residual = to_add.map(|r| Residual::new(r, first * r.tensor.pitch, r.tensor.pitch));
        self.finish.stages(target, residual, rows);
    }
}

/// Whether a window is joined to one run of bytes: of pixels of one quad, kernel rows would be short runs.
fn joins(conv: &Conv2d) -> bool {
    conv.input.channels <= 4 && conv.window.kernel[0] > 1 && conv.window.dilation == [1, 1]
}

/// What neighbouring output pixels read.
struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the runs of the first one begin.
    starts: &'a [usize],
    /// Bytes from one to the next.
    pitch: usize,
}

/// What is added to neighbouring output pixels.
#[derive(Clone, Copy)]
struct Other<'a> {
    addition: Addition,
    bytes: &'a [u8],
    pitch: usize,
}

/// Neighbouring output pixels.
struct LineSums<'a> {
    this: &'a PreparedQuads,
    from: &'a Lines<'a>,
    added: Option<Other<'a>>,
    /// Bytes from one to the next.
    pitch: usize,
    count: usize,
    rows: &'a mut [u8],
}

/// Blocks of output channels that are summed together, where there are registers for them.
const GROUP: usize = 3;

/// Pixels of a tile, where there are many registers, and where there are few.
const MANY: usize = 8;
const SOME: usize = 4;

/// Blocks in groups of three; of two at the end rather than a single one.
fn groups(blocks: &[Block]) -> impl Iterator<Item = &[Block]> {
    let pairs = if blocks.len() % GROUP == 1 { blocks.len().min(4) } else { 0 };
    let (threes, pairs) = blocks.split_at(blocks.len() - pairs);
    threes.chunks(GROUP).chain(pairs.chunks(2))
}

impl Job for LineSums<'_> {
    #[inline(always)]
    fn run<D: Dot>(self, dot: D) {
        if self.added.is_some() { self.groups::<D, true>(dot) } else { self.groups::<D, false>(dot) }
    }
}

impl LineSums<'_> {
    /// Group by group of blocks; `ADDS` says whether there is something to add.
    #[inline(always)]
    fn groups<D: Dot, const ADDS: bool>(self, dot: D) {
        let Self { this, from, added, pitch, count, rows } = self;
        let tiles = Tiles::<D, ADDS> { dot, from, added, quads: this.run_quads(), pitch, finish: &this.finish };
        let mut weights = this.weights.as_slice();
        for group in groups(this.finish.blocks()) {
            let (own, rest) = weights.split_at(group.len() * tiles.quads * from.starts.len());
            weights = rest;
            match (group, D::MANY_REGISTERS && count >= MANY) {
                ([a, b, c], true) => tiles.run::<MANY, 3, 3>(count, own, 0, [a, b, c], rows),
                ([a, b], true) => tiles.run::<MANY, 2, 2>(count, own, 0, [a, b], rows),
                ([a], true) => tiles.run::<MANY, 1, 1>(count, own, 0, [a], rows),
                ([_, _, _], _) => tiles.one_by_one::<3>(count, own, group, rows),
                ([_, _], _) => tiles.one_by_one::<2>(count, own, group, rows),
                _ => tiles.one_by_one::<1>(count, own, group, rows),
            }
        }
    }
}

/// Neighbouring output pixels, tile by tile.
struct Tiles<'a, D, const ADDS: bool> {
    dot: D,
    from: &'a Lines<'a>,
    added: Option<Other<'a>>,
    /// Quads of a run.
    quads: usize,
    /// Bytes from one result to the next.
    pitch: usize,
    finish: &'a ByteFinish,
}

impl<D: Dot, const ADDS: bool> Tiles<'_, D, ADDS> {
    /// A group of `G` blocks, a few sums at a time.
    #[inline(always)]
    fn one_by_one<const G: usize>(&self, count: usize, weights: &[Weights], blocks: &[Block], rows: &mut [u8]) {
        for (skip, block) in blocks.iter().enumerate() {
            if count < SOME {
                self.run::<1, 1, G>(count, weights, skip, [block], rows);
            } else {
                self.run::<SOME, 1, G>(count, weights, skip, [block], rows);
            }
        }
    }

    /// `P` of `count` pixels at a time, for `N` blocks of columns; of groups of `G` vectors of weights, those from `skip` on are theirs.
    ///
    /// Plain loops, which are sure to be part of this function: a call would put all sums into memory.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "numbers of registers, not places in memory")]
    fn run<const P: usize, const N: usize, const G: usize>(
        &self,
        count: usize,
        weights: &[Weights],
        skip: usize,
        blocks: [&Block; N],
        rows: &mut [u8],
    ) {
        let Self { dot, from, added, quads, pitch, finish } = *self;
        let rounding = finish.rounding();
        for first in (0..count).step_by(P) {
            // The last tile overlaps its neighbour to be whole.
            let first = first.min(count - P);
            let mut sums = [[dot.sums(&blocks[0].offset); N]; P];
            for p in 0..P {
                for n in 1..N {
                    sums[p][n] = dot.sums(&blocks[n].offset);
                }
            }
            let mut weights = weights.as_chunks::<G>().0;
            for start in from.starts {
                let mut runs: [&[[u8; 4]]; P] = [&[]; P];
                let mut bytes = &from.bytes[start.wrapping_add(first.wrapping_mul(from.pitch))..];
                for p in 0..P {
                    runs[p] = &bytes.as_chunks::<4>().0[..quads];
                    if p + 1 < P {
                        bytes = &bytes[from.pitch..];
                    }
                }
                let (own, rest) = weights.split_at(quads);
                weights = rest;
                for q in 0..quads {
                    let mut w = [dot.weights(&own[q][skip]); N];
                    for n in 1..N {
                        w[n] = dot.weights(&own[q][skip + n]);
                    }
                    for p in 0..P {
                        let quad = dot.splat(runs[p][q]);
                        for n in 0..N {
                            sums[p][n] = dot.add_products(sums[p][n], quad, w[n]);
                        }
                    }
                }
            }
            let mut start = first.wrapping_mul(pitch);
            for p in 0..P {
                for n in 0..N {
                    let mut levels = dot.requantize(sums[p][n], &blocks[n].multiplier, rounding);
                    if let (true, Some(other)) = (ADDS, &added) {
                        let second = finish.other(blocks[n], other.bytes, first.wrapping_add(p).wrapping_mul(other.pitch));
                        levels = dot.add(levels, second, &other.addition);
                    }
                    finish.put(blocks[n], levels, rows, start);
                }
                start = start.wrapping_add(pitch);
            }
        }
    }
}
