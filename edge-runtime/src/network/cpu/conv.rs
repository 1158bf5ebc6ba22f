//! Convolutions as matrix products over patches, tile by tile of output pixels.

use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::pitch;

use super::epilogue::{FloatFinish, IntegerFinish, Residual, Target, TileRows};
use super::gemm::{Kernels, PackedBytes, PackedFloats, Rows, bytes, floats, unsigned};
use super::memory::{Operand, Output};
use super::patches::Patches;
use super::work::{Failure, Scratch, Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A convolution with its weights packed, one matrix a group.
#[derive(Debug)]
pub(super) struct PreparedConv {
    conv: Conv2d,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Bytes { groups: Vec<PackedBytes>, zero: u8, flip: u8, finish: IntegerFinish },
    Floats { groups: Vec<PackedFloats>, finish: FloatFinish },
}

impl PreparedConv {
    pub(super) fn new(
        plan: &Plan,
        step: &Step,
        conv: &Conv2d,
        weights: WeightId,
        arithmetic: &Arithmetic,
        kernels: &Kernels,
    ) -> Result<Self> {
        let elements = &plan.weight(weights).elements;
        let layout = WeightLayout::of(conv);
        let out = plan.tensor(step.output);
        let weights = match arithmetic {
            Arithmetic::Float(epilogue) => {
                let w = floats(elements)?;
                let pack = |g| kernels.pack_floats(layout.inner, layout.group_out, |k, n| layout.at(g, k, n).map_or(0.0, |i| w[i]));
                Weights::Floats { groups: (0..conv.groups).map(pack).collect(), finish: FloatFinish::new(epilogue, 1.0, out.quant) }
            }
            Arithmetic::Bytes { zero_a, result, .. } => {
                let w = bytes(elements)?;
                let pack = |g| kernels.pack_bytes(layout.inner, layout.group_out, |k, n| layout.at(g, k, n).map_or(0, |i| w[i]));
                let groups: Vec<PackedBytes> = (0..conv.groups).map(pack).collect();
                let (zero, flip) = unsigned(plan, step, *zero_a);
                let sums: Vec<i32> = groups.iter().flat_map(|g| g.sums.iter().copied()).collect();
                Weights::Bytes { groups, zero: zero as u8, flip, finish: IntegerFinish::new(result, &sums, zero, out.quant) }
            }
        };
        Ok(Self { conv: *conv, weights })
    }

    /// Bytes of the packed weights.
    pub(super) fn size(&self) -> usize {
        match &self.weights {
            Weights::Bytes { groups, .. } => groups.iter().map(PackedBytes::size).sum(),
            Weights::Floats { groups, .. } => groups.iter().map(PackedFloats::size).sum(),
        }
    }

    pub(super) fn run(&self, kernels: &Kernels, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) -> Result<()> {
        let failure = Failure::default();
        let tile = Tile { this: self, kernels, inputs, out_pitch: out.tensor.pitch };
        let most =
            tile_pixels(self.conv.out_channels.max(self.conv.window.kernel[0] * self.conv.window.kernel[1] * self.conv.group_channels()));
        let pixels = workers.share(out.tensor.rows(), most);
        let chunk = pixels * out.tensor.pitch;
        if out.tensor.quant.is_none() {
            workers.chunks(out.f32(), chunk, |i, rows, scratch| failure.keep(tile.run(i * pixels, TileRows::Floats(rows), scratch)));
        } else {
            workers.chunks(out.bytes, chunk, |i, rows, scratch| failure.keep(tile.run(i * pixels, TileRows::Bytes(rows), scratch)));
        }
        failure.result()
    }
}

/// Most output pixels of a tile: at least one row block of the kernel, and as many as keep patches and sums of `row` elements each
/// in the first caches.
fn tile_pixels(row: usize) -> usize {
    const BLOCK: usize = 64;
    const ELEMENTS: usize = 8 << 10;
    (ELEMENTS / row.max(1) / BLOCK * BLOCK).clamp(BLOCK, 8 * BLOCK)
}

/// What all tiles of one run share.
struct Tile<'a, 'm> {
    this: &'a PreparedConv,
    kernels: &'a Kernels,
    inputs: &'a [Operand<'m>],
    out_pitch: usize,
}

impl Tile<'_, '_> {
    fn run(&self, first: usize, mut rows: TileRows<'_>, scratch: &mut Scratch) -> Result<()> {
        let conv = &self.this.conv;
        let count = rows.count(self.out_pitch);
        let group_out = conv.out_channels / conv.groups;
        let x = &self.inputs[0];
        for group in 0..conv.groups {
            let patches = self.patches(group);
            let target = Target::group(self.out_pitch, conv.out_channels, group, conv.groups);
            match &self.this.weights {
                Weights::Bytes { groups, zero, flip, finish } => {
                    let inner = patches.row_len();
                    let sums = at_least(&mut scratch.byte_sums, count * group_out);
                    if patches.is_identity() && *flip == 0 && conv.groups == 1 {
                        let from = first * patches.pitch;
                        let data = &x.bytes[from..from + (count - 1) * patches.pitch + inner];
                        self.kernels.multiply_bytes(Rows { data, count, stride: patches.pitch }, &groups[group], sums)?;
                    } else {
                        let data = at_least(&mut scratch.bytes, count * inner);
                        patches.gather(&x.bytes, first, zero ^ flip, data);
                        if *flip != 0 {
                            data.iter_mut().for_each(|b| *b ^= flip);
                        }
                        self.kernels.multiply_bytes(Rows { data, count, stride: inner }, &groups[group], sums)?;
                    }
                    finish.rows(sums, &target, self.residual(first), &mut rows);
                }
                Weights::Floats { groups, finish } => {
                    let inner = patches.row_len();
                    let sums = at_least(&mut scratch.float_sums, count * group_out);
                    if patches.is_identity() && x.quant().is_none() && conv.groups == 1 {
                        let from = first * patches.pitch;
                        let data = &x.f32()[from..from + (count - 1) * patches.pitch + inner];
                        self.kernels.multiply_floats(Rows { data, count, stride: patches.pitch }, &groups[group], sums)?;
                    } else {
                        let data = at_least(&mut scratch.floats, count * inner);
                        self.gather_reals(&patches, first, &mut scratch.bytes, data);
                        self.kernels.multiply_floats(Rows { data, count, stride: inner }, &groups[group], sums)?;
                    }
                    finish.rows(sums, &target, self.residual(first), &mut rows);
                }
            }
        }
        Ok(())
    }

    fn patches(&self, group: usize) -> Patches {
        let conv = &self.this.conv;
        let x = self.inputs[0].tensor;
        let whole = Patches::whole(conv.input, x.pitch, conv.window, conv.output().width);
        if conv.groups == 1 { whole } else { Patches { channels: (group * conv.group_channels(), conv.group_channels()), ..whole } }
    }

    /// Patches as reals, dequantized if the input is bytes.
    fn gather_reals(&self, patches: &Patches, first: usize, bytes: &mut Vec<u8>, data: &mut [f32]) {
        let x = &self.inputs[0];
        let Some(quant) = x.quant() else { return patches.gather(x.f32(), first, 0.0, data) };
        let levels = at_least(bytes, data.len());
        patches.gather(&x.bytes, first, super::memory::bits(quant, 0.0), levels);
        let value = |b: u8| if quant.signed { i32::from(b.cast_signed()) } else { i32::from(b) };
        data.iter_mut().zip(levels).for_each(|(real, b)| *real = quant.dequantize(value(*b)));
    }

    fn residual(&self, pixel: usize) -> Option<Residual<'_>> {
        let other = self.inputs.get(1)?;
        Some(Residual::new(other, pixel * other.tensor.pitch, other.tensor.pitch))
    }
}

/// Where the weights of a group's matrix lie.
pub(super) struct WeightLayout {
    /// Rows of the matrix.
    pub(super) inner: usize,
    /// Its columns.
    group_out: usize,
    taps: usize,
    group_in: usize,
    /// Channels of a tap in the matrix: with padding lanes if there is one group.
    lanes: usize,
}

impl WeightLayout {
    pub(super) fn of(conv: &Conv2d) -> Self {
        let group_in = conv.group_channels();
        let lanes = if conv.groups == 1 { pitch(group_in) } else { group_in };
        let taps = conv.window.kernel[0] * conv.window.kernel[1];
        Self { inner: taps * lanes, group_out: conv.out_channels / conv.groups, taps, group_in, lanes }
    }

    /// Index of the weight at row `k`, column `n` of a group's matrix; `None` in padding lanes.
    pub(super) fn at(&self, group: usize, k: usize, n: usize) -> Option<usize> {
        let (tap, c) = (k / self.lanes, k % self.lanes);
        (c < self.group_in).then_some(((group * self.group_out + n) * self.taps + tap) * self.group_in + c)
    }
}
