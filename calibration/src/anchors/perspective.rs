//! The network's own sense of the field of view: a second output, averaged over one camera's frames.
//!
//! Frames of one camera share their error in part: whatever makes a lens look longer than it is does so in every frame.
//! The scatter between frames shows the part that averages out; the rest of the offline sigma stays, however many frames
//! there are.

use fathom_core::frame::Size;
use fathom_core::model::FovEstimate;

use crate::information::{Cue, Row};
use crate::theta::Theta;

/// Running sums over the frames of one camera.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Perspective {
    count: f64,
    mean: f64,
    squares: f64,
    variance: f64,
}

impl Perspective {
    /// Adds the estimate of one frame of `frame` size. Estimates that make no sense are left out.
    pub fn add(&mut self, estimate: FovEstimate, frame: Size) {
        let half = (estimate.fov_rad / 2.0).tan();
        let ln_focal = (f64::from(frame.width) / 2.0 / half).ln();
        if !(half > 0.0 && ln_focal.is_finite() && estimate.ln_focal_sigma > 0.0 && estimate.ln_focal_sigma.is_finite()) {
            return;
        }
        self.count += 1.0;
        let step = ln_focal - self.mean;
        self.mean += step / self.count;
        self.squares += step * (ln_focal - self.mean);
        self.variance += (estimate.ln_focal_sigma.powi(2) - self.variance) / self.count;
    }

    /// Mean of ln f and its sigma: the common part of the offline variance, and the scatter over the number of frames.
    #[must_use]
    pub fn estimate(&self) -> Option<(f64, f64)> {
        if self.count < 1.0 {
            return None;
        }
        let scatter = if self.count > 1.0 { (self.squares / (self.count - 1.0)).min(self.variance) } else { self.variance };
        let common = (self.variance - scatter).max(LEAST_COMMON * self.variance);
        Some((self.mean, (common + scatter / self.count).sqrt()))
    }
}

impl Cue for Perspective {
    fn name(&self) -> &'static str {
        "perspective"
    }

    fn rows(&self, theta: &Theta) -> Vec<Row> {
        let row = |(mean, sigma): (f64, f64)| Row::new(theta.ln_focal - mean, [0.0, 0.0, 1.0], sigma);
        self.estimate().map(row).into_iter().collect()
    }
}

/// Least share of the offline variance that frames of one camera are taken to have in common.
const LEAST_COMMON: f64 = 0.25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_one_camera_never_average_to_certainty() {
        let mut perspective = Perspective::default();
        for i in 0..1000 {
            let fov_rad = 1.0 + 0.1 * f64::from(i % 2);
            perspective.add(FovEstimate { fov_rad, ln_focal_sigma: 0.2 }, Size::new(640, 480));
        }
        let (mean, sigma) = perspective.estimate().unwrap();
        assert!((0.1..0.2).contains(&sigma), "{sigma}");
        let fov = 2.0 * (320.0 / mean.exp()).atan();
        assert!((fov - 1.05).abs() < 0.01);
        perspective.add(FovEstimate { fov_rad: f64::NAN, ln_focal_sigma: 0.2 }, Size::new(640, 480));
        assert_eq!(perspective.estimate(), Some((mean, sigma)));
    }
}
