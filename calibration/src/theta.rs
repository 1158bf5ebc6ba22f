//! The three unknowns of one camera with one network, and the network's units.

use fathom_core::camera::Intrinsics;
use fathom_core::depth::OutputKind;
use fathom_core::frame::Size;
use nalgebra::Vector3;

use crate::Result;

/// `theta = (ln s, tau, ln f)`: inverse-depth networks `1/d = s (x + tau)`, depth networks `d = s (x + tau)`, `d` along z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Theta {
    /// Natural logarithm of the scale.
    pub ln_scale: f64,
    /// Shift, network units.
    pub tau: f64,
    /// Natural logarithm of the focal length in pixels of the frames.
    pub ln_focal: f64,
}

impl Theta {
    /// As a vector, in the order of [`Theta`]'s fields.
    #[must_use]
    pub const fn to_vector(self) -> Vector3<f64> {
        Vector3::new(self.ln_scale, self.tau, self.ln_focal)
    }

    /// From a vector in the order of [`Theta`]'s fields.
    #[must_use]
    pub fn from_vector(vector: &Vector3<f64>) -> Self {
        Self { ln_scale: vector[0], tau: vector[1], ln_focal: vector[2] }
    }

    /// The centred camera of frames of `size`.
    ///
    /// # Errors
    /// [`fathom_core::Error::OutOfRange`] if the focal length is not finite and positive.
    pub fn camera(self, size: Size) -> Result<Intrinsics> {
        Ok(Intrinsics::centred(size, self.ln_focal.exp())?)
    }
}

/// Depth of raw output `x` with `s = 1`; `None` at or beyond infinity and behind the camera.
#[must_use]
pub fn depth_of(kind: OutputKind, x: f64, tau: f64) -> Option<f64> {
    let shifted = x + tau;
    (shifted > 0.0 && shifted.is_finite()).then(|| if kind == OutputKind::InverseDepth { shifted.recip() } else { shifted })
}

/// Raw output that means depth `z` with `s = 1`: the inverse of [`depth_of`]. `z` must be positive.
#[must_use]
pub fn output_of(kind: OutputKind, z: f64, tau: f64) -> f64 {
    if kind == OutputKind::InverseDepth { z.recip() - tau } else { z - tau }
}

/// Derivative of the logarithm of depth with respect to `ln s`: -1 (inverse depth) or 1 (depth).
#[must_use]
pub fn scale_sign(kind: OutputKind) -> f64 {
    if kind == OutputKind::InverseDepth { -1.0 } else { 1.0 }
}

/// Derivative of [`depth_of`] with respect to tau, given the depth: `-d^2` (inverse depth) or 1 (depth).
#[must_use]
pub fn depth_slope(kind: OutputKind, depth: f64) -> f64 {
    if kind == OutputKind::InverseDepth { -depth * depth } else { 1.0 }
}

/// `ln t` and its slope, continued linearly below `near`, so that a bad tau still knows its way back.
pub(crate) fn soft_ln(t: f64, near: f64) -> (f64, f64) {
    if t > near { (t.ln(), t.recip()) } else { (near.ln() + (t - near) / near, near.recip()) }
}
