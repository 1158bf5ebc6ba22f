//! Tables and functions of one operand, row block by row block.

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::elementwise::Unary;
use fathom_core::quant::QuantParams;
use pulp::{Arch, Simd, WithSimd};

use super::epilogue::{Target, TileRows, look_up};
use super::memory::{Operand, Output};
use super::vector::{activate, dequantize_row, quantize_row};
use super::work::{Workers, at_least};

/// Rows that a thread takes at a time.
const ROWS: usize = 64;

/// Maps bytes by table.
pub(super) fn table(table: &ByteTable, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
    let x = &inputs[0];
    let target = Target::whole(out.tensor.pitch, out.tensor.channels());
    workers.chunks(out.bytes, ROWS * target.pitch, |i, rows, _| {
        for (r, row) in rows.chunks_mut(target.pitch).enumerate() {
            let start = (i * ROWS + r) * x.tensor.pitch;
            let row_columns = &mut row[target.columns.clone()];
            row_columns.copy_from_slice(&x.bytes[start..start + target.columns.len()]);
            look_up(table, &target.columns, row_columns);
            row[target.cleared.clone()].fill(0);
        }
    });
}

/// Applies a function of floats.
pub(super) fn unary(unary: Unary, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) {
    let x = &inputs[0];
    let target = Target::whole(out.tensor.pitch, out.tensor.channels());
    let quant = out.tensor.quant;
    let arch = Arch::new();
    let chunk = ROWS * target.pitch;
    if quant.is_none() {
        workers.chunks(out.f32(), chunk, |i, rows, scratch| {
            let pixel = at_least(&mut scratch.floats, target.columns.len());
            arch.dispatch(Block { unary, x, first: i * ROWS, target: &target, quant, rows: TileRows::Floats(rows), pixel });
        });
    } else {
        workers.chunks(out.bytes, chunk, |i, rows, scratch| {
            let pixel = at_least(&mut scratch.floats, target.columns.len());
            arch.dispatch(Block { unary, x, first: i * ROWS, target: &target, quant, rows: TileRows::Bytes(rows), pixel });
        });
    }
}

/// Some rows.
struct Block<'a, 'o> {
    unary: Unary,
    x: &'a Operand<'a>,
    first: usize,
    target: &'a Target,
    quant: Option<QuantParams>,
    rows: TileRows<'o>,
    pixel: &'a mut [f32],
}

impl WithSimd for Block<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { unary, x, first, target, quant, mut rows, pixel } = self;
        for i in 0..rows.count(target.pitch) {
            let from = (first + i) * x.tensor.pitch;
            match x.quant() {
                None => pixel.copy_from_slice(&x.f32()[from..from + pixel.len()]),
                Some(quant) => dequantize_row(quant, &x.bytes[from..from + pixel.len()], pixel),
            }
            match unary {
                Unary::Identity => {}
                Unary::Activation(activation) => activate(activation, pixel),
                other => pixel.iter_mut().for_each(|v| *v = other.apply(*v)),
            }
            let start = i * target.pitch;
            let (columns, cleared) = (start..start + pixel.len(), start + target.cleared.start..start + target.cleared.end);
            match (&mut rows, quant) {
                (TileRows::Floats(rows), _) => {
                    rows[columns].copy_from_slice(pixel);
                    rows[cleared].fill(0.0);
                }
                (TileRows::Bytes(rows), Some(quant)) => {
                    quantize_row(quant, pixel, &mut rows[columns]);
                    rows[cleared].fill(0);
                }
                (TileRows::Bytes(_), None) => {}
            }
        }
    }
}
