//! What things are in Fathom, and the arithmetic that defines them.
//!
//! Values: [`frame`] (camera images), [`tensor`], [`depth`] (relative, up to scale, metres: three different types),
//! [`camera`], [`calibration`], [`quant`], [`model`] (the one trait seam, [`model::DepthModel`]).
//! Arithmetic: [`ops`] holds the plain-loop definition of every operation that a kernel or a fast path implements,
//! [`measures`] the formulas by which depth is judged.
//!
//! No I/O, no globals, no clocks; `std`, `thiserror` and `nalgebra` only.

pub mod calibration;
pub mod camera;
pub mod depth;
pub mod error;
pub mod frame;
pub mod measures;
pub mod model;
pub mod ops;
pub mod quant;
pub mod tensor;

pub use error::{Error, Result};
