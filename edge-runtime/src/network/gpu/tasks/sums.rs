//! Steps that sum products: convolutions and matrix products.

use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;
use fathom_core::ops::nn::copy::Copy;
use fathom_core::ops::nn::elementwise::Unary;
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue, RealEpilogue};
use fathom_core::ops::nn::matmul::{MatMul, Strided};
use fathom_core::ops::nn::{Activation, Map, Window};
use fathom_gpu::nn::conv_bytes::ByteConv;
use fathom_gpu::nn::conv_f32::{self, FloatConv};
use fathom_gpu::nn::conv_float::{self, FloatFinish};
use fathom_gpu::nn::conv_transpose_bytes::{self, ByteConvTranspose};
use fathom_gpu::nn::conv_transpose_f32::{self, FloatConvTranspose};
use fathom_gpu::nn::epilogue::Finish;
use fathom_gpu::nn::{
    Lay, Operand, Prepared, conv_depthwise, conv_depthwise_f32, conv_dot4, conv_f16, conv_matrix, conv_spread, copy, matmul,
};

use super::{Bind, Spot, Task, View};
use crate::Result;
use crate::network::gpu::tactic::Tactic;
use crate::network::plan::{Arithmetic, ByteArithmetic, MatMulStep, WeightId};

pub(super) fn conv(view: &View<'_>, conv: &Conv2d, weights: WeightId, arithmetic: &Arithmetic, tactic: Tactic) -> Result<Vec<Task>> {
    match arithmetic {
        Arithmetic::Float(epilogue) => {
            let weights = view.weights_f32(weights)?;
            float(view, epilogue, |finish, spot| {
                let step = FloatConv { conv: *conv, weights, finish, source: view.input(0)?, target: spot.operand };
                let half = || if tactic == Tactic::Half { conv_f16::prepare(&step, WORKGROUP) } else { None };
                let prepared = conv_depthwise_f32::prepare(&step, WORKGROUP).or_else(half);
                Ok(prepared.unwrap_or_else(|| conv_f32::prepare(&step, WORKGROUP)))
            })
        }
        Arithmetic::Bytes { .. } => {
            let source = view.id(0)?;
            conv_bytes(view, conv, weights, arithmetic, tactic, (view.lay(source), Bind::Tensor(source)))
        }
    }
}

/// A byte convolution whose input lies in `source`, which is the step's first operand or a copy of it.
fn conv_bytes(
    view: &View<'_>,
    conv: &Conv2d,
    weights: WeightId,
    arithmetic: &Arithmetic,
    tactic: Tactic,
    (source, bind): (Lay, Bind),
) -> Result<Vec<Task>> {
    let Arithmetic::Bytes { zero_a, result, .. } = arithmetic else { return Err(view.unsupported("bytes among floats")) };
    let numbers = Numbers::of(view, result)?;
    let residual = view.residual(arithmetic.has_residual());
    let step = ByteConv {
        conv: *conv,
        weights: view.weights_i8(weights)?,
        signed: view.is_signed(view.id(0)?),
        zero_point: *zero_a,
        finish: numbers.finish(),
        source,
        residual: view.lay(residual),
        target: view.lay(view.step.output),
    };
    let chosen = || match tactic {
        Tactic::Spread => conv_spread::prepare(&step, view.lanes),
        Tactic::Matrix => conv_matrix::prepare(&step, view.lanes),
        Tactic::Plain | Tactic::Half => None,
    };
    let prepared = conv_depthwise::prepare(&step, WORKGROUP).or_else(chosen);
    let prepared = prepared.unwrap_or_else(|| conv_dot4::prepare(&step, WORKGROUP));
    numbers.followed_by_rest(view, Task { prepared, binds: vec![bind, Bind::Tensor(residual), Bind::Tensor(view.step.output)] })
}

pub(super) fn conv_transpose(view: &View<'_>, conv: &ConvTranspose2d, weights: WeightId, arithmetic: &Arithmetic) -> Result<Vec<Task>> {
    match arithmetic {
        Arithmetic::Float(epilogue) => {
            let weights = view.weights_f32(weights)?;
            float(view, epilogue, |finish, spot| {
                let step = FloatConvTranspose { conv: *conv, weights, finish, source: view.input(0)?, target: spot.operand };
                Ok(conv_transpose_f32::prepare(&step, WORKGROUP))
            })
        }
        Arithmetic::Bytes { zero_a, result, .. } => {
            let numbers = Numbers::of(view, result)?;
            let residual = view.residual(arithmetic.has_residual());
            let step = ByteConvTranspose {
                conv: *conv,
                weights: view.weights_i8(weights)?,
                signed: view.is_signed(view.id(0)?),
                zero_point: *zero_a,
                finish: numbers.finish(),
                source: view.lay(view.id(0)?),
                residual: view.lay(residual),
                target: view.lay(view.step.output),
            };
            let prepared = conv_transpose_bytes::prepare(&step, WORKGROUP);
            numbers.followed_by_rest(view, Task::new(prepared, [view.id(0)?, residual, view.step.output]))
        }
    }
}

pub(super) fn matmul(view: &View<'_>, step: &MatMulStep, tactic: Tactic) -> Result<Vec<Task>> {
    let product = &step.product;
    let (a, out) = (view.plan.tensor(view.id(0)?), view.plan.tensor(view.step.output));
    let are_pixels = |matrix: &Strided, pitch: usize| [matrix.column, matrix.offset, matrix.row] == [1, 0, pitch];
    let to_pixels = product.batch == [1, 1] && are_pixels(&product.out, out.pitch);
    let rows_are_pixels = to_pixels && are_pixels(&product.a, a.pitch);
    let b = match step.weights {
        Some(weights) => Bind::Weight(weights),
        None => Bind::Tensor(view.id(1)?),
    };
    match (step.weights, &step.arithmetic) {
        // A matrix times constant weights is a 1x1 convolution of a single row of pixels.
        (Some(weights), arithmetic @ Arithmetic::Bytes { zero_b: 0, .. }) if rows_are_pixels => {
            conv(view, &one_by_one(product), weights, arithmetic, tactic)
        }
        // As that, once its rows are: heads of attention leave them one behind the other.
        (Some(weights), arithmetic @ Arithmetic::Bytes { zero_b: 0, .. }) if to_pixels => {
            let (copy, source) = rows_in_order(view, product)?;
            let mut tasks = conv_bytes(view, &one_by_one(product), weights, arithmetic, tactic, source)?;
            tasks.insert(0, copy);
            Ok(tasks)
        }
        (Some(weights), Arithmetic::Float(epilogue)) if rows_are_pixels => {
            let scaled: Vec<f32> = view.weights_f32(weights)?.iter().map(|weight| step.alpha * weight).collect();
            float(view, epilogue, |finish, spot| {
                let step = FloatConv { conv: one_by_one(product), weights: &scaled, finish, source: view.input(0)?, target: spot.operand };
                let half = if tactic == Tactic::Half { conv_f16::prepare(&step, WORKGROUP) } else { None };
                Ok(half.unwrap_or_else(|| conv_f32::prepare(&step, WORKGROUP)))
            })
        }
        (_, Arithmetic::Float(epilogue)) => {
            let constant = Operand { start: 0, pitch: 0, quant: None };
            let operand_b = if step.weights.is_some() { constant } else { view.input(1)? };
            let alone = FloatEpilogue { residual: false, ..epilogue.clone() };
            let mut tasks = float_unfused(view, epilogue, &alone, |epilogue, spot| {
                let operands = [&view.input(0)?, &operand_b, &spot.operand];
                let prepared = matmul::float(product, step.alpha, epilogue, operands, WORKGROUP);
                prepared.ok_or_else(|| view.unsupported("rows of the result"))
            })?;
            tasks[0].binds.insert(1, b);
            Ok(tasks)
        }
        (_, Arithmetic::Bytes { zero_a, zero_b, result }) => {
            let numbers = Numbers::of(view, result)?;
            let signed_b = step.weights.is_some() || view.is_signed(view.id(1)?);
            let start_b = if step.weights.is_some() { 0 } else { view.start(view.id(1)?) };
            let signed = [view.is_signed(view.id(0)?), signed_b];
            let starts = [view.start(view.id(0)?), start_b, view.start(view.step.output)];
            let prepared = matmul::bytes(product, [*zero_a, *zero_b], signed, &numbers.finish(), starts, WORKGROUP);
            let prepared = prepared.ok_or_else(|| view.unsupported("rows or residual of a byte product"))?;
            let binds = vec![Bind::Tensor(view.id(0)?), b, Bind::Tensor(view.step.output)];
            numbers.followed_by_rest(view, Task { prepared, binds })
        }
    }
}

/// The first matrix of a byte product copied to scratch space, a row a pixel: the copy, and where it then lies.
fn rows_in_order(view: &View<'_>, product: &MatMul) -> Result<(Task, (Lay, Bind))> {
    let (id, pitch) = (view.id(0)?, product.inner.next_multiple_of(4));
    let op = Copy {
        shape: [1, 1, 1, 1, product.rows, product.inner],
        source_offset: product.a.offset,
        source: [0, 0, 0, 0, product.a.row as isize, product.a.column as isize],
        target_offset: 0,
        target: [0, 0, 0, 0, pitch, 1],
    };
    let bind = Bind::Scratch { offset: 0, bytes: (product.rows * pitch) as u64 };
    let prepared = copy::prepare(&op, [view.start(id), 0], true, None);
    Ok((Task { prepared, binds: vec![Bind::Tensor(id), bind] }, (Lay::bytes(product.inner), bind)))
}

fn one_by_one(product: &MatMul) -> Conv2d {
    let input = Map { height: 1, width: product.rows, channels: product.inner };
    let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad_before: [0, 0], pad_after: [0, 0] };
    Conv2d { input, out_channels: product.columns, window, groups: 1 }
}

/// A float sum with its epilogue: one launch where the kernel can do it all, else one that sums and others behind it.
fn float(view: &View<'_>, epilogue: &FloatEpilogue, prepare: impl Fn(FloatFinish<'_>, Spot) -> Result<Prepared>) -> Result<Vec<Task>> {
    let residual = view.residual(epilogue.residual);
    let binds = |spot: Spot| vec![Bind::Tensor(view.step.inputs[0]), Bind::Tensor(residual), spot.bind];
    if FloatFinish::fits(epilogue) {
        let finish = FloatFinish { epilogue, residual: epilogue.residual.then(|| view.operand(residual)) };
        let spot = view.result();
        return Ok(vec![Task { prepared: prepare(finish, spot)?, binds: binds(spot) }]);
    }
    let alone = FloatEpilogue { residual: false, ..epilogue.clone() };
    let mut tasks = float_unfused(view, epilogue, &alone, |epilogue, spot| prepare(FloatFinish { epilogue, residual: None }, spot))?;
    tasks[0].binds.insert(1, Bind::Tensor(residual));
    Ok(tasks)
}

/// As [`float`], for kernels that add no residual. Where functions follow, they work on floats: a byte result is made last.
fn float_unfused(
    view: &View<'_>,
    epilogue: &FloatEpilogue,
    alone: &FloatEpilogue,
    prepare: impl Fn(&FloatEpilogue, Spot) -> Result<Prepared>,
) -> Result<Vec<Task>> {
    let fused = conv_float::clamps_or_slopes(alone.activation);
    let first = FloatEpilogue {
        bias: alone.bias.clone(),
        activation: if fused { alone.activation } else { Activation::None },
        residual: false,
        then: Activation::None,
    };
    let clamped = conv_float::clamps(epilogue.then);
    let more = !fused || epilogue.residual || epilogue.then != Activation::None;
    let rounds = view.output().quant.is_some();
    let spot = if more && rounds { view.scratch() } else { view.result() };
    let mut tasks = vec![Task { prepared: prepare(&first, spot)?, binds: vec![Bind::Tensor(view.id(0)?), spot.bind] }];
    if !fused {
        tasks.push(view.then(alone.activation, spot)?);
    }
    if epilogue.residual {
        let range = if clamped { epilogue.then } else { Activation::None };
        tasks.push(view.add_residual(spot, fathom_gpu::nn::epilogue::range(range))?);
    }
    if epilogue.then != Activation::None && !(clamped && epilogue.residual) {
        tasks.push(view.then(epilogue.then, spot)?);
    }
    if more && rounds {
        tasks.push(view.unary(Unary::Identity, spot, view.result()));
    }
    Ok(tasks)
}

/// Invocations of a workgroup along x and y.
const WORKGROUP: [u32; 2] = [8, 8];

/// What becomes of integer sums, split into what the kernel does and what another launch does after it.
enum Numbers<'a> {
    Byte { epilogue: &'a ByteEpilogue, signed: bool },
    Real { epilogue: RealEpilogue, rest: Vec<Activation> },
}

impl<'a> Numbers<'a> {
    fn of(view: &View<'_>, result: &'a ByteArithmetic) -> Result<Self> {
        match result {
            ByteArithmetic::Byte(epilogue) => {
                let numbers = Self::Byte { epilogue, signed: view.is_signed(view.step.output) };
                if numbers.finish().fits() { Ok(numbers) } else { Err(view.unsupported("a table per channel behind a residual")) }
            }
            ByteArithmetic::Real(real) => {
                if real.float.residual && view.operand(view.residual(true)).quant.is_some() {
                    return Err(view.unsupported("a byte residual behind a real sum"));
                }
                let mut epilogue = real.clone();
                let clamps = conv_float::clamps(real.float.activation);
                if real.float.residual && !clamps {
                    return Err(view.unsupported("a residual behind an activation"));
                }
                let mut rest = vec![real.float.then];
                epilogue.float.then = Activation::None;
                if !clamps {
                    rest.insert(0, real.float.activation);
                    epilogue.float.activation = Activation::None;
                }
                rest.retain(|activation| *activation != Activation::None);
                Ok(Self::Real { epilogue, rest })
            }
        }
    }

    const fn finish(&self) -> Finish<'_> {
        match self {
            Self::Byte { epilogue, signed } => Finish::Byte { epilogue, signed: *signed },
            Self::Real { epilogue, .. } => Finish::Real(epilogue),
        }
    }

    fn followed_by_rest(&self, view: &View<'_>, task: Task) -> Result<Vec<Task>> {
        let mut tasks = vec![task];
        if let Self::Real { rest, .. } = self {
            for activation in rest {
                tasks.push(view.then(*activation, view.result())?);
            }
        }
        Ok(tasks)
    }
}
