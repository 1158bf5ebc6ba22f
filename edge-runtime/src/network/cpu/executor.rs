//! The plan with fast loops.

use std::sync::Arc;

use fathom_core::tensor::Tensor;

use super::memory::Memory;
use super::{port, twin};
use crate::network::plan::Plan;
use crate::{Error, Result};

/// Runs a plan on a number of threads of its own.
#[derive(Debug)]
pub struct CpuExecutor {
    plan: Arc<Plan>,
    memory: Memory,
    pool: rayon::ThreadPool,
}

impl CpuExecutor {
    /// An executor with its own arena and `threads` threads (at least one).
    ///
    /// # Errors
    /// [`Error::Backend`] if the threads cannot be started.
    pub fn new(plan: Arc<Plan>, threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        let pool = pool.map_err(|error| Error::Backend { wanted: "cpu", message: format!("{threads} threads: {error}") })?;
        let memory = Memory::new(&plan);
        Ok(Self { plan, memory, pool })
    }

    /// The plan it runs.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Runs the network on an image `f32 [1, 3, height, width]`; gives the graph's outputs in the graph's layout.
    ///
    /// # Errors
    /// [`Error::Core`] if the image is not of the network's input shape.
    pub fn run(&mut self, image: &Tensor) -> Result<Vec<Tensor>> {
        self.run_observed(image, &mut |_, _| {})
    }

    /// As [`CpuExecutor::run`]; `observe` is called after each step with its index and the arena, in which
    /// [`Memory::tensor`] reads the step's output.
    ///
    /// # Errors
    /// As [`CpuExecutor::run`].
    pub fn run_observed(&mut self, image: &Tensor, observe: &mut dyn FnMut(usize, &Memory)) -> Result<Vec<Tensor>> {
        port::load(&self.plan, &mut self.memory, image)?;
        for (index, step) in self.plan.steps.iter().enumerate() {
            twin::run(&self.plan, step, &mut self.memory)?;
            observe(index, &self.memory);
        }
        port::outputs(&self.plan, &self.memory)
    }
}
