//! Steps made ready to run: weights packed, loops chosen.

use fathom_core::ops::nn::conv::Conv2d;

use super::conv::PreparedConv;
use super::depthwise::PreparedDepthwise;
use super::gemm::Kernels;
use super::memory::Memory;
use super::twin;
use super::work::Workers;
use crate::Result;
use crate::network::plan::{Plan, Step, StepOp};

/// A step ready to run.
#[derive(Debug)]
pub(super) enum Prepared {
    Conv(PreparedConv),
    Depthwise(PreparedDepthwise),
    /// Core's plain loops.
    Twin,
}

impl Prepared {
    pub(super) fn new(plan: &Plan, step: &Step, kernels: &Kernels) -> Result<Self> {
        Ok(match &step.op {
            StepOp::Conv { conv, weights, arithmetic } if is_depthwise(conv) => {
                Self::Depthwise(PreparedDepthwise::new(plan, step, conv, *weights, arithmetic)?)
            }
            StepOp::Conv { conv, weights, arithmetic } => Self::Conv(PreparedConv::new(plan, step, conv, *weights, arithmetic, kernels)?),
            _ => Self::Twin,
        })
    }

    pub(super) fn run(&self, plan: &Plan, step: &Step, memory: &mut Memory, kernels: &Kernels, workers: &mut Workers) -> Result<()> {
        match self {
            Self::Twin => return twin::run(plan, step, memory),
            Self::Conv(conv) => {
                let (inputs, mut out) = memory.split(plan, step)?;
                conv.run(kernels, &inputs, &mut out, workers)?;
            }
            Self::Depthwise(conv) => {
                let (inputs, mut out) = memory.split(plan, step)?;
                conv.run(&inputs, &mut out, workers);
            }
        }
        Ok(())
    }

    /// Bytes of weights held beside the plan's own.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Conv(conv) => conv.size(),
            Self::Depthwise(conv) => conv.size(),
            Self::Twin => 0,
        }
    }
}

fn is_depthwise(conv: &Conv2d) -> bool {
    conv.groups > 1 && conv.groups == conv.input.channels && conv.groups == conv.out_channels
}
