//! WGSL kernels and their launch: the only crate that names wgpu.
//!
//! A kernel is one valid `.wgsl` file and, beside it, its launch half: pure arithmetic from an operation of
//! `fathom_core::ops` to a [`kernel::Launch`] (parameters, constants, workgroups), testable without a device.
//! [`recorder`] turns launches into a frame of one submission; [`gpu`] opens devices; [`cache`] keeps compiled pipelines.

pub mod buffer;
pub mod cache;
pub mod error;
pub mod gpu;
pub mod kernel;
pub mod nn;
pub mod recorder;
pub mod splat;
mod trusted;

pub use error::{Error, Result};
pub use gpu::{AdapterPolicy, Gpu};
pub use kernel::Kernel;

/// Every kernel, for the suites that check them all.
pub const ALL: &[&Kernel] = &every();

const fn every() -> [&'static Kernel; nn::KERNELS.len() + splat::KERNELS.len()] {
    let mut all = [&splat::NEAREST; nn::KERNELS.len() + splat::KERNELS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < nn::KERNELS.len() { nn::KERNELS[i] } else { splat::KERNELS[i - nn::KERNELS.len()] };
        i += 1;
    }
    all
}
