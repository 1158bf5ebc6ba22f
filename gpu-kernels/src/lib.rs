//! WGSL kernels and their launch: the only crate that names wgpu.
//!
//! A kernel is one valid `.wgsl` file and, beside it, its launch half: pure arithmetic from an operation of
//! `fathom_core::ops` to a [`kernel::Launch`] (parameters, constants, workgroups), testable without a device.
//! [`recorder`] turns launches into a frame of one submission; [`gpu`] opens devices; [`cache`] keeps compiled pipelines.

pub mod buffer;
pub mod cache;
pub mod error;
pub mod gpu;
pub mod image;
pub mod kernel;
pub mod nn;
pub mod read_back;
pub mod recorder;
pub mod splat;
pub mod split;
mod trusted;
pub mod upload;

pub use error::{Error, Result};
pub use gpu::{AdapterPolicy, Gpu};
pub use kernel::Kernel;

/// Every kernel, for the suites that check them all.
pub const ALL: &[&Kernel] = &every();

const fn every() -> [&'static Kernel; image::KERNELS.len() + nn::KERNELS.len() + splat::KERNELS.len()] {
    let mut all = [&splat::NEAREST; image::KERNELS.len() + nn::KERNELS.len() + splat::KERNELS.len()];
    let folders = [image::KERNELS, nn::KERNELS, splat::KERNELS];
    let (mut folder, mut i, mut at) = (0, 0, 0);
    while at < all.len() {
        if i < folders[folder].len() {
            all[at] = folders[folder][i];
            i += 1;
            at += 1;
        } else {
            folder += 1;
            i = 0;
        }
    }
    all
}
