//! Resampling, one line of output pixels at a time.

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
        let chunk = self.resize.output[1] * out.tensor.pitch;
        let x = &inputs[0];
        let quant = out.tensor.quant;
        // A nearest choice between equal quantizations moves bytes as they are.
        let moves = matches!(self.resize.mode, ResizeMode::Nearest(_)) && x.quant().is_some() && x.quant() == quant;
        match quant {
            None => workers.chunks(out.f32(), chunk, |y, rows, scratch| {
                self.arch.dispatch(Line { this: self, x, y, target: &target, quant, rows: TileRows::Floats(rows), scratch });
            }),
            Some(_) if moves => workers.chunks(out.bytes, chunk, |y, rows, _| self.choose(x, y, &target, rows)),
            Some(_) => workers.chunks(out.bytes, chunk, |y, rows, scratch| {
                self.arch.dispatch(Line { this: self, x, y, target: &target, quant, rows: TileRows::Bytes(rows), scratch });
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

/// One line of output pixels.
struct Line<'a, 'o> {
    this: &'a PreparedResize,
    x: &'a Operand<'a>,
    y: usize,
    target: &'a Target,
    quant: Option<QuantParams>,
    rows: TileRows<'o>,
    scratch: &'a mut Scratch,
}

impl WithSimd for Line<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { this, x, y, target, quant, rows, scratch } = self;
        let resize = &this.resize;
        let (width, pitch, channels) = (resize.input.width, x.tensor.pitch, resize.input.channels);
        let rows_of = resize.taps(0, y);
        let count = resize.tap_count();
        // The input lines that this one mixes, as reals without padding, then mixed into one.
        let line_len = width * channels;
        let lines = at_least(&mut scratch.floats, count * line_len);
        for (line, &iy) in lines.chunks_exact_mut(line_len).zip(&rows_of.at) {
            for (px, reals) in line.chunks_exact_mut(channels).enumerate() {
                let start = (iy * width + px) * pitch;
                match x.quant() {
                    None => reals.copy_from_slice(&x.f32()[start..start + channels]),
                    Some(quant) => dequantize_row(quant, &x.bytes[start..start + channels], reals),
                }
            }
        }
        let pixel = at_least(&mut scratch.float_sums, channels);
        let mut rows = rows;
        for (px, column) in this.columns.iter().enumerate() {
            match count {
                1 => pixel.copy_from_slice(&lines[column.at[0] * channels..(column.at[0] + 1) * channels]),
                2 => bilinear(lines, line_len, &rows_of, column, pixel),
                _ => general(lines, line_len, &rows_of, column, count, pixel),
            }
            let start = px * target.pitch;
            match (&mut rows, quant) {
                (TileRows::Floats(rows), _) => {
                    rows[start..start + channels].copy_from_slice(pixel);
                    rows[start + target.cleared.start..start + target.cleared.end].fill(0.0);
                }
                (TileRows::Bytes(rows), Some(out)) => {
                    let row = &mut rows[start..start + channels];
                    match &this.then {
                        None => quantize_row(out, pixel, row),
                        Some((rounds_to, table)) => {
                            quantize_row(*rounds_to, pixel, row);
                            look_up(table, &(0..channels), row);
                        }
                    }
                    rows[start + target.cleared.start..start + target.cleared.end].fill(0);
                }
                (TileRows::Bytes(_), None) => {}
            }
        }
    }
}

/// Two lines by two columns, in core's order of operations.
#[inline(always)]
fn bilinear(lines: &[f32], line_len: usize, rows: &Taps, column: &Taps, pixel: &mut [f32]) {
    let channels = pixel.len();
    let at = |j: usize, i: usize| &lines[j * line_len + column.at[i] * channels..j * line_len + (column.at[i] + 1) * channels];
    let corners = at(0, 0).iter().zip(at(0, 1)).zip(at(1, 0)).zip(at(1, 1));
    let ([top, bottom, ..], [left, right, ..]) = (rows.weight, column.weight);
    for (y, (((a, b), c), d)) in pixel.iter_mut().zip(corners) {
        *y = top * (left * a + right * b) + bottom * (left * c + right * d);
    }
}

#[inline(always)]
fn general(lines: &[f32], line_len: usize, rows: &Taps, column: &Taps, count: usize, pixel: &mut [f32]) {
    let channels = pixel.len();
    for (c, y) in pixel.iter_mut().enumerate() {
        let across = |j: usize| (0..count).map(|i| column.weight[i] * lines[j * line_len + column.at[i] * channels + c]).sum::<f32>();
        *y = (0..count).map(|j| rows.weight[j] * across(j)).sum();
    }
}
