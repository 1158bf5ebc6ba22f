//! Any step through the plain loops of `fathom_core::ops::nn`: the definition that executors are held to.

use std::borrow::Cow;

use fathom_core::ops::nn::byte::Byte;
use fathom_core::ops::nn::conv::{conv2d_bytes, conv2d_f32};
use fathom_core::ops::nn::conv_transpose::{conv_transpose2d_bytes, conv_transpose2d_f32};
use fathom_core::ops::nn::elementwise::{Broadcast, binary_f32};
use fathom_core::ops::nn::layer_norm::layer_norm_f32;
use fathom_core::ops::nn::matmul::{MatMul, matmul_bytes, matmul_f32, scatter};
use fathom_core::ops::nn::pool::{Pooling, max_pool_bytes, pool_f32};
use fathom_core::ops::nn::reduce::reduce_f32;
use fathom_core::ops::nn::resize::{ResizeMode, resize_f32, resize_nearest_bytes};
use fathom_core::ops::nn::softmax::softmax_f32;
use fathom_core::tensor::Elements;

use super::memory::{Memory, Operand, Output, bits};
use crate::network::plan::{Arithmetic, ByteArithmetic, MatMulStep, Plan, Step, StepOp, WeightId};
use crate::{Error, Result};

/// Carries out one step.
///
/// # Errors
/// [`Error::Core`] if operands are not as the step says; [`Error::BadGraph`] if the plan contradicts itself.
pub(super) fn run(plan: &Plan, step: &Step, memory: &mut Memory) -> Result<()> {
    let (inputs, mut out) = memory.split(plan, step)?;
    if out.tensor.quant.is_some_and(|quant| quant.signed) {
        typed::<i8>(plan, step, &inputs, &mut out)
    } else {
        typed::<u8>(plan, step, &inputs, &mut out)
    }
}

/// The step with `B` as the byte of its result.
fn typed<B: Byte>(plan: &Plan, step: &Step, inputs: &[Operand<'_>], out: &mut Output<'_>) -> Result<()> {
    let x = inputs.first().ok_or_else(|| contradiction(step, "it has no operand"))?;
    match &step.op {
        StepOp::Conv { conv, weights, arithmetic } => {
            let columns = conv.out_channels;
            sums::<B>(step, inputs, out, arithmetic, columns, &|| Ok(conv2d_f32(conv, &x.reals(), floats(plan, *weights)?)?), &|zero, _| {
                by_sign(
                    x,
                    |x| Ok(conv2d_bytes(conv, x, zero, bytes(plan, *weights)?)?),
                    |x| Ok(conv2d_bytes(conv, x, zero, bytes(plan, *weights)?)?),
                )
            })
        }
        StepOp::ConvTranspose { conv, weights, arithmetic } => {
            let columns = conv.out_channels;
            let float = || Ok(conv_transpose2d_f32(conv, &x.reals(), floats(plan, *weights)?)?);
            sums::<B>(step, inputs, out, arithmetic, columns, &float, &|zero, _| {
                let weights = bytes(plan, *weights)?;
                by_sign(x, |x| Ok(conv_transpose2d_bytes(conv, x, zero, weights)?), |x| Ok(conv_transpose2d_bytes(conv, x, zero, weights)?))
            })
        }
        StepOp::MatMul(matmul) => matmul_step::<B>(plan, step, matmul, inputs, out),
        StepOp::Pool(pool) => {
            if pool.pooling == Pooling::Max && x.quant().is_some() && x.quant() == out.tensor.quant {
                out.put_levels(&max_pool_bytes(pool, &x.levels::<B>())?);
            } else {
                out.put_reals(&pool_f32(pool, &x.reals())?);
            }
            Ok(())
        }
        StepOp::Resize { resize, then } => {
            if matches!(resize.mode, ResizeMode::Nearest(_)) && x.quant().is_some() && x.quant() == out.tensor.quant {
                out.put_levels(&resize_nearest_bytes(resize, &x.levels::<B>())?);
                return Ok(());
            }
            let reals = resize_f32(resize, &x.reals())?;
            match then {
                None => out.put_reals(&reals),
                Some((quant, table)) => {
                    let mapped: Vec<u8> = reals.iter().map(|&real| table.look_up(0, bits(*quant, real))).collect();
                    out.put_levels(&mapped);
                }
            }
            Ok(())
        }
        StepOp::Unary(unary) => {
            out.put_reals(&x.reals().into_iter().map(|real| unary.apply(real)).collect::<Vec<f32>>());
            Ok(())
        }
        StepOp::Table(table) => {
            out.put_levels(&table.apply(&x.levels::<u8>(), out.tensor.channels())?);
            Ok(())
        }
        StepOp::Binary { op, axes, activation } => {
            let y = second(step, inputs)?;
            let mut reals = vec![0.0; out.tensor.span()];
            binary_f32(*op, *activation, axes, &x.span_reals(), &y.span_reals(), &mut reals)?;
            put_span(out, &reals);
            Ok(())
        }
        StepOp::ByteSum { sum, axes, then } => {
            pairs::<B>(step, inputs, out, axes, |a, b| sum.value(a, b))?;
            then_table(out, then.as_ref())
        }
        StepOp::ByteProduct { product, axes, then } => {
            pairs::<B>(step, inputs, out, axes, |a, b| product.value(a, b))?;
            then_table(out, then.as_ref())
        }
        StepOp::Copy { copy, fill, table } => {
            if let (Some(fill), None) = (fill, out.tensor.quant) {
                out.f32().fill(f32::from_bits(*fill));
            } else if let Some(fill) = fill {
                out.bytes.fill(*fill as u8);
            }
            match out.tensor.quant {
                None => copy.run(x.f32(), out.f32())?,
                Some(_) => {
                    let mapped: Cow<'_, [u8]> = match table {
                        None => Cow::Borrowed(&x.bytes),
                        Some(table) => x.bytes.iter().map(|&b| table.look_up(0, b)).collect(),
                    };
                    copy.run(&mapped, out.bytes)?;
                }
            }
            Ok(())
        }
        StepOp::Pad(pad) => {
            match x.quant() {
                None => out.put_reals(&pad.run(&x.reals())?),
                Some(_) => out.put_levels(&pad.run(&x.levels::<B>())?),
            }
            Ok(())
        }
        StepOp::Softmax(softmax) => {
            out.put_reals(&softmax_f32(softmax, &x.reals())?);
            Ok(())
        }
        StepOp::LayerNorm { norm, scale, bias } => {
            let bias = bias.map_or(Ok(&[][..]), |bias| floats(plan, bias))?;
            out.put_reals(&layer_norm_f32(norm, &x.reals(), floats(plan, *scale)?, bias)?);
            Ok(())
        }
        StepOp::Reduce(reduce) => {
            let mut reals = vec![0.0; out.tensor.span()];
            reduce_f32(reduce, &x.span_reals(), &mut reals)?;
            put_span(out, &reals);
            Ok(())
        }
    }
}

/// Forms sums and finishes them.
fn sums<B: Byte>(
    step: &Step,
    inputs: &[Operand<'_>],
    out: &mut Output<'_>,
    arithmetic: &Arithmetic,
    columns: usize,
    float: &dyn Fn() -> Result<Vec<f32>>,
    integer: &dyn Fn(i32, i32) -> Result<Vec<i32>>,
) -> Result<()> {
    let residual = residual(step, inputs, arithmetic)?;
    match arithmetic {
        Arithmetic::Float(epilogue) => {
            let mut sums = float()?;
            epilogue.apply(&mut sums, columns, residual.map(Operand::reals).as_deref())?;
            out.put_reals(&sums);
        }
        Arithmetic::Bytes { zero_a, zero_b, result } => {
            let sums = integer(*zero_a, *zero_b)?;
            match result {
                ByteArithmetic::Byte(epilogue) => {
                    out.put_levels(&epilogue.apply::<B>(&sums, columns, residual.map(Operand::levels::<B>).as_deref())?);
                }
                ByteArithmetic::Real(epilogue) => {
                    out.put_reals(&epilogue.apply(&sums, columns, residual.map(Operand::reals).as_deref())?);
                }
            }
        }
    }
    Ok(())
}

fn residual<'a, 'm>(step: &Step, inputs: &'a [Operand<'m>], arithmetic: &Arithmetic) -> Result<Option<&'a Operand<'m>>> {
    if !arithmetic.has_residual() {
        return Ok(None);
    }
    match inputs {
        [_, .., last] => Ok(Some(last)),
        _ => Err(contradiction(step, "its residual is missing")),
    }
}

fn matmul_step<B: Byte>(plan: &Plan, step: &Step, matmul: &MatMulStep, inputs: &[Operand<'_>], out: &mut Output<'_>) -> Result<()> {
    let product = &matmul.product;
    let a = &inputs[0];
    let residual = residual(step, inputs, &matmul.arithmetic)?;
    // A residual lies as the result does: its rows in the order of the sums.
    let gathered = residual.map(|r| gather(product, &r.span_reals()));
    match &matmul.arithmetic {
        Arithmetic::Float(epilogue) => {
            let b = match matmul.weights {
                Some(weights) => Cow::Borrowed(floats(plan, weights)?),
                None => second(step, inputs)?.span_reals(),
            };
            let mut sums = matmul_f32(product, &a.span_reals(), &b)?;
            sums.iter_mut().for_each(|sum| *sum *= matmul.alpha);
            epilogue.apply(&mut sums, product.columns, gathered.as_deref())?;
            put_product(product, out, &sums)
        }
        Arithmetic::Bytes { zero_a, zero_b, result } => {
            let sums = match matmul.weights {
                Some(weights) => {
                    let b = bytes(plan, weights)?;
                    span_by_sign(a, |a| Ok(matmul_bytes(product, a, *zero_a, b, 0)?), |a| Ok(matmul_bytes(product, a, *zero_a, b, 0)?))?
                }
                None => {
                    let b = second(step, inputs)?;
                    let with = |b: &dyn Fn(usize) -> i32, count: usize| -> Result<Vec<i32>> {
                        let b: Vec<i16> = (0..count).map(|i| b(i) as i16).collect();
                        span_by_sign(a, |a| dynamic(product, a, *zero_a, &b, *zero_b), |a| dynamic(product, a, *zero_a, &b, *zero_b))
                    };
                    let raw = &b.bytes;
                    if b.quant().is_some_and(|q| q.signed) {
                        with(&|i| raw[i].cast_signed().into(), raw.len())?
                    } else {
                        with(&|i| raw[i].into(), raw.len())?
                    }
                }
            };
            match result {
                ByteArithmetic::Byte(epilogue) => {
                    let other = residual.map(|r| gather(product, &r.bytes.iter().map(|&b| B::from_bits(b)).collect::<Vec<B>>()));
                    let levels = epilogue.apply::<B>(&sums, product.columns, other.as_deref())?;
                    scatter(product, &levels.iter().map(|b| b.bits()).collect::<Vec<u8>>(), out.bytes)?;
                    Ok(())
                }
                ByteArithmetic::Real(epilogue) => put_product(product, out, &epilogue.apply(&sums, product.columns, gathered.as_deref())?),
            }
        }
    }
}

/// Byte products whose second operand is of either sign, widened.
fn dynamic<A: Byte>(product: &MatMul, a: &[A], zero_a: i32, b: &[i16], zero_b: i32) -> Result<Vec<i32>> {
    let high: Vec<i8> = b.iter().map(|&v| (v >> 1) as i8).collect();
    let low: Vec<i8> = b.iter().map(|&v| (v & 1) as i8).collect();
    // b = 2 high + low; the zero point is taken off once, with the low part.
    let twice = matmul_bytes(product, a, zero_a, &high, 0)?;
    let once = matmul_bytes(product, a, zero_a, &low, zero_b)?;
    Ok(twice.iter().zip(once).map(|(h, l)| 2 * h + l).collect())
}

/// Elements of a residual in the order of the sums.
fn gather<T: Copy + Default>(product: &MatMul, span: &[T]) -> Vec<T> {
    let pitch = fathom_core::ops::nn::pitch(product.columns);
    let mut values = vec![T::default(); product.sums_len()];
    for (row, target) in values.chunks_mut(pitch.max(1)).enumerate() {
        let (matrix, m) = (row / product.rows, row % product.rows);
        let first = product.out.at([matrix / product.batch[1], matrix % product.batch[1]], m, 0);
        target[..product.columns].copy_from_slice(&span[first..first + product.columns]);
    }
    values
}

fn put_product(product: &MatMul, out: &mut Output<'_>, values: &[f32]) -> Result<()> {
    match out.tensor.quant {
        None => scatter(product, values, out.f32())?,
        Some(quant) => scatter(product, &values.iter().map(|&x| bits(quant, x)).collect::<Vec<u8>>(), out.bytes)?,
    }
    Ok(())
}

fn pairs<B: Byte>(step: &Step, inputs: &[Operand<'_>], out: &mut Output<'_>, axes: &Broadcast, f: impl Fn(i32, i32) -> i32) -> Result<()> {
    let (a, b) = (&inputs[0].bytes, &second(step, inputs)?.bytes);
    if a.len() < axes.extent(&axes.a) || b.len() < axes.extent(&axes.b) || out.bytes.len() < axes.extent(&axes.out) {
        return Err(contradiction(step, "its strides reach beyond an operand"));
    }
    axes.for_each(|i, j, k| out.bytes[k] = B::clamped(f(B::from_bits(a[i]).into(), B::from_bits(b[j]).into())).bits());
    Ok(())
}

fn then_table(out: &mut Output<'_>, then: Option<&fathom_core::ops::nn::byte::ByteTable>) -> Result<()> {
    if let Some(table) = then {
        let (channels, pitch) = (out.tensor.channels(), out.tensor.pitch);
        for row in out.bytes.chunks_mut(pitch) {
            row[..channels].iter_mut().enumerate().for_each(|(c, b)| *b = table.look_up(c, *b));
        }
    }
    Ok(())
}

/// Writes reals in memory order; foreign lanes of a part stay as they are.
fn put_span(out: &mut Output<'_>, reals: &[f32]) {
    let (channels, pitch) = (out.tensor.channels(), out.tensor.pitch);
    let own = pitch == fathom_core::ops::nn::pitch(channels);
    let kept = if own { pitch } else { channels };
    match out.tensor.quant {
        None => {
            for (row, from) in out.f32().chunks_mut(pitch).zip(reals.chunks(pitch)) {
                let n = kept.min(from.len());
                row[..n].copy_from_slice(&from[..n]);
            }
        }
        Some(quant) => {
            for (row, from) in out.bytes.chunks_mut(pitch).zip(reals.chunks(pitch)) {
                row[..channels].iter_mut().zip(from).for_each(|(to, &x)| *to = bits(quant, x));
            }
        }
    }
}

fn by_sign<T>(x: &Operand<'_>, unsigned: impl FnOnce(&[u8]) -> Result<T>, signed: impl FnOnce(&[i8]) -> Result<T>) -> Result<T> {
    let whole = x.tensor.pitch == fathom_core::ops::nn::pitch(x.tensor.channels());
    let bytes: Cow<'_, [u8]> = if whole { Cow::Borrowed(&x.bytes) } else { Cow::Owned(x.levels::<u8>()) };
    if x.quant().is_some_and(|q| q.signed) { signed(bytemuck::cast_slice(&bytes)) } else { unsigned(&bytes) }
}

/// As [`by_sign`], on all elements in memory order.
fn span_by_sign<T>(x: &Operand<'_>, unsigned: impl FnOnce(&[u8]) -> Result<T>, signed: impl FnOnce(&[i8]) -> Result<T>) -> Result<T> {
    if x.quant().is_some_and(|q| q.signed) { signed(bytemuck::cast_slice(&x.bytes)) } else { unsigned(&x.bytes) }
}

fn second<'a, 'm>(step: &Step, inputs: &'a [Operand<'m>]) -> Result<&'a Operand<'m>> {
    inputs.get(1).ok_or_else(|| contradiction(step, "its second operand is missing"))
}

fn floats(plan: &Plan, id: WeightId) -> Result<&[f32]> {
    match &plan.weight(id).elements {
        Elements::F32(v) => Ok(v),
        other => Err(wrong_type(other, "f32")),
    }
}

fn bytes(plan: &Plan, id: WeightId) -> Result<&[i8]> {
    match &plan.weight(id).elements {
        Elements::I8(v) => Ok(v),
        other => Err(wrong_type(other, "i8")),
    }
}

fn wrong_type(found: &Elements, expected: &'static str) -> Error {
    fathom_core::Error::ElementType { what: "weights", got: found.element().name(), expected }.into()
}

fn contradiction(step: &Step, what: &str) -> Error {
    Error::BadGraph { place: format!("step {:?} ({})", step.name, step.op.name()), message: what.into() }
}
