//! The forward splat: four kernels, each the twin of a file of `fathom_core::ops::splat`, bit for bit.
//!
//! `nearest -> accumulate -> resolve -> fill` over one [`Params`]. Points are `ScreenPoint`s as they lie in memory, 16 bytes
//! each; `nearest` must start as `0xffffffff` everywhere and the sums as zeros (see [`crate::nn::copy::fill`]).
//!
//! Calibration does not launch them. What it solves by are turned views, which are resampled and need no splat; the orbits
//! that do need one told nothing of focal length with real networks (see `fathom_calibration`), and stay an ablation.

use fathom_core::frame::Size;
use fathom_core::ops::splat::accumulate::BAND_SHIFT;
use fathom_core::ops::splat::resolve::{MIN_WEIGHT, OVERFULL};
use fathom_core::ops::splat::{DEPTH_BAND, ScreenPoint};

use crate::kernel::{Access, Kernel, Launch, Layout, Tolerance};
use crate::layout_of;
use crate::split::linear;

/// The kernels of this folder.
pub const KERNELS: &[&Kernel] = &[&NEAREST, &ACCUMULATE, &RESOLVE, &FILL];

/// Mirrors `struct Params` of all four kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    width: u32,
    height: u32,
    points: u32,
    reserved: u32,
}

const LAYOUT: Layout = layout_of!(Params { width, height, points, reserved });

const fn kernel(name: &'static str, wgsl: &'static str, bindings: &'static [Access]) -> Kernel {
    Kernel { name, wgsl, params: LAYOUT, bindings, needs: &[], tolerance: Tolerance::EXACT }
}

/// Nearest depth per pixel.
pub const NEAREST: Kernel = kernel("splat/nearest", include_str!("nearest.wgsl"), &[Access::ReadWrite; 2]);

/// Weighted sums per pixel.
pub const ACCUMULATE: Kernel = kernel("splat/accumulate", include_str!("accumulate.wgsl"), &[Access::ReadWrite; 3]);

/// Colours and depths per pixel.
pub const RESOLVE: Kernel = kernel("splat/resolve", include_str!("resolve.wgsl"), &[Access::ReadWrite; 4]);

/// Holes painted from their far side.
pub const FILL: Kernel = kernel("splat/fill", include_str!("fill.wgsl"), &[Access::ReadWrite; 3]);

/// Words of one pixel's sums: red, green, blue, steps behind, weight.
pub const SUM_WORDS: usize = 5;

/// The splat of so many points into a view of this size, as launches with the bytes their bindings need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splat {
    /// Width and height of the view.
    pub size: Size,
    /// Points; at most [`fathom_core::ops::splat::MAX_POINTS`].
    pub points: usize,
}

impl Splat {
    /// Bindings: points, nearest.
    #[must_use]
    pub fn nearest(&self) -> Launch {
        self.launch(&NEAREST, self.points, vec![self.points_bytes(), self.plane_bytes()])
    }

    /// Bindings: points, nearest, sums.
    #[must_use]
    pub fn accumulate(&self) -> Launch {
        let bytes = vec![self.points_bytes(), self.plane_bytes(), SUM_WORDS as u64 * self.plane_bytes()];
        self.launch(&ACCUMULATE, self.points, bytes).with("DEPTH_BAND", DEPTH_BAND).with("BAND_SHIFT", BAND_SHIFT)
    }

    /// Bindings: sums, nearest, image, depth.
    #[must_use]
    pub fn resolve(&self) -> Launch {
        let plane = self.plane_bytes();
        self.launch(&RESOLVE, self.size.area(), vec![SUM_WORDS as u64 * plane, plane, plane, plane])
            .with("MIN_WEIGHT", MIN_WEIGHT)
            .with("OVERFULL", OVERFULL)
            .with("BAND_SHIFT", BAND_SHIFT)
    }

    /// Bindings: image, depth, filled image.
    #[must_use]
    pub fn fill(&self) -> Launch {
        self.launch(&FILL, self.size.area(), vec![self.plane_bytes(); 3])
    }

    /// Bytes of one word a pixel.
    #[must_use]
    pub const fn plane_bytes(&self) -> u64 {
        4 * self.size.area() as u64
    }

    /// Bytes of the points; at least one is bound.
    #[must_use]
    pub const fn points_bytes(&self) -> u64 {
        let points = if self.points == 0 { 1 } else { self.points };
        (points * size_of::<ScreenPoint>()) as u64
    }

    fn launch(&self, kernel: &'static Kernel, count: usize, bytes: Vec<u64>) -> Launch {
        let params = Params { width: self.size.width, height: self.size.height, points: self.points as u32, reserved: 0 };
        Launch::new(kernel, &params, linear(count, WG), bytes, count as u64).with("WG", WG)
    }
}

/// Invocations of a workgroup.
const WG: u32 = 64;
