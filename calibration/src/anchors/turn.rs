//! A turn: two frames under nearly pure rotation give f from the infinite homography; a gyro's angle makes it sharp.
//!
//! Without the angle only the second order of the turn shows f (a shift looks the same through every lens), so large turns
//! count; with it f is the shift over the angle.

use fathom_core::frame::{Frame, Size};
use nalgebra::{Rotation3, Vector3};

use crate::anchors::align::{Aligned, Known, LONGEST_PX, Motion, Pair, Pyramid};
use crate::information::{Bounded, Cue, Row};
use crate::theta::Theta;
use crate::{Error, Result};

/// The turns seen so far; memory does not grow.
#[derive(Debug, Clone)]
pub struct Turns {
    frame: Size,
    /// ln f in pixels of the frames, and its sigma.
    found: Bounded<(f64, f64), 256>,
}

impl Turns {
    /// None yet.
    #[must_use]
    pub fn new(frame: Size) -> Self {
        Self { frame, found: Bounded::default() }
    }

    /// Aligns two frames as a turn. Returns whether they are one: well correlated, half overlapping, and turned enough.
    ///
    /// # Errors
    /// [`Error::FrameSize`]; [`Error::Anchor`] for an angle that is not above 0 and below a half turn.
    pub fn add(&mut self, before: &Frame<'_>, after: &Frame<'_>, angle_rad: Option<f64>) -> Result<bool> {
        for frame in [before, after] {
            if frame.size() != self.frame {
                return Err(Error::FrameSize { got: frame.size(), expected: self.frame });
            }
        }
        if let Some(got) = angle_rad.filter(|a| !(*a > 0.0 && *a < std::f64::consts::PI)) {
            return Err(Error::Anchor { anchor: "turn", what: "angle in radians", got, allowed: "above 0, below pi" });
        }
        let (before, after) = (Pyramid::new(before, LONGEST_PX)?, Pyramid::new(after, LONGEST_PX)?);
        let known = angle_rad.map_or(Known::Nothing, |a| Known::Angle(a, ANGLE_SIGMA * a));
        let Some(aligned) = best(&Pair::new(&before, &after, None), known) else { return Ok(false) };
        let is_turn = aligned.correlation >= LEAST_CORRELATION
            && aligned.overlap >= LEAST_OVERLAP
            && aligned.motion.rotation.angle() >= LEAST_TURN_RAD;
        if is_turn {
            let sigma = aligned.covariance[(3, 3)].sqrt().hypot(LENS_SIGMA);
            self.found.push((aligned.motion.ln_focal + f64::from(self.frame.width).ln(), sigma));
        }
        Ok(is_turn)
    }

    /// What each turn says: ln f in pixels of the frames, and its sigma.
    #[must_use]
    pub fn found(&self) -> &[(f64, f64)] {
        self.found.items()
    }
}

impl Cue for Turns {
    fn name(&self) -> &'static str {
        "turn"
    }

    fn rows(&self, theta: &Theta) -> Vec<Row> {
        self.found.items().iter().map(|(ln_focal, sigma)| Row::new(theta.ln_focal - ln_focal, [0.0, 0.0, 1.0], *sigma)).collect()
    }
}

/// Searches turns and focal lengths on a coarse grid, refines the best few and returns the best of them.
fn best(pair: &Pair<'_>, known: Known) -> Option<Aligned> {
    let mut starts: Vec<(f64, Motion)> = Vec::new();
    for fov_deg in FOVS_DEG {
        let focal = 0.5 / (fov_deg / 2.0_f64).to_radians().tan();
        // In steps of 3% of the width, up to 60% of it and half that up and down.
        for column in -20..=20 {
            for row in -10..=10 {
                let (pan, tilt) = (f64::from(column) * 0.03 / focal, f64::from(row) * 0.03 / focal);
                let mut axis = Vector3::new(-tilt.atan(), pan.atan(), 0.0);
                if let Known::Angle(angle, _) = known {
                    if (axis.norm() - angle).abs() > 0.15 * angle + 0.02 {
                        continue;
                    }
                    axis *= angle / axis.norm();
                }
                let motion = Motion::turn(Rotation3::new(axis), focal.ln());
                starts.push((pair.coarse_error(&motion), motion));
            }
        }
    }
    starts.retain(|(error, _)| error.is_finite());
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    starts.truncate(STARTS);
    let refined = starts.iter().filter_map(|(_, start)| pair.align(start, known));
    refined.filter(|a| a.motion.ln_focal.abs() < 3.0).min_by(|a, b| (a.loss / a.overlap).total_cmp(&(b.loss / b.overlap)))
}

/// Fields of view searched, degrees.
const FOVS_DEG: [f64; 5] = [36.0, 48.0, 62.0, 80.0, 100.0];

/// Starts that are refined.
const STARTS: usize = 6;

/// Sigma of a gyro's angle relative to it.
const ANGLE_SIGMA: f64 = 0.01;

/// Sigma of ln f that lens distortion and a principal point off the middle leave, whatever the pixels say.
const LENS_SIGMA: f64 = 0.01;

/// Least correlation of the aligned frames: below, the camera moved as well, or something in view did.
const LEAST_CORRELATION: f64 = 0.9;

/// Least share of the first frame that the second shows.
const LEAST_OVERLAP: f64 = 0.25;

/// Least turn, radians: 5 degrees.
const LEAST_TURN_RAD: f64 = 5.0 * std::f64::consts::PI / 180.0;
