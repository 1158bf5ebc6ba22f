//! Frame to depth: import a network, plan it, run it on GPU or CPU.

pub mod error;
pub mod network;

pub use error::{Error, Result};
