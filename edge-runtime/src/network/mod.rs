//! The network: import -> graph -> plan -> executor.

pub mod graph;
pub mod plan;
