//! Resampling: input lines stretched to the output's width once, then mixed line by line, all channels of a line together.

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::resize::{Resize, ResizeMode, Taps};
use fathom_core::quant::QuantParams;
use pulp::{Arch, Simd, WithSimd};

use super::epilogue::{Target, TileRows, look_up};
use super::memory::{Operand, Output};
use super::vector::{dequantize_row, quantize_row};
use super::work::{Scratch, Workers, at_least};

/// A resampling with the taps of every output column.
#[derive(Debug)]
pub(super) struct PreparedResize {
    resize: Resize,
    columns: Vec<Taps>,
    then: Option<(QuantParams, ByteTable)>,
    arch: Arch,
}

impl PreparedResize {
    pub(super) fn new(resize: &Resize, then: Option<&(QuantParams, ByteTable)>) -> Self {
        let columns = (0..resize.output[1]).map(|x| resize.taps(1, x)).collect();
        Self { resize: *resize, columns, then: then.cloned(), arch: Arch::new() }
    }

    pub(super) fn run(&self, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
        let target = Target::whole(out.tensor.pitch, self.resize.input.channels);
        let x = &inputs[0];
        let quant = out.tensor.quant;
        let line = self.resize.output[1] * out.tensor.pitch;
        // A nearest choice between equal quantizations moves bytes as they are.
        if matches!(self.resize.mode, ResizeMode::Nearest(_)) && x.quant().is_some() && x.quant() == quant {
            return workers.chunks(out.bytes, line, |y, rows, _| self.choose(x, y, &target, rows));
        }
        let lines = workers.lines(self.resize.output[0]);
        let at = |first| Place { this: self, x, first, target: &target, quant };
        match quant {
            None => workers.chunks(out.f32(), lines * line, |i, rows, scratch| {
                self.arch.dispatch(Band { place: at(i * lines), rows: TileRows::Floats(rows), scratch });
            }),
            Some(_) => workers.chunks(out.bytes, lines * line, |i, rows, scratch| {
                self.arch.dispatch(Band { place: at(i * lines), rows: TileRows::Bytes(rows), scratch });
            }),
        }
    }

    fn choose(&self, x: &Operand<'_>, y: usize, target: &Target, rows: &mut [u8]) {
        let line = self.resize.taps(0, y).at[0] * self.resize.input.width * x.tensor.pitch;
        for (row, taps) in rows.chunks_mut(target.pitch).zip(&self.columns) {
            let start = line + taps.at[0] * x.tensor.pitch;
            row[target.columns.clone()].copy_from_slice(&x.bytes[start..start + target.columns.len()]);
            row[target.cleared.clone()].fill(0);
        }
    }
}

/// From where to where.
struct Place<'a> {
    this: &'a PreparedResize,
    x: &'a Operand<'a>,
    /// First output line.
    first: usize,
    target: &'a Target,
    quant: Option<QuantParams>,
}

/// Neighbouring lines of output pixels.
struct Band<'a, 'o> {
    place: Place<'a>,
    rows: TileRows<'o>,
    scratch: &'o mut Scratch,
}

impl WithSimd for Band<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { place: Place { this, x, first, target, quant }, mut rows, scratch } = self;
        let resize = &this.resize;
        let (count, channels) = (resize.tap_count(), resize.input.channels);
        let line_len = this.columns.len() * channels;
        let Scratch { floats, float_sums, bytes, .. } = scratch;
        let source = resize.input.width * channels;
        let (reals, stretched) = at_least(floats, source + count * line_len).split_at_mut(source);
        let mixed = at_least(float_sums, line_len);
        let levels = at_least(bytes, line_len);
        let mut held = [None; MOST_TAPS];
        let lines = rows.count(target.pitch).div_ceil(this.columns.len());
        for y in 0..lines {
            let wanted = resize.taps(0, first + y);
            let wanted_lines = &wanted.at[..count];
            let mut slots = [0; MOST_TAPS];
            for (slot, &line) in slots.iter_mut().zip(wanted_lines) {
                *slot = match held.iter().position(|&h| h == Some(line)) {
                    Some(slot) => slot,
                    None => {
                        let free = |h: &Option<usize>| h.is_none_or(|line| !wanted_lines.contains(&line));
                        let slot = held[..count].iter().position(free).unwrap_or(0);
                        let to = &mut stretched[slot * line_len..(slot + 1) * line_len];
                        read(x, line * resize.input.width, channels, reals);
                        this.stretch(count, reals, to);
                        held[slot] = Some(line);
                        slot
                    }
                };
            }
            let mix = |i: usize| &stretched[slots[i] * line_len..(slots[i] + 1) * line_len];
            match count {
                1 => mixed.copy_from_slice(mix(0)),
                2 => weigh(wanted.weight[0], mix(0), wanted.weight[1], mix(1), mixed),
                _ => (0..line_len).for_each(|i| mixed[i] = (0..count).map(|j| wanted.weight[j] * mix(j)[i]).sum()),
            }
            let start = y * this.columns.len() * target.pitch;
            match (&mut rows, quant) {
                (TileRows::Floats(rows), _) => spread(mixed, channels, target, 0.0, &mut rows[start..]),
                (TileRows::Bytes(rows), Some(out)) => {
                    match &this.then {
                        None => quantize_row(out, mixed, levels),
                        Some((rounds_to, table)) => {
                            quantize_row(*rounds_to, mixed, levels);
                            look_up(table, &(0..channels), levels);
                        }
                    }
                    spread(levels, channels, target, 0, &mut rows[start..]);
                }
                (TileRows::Bytes(_), None) => {}
            }
        }
    }
}

/// Most taps of an output line: those of cubic interpolation.
const MOST_TAPS: usize = 4;

/// One input line as reals without padding, from its first pixel on.
#[inline(always)]
fn read(x: &Operand<'_>, first: usize, channels: usize, reals: &mut [f32]) {
    let pitch = x.tensor.pitch;
    if let (true, Some(quant)) = (pitch == channels, x.quant()) {
        return dequantize_row(quant, &x.bytes[first * pitch..first * pitch + reals.len()], reals);
    }
    for (px, reals) in reals.chunks_exact_mut(channels).enumerate() {
        let start = (first + px) * pitch;
        match x.quant() {
            None => reals.copy_from_slice(&x.f32()[start..start + channels]),
            Some(quant) => dequantize_row(quant, &x.bytes[start..start + channels], reals),
        }
    }
}

/// Rows without padding to where they belong.
#[inline(always)]
fn spread<T: Copy>(line: &[T], channels: usize, target: &Target, zero: T, rows: &mut [T]) {
    if target.pitch == channels {
        let count = line.len().min(rows.len());
        return rows[..count].copy_from_slice(&line[..count]);
    }
    if (channels, target.pitch, target.cleared.len()) == (1, 4, 3) {
        let rows = rows.as_chunks_mut().0.iter_mut().zip(line);
        return rows.for_each(|(row, &x)| *row = [x, zero, zero, zero]);
    }
    for (row, from) in rows.chunks_mut(target.pitch).zip(line.chunks_exact(channels)) {
        row[..channels].copy_from_slice(from);
        row[target.cleared.clone()].fill(zero);
    }
}

/// `out = a x + b y`, in core's order of operations.
#[inline(always)]
fn weigh(a: f32, x: &[f32], b: f32, y: &[f32], out: &mut [f32]) {
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        *out = a * x + b * y;
    }
}

impl PreparedResize {
    /// Every output column of one input line.
    #[inline(always)]
    fn stretch(&self, count: usize, line: &[f32], out: &mut [f32]) {
        let channels = self.resize.input.channels;
        match (channels, count) {
            (1, 2) => {
                for (out, column) in out.iter_mut().zip(&self.columns) {
                    let [left, right] = [column.at[0], column.at[1]].map(|at| line.get(at).copied().unwrap_or_default());
                    *out = column.weight[0] * left + column.weight[1] * right;
                }
            }
            (_, 1) => {
                let pixels = out.chunks_exact_mut(channels).zip(&self.columns);
                pixels.for_each(|(out, column)| out.copy_from_slice(&line[column.at[0] * channels..(column.at[0] + 1) * channels]));
            }
            (_, 2) => {
                for (out, column) in out.chunks_exact_mut(channels).zip(&self.columns) {
                    let [left, right] = [column.at[0], column.at[1]].map(|at| &line[at * channels..(at + 1) * channels]);
                    weigh(column.weight[0], left, column.weight[1], right, out);
                }
            }
            _ => {
                for (out, column) in out.chunks_exact_mut(channels).zip(&self.columns) {
                    let at = |i: usize| &line[column.at[i] * channels..(column.at[i] + 1) * channels];
                    (0..channels).for_each(|c| out[c] = (0..count).map(|i| column.weight[i] * at(i)[c]).sum());
                }
            }
        }
    }
}
