//! Steps that sum products: convolutions and matrix products.

use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;
use fathom_core::ops::nn::epilogue::RealEpilogue;
use fathom_core::ops::nn::{Activation, Map, Window};
use fathom_gpu::nn::conv_bytes::ByteConv;
use fathom_gpu::nn::conv_transpose_bytes::{self, ByteConvTranspose};
use fathom_gpu::nn::epilogue::Finish;
use fathom_gpu::nn::{conv_depthwise, conv_dot4, conv_spread};

use super::{Task, View};
use crate::Result;
use crate::network::gpu::tactic::Tactic;
use crate::network::plan::{Arithmetic, ByteArithmetic, MatMulStep, WeightId};

pub(super) fn conv(view: &View<'_>, conv: &Conv2d, weights: WeightId, arithmetic: &Arithmetic, tactic: Tactic) -> Result<Vec<Task>> {
    match arithmetic {
        Arithmetic::Float(_) => Err(view.unsupported("float convolution")),
        Arithmetic::Bytes { zero_a, result, .. } => {
            let numbers = Numbers::of(view, result)?;
            let has_residual = arithmetic.has_residual();
            let residual = view.residual(has_residual);
            let step = ByteConv {
                conv: *conv,
                weights: view.weights_i8(weights)?,
                signed: view.is_signed(view.id(0)?),
                zero_point: *zero_a,
                finish: numbers.finish(),
                source: view.lay(view.id(0)?),
                residual: view.lay(residual),
                target: view.lay(view.step.output),
            };
            let spread = || if tactic == Tactic::Spread { conv_spread::prepare(&step, WORKGROUP_SPREAD) } else { None };
            let prepared = conv_depthwise::prepare(&step, WORKGROUP).or_else(spread);
            let prepared = prepared.unwrap_or_else(|| conv_dot4::prepare(&step, WORKGROUP));
            numbers.followed_by_rest(view, Task::new(prepared, [view.id(0)?, residual, view.step.output]))
        }
    }
}

pub(super) fn conv_transpose(view: &View<'_>, conv: &ConvTranspose2d, weights: WeightId, arithmetic: &Arithmetic) -> Result<Vec<Task>> {
    match arithmetic {
        Arithmetic::Float(_) => Err(view.unsupported("float transposed convolution")),
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
    let one_matrix = product.batch == [1, 1] && product.a.column == 1;
    let rows_are_pixels =
        one_matrix && product.a.row == view.plan.tensor(view.id(0)?).pitch && product.out.row == view.plan.tensor(view.step.output).pitch;
    match (step.weights, &step.arithmetic) {
        // A matrix times constant weights is a 1x1 convolution of a single row of pixels.
        (Some(weights), arithmetic @ Arithmetic::Bytes { zero_b: 0, .. })
            if rows_are_pixels && product.a.offset == 0 && product.out.offset == 0 =>
        {
            let input = Map { height: 1, width: product.rows, channels: product.inner };
            let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad_before: [0, 0], pad_after: [0, 0] };
            conv(view, &Conv2d { input, out_channels: product.columns, window, groups: 1 }, weights, arithmetic, tactic)
        }
        _ => Err(view.unsupported("matrix product")),
    }
}

/// Invocations of a workgroup along x and y.
const WORKGROUP: [u32; 2] = [8, 8];

/// One subgroup's worth where weights are spread: rows then share nothing.
const WORKGROUP_SPREAD: [u32; 2] = [8, 1];

/// What becomes of integer sums, split into what the kernel does and what another launch does after it.
enum Numbers<'a> {
    Byte { epilogue: &'a fathom_core::ops::nn::epilogue::ByteEpilogue, signed: bool },
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
                let mut epilogue = real.clone();
                let clamps = matches!(real.float.activation, Activation::None | Activation::Relu | Activation::Clip { .. });
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
                tasks.push(view.in_place(*activation)?);
            }
        }
        Ok(tasks)
    }
}
