//! The definition of every operation, as plain loops: twins of the kernels with the same path and stem.

pub mod image;
pub mod nn;
pub mod splat;
