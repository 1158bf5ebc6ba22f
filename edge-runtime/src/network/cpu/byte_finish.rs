//! Epilogues of sums that lie in vectors: block by block of columns to bytes, then row by row what follows the rounding.

use std::ops::Range;

use fathom_core::ops::nn::epilogue::ByteEpilogue;
use fathom_core::quant::QuantParams;
use pulp::{Arch, Simd, WithSimd};

use super::dot::{Addition, LANES, Rounding};
use super::epilogue::{Residual, Target, byte_stages};

/// What follows integer sums that become bytes.
#[derive(Debug)]
pub(super) struct ByteFinish {
    epilogue: ByteEpilogue,
    blocks: Vec<Block>,
    columns: usize,
    signed: bool,
    arch: Arch,
}

/// Neighbouring columns: [`LANES`], or all if there are fewer.
#[derive(Debug)]
pub(super) struct Block {
    /// The last block overlaps its neighbour to be whole.
    pub(super) first: usize,
    /// Bias less the zero point times the sum of the weights.
    pub(super) offset: [i32; LANES],
    pub(super) multiplier: [f32; LANES],
}

impl ByteFinish {
    /// `column_sums` and `zero` fold the first operand's zero point into the bias.
    pub(super) fn new(epilogue: &ByteEpilogue, column_sums: &[i32], zero: i32, out: Option<QuantParams>) -> Self {
        let columns = column_sums.len();
        let offset = |c: usize| {
            let bias = epilogue.bias.get(c).copied().unwrap_or(0);
            column_sums.get(c).map_or(0, |sum| bias.wrapping_sub(zero.wrapping_mul(*sum)))
        };
        let multiplier = |c: usize| epilogue.multiplier.get(c).copied().unwrap_or(0.0);
        let block = |first: usize| {
            let first = first.min(columns.saturating_sub(LANES));
            Block { first, offset: std::array::from_fn(|i| offset(first + i)), multiplier: std::array::from_fn(|i| multiplier(first + i)) }
        };
        Self {
            epilogue: epilogue.clone(),
            blocks: (0..columns).step_by(LANES).map(block).collect(),
            columns,
            signed: out.is_some_and(|quant| quant.signed),
            arch: Arch::new(),
        }
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    #[inline(always)]
    pub(super) fn rounding(&self) -> Rounding {
        let ByteEpilogue { low, high, zero_point, .. } = self.epilogue;
        let bound = |b: i32| b.wrapping_sub(zero_point) as f32;
        Rounding { low: bound(low), high: bound(high), zero_point }
    }

    /// The addition of a residual, if nothing comes between the rounding and it: then loops can add where the bytes still are in
    /// registers, and [`ByteFinish::stages`] needs no residual.
    pub(super) fn addition(&self) -> Option<Addition> {
        let sum = if self.epilogue.table.is_none() { self.epilogue.residual } else { None };
        sum.map(|sum| Addition { sum, signed: self.signed })
    }

    /// One block of a residual's row that begins at `start`.
    #[inline(always)]
    pub(super) fn other(&self, block: &Block, rows: &[u8], start: usize) -> [u8; LANES] {
        match rows.get(start.wrapping_add(block.first)..).and_then(<[u8]>::first_chunk) {
            Some(levels) => *levels,
            None => u128::to_le_bytes(few(&rows[start..])),
        }
    }

    /// Puts one block of the row that begins at `start` where it belongs.
    #[inline(always)]
    pub(super) fn put(&self, block: &Block, levels: [u8; LANES], rows: &mut [u8], start: usize) {
        if self.columns < LANES {
            // As a number, so that what is seldom needed does not put every result into memory.
            return self.put_few(u128::from_le_bytes(levels), rows, start);
        }
        if let Some(out) = rows.get_mut(start.wrapping_add(block.first)..).and_then(<[u8]>::first_chunk_mut) {
            *out = levels;
        }
    }

    #[cold]
    #[inline(never)]
    fn put_few(&self, levels: u128, rows: &mut [u8], start: usize) {
        rows[start..].iter_mut().zip(levels.to_le_bytes()).take(self.columns).for_each(|(out, level)| *out = level);
    }

    /// What follows the rounding, on rows that lie where they belong.
    pub(super) fn stages(&self, target: &Target, residual: Option<Residual<'_>>, rows: &mut [u8]) {
        let ByteEpilogue { table, residual: sum, then, .. } = &self.epilogue;
        if table.is_some() || (sum.is_some() && residual.is_some()) || then.is_some() {
            self.arch.dispatch(Stages { finish: self, target, residual, rows: &mut *rows });
        }
        if !target.cleared.is_empty() {
            rows.chunks_mut(target.pitch).for_each(|row| row[target.cleared.clone()].fill(0));
        }
    }
}

/// The first bytes as a number.
#[cold]
#[inline(never)]
fn few(row: &[u8]) -> u128 {
    let mut levels = [0; LANES];
    levels.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
    u128::from_le_bytes(levels)
}

struct Stages<'a, 'o> {
    finish: &'a ByteFinish,
    target: &'a Target,
    residual: Option<Residual<'a>>,
    rows: &'o mut [u8],
}

impl WithSimd for Stages<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { finish, target, residual, rows } = self;
        let columns: &Range<usize> = &target.columns;
        // Rows one behind the other are finished together.
        let together = if target.pitch == columns.len() { rows.len() } else { target.pitch };
        for (i, rows) in rows.chunks_mut(together).enumerate() {
            let other = residual.map(|r| (r.operand, r.from(i)));
            let len = if together == target.pitch { columns.len() } else { rows.len() };
            byte_stages(&finish.epilogue, columns, other, finish.signed, &mut rows[..len]);
        }
    }
}
