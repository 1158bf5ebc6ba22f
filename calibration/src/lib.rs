//! (in progress)
pub mod anchors;
pub mod calibrator;
pub mod consistency;
pub mod error;
pub mod information;
pub mod render;
pub mod scene;
pub mod solve;
pub mod theta;
pub mod verdict;
pub mod views;

pub use error::{Error, Result};
