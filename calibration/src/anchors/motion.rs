//! Real motion: two frames with parallax give tau and f by photometric consistency, and s from a known baseline.
//!
//! Pose, tau and ln f are found together; the pose is then marginalised, so that what is left is information about theta
//! alone. Moving objects and occlusions are outliers of Huber's loss.

use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::{Frame, Size};
use nalgebra::{DMatrix, Matrix3, Rotation3, Vector3};

use crate::anchors::align::{Aligned, Known, LONGEST_PX, Motion, Pair, Pyramid};
use crate::information::{Bounded, Cue, Row};
use crate::scene::Spread;
use crate::theta::{Theta, scale_sign};
use crate::{Error, Result};

/// The motions seen so far; memory does not grow.
#[derive(Debug, Clone)]
pub struct Motions {
    frame: Size,
    found: Bounded<Found, 256>,
}

/// One pair reduced to what it says about theta.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    /// `(ln s, tau, ln f)` as the pair sees it; ln s is 0 without a baseline.
    theta: Vector3<f64>,
    /// Upper triangular root of the information: `rows = root (theta - found)`.
    root: Matrix3<f64>,
}

impl Motions {
    /// None yet.
    #[must_use]
    pub fn new(frame: Size) -> Self {
        Self { frame, found: Bounded::default() }
    }

    /// Aligns two frames given the network's output for the first. Returns whether they hold together and hold parallax.
    ///
    /// # Errors
    /// [`Error::FrameSize`]; [`Error::Anchor`] for a baseline that is not finite and positive.
    pub fn add(&mut self, before: &Frame<'_>, after: &Frame<'_>, output: RelativeDepth, baseline_m: Option<f64>) -> Result<bool> {
        self.check([before, after], baseline_m)?;
        let mean_x = Spread::of(output.values()).mean;
        let (before, after) = (Pyramid::new(before, LONGEST_PX)?, Pyramid::new(after, LONGEST_PX)?);
        let found = best(&Pair::new(&before, &after, Some(&output)), &output)
            .and_then(|aligned| reduce(&aligned, (output.kind(), mean_x), self.frame, baseline_m));
        if let Some(found) = found {
            self.found.push(found);
        }
        Ok(found.is_some())
    }

    /// Refuses what [`Motions::add`] would.
    pub(crate) fn check(&self, frames: [&Frame<'_>; 2], baseline_m: Option<f64>) -> Result<()> {
        for frame in frames {
            if frame.size() != self.frame {
                return Err(Error::FrameSize { got: frame.size(), expected: self.frame });
            }
        }
        if let Some(got) = baseline_m.filter(|b| !(b.is_finite() && *b > 0.0)) {
            return Err(Error::Anchor { anchor: "motion", what: "baseline", got, allowed: "finite and above 0" });
        }
        Ok(())
    }

    /// How many pairs were used.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.found.offered()
    }
}

impl Cue for Motions {
    fn name(&self) -> &'static str {
        "motion"
    }

    fn rows(&self, theta: &Theta) -> Vec<Row> {
        let mut rows = Vec::new();
        // One pair may be a lucky match of two places; several that agree are not.
        if self.found.items().len() < LEAST_PAIRS {
            return rows;
        }
        let share = (INDEPENDENT_PAIRS / self.found.items().len() as f64).min(1.0).sqrt();
        for found in self.found.items() {
            let root = found.root * share;
            let residual = root * (theta.to_vector() - found.theta);
            for i in 0..3 {
                let jacobian = root.row(i).transpose();
                if jacobian.norm_squared() > 0.0 {
                    rows.push(Row { residual: residual[i], jacobian });
                }
            }
        }
        rows
    }
}

/// Starts from rest at several shifts and focal lengths, and keeps the best alignment.
fn best(pair: &Pair<'_>, output: &RelativeDepth) -> Option<Aligned> {
    let spread = Spread::of(output.values());
    let lowest = output.values().iter().copied().fold(f32::INFINITY, f32::min);
    let mut aligned: Vec<Aligned> = Vec::new();
    for fov_deg in [45.0_f64, 65.0, 85.0] {
        for step in [0.2, 1.0, 3.0] {
            let start = Motion {
                tau: step * spread.std - f64::from(lowest),
                ..Motion::turn(Rotation3::identity(), (0.5 / (fov_deg / 2.0).to_radians().tan()).ln())
            };
            aligned.extend(pair.align(&start, Known::Nothing));
        }
    }
    let plausible = |a: &Aligned| {
        a.correlation >= LEAST_CORRELATION
            && a.overlap >= LEAST_OVERLAP
            && a.motion.ln_focal.abs() < 2.0
            && a.motion.rotation.angle() < MOST_TURN_RAD
    };
    aligned.into_iter().filter(plausible).min_by(|a, b| a.loss.total_cmp(&b.loss))
}

/// Marginalises the pose; `None` without parallax.
fn reduce(aligned: &Aligned, (kind, mean_x): (OutputKind, f64), frame: Size, baseline_m: Option<f64>) -> Option<Found> {
    let Aligned { motion, covariance, .. } = aligned;
    let length = motion.translation.norm();
    // Rows of d(ln |t|, tau, ln f) over (rotation 3, ln f, translation 3, tau).
    let mut select = DMatrix::zeros(3, 8);
    for i in 0..3 {
        select[(0, 4 + i)] = motion.translation[i] / (length * length);
    }
    (select[(1, 7)], select[(2, 3)]) = (1.0, 1.0);
    let small = &select * covariance * select.transpose();
    let mut marginal = Matrix3::from_iterator(small.iter().copied());
    if !(length > 0.0 && marginal.iter().all(|c| c.is_finite()) && marginal[(0, 0)].sqrt() < MOST_UNCERTAIN_STEP) {
        return None;
    }
    // The network's depth is not exact, and that error is no pixel's noise.
    let errors = [DEPTH_ERROR, DEPTH_ERROR * (motion.tau + mean_x).abs(), FOCAL_ERROR];
    for (i, error) in errors.into_iter().enumerate() {
        marginal[(i, i)] += error * error;
    }
    let ln_focal = motion.ln_focal + f64::from(frame.width).ln();
    // ln |t| = ln s + ln B for inverse depth, -ln s + ln B for depth.
    let sign = -scale_sign(kind);
    match baseline_m {
        Some(baseline) => {
            let flip = Matrix3::from_diagonal(&Vector3::new(sign, 1.0, 1.0));
            let root = (flip * marginal * flip).try_inverse()?.cholesky()?.l().transpose();
            Some(Found { theta: Vector3::new(sign * (length / baseline).ln(), motion.tau, ln_focal), root })
        }
        None => {
            let pair = marginal.fixed_view::<2, 2>(1, 1).into_owned();
            let inner = pair.try_inverse()?.cholesky()?.l().transpose();
            let mut root = Matrix3::zeros();
            root.fixed_view_mut::<2, 2>(1, 1).copy_from(&inner);
            Some(Found { theta: Vector3::new(0.0, motion.tau, ln_focal), root })
        }
    }
}

/// Least correlation of the aligned frames.
const LEAST_CORRELATION: f64 = 0.92;

/// Least share of the first frame that the second shows.
const LEAST_OVERLAP: f64 = 0.4;

/// Largest sigma of ln |t| at which a pair counts as having parallax.
const MOST_UNCERTAIN_STEP: f64 = 0.3;

/// Sigma that errors of the network's depth leave in one pair's ln |t| and, relative to `tau + mean(x)`, in its tau. On five
/// pairs of a real kitchen (7-Scenes, every 20th frame) the embedded network's tau came out 35% low and f 17% low.
const DEPTH_ERROR: f64 = 0.3;

/// Sigma that they leave in its ln f.
const FOCAL_ERROR: f64 = 0.25;

/// Pairs that count fully; more share this weight, for it is the same network that errs.
const INDEPENDENT_PAIRS: f64 = 2.0;

/// Fewest pairs that are believed.
const LEAST_PAIRS: usize = 3;

/// Largest turn between two frames, radians: 20 degrees.
const MOST_TURN_RAD: f64 = 20.0 * std::f64::consts::PI / 180.0;
