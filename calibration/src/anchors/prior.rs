//! A focal length known beforehand: data sheet, EXIF, board profile, a checkerboard long ago.

use crate::information::{Cue, Row};
use crate::theta::Theta;
use crate::{Error, Result};

/// A focal length with its tolerance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FocalPrior {
    /// Natural logarithm of the focal length in pixels of the frames.
    pub ln_focal: f64,
    /// One sigma of it.
    pub sigma: f64,
}

impl FocalPrior {
    /// A focal length in pixels of the frames and one sigma relative to it.
    ///
    /// # Errors
    /// [`Error::Anchor`] unless both are finite and positive.
    pub fn new(focal_px: f64, relative_sigma: f64) -> Result<Self> {
        for (what, got) in [("focal length", focal_px), ("relative sigma", relative_sigma)] {
            if !(got.is_finite() && got > 0.0) {
                return Err(Error::Anchor { anchor: "focal prior", what, got, allowed: "finite and above 0" });
            }
        }
        Ok(Self { ln_focal: focal_px.ln(), sigma: relative_sigma })
    }
}

impl Cue for FocalPrior {
    fn name(&self) -> &'static str {
        "prior"
    }

    fn rows(&self, theta: &Theta) -> Vec<Row> {
        vec![Row::new(theta.ln_focal - self.ln_focal, [0.0, 0.0, 1.0], self.sigma)]
    }
}
