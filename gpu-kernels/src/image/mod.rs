//! Camera frames in, depth out: twins of `fathom_core::ops::image`.

pub mod affine;
pub mod preprocess;

use crate::Kernel;

/// Every kernel of this folder.
pub const KERNELS: &[&Kernel] = &[&affine::KERNEL, &preprocess::KERNEL];
