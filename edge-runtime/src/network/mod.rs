//! The network: import -> graph -> plan -> executor.

pub mod card;
pub mod export;
pub mod graph;
pub mod import;
pub mod lower;
pub mod plan;
#[cfg(feature = "tract")]
pub mod tract;
