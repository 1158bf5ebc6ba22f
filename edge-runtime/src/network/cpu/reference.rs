//! The plan through core's plain loops, step by step: slow, and the definition.

use std::sync::Arc;

use fathom_core::tensor::Tensor;

use super::memory::Memory;
use super::{port, twin};
use crate::Result;
use crate::network::plan::Plan;

/// Runs any plan with the twins of `fathom_core::ops::nn`.
#[derive(Debug)]
pub struct ReferenceExecutor {
    plan: Arc<Plan>,
    memory: Memory,
}

impl ReferenceExecutor {
    /// An executor with its own arena.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let memory = Memory::new(&plan);
        Self { plan, memory }
    }

    /// Runs the network on an image `f32 [1, 3, height, width]`; gives the graph's outputs in the graph's layout.
    ///
    /// # Errors
    /// [`crate::Error::Core`] if the image is not of the network's input shape.
    pub fn run(&mut self, image: &Tensor) -> Result<Vec<Tensor>> {
        self.run_observed(image, &mut |_, _| {})
    }

    /// As [`ReferenceExecutor::run`]; `observe` is called after each step with its index and the arena, in which
    /// [`Memory::tensor`] reads the step's output.
    ///
    /// # Errors
    /// As [`ReferenceExecutor::run`].
    pub fn run_observed(&mut self, image: &Tensor, observe: &mut dyn FnMut(usize, &Memory)) -> Result<Vec<Tensor>> {
        port::load(&self.plan, &mut self.memory, image)?;
        for (index, step) in self.plan.steps.iter().enumerate() {
            twin::run(&self.plan, step, &mut self.memory)?;
            observe(index, &self.memory);
        }
        port::outputs(&self.plan, &self.memory)
    }
}
