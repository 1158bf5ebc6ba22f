//! The plan with fast loops.

use std::sync::Arc;

use fathom_core::tensor::Tensor;
use rayon::ThreadPool;

use super::gemm::Kernels;
use super::memory::Memory;
use super::port;
use super::prepared::Prepared;
use super::work::Workers;
use crate::network::plan::Plan;
use crate::{Error, Result};

/// Runs a plan on threads of its own. Integer steps give what core's plain loops give, bit for bit.
#[derive(Debug)]
pub struct CpuExecutor {
    plan: Arc<Plan>,
    memory: Memory,
    prepared: Vec<Prepared>,
    kernels: Kernels,
    workers: Workers,
    pool: ThreadPool,
}

impl CpuExecutor {
    /// An executor with its own arena, packed weights and `threads` threads (at least one).
    ///
    /// # Errors
    /// [`Error::Backend`] if the threads cannot be started; [`Error::Core`] if weights are not what their step takes.
    pub fn new(plan: Arc<Plan>, threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        let pool = pool.map_err(|error| Error::Backend { wanted: "cpu", message: format!("{threads} threads: {error}") })?;
        let kernels = Kernels::new();
        let prepared = plan.steps.iter().map(|step| Prepared::new(&plan, step, &kernels)).collect::<Result<_>>()?;
        let memory = Memory::new(&plan);
        Ok(Self { plan, memory, prepared, kernels, workers: Workers::new(pool.current_num_threads()), pool })
    }

    /// The plan it runs.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Bytes held: the plan's constants, the packed weights, the arena and the threads' buffers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let packed: usize = self.prepared.iter().map(Prepared::size).sum();
        self.plan.weights_bytes() + packed + self.plan.arena_bytes + self.workers.scratch_bytes()
    }

    /// Runs the network on an image `f32 [1, 3, height, width]`; gives the graph's outputs in the graph's layout.
    ///
    /// # Errors
    /// [`Error::Core`] if the image is not of the network's input shape.
    pub fn run(&mut self, image: &Tensor) -> Result<Vec<Tensor>> {
        port::load(&self.plan, &mut self.memory, image)?;
        let Self { plan, memory, prepared, kernels, workers, pool } = self;
        pool.install(|| {
            let mut steps = plan.steps.iter().zip(prepared.iter());
            steps.try_for_each(|(step, prepared)| prepared.run(plan, step, memory, kernels, workers))
        })?;
        port::outputs(plan, memory)
    }

    /// As [`CpuExecutor::run`]; `observe` is called after each step with its index and the arena, in which
    /// [`Memory::tensor`] reads the step's output.
    ///
    /// # Errors
    /// As [`CpuExecutor::run`].
    pub fn run_observed(&mut self, image: &Tensor, observe: &mut dyn FnMut(usize, &Memory)) -> Result<Vec<Tensor>> {
        port::load(&self.plan, &mut self.memory, image)?;
        let Self { plan, memory, prepared, kernels, workers, pool } = self;
        for (index, (step, prepared)) in plan.steps.iter().zip(prepared.iter()).enumerate() {
            pool.install(|| prepared.run(plan, step, memory, kernels, workers))?;
            observe(index, memory);
        }
        port::outputs(plan, memory)
    }
}
