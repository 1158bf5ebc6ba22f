//! The network: import -> graph -> plan -> executor.

pub mod card;
#[cfg(feature = "gpu")]
pub mod compare;
pub mod cpu;
pub mod export;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod graph;
pub mod import;
pub mod lower;
mod op_names;
pub mod plan;
pub mod quantize;
#[cfg(feature = "tract")]
pub mod tract;
