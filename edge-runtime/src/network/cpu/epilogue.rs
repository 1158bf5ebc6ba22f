//! Epilogues over tiles of sums, as vector loops; bit for bit what `fathom_core::ops::nn::epilogue` says.

use std::ops::Range;

use fathom_core::ops::nn::byte::{Byte, ByteTable};
use fathom_core::ops::nn::elementwise::ByteSum;
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue};
use fathom_core::ops::nn::pitch;
use fathom_core::quant::QuantParams;
use pulp::{Arch, Simd, WithSimd};

use super::memory::Operand;
use super::vector::{activate, quantize_row};
use super::work::at_least;
use crate::network::plan::ByteArithmetic;

/// What follows integer sums.
#[derive(Debug)]
pub(super) struct IntegerFinish {
    /// Bias less the first operand's zero point times the column sums of the second, row after row.
    offset: Vec<i32>,
    /// Factors of the sums, likewise.
    multiplier: Vec<f32>,
    /// Columns of a row, and rows that `offset` and `multiplier` are for.
    columns: usize,
    repeat: usize,
    result: ByteArithmetic,
    out: Option<QuantParams>,
    arch: Arch,
}

/// Sums that are finished together, roughly.
const TOGETHER: usize = 1024;

/// What follows float sums.
#[derive(Debug)]
pub(super) struct FloatFinish {
    epilogue: FloatEpilogue,
    alpha: f32,
    out: Option<QuantParams>,
    arch: Arch,
}

/// Rows of a result, `pitch` elements apart.
pub(super) enum TileRows<'a> {
    Floats(&'a mut [f32]),
    Bytes(&'a mut [u8]),
}

/// Where rows of sums belong.
#[derive(Clone)]
pub(super) struct Target {
    /// Elements from one row of the result to the next.
    pub(super) pitch: usize,
    /// The columns of the result that the sums are.
    pub(super) columns: Range<usize>,
    /// Lanes behind the last column that are set to 0.
    pub(super) cleared: Range<usize>,
}

/// Rows of a residual that go with a tile.
#[derive(Clone, Copy)]
pub(super) struct Residual<'a> {
    pub(super) operand: &'a Operand<'a>,
    /// Element at which the tile's first row starts.
    start: usize,
    pitch: usize,
}

impl Target {
    /// All columns of a tensor's rows.
    pub(super) fn whole(row_pitch: usize, columns: usize) -> Self {
        let cleared = if row_pitch == pitch(columns) { columns..row_pitch } else { 0..0 };
        Self { pitch: row_pitch, columns: 0..columns, cleared }
    }

    /// Columns of one group.
    pub(super) fn group(row_pitch: usize, columns: usize, group: usize, groups: usize) -> Self {
        let each = columns / groups;
        Self { columns: group * each..(group + 1) * each, ..Self::whole(row_pitch, columns) }
    }
}

impl Target {
    /// Puts rows that lie one behind the other where they belong.
    #[inline(always)]
    fn scatter<T: Copy>(&self, rows: &[T], zero: T, out: &mut [T]) {
        for (row, out) in rows.chunks_exact(self.columns.len()).zip(out.chunks_mut(self.pitch)) {
            out[self.columns.clone()].copy_from_slice(row);
            if !self.cleared.is_empty() {
                out[self.cleared.clone()].fill(zero);
            }
        }
    }
}

/// Where rows of a residual lie.
#[derive(Clone, Copy)]
pub(super) struct RowsOf {
    start: usize,
    pitch: usize,
}

impl RowsOf {
    #[inline(always)]
    fn range(self, row: usize, columns: &Range<usize>) -> Range<usize> {
        let start = self.start + row * self.pitch;
        start + columns.start..start + columns.end
    }
}

impl<'a> Residual<'a> {
    pub(super) fn new(operand: &'a Operand<'a>, start: usize, pitch: usize) -> Self {
        Self { operand, start, pitch }
    }

    /// The rows from `row` on.
    #[inline(always)]
    pub(super) fn from(&self, row: usize) -> RowsOf {
        RowsOf { start: self.start + row * self.pitch, pitch: self.pitch }
    }
}

impl TileRows<'_> {
    /// The rows from an element on.
    pub(super) fn from(&mut self, start: usize) -> TileRows<'_> {
        match self {
            Self::Floats(rows) => TileRows::Floats(&mut rows[start..]),
            Self::Bytes(rows) => TileRows::Bytes(&mut rows[start..]),
        }
    }

    /// Rows begun.
    pub(super) fn count(&self, pitch: usize) -> usize {
        match self {
            Self::Floats(rows) => rows.len().div_ceil(pitch),
            Self::Bytes(rows) => rows.len().div_ceil(pitch),
        }
    }
}

impl IntegerFinish {
    /// `column_sums` and `zero` fold the first operand's zero point into the bias.
    pub(super) fn new(result: &ByteArithmetic, column_sums: &[i32], zero: i32, out: Option<QuantParams>) -> Self {
        let (bias, multiplier) = match result {
            ByteArithmetic::Byte(epilogue) => (&epilogue.bias, &epilogue.multiplier),
            ByteArithmetic::Real(epilogue) => (&epilogue.bias, &epilogue.multiplier),
        };
        let offset = column_sums.iter().enumerate().map(|(c, sum)| bias.get(c).copied().unwrap_or(0).wrapping_sub(zero.wrapping_mul(*sum)));
        let offset: Vec<i32> = offset.collect();
        let columns = offset.len();
        let repeat = (TOGETHER / columns.max(1)).max(1);
        Self {
            offset: offset.repeat(repeat),
            multiplier: multiplier.repeat(repeat),
            columns,
            repeat,
            result: result.clone(),
            out,
            arch: Arch::new(),
        }
    }

    fn signed(&self) -> bool {
        self.out.is_some_and(|quant| quant.signed)
    }

    /// Finishes rows of sums.
    pub(super) fn rows(&self, sums: &[i32], target: &Target, residual: Option<Residual<'_>>, out: &mut TileRows<'_>) {
        self.arch.dispatch(IntegerTile { finish: self, sums, target, residual, out });
    }
}

impl FloatFinish {
    pub(super) fn new(epilogue: &FloatEpilogue, alpha: f32, out: Option<QuantParams>) -> Self {
        Self { epilogue: epilogue.clone(), alpha, out, arch: Arch::new() }
    }

    /// Finishes rows of sums, which are overwritten.
    pub(super) fn rows(&self, sums: &mut [f32], target: &Target, residual: Option<Residual<'_>>, out: &mut TileRows<'_>) {
        self.arch.dispatch(FloatTile { finish: self, sums, target, residual, out });
    }
}

struct IntegerTile<'a, 'o> {
    finish: &'a IntegerFinish,
    sums: &'a [i32],
    target: &'a Target,
    residual: Option<Residual<'a>>,
    out: &'a mut TileRows<'o>,
}

impl WithSimd for IntegerTile<'_, '_> {
    type Output = ();

    /// Several rows at a time, one behind the other, so that rows of few columns fill the vectors too.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { finish, sums, target, residual, out } = self;
        let count = target.columns.len();
        // Of a group, the columns are not the first: its rows are taken one by one.
        let (first, rows) = if count == finish.columns { (0, finish.repeat) } else { (target.columns.start, 1) };
        let mut levels = Vec::new();
        let mut reals = Vec::new();
        for (i, sums) in sums.chunks(count * rows).enumerate() {
            let row = i * rows;
            let start = row * target.pitch;
            let scales = first..first + sums.len();
            let (offset, multiplier) = (&finish.offset[scales.clone()], &finish.multiplier[scales]);
            match (&finish.result, &mut *out) {
                (ByteArithmetic::Byte(e), TileRows::Bytes(out)) => {
                    let other = residual.map(|r| (r.operand, r.from(row)));
                    let dense = target.pitch == count;
                    let to = if dense { &mut out[start..start + sums.len()] } else { at_least(&mut levels, sums.len()) };
                    requantize(Rounding::of(e), sums, offset, multiplier, to);
                    byte_stages(e, &target.columns, other, finish.signed(), to);
                    if !dense {
                        target.scatter(&levels[..sums.len()], 0, &mut out[start..]);
                    }
                }
                (ByteArithmetic::Real(e), out) => {
                    let reals = at_least(&mut reals, sums.len());
                    let scaled = reals.iter_mut().zip(sums).zip(offset).zip(multiplier);
                    scaled.for_each(|(((real, &sum), &offset), &multiplier)| *real = sum.wrapping_add(offset) as f32 * multiplier);
                    real_stages(&e.float, &target.columns, residual.map(|r| (r.operand, r.from(row))), reals);
                    match (out, finish.out) {
                        (TileRows::Floats(out), _) => target.scatter(reals, 0.0, &mut out[start..]),
                        (TileRows::Bytes(out), Some(quant)) => {
                            let levels = at_least(&mut levels, reals.len());
                            quantize_row(quant, reals, levels);
                            target.scatter(levels, 0, &mut out[start..]);
                        }
                        (TileRows::Bytes(_), None) => {}
                    }
                }
                // A byte epilogue writes bytes: the plan's tensor says so.
                (ByteArithmetic::Byte(_), TileRows::Floats(_)) => {}
            }
        }
    }
}

struct FloatTile<'a, 'o> {
    finish: &'a FloatFinish,
    sums: &'a mut [f32],
    target: &'a Target,
    residual: Option<Residual<'a>>,
    out: &'a mut TileRows<'o>,
}

impl WithSimd for FloatTile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { finish, sums, target, residual, out } = self;
        let columns = target.columns.clone();
        let epilogue = &finish.epilogue;
        for (i, sums) in sums.chunks_exact_mut(columns.len()).enumerate() {
            if finish.alpha != 1.0 {
                sums.iter_mut().for_each(|x| *x *= finish.alpha);
            }
            if let Some(bias) = epilogue.bias.get(columns.clone()) {
                sums.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
            }
            // A loop, so that the code of all activations is there once.
            for (activation, adds) in [(epilogue.activation, epilogue.residual), (epilogue.then, false)] {
                activate(activation, sums);
                if let (true, Some(residual)) = (adds, residual) {
                    add_residual(residual.operand, residual.from(i).range(0, &columns), sums);
                }
            }
            let start = i * target.pitch;
            match (&mut *out, finish.out) {
                (TileRows::Floats(rows), _) => rows[start + columns.start..start + columns.end].copy_from_slice(sums),
                (TileRows::Bytes(rows), Some(quant)) => quantize_row(quant, sums, &mut rows[start + columns.start..start + columns.end]),
                (TileRows::Bytes(_), None) => {}
            }
            clear(out, start, &target.cleared);
        }
    }
}

#[inline(always)]
fn clear(out: &mut TileRows<'_>, start: usize, lanes: &Range<usize>) {
    if lanes.is_empty() {
        return;
    }
    match out {
        TileRows::Floats(rows) => rows[start + lanes.start..start + lanes.end].fill(0.0),
        TileRows::Bytes(rows) => rows[start + lanes.start..start + lanes.end].fill(0),
    }
}

/// Bounds and shift of a rounding to bytes.
#[derive(Clone, Copy)]
struct Rounding {
    low: f32,
    high: f32,
    shift: i32,
}

impl Rounding {
    /// Adding and subtracting 1.5 * 2^23 rounds half to even, exactly, below 2^22.
    const MAGIC: f32 = 12_582_912.0;

    #[inline(always)]
    fn of(e: &ByteEpilogue) -> Self {
        let bound = |b: i32| b.wrapping_sub(e.zero_point) as f32;
        Self { low: bound(e.low), high: bound(e.high), shift: e.zero_point.wrapping_sub(Self::MAGIC.to_bits().cast_signed()) }
    }
}

/// `requantize` of core, element by element.
#[inline(always)]
fn requantize(rounding: Rounding, sums: &[i32], offset: &[i32], multiplier: &[f32], out: &mut [u8]) {
    for (((out, &sum), &offset), &multiplier) in out.iter_mut().zip(sums).zip(offset).zip(multiplier) {
        let scaled = sum.wrapping_add(offset) as f32 * multiplier;
        // Comparisons as vector instructions have them; a NaN becomes the lower bound.
        let above = if scaled > rounding.low { scaled } else { rounding.low };
        let within = if above < rounding.high { above } else { rounding.high };
        *out = (within + Rounding::MAGIC).to_bits().cast_signed().wrapping_add(rounding.shift) as u8;
    }
}

/// What follows the rounding, on rows of `columns` one behind the other.
#[inline(always)]
pub(super) fn byte_stages(
    e: &ByteEpilogue,
    columns: &Range<usize>,
    other: Option<(&Operand<'_>, RowsOf)>,
    signed: bool,
    levels: &mut [u8],
) {
    let count = columns.len();
    if let Some(table) = &e.table {
        levels.chunks_exact_mut(if table.tables() == 1 { levels.len() } else { count }).for_each(|row| look_up(table, columns, row));
    }
    if let (Some(sum), Some((operand, at))) = (&e.residual, other) {
        // Rows that follow one another are one long row.
        let (long, columns) = if at.pitch == count { (levels.len(), 0..levels.len()) } else { (count, columns.clone()) };
        for (i, row) in levels.chunks_exact_mut(long).enumerate() {
            let other = &operand.bytes[at.range(i, &columns)];
            if signed { add_row::<i8>(sum, other, row) } else { add_row::<u8>(sum, other, row) }
        }
    }
    if let Some(table) = &e.then {
        levels.chunks_exact_mut(if table.tables() == 1 { levels.len() } else { count }).for_each(|row| look_up(table, columns, row));
    }
}

/// What follows the scaling, on rows of `columns` one behind the other.
#[inline(always)]
fn real_stages(e: &FloatEpilogue, columns: &Range<usize>, other: Option<(&Operand<'_>, RowsOf)>, reals: &mut [f32]) {
    let count = columns.len();
    if let Some(bias) = e.bias.get(columns.clone()) {
        reals.chunks_exact_mut(count).for_each(|row| row.iter_mut().zip(bias).for_each(|(x, b)| *x += b));
    }
    // A loop, so that the code of all activations is there once.
    for (activation, residual) in [(e.activation, e.residual), (e.then, false)] {
        activate(activation, reals);
        if let (true, Some((operand, at))) = (residual, other) {
            reals.chunks_exact_mut(count).enumerate().for_each(|(i, row)| add_residual(operand, at.range(i, columns), row));
        }
    }
}

#[inline(always)]
fn add_residual(operand: &Operand<'_>, range: Range<usize>, out: &mut [f32]) {
    match operand.quant() {
        None => out.iter_mut().zip(&operand.f32()[range]).for_each(|(x, r)| *x += r),
        Some(quant) if quant.signed => {
            out.iter_mut().zip(&operand.bytes[range]).for_each(|(x, r)| *x += quant.dequantize(r.cast_signed().into()));
        }
        Some(quant) => out.iter_mut().zip(&operand.bytes[range]).for_each(|(x, r)| *x += quant.dequantize((*r).into())),
    }
}

#[inline(always)]
pub(super) fn look_up(table: &ByteTable, columns: &Range<usize>, out: &mut [u8]) {
    if table.tables() == 1 {
        // A fixed-size table needs no bounds check.
        if let Ok(entries) = <&[u8; 256]>::try_from(table.entries()) {
            out.iter_mut().for_each(|b| *b = entries[usize::from(*b)]);
        }
    } else {
        out.iter_mut().zip(columns.clone()).for_each(|(b, column)| *b = table.look_up(column, *b));
    }
}

#[inline(always)]
fn add_row<B: Byte>(sum: &ByteSum, other: &[u8], out: &mut [u8]) {
    let sum = *sum;
    for (b, &r) in out.iter_mut().zip(other) {
        *b = B::clamped(sum.value(B::from_bits(*b).into(), B::from_bits(r).into())).bits();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_core_says_at_ties_and_limits() {
        for (signed, zero_point) in [(false, 0), (false, 131), (true, -128), (true, 7)] {
            let (low, high) = if signed { (-128, 127) } else { (0, 255) };
            let sums: Vec<i32> = (-700..700).chain([i32::MIN, i32::MAX, i32::MAX - 3]).collect();
            let columns = sums.len();
            let epilogue = ByteEpilogue {
                bias: vec![1; columns],
                multiplier: vec![0.5; columns],
                zero_point,
                low,
                high,
                table: None,
                residual: None,
                then: None,
            };
            let out_quant = QuantParams::new(1.0, zero_point, signed).unwrap();
            let finish = IntegerFinish::new(&ByteArithmetic::Byte(epilogue.clone()), &vec![3; columns], 2, Some(out_quant));
            let mut out = vec![9; pitch(columns)];
            finish.rows(&sums, &Target::whole(pitch(columns), columns), None, &mut TileRows::Bytes(&mut out));
            for (i, &sum) in sums.iter().enumerate() {
                let sum = sum.wrapping_sub(6);
                let expected = if signed { epilogue.value::<i8>(sum, i, 0).bits() } else { epilogue.value::<u8>(sum, i, 0) };
                assert_eq!(out[i], expected, "sum {sum}, zero point {zero_point}");
            }
            assert!(out[columns..].iter().all(|&b| b == 0), "padding lanes");
        }
    }
}
