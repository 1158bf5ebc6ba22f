//! Matrix products over strided operands, row tile by row tile, one matrix of the batch after the other.

use std::ops::Range;

use fathom_core::ops::nn::matmul::Strided;
use fathom_core::ops::nn::pitch;

use super::epilogue::{FloatFinish, IntegerFinish, Residual, Target, TileRows};
use super::gemm::{Kernels, PackedBytes, PackedFloats, Rows, bytes, floats};
use super::memory::{Operand, Output};
use super::vector::dequantize_row;
use super::work::{Failure, Scratch, Workers, at_least};
use crate::network::plan::{Arithmetic, MatMulStep, Plan, Step};
use crate::{Error, Result};

/// A matrix product, its weights packed if it has any.
#[derive(Debug)]
pub(super) struct PreparedMatMul {
    step: MatMulStep,
    weights: Option<Second>,
    /// Signed bytes enter the kernel as unsigned ones, 128 higher.
    flip: u8,
}

/// The second operand and what follows.
#[derive(Debug)]
enum Second {
    Bytes { matrix: PackedBytes, finish: IntegerFinish, zero_a: i32, zero_b: i32 },
    Floats { matrix: PackedFloats, finish: FloatFinish },
}

/// Most rows of a tile.
const TILE_ROWS: usize = 64;

impl PreparedMatMul {
    pub(super) fn new(plan: &Plan, step: &Step, matmul: &MatMulStep, kernels: &Kernels) -> Result<Self> {
        let out = plan.tensor(step.output).quant;
        let flip = if plan.tensor(step.inputs[0]).quant.is_some_and(|q| q.signed) { 0x80 } else { 0 };
        let (inner, columns) = (matmul.product.inner, matmul.product.columns);
        let weights = match matmul.weights {
            None => None,
            Some(id) => Some(match &matmul.arithmetic {
                Arithmetic::Float(epilogue) => {
                    let w = floats(&plan.weight(id).elements)?;
                    let matrix = kernels.pack_floats(inner, columns, |k, n| w[n * inner + k]);
                    Second::Floats { matrix, finish: FloatFinish::new(epilogue, matmul.alpha, out) }
                }
                Arithmetic::Bytes { zero_a, result, .. } => {
                    let w = bytes(&plan.weight(id).elements)?;
                    let matrix = kernels.pack_bytes(inner, columns, |k, n| w[n * inner + k]);
                    let zero_a = zero_a + i32::from(flip);
                    let finish = IntegerFinish::new(result, &matrix.sums, zero_a, out);
                    Second::Bytes { matrix, finish, zero_a, zero_b: 0 }
                }
            }),
        };
        Ok(Self { step: matmul.clone(), weights, flip })
    }

    /// Bytes of the packed weights.
    pub(super) fn size(&self) -> usize {
        match &self.weights {
            None => 0,
            Some(Second::Bytes { matrix, .. }) => matrix.size(),
            Some(Second::Floats { matrix, .. }) => matrix.size(),
        }
    }

    pub(super) fn run(&self, kernels: &Kernels, inputs: &[Operand<'_>], out: &mut Output<'_>, workers: &mut Workers) -> Result<()> {
        let [outer, inner] = self.step.product.batch;
        for batch in (0..outer).flat_map(|i| (0..inner).map(move |j| [i, j])) {
            match &self.weights {
                Some(second) => self.matrix(kernels, inputs, out, workers, batch, second)?,
                None => {
                    let second = self.pack_second(kernels, inputs, out, batch)?;
                    self.matrix(kernels, inputs, out, workers, batch, &second)?;
                }
            }
        }
        Ok(())
    }

    /// The second operand of one matrix product of the batch.
    fn pack_second(&self, kernels: &Kernels, inputs: &[Operand<'_>], out: &Output<'_>, batch: [usize; 2]) -> Result<Second> {
        let product = &self.step.product;
        let b = inputs
            .get(1)
            .ok_or_else(|| Error::BadGraph { place: "matrix product".into(), message: "its second operand is missing".into() })?;
        let at = |k: usize, n: usize| product.b.at(batch, k, n);
        check(&product.b, batch, product.inner, product.columns, b.bytes.len() / b.tensor.element.bytes())?;
        Ok(match &self.step.arithmetic {
            Arithmetic::Float(epilogue) => {
                let reals = b.span_reals();
                let matrix = kernels.pack_floats(product.inner, product.columns, |k, n| reals[at(k, n)]);
                Second::Floats { matrix, finish: FloatFinish::new(epilogue, self.step.alpha, out.tensor.quant) }
            }
            Arithmetic::Bytes { zero_a, zero_b, result } => {
                let flip: u8 = if b.quant().is_some_and(|q| q.signed) { 0 } else { 0x80 };
                let matrix = kernels.pack_bytes(product.inner, product.columns, |k, n| (b.bytes[at(k, n)] ^ flip).cast_signed());
                let zero_a = zero_a + i32::from(self.flip);
                let finish = IntegerFinish::new(result, &matrix.sums, zero_a, out.tensor.quant);
                Second::Bytes { matrix, finish, zero_a, zero_b: zero_b - i32::from(flip) }
            }
        })
    }

    fn matrix(
        &self,
        kernels: &Kernels,
        inputs: &[Operand<'_>],
        out: &mut Output<'_>,
        workers: &mut Workers,
        batch: [usize; 2],
        second: &Second,
    ) -> Result<()> {
        let product = &self.step.product;
        let a = &inputs[0];
        check(&product.a, batch, product.rows, product.inner, a.bytes.len() / a.tensor.element.bytes())?;
        let row = product.out.row.max(1);
        let columns = product.columns;
        // Rows of the tensor itself get their padding lanes cleared; rows inside wider ones have none.
        let cleared = if row == pitch(columns) { columns..row } else { 0..0 };
        let target = Target { pitch: row, columns: 0..columns, cleared };
        let start = product.out.at(batch, 0, 0);
        let end = start + (product.rows - 1) * row + columns.max(target.cleared.end);
        let rows = workers.share(product.rows, TILE_ROWS);
        let has_residual = self.step.arithmetic.has_residual();
        let residual = |first: usize| {
            let other = inputs.last().filter(|_| has_residual)?;
            Some(Residual::new(other, start + first * row, row))
        };
        let failure = Failure::default();
        let task = Task { this: self, kernels, a, batch, second, target: &target };
        let missing =
            || Error::BadGraph { place: "matrix product".into(), message: format!("writes up to element {end} of a shorter result") };
        if out.tensor.quant.is_none() {
            let span = out.f32().get_mut(start..end).ok_or_else(missing)?;
            workers.chunks(span, rows * row, |i, chunk, scratch| {
                failure.keep(task.tile(i * rows, TileRows::Floats(chunk), residual(i * rows), scratch));
            });
        } else {
            let span = out.bytes.get_mut(start..end).ok_or_else(missing)?;
            workers.chunks(span, rows * row, |i, chunk, scratch| {
                failure.keep(task.tile(i * rows, TileRows::Bytes(chunk), residual(i * rows), scratch));
            });
        }
        failure.result()
    }
}

/// One matrix of the batch.
struct Task<'a, 'm> {
    this: &'a PreparedMatMul,
    kernels: &'a Kernels,
    a: &'a Operand<'m>,
    batch: [usize; 2],
    second: &'a Second,
    target: &'a Target,
}

impl Task<'_, '_> {
    fn tile(&self, first: usize, mut rows: TileRows<'_>, residual: Option<Residual<'_>>, scratch: &mut Scratch) -> Result<()> {
        let product = &self.this.step.product;
        let count = rows.count(self.target.pitch);
        let Strided { row: stride, column, .. } = product.a;
        let start = product.a.at(self.batch, first, 0);
        let inner = product.inner;
        let range = start..start + (count - 1) * stride + (inner - 1) * column + 1;
        match self.second {
            Second::Bytes { matrix, finish, zero_a, zero_b } => {
                let sums = at_least(&mut scratch.byte_sums, count * product.columns);
                let direct = column == 1 && self.this.flip == 0;
                let data: &[u8] = if direct {
                    &self.a.bytes[range]
                } else {
                    gather(&self.a.bytes[range], count, inner, stride, column, at_least(&mut scratch.bytes, count * inner), |b| {
                        b ^ self.this.flip
                    })
                };
                let stride = if direct { stride } else { inner };
                self.kernels.multiply_bytes(Rows { data, count, stride }, matrix, sums)?;
                if *zero_b != 0 {
                    for (i, sums) in sums.chunks_exact_mut(product.columns).enumerate() {
                        let total: i32 = data[i * stride..i * stride + inner].iter().map(|&b| i32::from(b)).sum();
                        let correction = zero_b.wrapping_mul(total.wrapping_sub(zero_a.wrapping_mul(inner as i32)));
                        sums.iter_mut().for_each(|sum| *sum = sum.wrapping_sub(correction));
                    }
                }
                finish.rows(sums, self.target, residual, &mut rows);
            }
            Second::Floats { matrix, finish } => {
                let sums = at_least(&mut scratch.float_sums, count * product.columns);
                match self.a.quant() {
                    None if column == 1 => {
                        let data = &self.a.f32()[range];
                        self.kernels.multiply_floats(Rows { data, count, stride }, matrix, sums)?;
                    }
                    None => {
                        let data =
                            gather(&self.a.f32()[range], count, inner, stride, column, at_least(&mut scratch.floats, count * inner), |x| x);
                        self.kernels.multiply_floats(Rows { data, count, stride: inner }, matrix, sums)?;
                    }
                    Some(quant) => {
                        let levels =
                            gather(&self.a.bytes[range], count, inner, stride, column, at_least(&mut scratch.bytes, count * inner), |b| b);
                        let data = at_least(&mut scratch.floats, count * inner);
                        dequantize_row(quant, levels, data);
                        self.kernels.multiply_floats(Rows { data, count, stride: inner }, matrix, sums)?;
                    }
                }
                finish.rows(sums, self.target, residual, &mut rows);
            }
        }
        Ok(())
    }
}

/// Rows of a strided matrix, one behind the other.
fn gather<'b, T: Copy>(
    span: &[T],
    count: usize,
    inner: usize,
    stride: usize,
    column: usize,
    buffer: &'b mut [T],
    f: impl Fn(T) -> T,
) -> &'b [T] {
    for (i, row) in buffer.chunks_exact_mut(inner).take(count).enumerate() {
        row.iter_mut().zip(span[i * stride..].iter().step_by(column)).for_each(|(to, &from)| *to = f(from));
    }
    buffer
}

/// Whether a matrix of the batch lies inside its operand.
fn check(strided: &Strided, batch: [usize; 2], rows: usize, columns: usize, len: usize) -> Result<()> {
    let last: Range<usize> = 0..strided.at(batch, rows.saturating_sub(1), columns.saturating_sub(1)) + 1;
    if last.end > len { Err(fathom_core::Error::Length { what: "matrix operand", got: len, expected: last.end }.into()) } else { Ok(()) }
}
