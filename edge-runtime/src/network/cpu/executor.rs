//! The plan with fast loops.

use std::sync::Arc;

use fathom_core::tensor::Tensor;
use rayon::ThreadPool;

use super::gemm::Kernels;
use super::memory::Memory;
use super::port;
use super::prepared::Prepared;
use super::work::Workers;
use crate::network::plan::{Plan, WeightId};
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
    /// If nobody else holds the plan, weights leave it as they are packed: the two forms are never both whole.
    ///
    /// # Errors
    /// [`Error::Backend`] if the threads cannot be started; [`Error::Core`] if weights are not what their step takes.
    pub fn new(plan: Arc<Plan>, threads: usize) -> Result<Self> {
        Self::with_kernels(plan, threads, Kernels::new())
    }

    pub(super) fn with_kernels(mut plan: Arc<Plan>, threads: usize, kernels: Kernels) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        let pool = pool.map_err(|error| Error::Backend { wanted: "cpu", message: format!("{threads} threads: {error}") })?;
        let mut prepared = Vec::with_capacity(plan.steps.len());
        for index in 0..plan.steps.len() {
            let ready = Prepared::new(&plan, &plan.steps[index], &kernels)?;
            if let (false, Some(id), Some(plan)) = (ready.reads_the_plan(), sole_weights(&plan, index), Arc::get_mut(&mut plan)) {
                plan.weights[id.0].release();
            }
            prepared.push(ready);
        }
        let memory = Memory::new(&plan);
        Ok(Self { plan, memory, prepared, kernels, workers: Workers::new(pool.current_num_threads()), pool })
    }

    /// The plan it runs.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Bytes held: the constants that the plan still has, the packed weights, the arena and the threads' buffers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let packed: usize = self.prepared.iter().map(Prepared::size).sum();
        self.plan.weights_bytes() - self.plan.released_bytes() + packed + self.plan.arena_bytes + self.workers.scratch_bytes()
    }

    /// Runs the network on an image `f32 [1, 3, height, width]`; gives the graph's outputs in the graph's layout.
    ///
    /// # Errors
    /// [`Error::Core`] if the image is not of the network's input shape.
    pub fn run(&mut self, image: &Tensor) -> Result<Vec<Tensor>> {
        self.load(image)?;
        self.compute()
    }

    /// Takes an image into the arena: the caller may let go of it then.
    pub(crate) fn load(&mut self, image: &Tensor) -> Result<()> {
        port::load(&self.plan, &mut self.memory, image)
    }

    /// Runs the network on the image loaded last.
    pub(crate) fn compute(&mut self) -> Result<Vec<Tensor>> {
        self.steps()?;
        port::outputs(&self.plan, &self.memory)
    }

    /// As [`CpuExecutor::compute`], for the last time: weights are given back before the outputs ask for memory.
    pub(crate) fn compute_last(mut self) -> Result<Vec<Tensor>> {
        self.steps()?;
        let Self { plan, memory, prepared, .. } = self;
        drop(prepared);
        port::outputs(&plan, &memory)
    }

    fn steps(&mut self) -> Result<()> {
        let Self { plan, memory, prepared, kernels, workers, pool } = self;
        pool.install(|| {
            let mut steps = plan.steps.iter().zip(prepared.iter());
            steps.try_for_each(|(step, prepared)| prepared.run(plan, step, memory, kernels, workers))
        })
    }

    /// As [`CpuExecutor::run`]; `observe` is called after each step with its index and the arena, in which
    /// [`Memory::tensor`] reads the step's output.
    ///
    /// # Errors
    /// As [`CpuExecutor::run`].
    pub fn run_observed(&mut self, image: &Tensor, observe: &mut dyn FnMut(usize, &Memory)) -> Result<Vec<Tensor>> {
        self.load(image)?;
        let Self { plan, memory, prepared, kernels, workers, pool } = self;
        for (index, (step, prepared)) in plan.steps.iter().zip(prepared.iter()).enumerate() {
            pool.install(|| prepared.run(plan, step, memory, kernels, workers))?;
            observe(index, memory);
        }
        port::outputs(plan, memory)
    }
}

/// The weights of a step, if no other step reads them.
fn sole_weights(plan: &Plan, index: usize) -> Option<WeightId> {
    let id = plan.steps[index].op.weights()?;
    let others = plan.steps.iter().enumerate().filter(|(i, step)| *i != index && step.op.weights() == Some(id)).count();
    (others == 0).then_some(id)
}
