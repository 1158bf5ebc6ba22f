//! Steps made ready to run: weights packed, loops chosen.

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::elementwise::Unary;
use fathom_core::ops::nn::reduce::Reduce;

use super::bands::PreparedBands;
use super::columns::PreparedColumns;
use super::conv::PreparedConv;
use super::conv_transpose::PreparedConvTranspose;
use super::depthwise::PreparedDepthwise;
use super::few::PreparedFew;
use super::gemm::{Kernels, floats};
use super::matmul::PreparedMatMul;
use super::memory::Memory;
use super::quads::PreparedQuads;
use super::resize::PreparedResize;
use super::rows::{self, RowOp};
use super::work::Workers;
use super::{pointwise, reduce, twin};
use crate::network::plan::{Plan, Step, StepOp};
use crate::{Error, Result};

/// A step ready to run.
#[derive(Debug)]
pub(super) enum Prepared {
    Conv(PreparedConv),
    Quads(PreparedQuads),
    Columns(PreparedColumns),
    Bands(PreparedBands),
    Depthwise(PreparedDepthwise),
    Few(PreparedFew),
    ConvTranspose(PreparedConvTranspose),
    Resize(PreparedResize),
    Table(ByteTable),
    Unary(Unary),
    MatMul(Box<PreparedMatMul>),
    Rows(RowOp),
    Reduce(Reduce),
    /// Core's plain loops.
    Twin,
}

impl Prepared {
    pub(super) fn new(plan: &Plan, step: &Step, kernels: &Kernels) -> Result<Self> {
        Ok(match &step.op {
            StepOp::Conv { conv, weights, arithmetic } if PreparedColumns::takes(conv, arithmetic, kernels) => {
                PreparedColumns::new(plan, step, conv, *weights, arithmetic, kernels)?.map_or(Self::Twin, Self::Columns)
            }
            StepOp::Conv { conv, weights, arithmetic } if PreparedQuads::takes(conv, arithmetic, kernels) => {
                PreparedQuads::new(plan, step, conv, *weights, arithmetic, kernels)?.map_or(Self::Twin, Self::Quads)
            }
            StepOp::Conv { conv, weights, arithmetic } if PreparedDepthwise::takes(conv) => {
                Self::Depthwise(PreparedDepthwise::new(plan, step, conv, *weights, arithmetic)?)
            }
            StepOp::Conv { conv, weights, arithmetic } if PreparedFew::takes(conv, arithmetic) => {
                PreparedFew::new(plan, step, conv, *weights, arithmetic)?.map_or(Self::Twin, Self::Few)
            }
            StepOp::Conv { conv, weights, arithmetic } if PreparedBands::takes(conv, arithmetic, kernels) => {
                let bands = PreparedBands::new(plan, step, conv, *weights, arithmetic, kernels)?;
                bands.map_or(Self::Twin, Self::Bands)
            }
            StepOp::Conv { conv, weights, arithmetic } => Self::Conv(PreparedConv::new(plan, step, conv, *weights, arithmetic, kernels)?),
            StepOp::ConvTranspose { conv, weights, arithmetic } if PreparedConvTranspose::takes(conv) => {
                Self::ConvTranspose(PreparedConvTranspose::new(plan, step, conv, *weights, arithmetic, kernels)?)
            }
            StepOp::Resize { resize, then } => Self::Resize(PreparedResize::new(resize, then.as_ref())),
            StepOp::Table(table) => Self::Table(table.clone()),
            StepOp::Unary(unary) => Self::Unary(*unary),
            StepOp::MatMul(matmul) => Self::MatMul(Box::new(PreparedMatMul::new(plan, step, matmul, kernels)?)),
            StepOp::Reduce(reduce) if reduce::takes(reduce, plan.tensor(step.output)) => Self::Reduce(*reduce),
            StepOp::Softmax(_) => Self::Rows(RowOp::Softmax),
            StepOp::LayerNorm { norm, scale, bias } => {
                let vector = |id| Ok::<_, Error>(floats(&plan.weight(id).elements)?.to_vec());
                let bias = bias.map_or_else(|| Ok(Vec::new()), vector)?;
                Self::Rows(RowOp::LayerNorm { norm: *norm, scale: vector(*scale)?, bias })
            }
            _ => Self::Twin,
        })
    }

    pub(super) fn run(&self, plan: &Plan, step: &Step, memory: &mut Memory, kernels: &Kernels, workers: &mut Workers) -> Result<()> {
        if let Self::Twin = self {
            return twin::run(plan, step, memory);
        }
        workers.expect(step.cost.macs / self.macs_per_ns());
        let (inputs, mut out) = memory.split(plan, step)?;
        match self {
            Self::Bands(conv) => conv.run(kernels, &inputs, &mut out, workers)?,
            Self::Conv(conv) => conv.run(kernels, &inputs, &mut out, workers)?,
            Self::ConvTranspose(conv) => conv.run(kernels, &inputs, &mut out, workers)?,
            Self::Depthwise(conv) => conv.run(&inputs, &mut out, workers),
            Self::Few(conv) => conv.run(&inputs, &mut out, workers),
            Self::Quads(conv) => conv.run(&inputs, &mut out, workers),
            Self::Columns(conv) => conv.run(&inputs, &mut out, workers),
            Self::Resize(resize) => resize.run(&inputs, &mut out, workers),
            Self::Table(table) => pointwise::table(table, &inputs, &mut out, workers),
            Self::Unary(unary) => pointwise::unary(*unary, &inputs, &mut out, workers),
            Self::MatMul(matmul) => matmul.run(kernels, &inputs, &mut out, workers)?,
            Self::Rows(op) => rows::run(op, &inputs, &mut out, workers),
            Self::Reduce(reduce) => reduce::run(reduce, &inputs, &mut out),
            Self::Twin => {}
        }
        Ok(())
    }

    /// Multiplications a core does in a nanosecond, to an order of magnitude.
    const fn macs_per_ns(&self) -> u64 {
        match self {
            Self::Quads(_) => 200,
            Self::Conv(_) | Self::Columns(_) | Self::Bands(_) | Self::ConvTranspose(_) | Self::MatMul(_) => 30,
            Self::Depthwise(_) | Self::Few(_) => 12,
            _ => 1,
        }
    }

    /// Whether each run reads the plan's own weights.
    pub(super) const fn reads_the_plan(&self) -> bool {
        matches!(self, Self::Twin)
    }

    /// Bytes of weights held beside the plan's own.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Bands(conv) => conv.size(),
            Self::Conv(conv) => conv.size(),
            Self::Depthwise(conv) => conv.size(),
            Self::Few(conv) => conv.size(),
            Self::Quads(conv) => conv.size(),
            Self::Columns(conv) => conv.size(),
            Self::ConvTranspose(conv) => conv.size(),
            Self::MatMul(matmul) => matmul.size(),
            Self::Resize(_) | Self::Table(_) | Self::Unary(_) | Self::Rows(_) | Self::Reduce(_) | Self::Twin => 0,
        }
    }
}
