//! Byte convolutions with tall kernels, band by band of output lines.
//!
//! The kernel's rows are one matrix product each, summed up. A row of such a product is a run of neighbouring pixels, so
//! an input line is packed once and serves every output line that it touches: a third of the packing of whole patches.

use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::{Window, pitch};
use pulp::{Arch, Simd, WithSimd};

use super::conv::WeightLayout;
use super::epilogue::{IntegerFinish, Residual, Target, TileRows};
use super::gemm::{Kernels, PackedBytes, PackedRows, Rows, bytes, unsigned};
use super::memory::{Operand, Output};
use super::work::{Failure, Scratch, Workers, at_least};
use crate::Result;
use crate::network::plan::{Arithmetic, Plan, Step, WeightId};

/// A convolution with its kernel packed row by row.
#[derive(Debug)]
pub(super) struct PreparedBands {
    conv: Conv2d,
    /// One matrix per row of the kernel; or a single one with the rows side by side, where each alone would leave most lanes of the
    /// matrix kernel idle. Input lines are then multiplied once, and the parts of the result added up.
    lines: Vec<PackedBytes>,
    /// What padding counts as, in the kernel's unsigned bytes.
    zero: u8,
    flip: u8,
    finish: IntegerFinish,
}

/// Whether the kernel's rows are multiplied side by side: every input line serves all of them, and fewer lanes stay idle.
fn stacks(conv: &Conv2d) -> bool {
    let (rows, outs) = (conv.window.kernel[0], conv.out_channels);
    conv.window.stride[0] == 1 && outs.is_multiple_of(ADDED) && (rows * outs).next_multiple_of(PANEL) < rows * outs.next_multiple_of(PANEL)
}

/// Columns that the matrix kernel computes together.
const PANEL: usize = 32;

/// Sums that are added together.
const ADDED: usize = 8;

/// Adds up the parts of one output line: of kernel row `ky` those of input line `first + ky`, which lie at that number modulo `rows`.
struct AddParts<'a> {
    /// `[rows, pixels, rows, outs]`.
    parts: &'a [i32],
    first: usize,
    rows: usize,
    outs: usize,
    /// `[pixels, outs]`.
    sums: &'a mut [i32],
}

impl WithSimd for AddParts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { parts, first, rows, outs, sums } = self;
        let part_len = sums.len() * rows;
        let starts: Vec<usize> = (0..rows).map(|ky| (first + ky) % rows * part_len + ky * outs).collect();
        for (pixel, sums) in sums.chunks_exact_mut(outs).enumerate() {
            for (block, sums) in sums.as_chunks_mut::<ADDED>().0.iter_mut().enumerate() {
                let at = pixel.wrapping_mul(rows).wrapping_mul(outs).wrapping_add(block.wrapping_mul(ADDED));
                let mut total = [0_i32; ADDED];
                for start in &starts {
                    let Some(part) = parts.get(start.wrapping_add(at)..).and_then(<[i32]>::first_chunk::<ADDED>) else { continue };
                    for i in 0..ADDED {
                        total[i] = total[i].wrapping_add(part[i]);
                    }
                }
                *sums = total;
            }
        }
    }
}

/// Least length of a kernel row's products.
const LEAST_INNER: usize = 48;

/// Most output lines of a band: its input lines stay in the second cache.
const BAND_LINES: usize = 16;

impl PreparedBands {
    /// Whether bands pay: several kernel rows over neighbouring pixels, one group, products long enough to be worth a call for each
    /// kernel row, and a kernel that needs no halved bytes.
    pub(super) fn takes(conv: &Conv2d, arithmetic: &Arithmetic, kernels: &Kernels) -> bool {
        let Window { kernel, dilation, .. } = conv.window;
        let tall = kernel[0] > 1 && dilation == [1, 1] && conv.groups == 1 && conv.output().width >= 8;
        let large = kernel[1] * pitch(conv.input.channels) >= LEAST_INNER;
        tall && large && matches!(arithmetic, Arithmetic::Bytes { .. }) && !kernels.may_saturate()
    }

    pub(super) fn new(
        plan: &Plan,
        step: &Step,
        conv: &Conv2d,
        weights: WeightId,
        arithmetic: &Arithmetic,
        kernels: &Kernels,
    ) -> Result<Option<Self>> {
        let Arithmetic::Bytes { zero_a, result, .. } = arithmetic else { return Ok(None) };
        let w = bytes(&plan.weight(weights).elements)?;
        let layout = WeightLayout::of(conv);
        let inner = layout.inner / conv.window.kernel[0];
        let outs = conv.out_channels;
        // Columns are the kernel's rows from `first` on, side by side.
        let pack = |first: usize, rows: usize| {
            let at = |k, n| layout.at(0, (first + n / outs) * inner + k, n % outs).map_or(0, |i| w[i]);
            kernels.pack_bytes(inner, rows * outs, at)
        };
        let rows = conv.window.kernel[0];
        let lines: Vec<PackedBytes> = if stacks(conv) { vec![pack(0, rows)] } else { (0..rows).map(|ky| pack(ky, 1)).collect() };
        let mut sums = vec![0_i32; outs];
        lines.iter().flat_map(|line| line.sums.chunks(outs)).for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, s)| *sum += s));
        let (zero, flip) = unsigned(plan, step, *zero_a);
        let finish = IntegerFinish::new(result, &sums, zero, plan.tensor(step.output).quant);
        Ok(Some(Self { conv: *conv, lines, zero: zero as u8, flip, finish }))
    }

    /// Bytes of the packed weights.
    pub(super) fn size(&self) -> usize {
        self.lines.iter().map(PackedBytes::size).sum()
    }

    pub(super) fn run(&self, kernels: &Kernels, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) -> Result<()> {
        let failure = Failure::default();
        let map = self.conv.output();
        let target = Target::whole(out.tensor.pitch, map.channels);
        let rounds = map.height.div_ceil(workers.threads() * BAND_LINES).max(1);
        let band = map.height.div_ceil(workers.threads() * rounds);
        let chunk = band * map.width * out.tensor.pitch;
        if out.tensor.quant.is_none() {
            workers.chunks(out.f32(), chunk, |i, rows, s| {
                failure.keep(self.band(kernels, inputs, i * band, &target, &mut TileRows::Floats(rows), s))
            });
        } else {
            workers.chunks(out.bytes, chunk, |i, rows, s| {
                failure.keep(self.band(kernels, inputs, i * band, &target, &mut TileRows::Bytes(rows), s))
            });
        }
        failure.result()
    }

    /// Output lines from `first` on, as many as `rows` hold.
    fn band(
        &self,
        kernels: &Kernels,
        inputs: &[Operand<'_>],
        first: usize,
        target: &Target,
        rows: &mut TileRows<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let map = self.conv.output();
        let Window { kernel: [kernel_h, _], stride, pad_before, .. } = self.conv.window;
        let count = rows.count(target.pitch).div_ceil(map.width);
        // Input lines of the band, counted from `top`; those outside the image are all padding.
        let needed = (count - 1) * stride[0] + kernel_h;
        let top = (first * stride[0]) as isize - pad_before[0] as isize;
        let packed: Vec<PackedRows> =
            (0..needed).map(|i| self.pack(kernels, &inputs[0], top + i as isize, &mut scratch.bytes)).collect::<Result<_>>()?;
        let (line_len, part_len) = (map.width * map.channels, kernel_h * map.width * map.channels);
        let parts_len = if stacks(&self.conv) { kernel_h * part_len } else { 0 };
        let (sums, parts) = at_least(&mut scratch.byte_sums, line_len + parts_len).split_at_mut(line_len);
        for y in 0..count {
            if stacks(&self.conv) {
                // Lines that an earlier output line multiplied are still there.
                for line in if y == 0 { 0..kernel_h } else { y + kernel_h - 1..y + kernel_h } {
                    let part = &mut parts[line % kernel_h * part_len..][..part_len];
                    kernels.multiply_packed(&packed[line], &self.lines[0], false, part)?;
                }
                Arch::new().dispatch(AddParts { parts, first: y, rows: kernel_h, outs: map.channels, sums: &mut *sums });
            } else {
                for (ky, line) in self.lines.iter().enumerate() {
                    kernels.multiply_packed(&packed[y * stride[0] + ky], line, ky > 0, sums)?;
                }
            }
            let pixel = (first + y) * map.width;
            let residual = inputs.get(1).map(|r| Residual::new(r, pixel * r.tensor.pitch, r.tensor.pitch));
            self.finish.rows(sums, target, residual, &mut rows.from(y * map.width * target.pitch));
        }
        Ok(())
    }

    /// One input line with its padding, packed as the runs of pixels under each output column.
    fn pack(&self, kernels: &Kernels, x: &Operand<'_>, y: isize, buffer: &mut Vec<u8>) -> Result<PackedRows> {
        let Window { kernel: [_, kernel_w], stride, pad_before, .. } = self.conv.window;
        let input = self.conv.input;
        let lanes = pitch(input.channels);
        let out_width = self.conv.output().width;
        let width = (out_width - 1) * stride[1] + kernel_w;
        let line = at_least(buffer, width * lanes);
        line.fill(self.zero);
        if (0..input.height as isize).contains(&y) {
            let start = y.unsigned_abs() * input.width * x.tensor.pitch;
            let pixels = line.chunks_exact_mut(lanes).skip(pad_before[1]).take(input.width);
            for (px, pixel) in pixels.enumerate() {
                let from = start + px * x.tensor.pitch;
                pixel.copy_from_slice(&x.bytes[from..from + lanes]);
                if self.flip != 0 {
                    pixel.iter_mut().for_each(|b| *b ^= self.flip);
                }
            }
        }
        kernels.pack_rows(Rows { data: line, count: out_width, stride: stride[1] * lanes }, kernel_w * lanes)
    }
}
