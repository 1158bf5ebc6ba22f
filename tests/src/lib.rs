//! What the workspace's suites share: where things are, and how a test says that it needs something that is not here.
//!
//! A suite whose cases need a GPU, onnxruntime or `../shared` is a `harness = false` test whose `main` is
//! [`cases::run`]; a case whose need is not met is reported as *ignored*, with the reason on stderr. Where the environment
//! says `FATHOM_GPU_TESTS=required`, `FATHOM_ORACLE_TESTS=required` or `FATHOM_FAMILY_TESTS=required`, it fails instead.

#![allow(clippy::disallowed_methods, reason = "tests read the environment and the clock")]

pub mod cases;
pub mod fixtures;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod graphs;
pub mod noise;
pub mod onnxruntime;
pub mod oracle;
pub mod photographs;
pub mod random;
pub mod require;
