//! The plan on the CPU: fast loops and GEMM ([`CpuExecutor`]), or core's plain loops ([`ReferenceExecutor`]).

mod bands;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no machine there has vectors for it yet"))]
mod byte_finish;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no machine there has vectors for it yet"))]
mod columns;
mod conv;
mod conv_transpose;
mod depthwise;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no machine there has vectors for it yet"))]
mod dot;
mod epilogue;
mod executor;
mod few;
mod gemm;
mod lines;
#[cfg(test)]
mod machines;
mod matmul;
mod memory;
mod patches;
mod pointwise;
mod port;
mod prepared;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no machine there has vectors for it yet"))]
mod quads;
mod reduce;
mod reference;
mod resize;
mod rows;
mod twin;
mod vector;
mod work;

pub use executor::CpuExecutor;
pub use memory::Memory;
pub use reference::ReferenceExecutor;
