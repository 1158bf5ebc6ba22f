//! The plan on the CPU: fast loops and GEMM ([`CpuExecutor`]), or core's plain loops ([`ReferenceExecutor`]).

mod executor;
mod memory;
mod port;
mod reference;
mod twin;

pub use executor::CpuExecutor;
pub use memory::Memory;
pub use reference::ReferenceExecutor;
