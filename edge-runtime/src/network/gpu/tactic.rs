//! Which kernel computes a step where several can.

use fathom_gpu::Gpu;
use fathom_gpu::nn::conv_spread;

use crate::network::plan::{Arithmetic, Plan, Step, StepOp};

/// A way to compute a convolution or matrix product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tactic {
    /// The kernel that runs everywhere: four-byte dot products, or plain floats.
    Plain,
    /// Weights spread over a subgroup, exact float sums.
    Spread,
    /// Cooperative matrices (tensor cores), exact float sums.
    Matrix,
    /// Float convolutions with half-precision products: only with [`super::Precision::Half`].
    Half,
}

impl Tactic {
    /// All of them, in the order of preference where times are equal.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Spread, Self::Matrix, Self::Half];

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Spread => "spread",
            Self::Matrix => "matrix",
            Self::Half => "half",
        }
    }

    /// Whether the device can run it.
    #[must_use]
    pub fn runs_on(self, gpu: &Gpu) -> bool {
        match self {
            Self::Plain => true,
            Self::Spread => gpu.lanes() >= conv_spread::LEAST_LANES,
            Self::Matrix => gpu.abilities().f16 && gpu.abilities().cooperative_matrix,
            Self::Half => gpu.abilities().f16,
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

    /// Whether some step is computed with less than single precision.
    #[must_use]
    pub fn are_halved(&self) -> bool {
        self.0.contains(&Tactic::Half)
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

/// Whether a tactic is one for a step: half precision for floats, the others for bytes, the plain one for all.
#[must_use]
pub(super) fn suits(tactic: Tactic, step: &Step) -> bool {
    let bytes = matches!(step.op.arithmetic(), Some(Arithmetic::Bytes { .. }));
    match tactic {
        Tactic::Plain => true,
        Tactic::Spread | Tactic::Matrix => bytes,
        Tactic::Half => !bytes,
    }
}
