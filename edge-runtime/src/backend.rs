//! Which executor runs a network, and the report that says so: no fall-back is silent.

use std::sync::Arc;

use fathom_core::tensor::Tensor;

use crate::network::cpu::CpuExecutor;
use crate::network::graph::Graph;
use crate::network::plan::Plan;
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
}

impl EngineConfig {
    /// The best there is, software devices excluded.
    #[must_use]
    pub const fn auto() -> Self {
        Self { backend: Backend::Auto, adapter: None }
    }

    /// The CPU.
    #[must_use]
    pub const fn cpu() -> Self {
        Self { backend: Backend::Cpu, adapter: None }
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

impl Executor {
    /// Picks the executor that `config` asks for. `planned` is the plan, or why there is none.
    pub(crate) fn open(graph: &Graph, planned: &Result<Arc<Plan>>, config: &EngineConfig) -> Result<(Self, BackendReport)> {
        match (config.backend, &config.adapter) {
            (Backend::Cpu, Some(name)) => {
                Err(Error::Backend { wanted: "cpu", message: format!("an adapter was named too ({name:?}), and adapters are of GPUs") })
            }
            (Backend::Cpu, None) => Self::on_cpu(graph, planned, "asked for".into()),
            (Backend::Gpu, _) | (Backend::Auto, Some(_)) => Self::on_gpu(planned, config, "asked for"),
            (Backend::Auto, None) => match Self::on_gpu(planned, config, "the best device found") {
                Ok(open) => Ok(open),
                Err(error) => Self::on_cpu(graph, planned, format!("no GPU: {error}")),
            },
        }
    }

    /// Runs the network on one normalised image, `[1, 3, height, width]` f32.
    pub(crate) fn run(&mut self, image: &Tensor) -> Result<Vec<Tensor>> {
        match self {
            Self::Cpu(executor) => executor.run(image),
            #[cfg(feature = "gpu")]
            Self::Gpu(executor) => executor.run(image),
            #[cfg(feature = "tract")]
            Self::Tract(executor) => executor.run(image),
        }
    }

    fn on_cpu(graph: &Graph, planned: &Result<Arc<Plan>>, reason: String) -> Result<(Self, BackendReport)> {
        let report = |executor, reason| BackendReport { backend: "cpu", executor, adapter: None, reason };
        match planned {
            Ok(plan) => {
                // One thread a core that this process may use; what a container is allowed counts.
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                Ok((Self::Cpu(Box::new(CpuExecutor::new(Arc::clone(plan), threads)?)), report("plan", reason)))
            }
            Err(error) => {
                let executor = through_tract(graph, error)?;
                Ok((executor, report("tract", format!("{reason}; the plan does not cover this network: {error}"))))
            }
        }
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(planned: &Result<Arc<Plan>>, config: &EngineConfig, reason: &str) -> Result<(Self, BackendReport)> {
        use fathom_gpu::gpu::{AdapterPolicy, Gpu};

        let plan = match planned {
            Ok(plan) => Arc::clone(plan),
            Err(error) => return Err(no_gpu(format!("the plan does not cover this network: {error}"))),
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
        Ok((Self::Gpu(Box::new(crate::network::gpu::GpuExecutor::new(plan, gpu)?)), report))
    }

    #[cfg(not(feature = "gpu"))]
    fn on_gpu(_: &Result<Arc<Plan>>, _: &EngineConfig, _: &str) -> Result<(Self, BackendReport)> {
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
