//! Sums what all cues know and finds theta: Levenberg-Marquardt on `(ln s, tau, ln f)` with robust rows.
//!
//! A broad prior keeps the normal equations regular where nothing is known; an unknown whose sigma stays near the prior's
//! is reported as unknown, with infinite variance, never as the prior's centre.

use nalgebra::{Matrix3, Vector3};

use crate::information::{Cue, Information};
use crate::theta::Theta;

/// How much there is to know before any cue has spoken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Where the unknowns are thought to lie.
    pub centre: Theta,
    /// One sigma of each of `(ln s, tau, ln f)`.
    pub sigma: Vector3<f64>,
}

impl Prior {
    /// The broad prior of a camera of unknown focal length and a network whose output has this mean and spread.
    ///
    /// Focal length: horizontal fields of view of 30 to 110 degrees lie within two sigma of 60. Tau: the median of `x + tau`
    /// is of the order of the output's spread. Scale: e^30 either way.
    #[must_use]
    pub fn broad(width_px: u32, mean_x: f64, std_x: f64) -> Self {
        let (ln_focal, sigma) = broad_focal(width_px);
        let centre = Theta { ln_scale: 0.0, tau: 2.0 * std_x - mean_x, ln_focal };
        Self { centre, sigma: Vector3::new(30.0, 20.0 * std_x.max(f64::MIN_POSITIVE), sigma) }
    }

    fn add_to(&self, sum: &mut Information, theta: &Theta) {
        let residual = (theta.to_vector() - self.centre.to_vector()).component_div(&self.sigma);
        sum.matrix += Matrix3::from_diagonal(&self.sigma.map(|s| s.powi(-2)));
        sum.vector += residual.component_div(&self.sigma);
        sum.loss += 0.5 * residual.norm_squared();
    }
}

/// ln f of a lens of which nothing is known, pixels, and one sigma of it: 60 degrees across.
pub(crate) fn broad_focal(width_px: u32) -> (f64, f64) {
    ((f64::from(width_px) / 2.0 / 30_f64.to_radians().tan()).ln(), 0.4)
}

/// What the cues together say.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The unknowns.
    pub theta: Theta,
    /// Their covariance; rows and columns of unknowns that no cue holds are 0 with infinity on the diagonal.
    pub covariance: Matrix3<f64>,
    /// What each cue knows at the solution, in the order given.
    pub contributions: Vec<(&'static str, Information)>,
    /// The broad prior's information.
    pub prior: Matrix3<f64>,
    /// Robust loss at the solution.
    pub loss: f64,
}

/// Minimises the robust loss of all cues from several starts of tau, so that neither the caller's old value nor an outlier
/// decides, and returns the best.
#[must_use]
pub fn solve(cues: &[&dyn Cue], prior: &Prior) -> Solution {
    let tau_unit = prior.sigma[1] / 20.0;
    let starts = [-1.5, -1.0, 0.0, 2.0, 6.0].map(|step| Theta { tau: prior.centre.tau + step * tau_unit, ..prior.centre });
    let best = starts
        .into_iter()
        .map(|start| descend(cues, prior, start))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(prior.centre, |(theta, _)| theta);
    summarise(cues, prior, best)
}

fn descend(cues: &[&dyn Cue], prior: &Prior, start: Theta) -> (Theta, f64) {
    let mut theta = start;
    let mut sum = total(cues, prior, &theta);
    let mut damping = 1e-3;
    for _ in 0..MAX_STEPS {
        let damped = sum.matrix + Matrix3::from_diagonal(&sum.matrix.diagonal()) * damping;
        let Some(step) = damped.cholesky().map(|factor| -factor.solve(&sum.vector)) else { break };
        let candidate = Theta::from_vector(&(theta.to_vector() + step));
        let there = total(cues, prior, &candidate);
        if there.loss.is_finite() && there.loss <= sum.loss {
            let gain = sum.loss - there.loss;
            (theta, sum) = (candidate, there);
            damping = (damping / 5.0).max(1e-12);
            if gain < 1e-12 * (1.0 + sum.loss) && step.component_div(&prior.sigma).norm() < 1e-9 {
                break;
            }
        } else {
            damping *= 8.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    (theta, sum.loss)
}

fn total(cues: &[&dyn Cue], prior: &Prior, theta: &Theta) -> Information {
    let mut sum = Information::none();
    for cue in cues {
        sum += Information::of(&cue.rows(theta));
    }
    prior.add_to(&mut sum, theta);
    sum
}

fn summarise(cues: &[&dyn Cue], prior: &Prior, theta: Theta) -> Solution {
    let contributions: Vec<_> = cues
        .iter()
        .map(|cue| {
            let mut information = Information::of(&cue.rows(&theta));
            // A cue whose rows disagree more than they claim knows less than it claims.
            let freedom = information.weight - 1.0;
            if freedom > 1.0 {
                let excess = (information.squares / freedom).max(1.0);
                information.matrix /= excess;
            }
            (cue.name(), information)
        })
        .collect();
    let mut sum = Information::none();
    for (_, information) in &contributions {
        sum += *information;
    }
    prior.add_to(&mut sum, &theta);
    let mut covariance = sum.matrix.try_inverse().unwrap_or_else(|| Matrix3::from_diagonal(&prior.sigma.map(|s| s * s)));
    for i in 0..3 {
        if covariance[(i, i)].sqrt() > UNKNOWN * prior.sigma[i] {
            covariance.row_mut(i).fill(0.0);
            covariance.column_mut(i).fill(0.0);
            covariance[(i, i)] = f64::INFINITY;
        }
    }
    let prior = Matrix3::from_diagonal(&prior.sigma.map(|s| s.powi(-2)));
    Solution { theta, covariance, contributions, prior, loss: sum.loss }
}

/// Share of the prior's sigma above which an unknown counts as not observed.
pub const UNKNOWN: f64 = 0.7;

/// Steps of one descent; three unknowns take about ten.
const MAX_STEPS: usize = 60;
