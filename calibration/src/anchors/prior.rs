//! What is known beforehand: a focal length (data sheet, EXIF, board profile), and the shift that suits most cameras (card).

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

/// The shift that suits most cameras of the network's training domain, as its card says. The data must tell tau without it;
/// then it counts like any other cue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShiftPrior {
    /// Shift, network units.
    pub tau: f64,
    /// One sigma of it between cameras.
    pub sigma: f64,
}

impl Cue for ShiftPrior {
    fn name(&self) -> &'static str {
        "card"
    }

    fn rows(&self, theta: &Theta) -> Vec<Row> {
        vec![Row::new(theta.tau - self.tau, [0.0, 1.0, 0.0], self.sigma)]
    }
}
