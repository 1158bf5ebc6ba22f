//! The network: import -> graph -> plan -> executor.

pub mod card;
pub mod graph;
pub mod import;
pub mod plan;
