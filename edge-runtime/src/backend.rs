//! Which executor runs a network, and the report that says so: no fall-back is silent.

use std::num::NonZeroUsize;
use std::sync::Arc;

use fathom_core::frame::Frame;
use fathom_core::model::ModelCard;
use fathom_core::tensor::Tensor;

use crate::network::cpu::CpuExecutor;
use crate::network::graph::Graph;
use crate::network::plan::Plan;
use crate::preprocess::preprocess;
use crate::trace::{Observer, Stage};
use crate::{Error, Result};

/// What a caller wants a network to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The GPU if there is a real one that can run the plan, else the CPU; the report says which, and why.
    Auto,
    /// The GPU, or an error.
    Gpu,
    /// The CPU.
    Cpu,
}

/// How an engine is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Where to run.
    pub backend: Backend,
    /// Part of an adapter's name. Naming one asks for it: [`Backend::Auto`] then fails where it is not there, and a software
    /// device is used only when named.
    pub adapter: Option<String>,
    /// Threads of the CPU's executor; `None`: one for each core that this process may use. Other threads than those of the CPU
    /// cannot be asked for: [`Backend::Gpu`] refuses a number.
    pub threads: Option<NonZeroUsize>,
}

impl EngineConfig {
    /// The best there is, software devices excluded.
    #[must_use]
    pub const fn auto() -> Self {
        Self { backend: Backend::Auto, adapter: None, threads: None }
    }

    /// The CPU.
    #[must_use]
    pub const fn cpu() -> Self {
        Self { backend: Backend::Cpu, adapter: None, threads: None }
    }
}

/// What ran, part of every result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendReport {
    /// `gpu` or `cpu`.
    pub backend: &'static str,
    /// What carried the network out: `plan` (the fused plan) or `tract`.
    pub executor: &'static str,
    /// The GPU's name and driver; `None` on the CPU.
    pub adapter: Option<String>,
    /// Why this one: what was asked for, or what stood in the way of something better.
    pub reason: String,
}

/// A network ready to run.
pub(crate) enum Executor {
    Cpu(Box<CpuExecutor>),
    #[cfg(feature = "gpu")]
    Gpu(Box<crate::network::gpu::GpuExecutor>),
    #[cfg(feature = "tract")]
    Tract(Box<crate::network::tract::TractExecutor>),
}

/// What there is to run.
pub(crate) enum Work {
    /// A plan; the graph it came from is gone, and its weights with it.
    Planned(Arc<Plan>),
    /// No plan covers the graph.
    Unplanned { graph: Graph, why: Error },
}

/// An executor, and what it runs.
pub(crate) struct Opened {
    pub(crate) executor: Executor,
    pub(crate) report: BackendReport,
    /// The plan as the executor left it, or why there is none.
    pub(crate) planned: Result<Arc<Plan>>,
}

impl Executor {
    /// Picks the executor that `config` asks for.
    pub(crate) fn open(work: Work, config: &EngineConfig) -> Result<Opened> {
        match (config.backend, &config.adapter, config.threads) {
            (Backend::Cpu, Some(name), _) => {
                Err(Error::Backend { wanted: "cpu", message: format!("an adapter was named too ({name:?}), and adapters are of GPUs") })
            }
            (Backend::Gpu, _, Some(threads)) | (Backend::Auto, Some(_), Some(threads)) => {
                Err(no_gpu(format!("{threads} threads were asked for too, and threads are of the CPU")))
            }
            (Backend::Cpu, None, _) => Self::on_cpu(work, config, "asked for".into()),
            (Backend::Gpu, ..) | (Backend::Auto, Some(_), _) => Self::on_gpu(&work, config, "asked for"),
            (Backend::Auto, None, _) => match Self::on_gpu(&work, config, "the best device found") {
                Ok(open) => Ok(open),
                Err(error) => Self::on_cpu(work, config, format!("no GPU: {error}")),
            },
        }
    }

    /// Runs the network on one normalised image, `[1, 3, height, width]` f32, which it lets go of as early as it can.
    pub(crate) fn run(&mut self, image: Tensor) -> Result<Vec<Tensor>> {
        match self {
            Self::Cpu(executor) => {
                executor.load(&image)?;
                drop(image);
                executor.compute()
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(executor) => executor.run(&image),
            #[cfg(feature = "tract")]
            Self::Tract(executor) => executor.run(&image),
        }
    }

    /// One frame through preprocessing and the network; `observer` is told of both stages. On the GPU both are one submission:
    /// the first ends when it is submitted, the second when its results are here.
    pub(crate) fn infer(&mut self, frame: &Frame<'_>, card: &ModelCard, observer: &mut Observer<'_>) -> Result<Vec<Tensor>> {
        #[cfg(feature = "gpu")]
        if let Self::Gpu(executor) = self {
            let outputs = executor.run_frame(frame, card, &mut || observer(Stage::Preprocess))?;
            observer(Stage::Network);
            return Ok(outputs);
        }
        let image = preprocess(frame, card)?;
        observer(Stage::Preprocess);
        let outputs = self.run(image)?;
        observer(Stage::Network);
        Ok(outputs)
    }

    /// As [`Executor::infer`], for the last time: what is no longer needed is given back on the way.
    pub(crate) fn infer_last(self, frame: &Frame<'_>, card: &ModelCard, observer: &mut Observer<'_>) -> Result<Vec<Tensor>> {
        match self {
            Self::Cpu(mut executor) => {
                executor.load(&preprocess(frame, card)?)?;
                observer(Stage::Preprocess);
                let outputs = executor.compute_last()?;
                observer(Stage::Network);
                Ok(outputs)
            }
            #[cfg(any(feature = "gpu", feature = "tract"))]
            mut other => other.infer(frame, card, observer),
        }
    }

    /// As [`Executor::run`], and the milliseconds that each step of the plan took: by `clock_ms` on the CPU, by the device's own
    /// timestamps on the GPU. `None` where the executor does not run step by step, or the device has no timestamps.
    pub(crate) fn step_times_ms(&mut self, image: &Tensor, clock_ms: &mut dyn FnMut() -> f64) -> Result<Option<Vec<f64>>> {
        match self {
            Self::Cpu(executor) => {
                let mut times = Vec::new();
                let mut last = clock_ms();
                executor.run_observed(image, &mut |_, _| {
                    let now = clock_ms();
                    times.push(now - last);
                    last = now;
                })?;
                Ok(Some(times))
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(executor) => {
                executor.run(image)?;
                match executor.step_times_ns() {
                    Ok(times) => Ok(Some(times.into_iter().map(|ns| ns / 1e6).collect())),
                    Err(Error::Gpu(fathom_gpu::Error::Feature { .. })) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            #[cfg(feature = "tract")]
            Self::Tract(_) => Ok(None),
        }
    }

    /// Dispatches of the last frame's form; `None` unless a GPU runs.
    pub(crate) fn dispatches(&self) -> Option<usize> {
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu(executor) => Some(executor.frame_dispatches()),
            _ => None,
        }
    }

    /// Takes the work, so that what was packed does not stay in the plan as well.
    fn on_cpu(work: Work, config: &EngineConfig, reason: String) -> Result<Opened> {
        let report = |executor, reason| BackendReport { backend: "cpu", executor, adapter: None, reason };
        match work {
            Work::Planned(plan) => {
                // One thread a core that this process may use; what a container is allowed counts.
                let cores = || std::thread::available_parallelism().map_or(1, usize::from);
                let executor = CpuExecutor::new(plan, config.threads.map_or_else(cores, usize::from))?;
                let planned = Ok(Arc::clone(executor.plan()));
                Ok(Opened { executor: Self::Cpu(Box::new(executor)), report: report("plan", reason), planned })
            }
            Work::Unplanned { graph, why } => {
                let reason = format!("{reason}; the plan does not cover this network: {why}");
                Ok(Opened { executor: through_tract(&graph, &why)?, report: report("tract", reason), planned: Err(why) })
            }
        }
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(work: &Work, config: &EngineConfig, reason: &str) -> Result<Opened> {
        use fathom_gpu::gpu::{AdapterPolicy, Gpu};

        let plan = match work {
            Work::Planned(plan) => Arc::clone(plan),
            Work::Unplanned { why, .. } => return Err(no_gpu(format!("the plan does not cover this network: {why}"))),
        };
        let policy = config.adapter.clone().map_or(AdapterPolicy::Hardware, AdapterPolicy::Named);
        let gpu = Arc::new(Gpu::open(&policy)?);
        let adapter = gpu.report();
        let software = if adapter.software { ", a software device" } else { "" };
        let report = BackendReport {
            backend: "gpu",
            executor: "plan",
            adapter: Some(format!("{} ({})", adapter.name, adapter.driver)),
            reason: format!("{reason}{software}"),
        };
        // The plan keeps its weights: a device that was lost is filled anew.
        let planned = Ok(Arc::clone(&plan));
        Ok(Opened { executor: Self::Gpu(Box::new(crate::network::gpu::GpuExecutor::new(plan, gpu)?)), report, planned })
    }

    #[cfg(not(feature = "gpu"))]
    fn on_gpu(_: &Work, _: &EngineConfig, _: &str) -> Result<Opened> {
        Err(no_gpu("this build has no GPU support (cargo feature `gpu`)".into()))
    }
}

#[cfg(feature = "tract")]
fn through_tract(graph: &Graph, _: &Error) -> Result<Executor> {
    Ok(Executor::Tract(Box::new(crate::network::tract::TractExecutor::new(graph)?)))
}

#[cfg(not(feature = "tract"))]
fn through_tract(_: &Graph, error: &Error) -> Result<Executor> {
    let message = format!("the plan does not cover this network ({error}), and this build has no tract (cargo feature `tract`)");
    Err(Error::Backend { wanted: "cpu", message })
}

fn no_gpu(message: String) -> Error {
    Error::Backend { wanted: "gpu", message }
}
