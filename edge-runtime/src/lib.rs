//! Frame to depth: import a network, plan it, run it on GPU or CPU.
//!
//! [`engine`] holds the sequence: [`preprocess`], the [`network`] on the [`backend`] that was chosen, [`postprocess`];
//! [`trace`] lets a caller time it.

pub mod backend;
pub mod engine;
pub mod error;
pub mod network;
pub mod postprocess;
pub mod preprocess;
pub mod trace;

pub use error::{Error, Result};
