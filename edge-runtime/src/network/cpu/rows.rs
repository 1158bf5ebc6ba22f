//! Softmax and layer normalization: each row on its own.

use fathom_core::ops::nn::layer_norm::LayerNorm;
use fathom_core::quant::QuantParams;
use pulp::{Arch, Simd, WithSimd};

use super::epilogue::{Target, TileRows};
use super::memory::{Operand, Output};
use super::vector::{dequantize_row, exp, quantize_row};
use super::work::{Workers, at_least};

/// What is done to a row.
#[derive(Debug, Clone)]
pub(super) enum RowOp {
    Softmax,
    LayerNorm { norm: LayerNorm, scale: Vec<f32>, bias: Vec<f32> },
}

/// Rows that a thread takes at a time.
const ROWS: usize = 16;

pub(super) fn run(op: &RowOp, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
    let x = &inputs[0];
    let target = Target::whole(out.tensor.pitch, out.tensor.channels());
    let quant = out.tensor.quant;
    let arch = Arch::new();
    if quant.is_none() {
        workers.chunks(out.f32(), ROWS * target.pitch, |i, rows, scratch| {
            let row = at_least(&mut scratch.floats, target.columns.len());
            arch.dispatch(Block { op, x, first: i * ROWS, target: &target, quant, rows: TileRows::Floats(rows), row });
        });
    } else {
        workers.chunks(out.bytes, ROWS * target.pitch, |i, rows, scratch| {
            let row = at_least(&mut scratch.floats, target.columns.len());
            arch.dispatch(Block { op, x, first: i * ROWS, target: &target, quant, rows: TileRows::Bytes(rows), row });
        });
    }
}

struct Block<'a, 'o> {
    op: &'a RowOp,
    x: &'a Operand<'a>,
    first: usize,
    target: &'a Target,
    quant: Option<QuantParams>,
    rows: TileRows<'o>,
    row: &'a mut [f32],
}

impl WithSimd for Block<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { op, x, first, target, quant, mut rows, row } = self;
        for i in 0..rows.count(target.pitch) {
            let from = (first + i) * x.tensor.pitch;
            match x.quant() {
                None => row.copy_from_slice(&x.f32()[from..from + row.len()]),
                Some(quant) => dequantize_row(quant, &x.bytes[from..from + row.len()], row),
            }
            match op {
                RowOp::Softmax => softmax(row),
                RowOp::LayerNorm { norm, scale, bias } => layer_norm(norm.epsilon, scale, bias, row),
            }
            let start = i * target.pitch;
            let (columns, cleared) = (start..start + row.len(), start + target.cleared.start..start + target.cleared.end);
            match (&mut rows, quant) {
                (TileRows::Floats(rows), _) => {
                    rows[columns].copy_from_slice(row);
                    rows[cleared].fill(0.0);
                }
                (TileRows::Bytes(rows), Some(quant)) => {
                    quantize_row(quant, row, &mut rows[columns]);
                    rows[cleared].fill(0);
                }
                (TileRows::Bytes(_), None) => {}
            }
        }
    }
}

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let largest = fold(row, f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|x| *x = exp(*x - largest));
    let factor = 1.0 / fold(row, 0.0, |a, b| a + b);
    row.iter_mut().for_each(|x| *x *= factor);
}

#[inline(always)]
fn layer_norm(epsilon: f32, scale: &[f32], bias: &[f32], row: &mut [f32]) {
    let count = row.len() as f32;
    let mean = fold(row, 0.0, |a, b| a + b) / count;
    row.iter_mut().for_each(|x| *x -= mean);
    let mut squares = [0.0_f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
    chunks.for_each(|chunk| squares.iter_mut().zip(chunk).for_each(|(s, x)| *s += x * x));
    let variance = (squares.iter().sum::<f32>() + rest) / count;
    let factor = 1.0 / (variance + epsilon).sqrt();
    row.iter_mut().zip(scale).for_each(|(x, s)| *x = *x * factor * s);
    row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
}

/// Partial results kept side by side, so that the fold becomes vector code.
const LANES: usize = 16;

#[inline(always)]
fn fold(row: &[f32], start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(start, |a, &b| f(a, b));
    chunks.for_each(|chunk| lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane = f(*lane, x)));
    lanes.iter().fold(rest, |a, &b| f(a, b))
}
