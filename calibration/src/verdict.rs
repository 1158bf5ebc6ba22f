//! What a calibration run ends with: a calibration, what each cue knew, and why something is not known.

use fathom_core::calibration::{Calibration, State};
use nalgebra::Matrix3;

use crate::consistency::guard::Fault;
use crate::information::Information;
use crate::solve::Solution;
use crate::theta::Theta;

/// Why an unknown was not found.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Reason {
    /// Too few frames say anything.
    #[error("{usable} of {offered} frames could be used, needed {needed}")]
    TooFewFrames {
        /// Frames that carried information.
        usable: usize,
        /// Frames offered.
        offered: usize,
        /// Least needed.
        needed: usize,
    },
    /// Why most of the unusable frames were.
    #[error("{count} frames were refused: {fault}")]
    Refused {
        /// How many.
        count: usize,
        /// The last of them.
        fault: Fault,
    },
    /// The frozen network hardly changes its answer when the view changes.
    #[error("the network does not respond to the view: kappa {kappa:.2} +- {sigma:.2}, needed 0.3 or more, known to a factor of two")]
    NoResponse {
        /// The card's response.
        kappa: f64,
        /// Its spread.
        sigma: f64,
    },
    /// The card does not say how the network responds.
    #[error("the model card has no kappa: this network's response to a turned view was never measured")]
    UnknownResponse,
    /// An unknown's sigma is too large.
    #[error("{what} is known to {sigma:.2}, needed {limit:.2}")]
    TooUncertain {
        /// Which unknown.
        what: &'static str,
        /// One sigma: of ln s, of ln f, or of tau relative to `tau + mean(x)`.
        sigma: f64,
        /// Largest accepted.
        limit: f64,
    },
    /// Distances were measured in too few places for the scale.
    #[error(
        "scale is known to {sigma:.2}, needed {limit:.2}: this network sees each place in a scale of its own, distances in about {places} would do"
    )]
    TooFewDistances {
        /// One sigma of ln s.
        sigma: f64,
        /// Largest accepted.
        limit: f64,
        /// Places with a distance that the limit takes, about.
        places: usize,
    },
    /// Much of every frame would lie behind the camera.
    #[error("with tau {tau:.3} the farthest hundredth lies behind the camera by {share:.2} of the mean")]
    BehindCamera {
        /// The shift found.
        tau: f64,
        /// How far.
        share: f64,
    },
    /// No cue speaks about it.
    #[error("nothing in the data tells {what}")]
    NoCue {
        /// Which unknown.
        what: &'static str,
    },
}

/// Largest sigma of tau, relative to `tau + mean(x)`, that is reported as a calibration.
pub const TAU_LIMIT: f64 = 0.3;

/// Largest sigma of tau, likewise, by the data alone, without the shift that the card says is usual: a factor of two. What
/// then stands may rest mostly on the card; the cues' shares say how much.
pub const DATA_LIMIT: f64 = 0.7;

/// Largest sigma of ln f that is reported.
pub const FOCAL_LIMIT: f64 = 0.15;

/// Largest sigma of ln s that is reported.
pub const SCALE_LIMIT: f64 = 0.3;

/// What one cue knew at the solution.
#[derive(Debug, Clone, PartialEq)]
pub struct CueReport {
    /// Its name.
    pub name: &'static str,
    /// Residual rows it gave.
    pub rows: usize,
    /// One sigma of `(ln s, tau, ln f)` by this cue alone, the other unknowns given; infinite where it says nothing.
    pub sigma: [f64; 3],
    /// Its share of what is known about `(ln s, tau, ln f)`: how much less would be known without it, over the sum of that
    /// for all cues. A cue that ties two unknowns together has a share in one only if another cue tells the other.
    pub share: [f64; 3],
}

/// The end of a calibration run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The calibration: new, or the old one where the data does not hold a new one.
    pub calibration: Calibration,
    /// The solution as the solver left it, accepted or not.
    pub theta: Theta,
    /// Its covariance; infinite on the diagonal where nothing is known.
    pub covariance: Matrix3<f64>,
    /// Mean raw output: what tau is measured against.
    pub mean_x: f64,
    /// What each cue knew.
    pub cues: Vec<CueReport>,
    /// Why something is not known; empty if all of theta is.
    pub reasons: Vec<Reason>,
    /// Frames that carried information, and frames offered.
    pub frames: (usize, usize),
    /// Runs of the network.
    pub network_runs: usize,
    /// Whether all frames were used; false if the time budget ended first.
    pub complete: bool,
}

impl Outcome {
    /// Whether tau was found; otherwise the old values stand.
    #[must_use]
    pub fn is_calibrated(&self) -> bool {
        matches!(self.calibration.state, State::Calibrated | State::Kept)
    }
}

/// Information below this share of all there is came from rounding.
const ROUNDING: f64 = 1e-9;

/// What each cue contributed to a solution.
#[must_use]
pub fn cue_reports(solution: &Solution) -> Vec<CueReport> {
    let total: Matrix3<f64> = solution.prior + solution.contributions.iter().map(|(_, i)| i.matrix).sum::<Matrix3<f64>>();
    let lost: Vec<[f64; 3]> = solution.contributions.iter().map(|(_, information)| lost_without(&total, &information.matrix)).collect();
    let all: [f64; 3] = std::array::from_fn(|unknown| lost.iter().map(|l| l[unknown]).sum());
    let report = |((name, information), lost): (&(&'static str, Information), &[f64; 3])| {
        let alone = |i: usize| information.matrix[(i, i)];
        CueReport {
            name,
            rows: information.rows,
            sigma: std::array::from_fn(|i| if alone(i) > 0.0 { alone(i).powf(-0.5) } else { f64::INFINITY }),
            // Of what nobody knows only rounding is left: no shares in that.
            share: std::array::from_fn(|i| if all[i] > ROUNDING * total[(i, i)] { lost[i] / all[i] } else { 0.0 }),
        }
    };
    solution.contributions.iter().zip(&lost).filter(|((_, information), _)| information.rows > 0).map(report).collect()
}

/// How much less is known about each unknown, the others left open, without some of the information.
fn lost_without(total: &Matrix3<f64>, part: &Matrix3<f64>) -> [f64; 3] {
    let known = |information: &Matrix3<f64>| {
        let covariance = information.try_inverse().unwrap_or_else(Matrix3::zeros);
        covariance.diagonal().map(|variance| if variance > 0.0 { variance.recip() } else { 0.0 })
    };
    let (with, without) = (known(total), known(&(total - part)));
    std::array::from_fn(|i| (with[i] - without[i]).max(0.0))
}
