//! Which kernel computes a step where several can.

use fathom_gpu::Gpu;
use fathom_gpu::nn::conv_spread;

use crate::network::plan::{Plan, Step, StepOp};

/// A way to compute a convolution or matrix product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tactic {
    /// The kernel that runs everywhere: four-byte dot products, or plain floats.
    Plain,
    /// Weights spread over a subgroup, exact float sums.
    Spread,
}

impl Tactic {
    /// All of them, in the order of preference where times are equal.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Spread];

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Spread => "spread",
        }
    }

    /// Whether the device can run it.
    #[must_use]
    pub fn runs_on(self, gpu: &Gpu) -> bool {
        match self {
            Self::Plain => true,
            Self::Spread => gpu.abilities().subgroups && gpu.report().subgroup[0] >= conv_spread::LANES,
        }
    }
}

/// The tactic of each step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tactics(Vec<Tactic>);

impl Tactics {
    /// What is likely best before anything was timed: spread weights on software devices, the plain kernel elsewhere.
    #[must_use]
    pub fn default_for(plan: &Plan, gpu: &Gpu) -> Self {
        let spread = gpu.report().software && Tactic::Spread.runs_on(gpu);
        Self(plan.steps.iter().map(|step| if spread && has_choice(step) { Tactic::Spread } else { Tactic::Plain }).collect())
    }

    /// One for each step of a plan.
    #[must_use]
    pub const fn new(tactics: Vec<Tactic>) -> Self {
        Self(tactics)
    }

    /// The tactic of a step.
    #[must_use]
    pub fn of(&self, step: usize) -> Tactic {
        self.0.get(step).copied().unwrap_or(Tactic::Plain)
    }

    /// As stored beside the pipelines: one letter a step.
    #[must_use]
    pub fn to_notes(&self) -> Vec<u8> {
        self.0.iter().map(|tactic| tactic.name().as_bytes()[0]).collect()
    }

    /// From [`Tactics::to_notes`]; `None` if they are of another plan.
    #[must_use]
    pub fn from_notes(notes: &[u8], plan: &Plan) -> Option<Self> {
        let of = |note: &u8| Tactic::ALL.into_iter().find(|tactic| tactic.name().as_bytes()[0] == *note);
        let tactics = notes.iter().map(of).collect::<Option<Vec<_>>>()?;
        (tactics.len() == plan.steps.len()).then_some(Self(tactics))
    }
}

/// Whether a step has more than one tactic.
#[must_use]
pub(super) const fn has_choice(step: &Step) -> bool {
    matches!(step.op, StepOp::Conv { .. } | StepOp::MatMul(_))
}
