//! Epilogues over tiles of sums, as vector loops; bit for bit what `fathom_core::ops::nn::epilogue` says.

use std::ops::Range;

use fathom_core::ops::nn::byte::{Byte, ByteTable};
use fathom_core::ops::nn::elementwise::ByteSum;
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue, RealEpilogue};
use fathom_core::ops::nn::pitch;
use fathom_core::quant::QuantParams;
use pulp::{Arch, Simd, WithSimd};

use super::memory::Operand;
use super::vector::{activate, quantize_row};
use crate::network::plan::ByteArithmetic;

/// What follows integer sums.
#[derive(Debug)]
pub(super) struct IntegerFinish {
    /// Bias less the first operand's zero point times the column sums of the second.
    offset: Vec<i32>,
    result: ByteArithmetic,
    out: Option<QuantParams>,
    arch: Arch,
}

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
    operand: &'a Operand<'a>,
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

impl<'a> Residual<'a> {
    pub(super) fn new(operand: &'a Operand<'a>, start: usize, pitch: usize) -> Self {
        Self { operand, start, pitch }
    }

    #[inline(always)]
    fn range(&self, row: usize, columns: &Range<usize>) -> Range<usize> {
        let start = self.start + row * self.pitch;
        start + columns.start..start + columns.end
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
        let bias = match result {
            ByteArithmetic::Byte(epilogue) => &epilogue.bias,
            ByteArithmetic::Real(epilogue) => &epilogue.bias,
        };
        let offset = column_sums.iter().enumerate().map(|(c, sum)| bias.get(c).copied().unwrap_or(0).wrapping_sub(zero.wrapping_mul(*sum)));
        Self { offset: offset.collect(), result: result.clone(), out, arch: Arch::new() }
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

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { finish, sums, target, residual, out } = self;
        let columns = target.columns.clone();
        let offset = &finish.offset[columns.clone()];
        for (i, sums) in sums.chunks_exact(columns.len()).enumerate() {
            let start = i * target.pitch;
            let other = residual.map(|r| (r.operand, r.range(i, &columns)));
            match (&finish.result, &mut *out) {
                (ByteArithmetic::Byte(epilogue), TileRows::Bytes(rows)) => {
                    let row = &mut rows[start + columns.start..start + columns.end];
                    let other = other.map(|(operand, range)| &operand.bytes[range]);
                    if finish.out.is_some_and(|q| q.signed) {
                        byte_row::<i8>(epilogue, sums, offset, &columns, other, row);
                    } else {
                        byte_row::<u8>(epilogue, sums, offset, &columns, other, row);
                    }
                }
                (ByteArithmetic::Real(epilogue), TileRows::Floats(rows)) => {
                    let row = &mut rows[start + columns.start..start + columns.end];
                    real_row(epilogue, sums, offset, &columns, other, row);
                }
                (ByteArithmetic::Real(epilogue), TileRows::Bytes(rows)) => {
                    let mut reals = vec![0.0; columns.len()];
                    real_row(epilogue, sums, offset, &columns, other, &mut reals);
                    if let Some(quant) = finish.out {
                        quantize_row(quant, &reals, &mut rows[start + columns.start..start + columns.end]);
                    }
                }
                // A byte epilogue writes bytes: the plan's tensor says so.
                (ByteArithmetic::Byte(_), TileRows::Floats(_)) => {}
            }
            clear(out, start, &target.cleared);
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
            activate(epilogue.activation, sums);
            if let (true, Some(residual)) = (epilogue.residual, residual) {
                add_residual(residual.operand, residual.range(i, &columns), sums);
            }
            activate(epilogue.then, sums);
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

/// A row of bytes, [`LANES`] columns at a time; the last block overlaps its neighbour to be whole.
#[inline(always)]
fn byte_row<B: Byte>(e: &ByteEpilogue, sums: &[i32], offset: &[i32], columns: &Range<usize>, other: Option<&[u8]>, out: &mut [u8]) {
    let multiplier = &e.multiplier[columns.clone()];
    let count = sums.len();
    if count < LANES {
        let lanes = ByteLanes {
            sums: padded(sums),
            offset: padded(offset),
            multiplier: padded(multiplier),
            other: other.map(|other| padded(&other[..count])),
            columns: columns.clone(),
        };
        return out[..count].copy_from_slice(&lanes.finish::<B>(e)[..count]);
    }
    for first in (0..count).step_by(LANES).map(|first| first.min(count - LANES)) {
        let lanes = ByteLanes {
            sums: whole(sums, first),
            offset: whole(offset, first),
            multiplier: whole(multiplier, first),
            other: other.map(|other| whole(other, first)),
            columns: columns.start.wrapping_add(first)..columns.end,
        };
        out[first..first + LANES].copy_from_slice(&lanes.finish::<B>(e));
    }
}

/// Columns that are finished together.
const LANES: usize = 16;

#[inline(always)]
fn whole<T: Copy + Default>(row: &[T], first: usize) -> [T; LANES] {
    row.get(first..).and_then(<[T]>::first_chunk).copied().unwrap_or([T::default(); LANES])
}

#[inline(always)]
fn padded<T: Copy + Default>(row: &[T]) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    lanes.iter_mut().zip(row).for_each(|(lane, &x)| *lane = x);
    lanes
}

/// Neighbouring columns of a row.
struct ByteLanes {
    sums: [i32; LANES],
    offset: [i32; LANES],
    multiplier: [f32; LANES],
    /// The residual.
    other: Option<[u8; LANES]>,
    /// From the first of them on.
    columns: Range<usize>,
}

impl ByteLanes {
    #[inline(always)]
    fn finish<B: Byte>(&self, e: &ByteEpilogue) -> [u8; LANES] {
        let bounds = [e.low.wrapping_sub(e.zero_point), e.high.wrapping_sub(e.zero_point)].map(|b| b as f32);
        let mut out = self.requantized(bounds, e.zero_point);
        if let Some(table) = &e.table {
            look_up(table, &self.columns, &mut out);
        }
        if let (Some(sum), Some(other)) = (&e.residual, &self.other) {
            add_row::<B>(sum, other, &mut out);
        }
        if let Some(table) = &e.then {
            look_up(table, &self.columns, &mut out);
        }
        out
    }

    /// `requantize` of core: adding and subtracting 1.5 * 2^23 rounds half to even, exactly, below 2^22.
    #[inline(always)]
    fn requantized(&self, bounds: [f32; 2], zero_point: i32) -> [u8; LANES] {
        const MAGIC: f32 = 12_582_912.0;
        let shift = zero_point.wrapping_sub(MAGIC.to_bits().cast_signed());
        let mut levels = [0_i32; LANES];
        for i in 0..LANES {
            let scaled = self.sums[i].wrapping_add(self.offset[i]) as f32 * self.multiplier[i];
            // Comparisons as the vector instructions have them; a NaN becomes the lower bound.
            let above = if scaled > bounds[0] { scaled } else { bounds[0] };
            let within = if above < bounds[1] { above } else { bounds[1] };
            levels[i] = (within + MAGIC).to_bits().cast_signed().wrapping_add(shift);
        }
        levels.map(|level| level as u8)
    }
}

#[inline(always)]
fn real_row(
    e: &RealEpilogue,
    sums: &[i32],
    offset: &[i32],
    columns: &Range<usize>,
    other: Option<(&Operand<'_>, Range<usize>)>,
    out: &mut [f32],
) {
    let multiplier = &e.multiplier[columns.clone()];
    for (((out, &sum), &offset), &multiplier) in out.iter_mut().zip(sums).zip(offset).zip(multiplier) {
        *out = sum.wrapping_add(offset) as f32 * multiplier;
    }
    if let Some(bias) = e.float.bias.get(columns.clone()) {
        out.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
    }
    activate(e.float.activation, out);
    if let (true, Some((operand, range))) = (e.float.residual, other) {
        add_residual(operand, range, out);
    }
    activate(e.float.then, out);
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
