//! Byte convolutions of few channels: of few input channels (a network's first), or of few output channels (its last).
//!
//! Matrix kernels waste most of their lanes on them. Here the lanes are output channels, or input channels whose sums are added
//! up at the end; the arithmetic is that of [`super::lines`].

use fathom_core::ops::nn::conv::Conv2d;
use pulp::{Arch, Simd, WithSimd};

use super::conv::WeightLayout;
use super::epilogue::{IntegerFinish, Residual, Target, TileRows};
use super::gemm::bytes;
use super::lines::{BLOCK, Bring, Lines, Reading, TILE, Taps, add_products, multiply_add, whole};
use super::memory::{Operand, Output};
use super::work::{Scratch, Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A convolution with its weights as floats.
#[derive(Debug)]
pub(super) struct PreparedFew {
    conv: Conv2d,
    lines: Lines,
    kind: Kind,
    reading: Reading,
    finish: IntegerFinish,
    arch: Arch,
}

#[derive(Debug)]
enum Kind {
    /// `[output blocks, taps, input channels, BLOCK]`: lanes are output channels.
    Inputs(Vec<f32>),
    /// `[output channels, input blocks, taps, BLOCK]`: lanes are input channels.
    Outputs(Vec<f32>),
}

/// Most input channels, or most output channels.
const FEW_INPUTS: usize = 4;
const FEW_OUTPUTS: usize = 2;

impl PreparedFew {
    /// Whether there are few channels, of one group, and sums are exact.
    pub(super) fn takes(conv: &Conv2d, arithmetic: &Arithmetic) -> bool {
        let taps = conv.window.kernel[0] * conv.window.kernel[1];
        let inputs = few_inputs(conv) && Lines::exact(taps * conv.input.channels);
        let outputs = conv.out_channels <= FEW_OUTPUTS && Lines::exact(taps * conv.input.channels.div_ceil(BLOCK));
        conv.groups == 1 && matches!(arithmetic, Arithmetic::Bytes { .. }) && (inputs || outputs)
    }

    pub(super) fn new(plan: &Plan, step: &Step, conv: &Conv2d, weights: WeightId, arithmetic: &Arithmetic) -> Result<Option<Self>> {
        let Arithmetic::Bytes { zero_a, result, .. } = arithmetic else { return Ok(None) };
        let w = bytes(&plan.weight(weights).elements)?;
        let lines = Lines::new(conv);
        let taps = conv.window.kernel[0] * conv.window.kernel[1];
        let inputs = conv.input.channels;
        let at = |o: usize, tap: usize, c: usize| f32::from(w[(o * taps + tap) * inputs + c]);
        let kind = if few_inputs(conv) {
            let lane = |first: usize, tap, c, i: usize| if first + i < conv.out_channels { at(first + i, tap, c) } else { 0.0 };
            let mut packed = Vec::with_capacity(conv.out_channels.next_multiple_of(BLOCK) * taps * inputs);
            for first in (0..conv.out_channels).step_by(BLOCK).map(|first| first_output(conv, first)) {
                for (tap, c) in (0..taps).flat_map(|tap| (0..inputs).map(move |c| (tap, c))) {
                    packed.extend((0..BLOCK).map(|i| lane(first, tap, c, i)));
                }
            }
            Kind::Inputs(packed)
        } else {
            let mut packed = Vec::with_capacity(conv.out_channels * taps * inputs.next_multiple_of(BLOCK));
            for (o, block) in (0..conv.out_channels).flat_map(|o| (0..lines.blocks()).map(move |block| (o, block))) {
                // Channels that the block shares with its neighbour count there.
                let (first, own) = (lines.first_channel(block), block * BLOCK..inputs);
                for tap in 0..taps {
                    packed.extend((first..first + BLOCK).map(|c| if own.contains(&c) { at(o, tap, c) } else { 0.0 }));
                }
            }
            Kind::Outputs(packed)
        };
        let layout = WeightLayout::of(conv);
        let column = |n: usize| (0..layout.inner).filter_map(|k| layout.at(0, k, n)).map(|i| i32::from(w[i])).sum();
        let sums: Vec<i32> = (0..conv.out_channels).map(column).collect();
        let finish = IntegerFinish::new(result, &sums, *zero_a, plan.tensor(step.output).quant);
        Ok(Some(Self { conv: *conv, lines, kind, reading: Reading::Levels { zero: *zero_a }, finish, arch: Arch::new() }))
    }

    /// Bytes of the weights held.
    pub(super) fn size(&self) -> usize {
        match &self.kind {
            Kind::Inputs(weights) | Kind::Outputs(weights) => 4 * weights.len(),
        }
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
        let width = self.conv.output().width;
        let count = rows.count(target.pitch).div_ceil(width);
        let mut held = self.lines.hold(&mut scratch.floats);
        let mut starts = vec![0; self.conv.window.kernel[0]];
        for y in 0..count {
            let bring =
                Bring { lines: &self.lines, held: &mut held, x: &inputs[0], reading: self.reading, y: first + y, starts: &mut starts };
            self.arch.dispatch(bring);
            let pixel = (first + y) * width;
            let residual = inputs.get(1).map(|r| Residual::new(r, pixel * r.tensor.pitch, r.tensor.pitch));
            let sums = at_least(&mut scratch.byte_sums, width * self.conv.out_channels);
            self.arch.dispatch(LineSums { this: self, lines: held.floats(), starts: &starts, sums: &mut *sums });
            self.finish.rows(sums, target, residual, &mut rows.from(y * width * target.pitch));
        }
    }
}

const fn few_inputs(conv: &Conv2d) -> bool {
    conv.input.channels <= FEW_INPUTS
}

/// First output channel of a block: the last one overlaps its neighbour to be whole.
fn first_output(conv: &Conv2d, first: usize) -> usize {
    first.min(conv.out_channels.saturating_sub(BLOCK))
}

/// The sums of one line of output pixels, `[pixel, channel]`.
struct LineSums<'a> {
    this: &'a PreparedFew,
    lines: &'a [f32],
    starts: &'a [usize],
    sums: &'a mut [i32],
}

impl WithSimd for LineSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        match &self.this.kind {
            Kind::Inputs(weights) => self.of_few_inputs::<S>(weights),
            Kind::Outputs(weights) => self.of_few_outputs::<S>(weights),
        }
    }
}

impl LineSums<'_> {
    #[inline(always)]
    fn of_few_inputs<S: Simd>(self, weights: &[f32]) {
        let conv = &self.this.conv;
        let taps = Taps::of(conv);
        let outs = conv.out_channels;
        let tile_len = TILE * taps.stride * BLOCK;
        let tap_len = conv.input.channels * BLOCK;
        let block_len = conv.window.kernel[0] * taps.columns * tap_len;
        for (block, weights) in weights.chunks_exact(block_len).enumerate() {
            let first = first_output(conv, block * BLOCK);
            for (t, pixels) in self.sums.chunks_mut(TILE * outs).enumerate() {
                let mut totals = [[0.0; BLOCK]; TILE];
                let starts = self.starts.iter().map(|start| start.wrapping_add(t * tile_len));
                taps.visit(self.lines, starts, weights, tap_len, |w, pixels| {
                    for (c, w) in w.as_chunks::<BLOCK>().0.iter().enumerate().take(BLOCK) {
                        let channel = pixels.map(|pixel| [pixel[c]; BLOCK]);
                        add_products(&mut totals, channel.each_ref(), w, multiply_add::<S>);
                    }
                });
                for (pixel, totals) in pixels.chunks_exact_mut(outs).zip(&totals) {
                    let sums = totals.map(whole);
                    match pixel[first..].first_chunk_mut() {
                        Some(block) => *block = sums,
                        None => pixel[first..].copy_from_slice(&sums[..outs]),
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn of_few_outputs<S: Simd>(self, weights: &[f32]) {
        let (conv, lines) = (&self.this.conv, &self.this.lines);
        let taps = Taps::of(conv);
        let outs = conv.out_channels;
        let tile_len = TILE * taps.stride * BLOCK;
        let block_taps = conv.window.kernel[0] * taps.columns * BLOCK;
        for (o, weights) in weights.chunks_exact(lines.blocks() * block_taps).enumerate() {
            for (t, pixels) in self.sums.chunks_mut(TILE * outs).enumerate() {
                let mut totals = [[0.0; BLOCK]; TILE];
                for (block, weights) in weights.chunks_exact(block_taps).enumerate() {
                    let at = block * lines.block_len() + t * tile_len;
                    taps.visit(self.lines, self.starts.iter().map(|start| start.wrapping_add(at)), weights, BLOCK, |w, pixels| {
                        let Some(w) = w.first_chunk() else { return };
                        add_products(&mut totals, pixels, w, multiply_add::<S>);
                    });
                }
                for (pixel, totals) in pixels.chunks_exact_mut(outs).zip(&totals) {
                    pixel[o] = totals.iter().fold(0, |sum, &total| sum.wrapping_add(whole(total)));
                }
            }
        }
    }
}
