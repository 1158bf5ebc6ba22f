//! What was found about one camera and one network: shift, focal length and, with an anchor, scale; each with its sigma.
//!
//! This is the value alone; how it is found and stored belongs to `fathom-calibration`.

use nalgebra::Matrix3;

use crate::camera::Intrinsics;
use crate::depth::{CalibratedDepth, Depth, OutputKind, RelativeDepth};
use crate::ops::image::affine::affine;
use crate::{Error, Result};

/// How a calibration came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Found from this camera's own frames.
    Calibrated,
    /// A stored one, checked on fresh frames and kept.
    Kept,
    /// The model card's default: nothing was measured.
    Default,
    /// The data did not hold it; the values are the old ones.
    NotObservable,
}

impl State {
    /// Name in files and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calibrated => "calibrated",
            Self::Kept => "kept",
            Self::Default => "default",
            Self::NotObservable => "not-observable",
        }
    }
}

/// Scale, shift and focal length of one camera with one network.
///
/// Inverse-depth networks: `1/d = s (x + tau)`; depth networks: `d = s (x + tau)`. `tau` is in units of the network's
/// output, `s` per metre or metres per unit. `theta = (ln s, tau, ln f)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// How it came about.
    pub state: State,
    /// Shift, network units.
    pub tau: f64,
    /// Natural logarithm of the scale; `None` until an anchor gave metres.
    pub ln_scale: Option<f64>,
    /// The camera, at the size it was calibrated; `None` while the focal length is unknown.
    pub camera: Option<Intrinsics>,
    /// Covariance of `(ln s, tau, ln f)`; rows of unknowns that were not observed hold `f64::INFINITY` on the diagonal.
    pub covariance: Matrix3<f64>,
}

impl Calibration {
    /// Nothing measured: the card's default shift, no scale, no focal length.
    #[must_use]
    pub fn from_default_tau(tau: f64) -> Self {
        Self { state: State::Default, tau, ln_scale: None, camera: None, covariance: Matrix3::from_diagonal_element(f64::INFINITY) }
    }

    /// One sigma of tau, network units.
    #[must_use]
    pub fn tau_sigma(&self) -> f64 {
        self.covariance[(1, 1)].sqrt()
    }

    /// One sigma of the scale relative to itself.
    #[must_use]
    pub fn ln_scale_sigma(&self) -> f64 {
        self.covariance[(0, 0)].sqrt()
    }

    /// One sigma of the focal length relative to itself.
    #[must_use]
    pub fn ln_focal_sigma(&self) -> f64 {
        self.covariance[(2, 2)].sqrt()
    }

    /// Turns network output into depth along z: metres if the scale is known, else up to scale (s = 1).
    ///
    /// Where `x + tau` is at or below [`NEAR_ZERO`] of its median, inverse depth runs to infinity (sky) or behind the
    /// camera; those pixels get no depth (0). Networks of [`OutputKind::MetricDepth`] pass through.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if `tau` or the scale is not finite.
    pub fn apply(&self, relative: &RelativeDepth) -> Result<CalibratedDepth> {
        let ln_scale = self.ln_scale.unwrap_or(0.0);
        if !(self.tau.is_finite() && ln_scale.is_finite()) {
            let got = format!("tau {}, ln scale {ln_scale}", self.tau);
            return Err(Error::OutOfRange { what: "calibration", got, allowed: "finite" });
        }
        let size = relative.size();
        let (scale, tau) = (ln_scale.exp() as f32, self.tau as f32);
        let values = match relative.kind() {
            OutputKind::MetricDepth => return Ok(CalibratedDepth::Metres(Depth::new(size, relative.values().to_vec())?)),
            OutputKind::Depth => affine(relative.values(), scale, tau),
            OutputKind::InverseDepth => {
                let floor = (NEAR_ZERO * (median(relative.values()) + tau)).max(f32::MIN_POSITIVE);
                relative.values().iter().map(|x| if x + tau > floor { 1.0 / (scale * (x + tau)) } else { 0.0 }).collect()
            }
        };
        Ok(match self.ln_scale {
            Some(_) => CalibratedDepth::Metres(Depth::new(size, values)?),
            None => CalibratedDepth::UpToScale(Depth::new(size, values)?),
        })
    }
}

/// Share of the median of `x + tau` below which inverse depth is taken as "beyond range": 1000 medians away.
pub const NEAR_ZERO: f32 = 1e-3;

fn median(values: &[f32]) -> f32 {
    let mut sorted = values.to_vec();
    let middle = sorted.len() / 2;
    *sorted.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Size;

    #[test]
    fn inverse_depth_with_a_scale_is_metres_and_sky_has_no_depth() {
        let relative = RelativeDepth::new(Size::new(4, 1), OutputKind::InverseDepth, vec![0.5, 1.0, 1.5, -0.5]).unwrap();
        let mut calibration = Calibration::from_default_tau(0.5);
        assert_eq!(calibration.apply(&relative).unwrap().unit_name(), "up-to-scale");
        calibration.ln_scale = Some(2_f64.ln());
        let CalibratedDepth::Metres(depth) = calibration.apply(&relative).unwrap() else { panic!("scale is known") };
        assert_eq!(depth.values(), [0.5, 1.0 / 3.0, 0.25, 0.0]);
    }

    #[test]
    fn a_depth_network_is_affine() {
        let relative = RelativeDepth::new(Size::new(2, 1), OutputKind::Depth, vec![1.0, -3.0]).unwrap();
        let depth = Calibration::from_default_tau(1.0).apply(&relative).unwrap();
        assert_eq!(depth.values(), [2.0, 0.0]);
    }
}
