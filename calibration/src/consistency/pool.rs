//! Joins what frames say about tau: a robust, weighted mean whose sigma comes from how much frames disagree.
//!
//! One pooled least squares over all pixels is worse than the middle of frames: a frame that the network misreads has many
//! pixels too. Each frame counts by the residual that its best tau leaves: where a turn explains what the network does, the
//! response is near its median, where it does not, it is anything. Errors grow with `tau + mean(x)`, so they are compared in
//! that unit; how large they are is learnt from how much frames disagree.

use fathom_core::model::Response;

use crate::consistency::frame::FrameEvidence;
use crate::consistency::guard::{Fault, LEAST_DIFFERENCE};
use crate::consistency::rotation::{HUBER, MAD_TO_SIGMA, huber};
use crate::information::{Bounded, Cue, Row};
use crate::scene::median;
use crate::theta::{Theta, soft_ln};

/// The frames of one camera; never more than a fixed number is held.
#[derive(Debug, Clone)]
pub struct Pool {
    kappa: Response,
    frames: Bounded<FrameEvidence, CAPACITY>,
}

/// Tau as the frames see it through one focal length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TauEstimate {
    /// Shift, network units, kappa divided out.
    pub tau: f64,
    /// One sigma: disagreement of frames, and the spread of kappa between cameras.
    pub sigma: f64,
    /// Robust mean of x over the frames, weighted as tau is.
    pub mean_x: f64,
    /// Relative scatter of single frames, one sigma of `tau + mean(x)`.
    pub scatter: f64,
    /// Root mean square residual over the spread of the output.
    pub residual: f64,
}

impl Pool {
    /// No frames yet, for a network of some response.
    #[must_use]
    pub fn new(kappa: Response) -> Self {
        Self { kappa, frames: Bounded::default() }
    }

    /// Reads the frames as those of a network of another response.
    pub fn assume_response(&mut self, kappa: Response) {
        self.kappa = kappa;
    }

    /// Frames added.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.frames.offered()
    }

    /// What is held of them.
    #[must_use]
    pub fn frames(&self) -> &[FrameEvidence] {
        self.frames.items()
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// [`Fault::Repeated`] if it shows what a frame before showed; it is not added then.
    pub fn add(&mut self, frame: FrameEvidence) -> std::result::Result<(), Fault> {
        let nearest = self.frames.items().iter().map(|f| f.thumbnail.difference(&frame.thumbnail)).fold(f64::INFINITY, f64::min);
        if nearest < LEAST_DIFFERENCE {
            return Err(Fault::Repeated { difference: nearest, limit: LEAST_DIFFERENCE });
        }
        self.frames.push(frame);
        Ok(())
    }

    /// The middle of the frames through one focal length; `None` for fewer than [`LEAST_FRAMES`] or a network that does not
    /// respond.
    #[must_use]
    pub fn estimate(&self, ln_focal: f64) -> Option<TauEstimate> {
        if self.kappa.value <= 0.0 {
            return None;
        }
        let votes: Vec<Vote> = self.frames.items().iter().filter_map(|f| vote(f, ln_focal, self.kappa.value)).collect();
        if votes.len() < LEAST_FRAMES {
            return None;
        }
        let mut taus: Vec<f64> = votes.iter().map(|v| v.tau).collect();
        let mut tau = median(&mut taus)?;
        let (mut scatter, mut variance, mut mean_x) = (0.0, 0.0, 0.0);
        for _ in 0..10 {
            let unit = |v: &Vote| (tau + v.mean_x).abs().max(0.1 * v.std);
            // What the frames' own residuals do not explain of their disagreement, as a factor.
            let claimed = |v: &Vote| unit(v) * v.residual.hypot(LEAST_RESIDUAL);
            let mut sizes: Vec<f64> = votes.iter().map(|v| ((v.tau - tau) / claimed(v)).abs()).collect();
            let excess = MAD_TO_SIGMA * median(&mut sizes)?;
            let mut relative: Vec<f64> = votes.iter().map(|v| ((v.tau - tau) / unit(v)).abs()).collect();
            scatter = MAD_TO_SIGMA * median(&mut relative)?;
            let weight = |v: &Vote| {
                let sigma = (excess * claimed(v)).max(1e-9 * unit(v));
                huber((v.tau - tau) / sigma, HUBER) / (sigma * sigma)
            };
            let weights: Vec<f64> = votes.iter().map(weight).collect();
            let total: f64 = weights.iter().sum();
            let mean = |value: &dyn Fn(&Vote) -> f64| votes.iter().zip(&weights).map(|(v, w)| w * value(v)).sum::<f64>() / total;
            let next = mean(&|v| v.tau);
            mean_x = mean(&|v| v.mean_x);
            // Of a weighted mean, from the residuals themselves; one degree of freedom went into tau.
            let n = votes.len() as f64;
            variance = votes.iter().zip(&weights).map(|(v, w)| (w / total * (v.tau - next)).powi(2)).sum::<f64>() * n / (n - 1.0);
            if (next - tau).abs() <= 1e-10 * unit(&votes[0]) {
                tau = next;
                break;
            }
            tau = next;
        }
        let systematic = self.kappa.sigma / self.kappa.value * (tau + mean_x);
        let residual = votes.iter().map(|v| v.residual).sum::<f64>() / votes.len() as f64;
        Some(TauEstimate { tau, sigma: variance.sqrt().hypot(systematic), mean_x, scatter, residual })
    }

    /// What each frame says tau is, through one focal length.
    #[must_use]
    pub fn votes(&self, ln_focal: f64) -> Vec<f64> {
        self.frames.items().iter().filter_map(|f| vote(f, ln_focal, self.kappa.value)).map(|v| v.tau).collect()
    }

    /// Mean squared residual over the output's variance if tau were this, through the focal length nearest to `ln_focal`:
    /// the curve of the report. `None` without frames.
    #[must_use]
    pub fn loss(&self, tau: f64, ln_focal: f64) -> Option<f64> {
        let losses: Vec<f64> = self
            .frames
            .items()
            .iter()
            .filter_map(|frame| {
                let nearest = frame.tried.iter().min_by(|a, b| (a.ln_focal - ln_focal).abs().total_cmp(&(b.ln_focal - ln_focal).abs()))?;
                let pooled = nearest.pooled();
                // The residual about what the network realises of the change at this tau.
                let realised = self.kappa.value * (tau + pooled.mean_x()) - pooled.mean_x();
                Some(pooled.mean_square(realised) / frame.spread.std.powi(2))
            })
            .collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    }
}

impl Cue for Pool {
    fn name(&self) -> &'static str {
        "consistency"
    }

    /// One row: the logarithm of `tau + mean(x)` over what the frames say it is, for both the response and the scatter of
    /// frames are factors of it. A pool that says `tau + mean(x) <= 0` says that the network answers the wrong way: no row.
    fn rows(&self, theta: &Theta) -> Vec<Row> {
        let unit_at = |ln_focal: f64| self.estimate(ln_focal).map(|e| (e, e.tau + e.mean_x)).filter(|(_, unit)| *unit > 0.0);
        let Some((here, unit)) = unit_at(theta.ln_focal) else { return Vec::new() };
        // How the estimate moves with the focal length it is read through.
        let step = 0.01;
        let slope = match (unit_at(theta.ln_focal - step), unit_at(theta.ln_focal + step)) {
            (Some((_, below)), Some((_, above))) => (above / below).ln() / (2.0 * step),
            _ => 0.0,
        };
        let (ln_unit, per_tau) = soft_ln(theta.tau + here.mean_x, NEAR * unit);
        vec![Row::new(ln_unit - unit.ln(), [0.0, per_tau, -slope], (here.sigma / unit).max(f64::MIN_POSITIVE))]
    }
}

#[derive(Debug, Clone, Copy)]
struct Vote {
    tau: f64,
    mean_x: f64,
    std: f64,
    /// Root mean square over the spread of the output.
    residual: f64,
}

/// What one frame says through a focal length: between two tried ones by interpolation, outside by the square law.
///
/// A picture turned by an angle through a focal length f is turned by f / f_true times the angle in truth, and that turn is
/// read off with `a` proportional to 1 / f: `tau_hat + mean(x)` grows as f^2.
fn vote(frame: &FrameEvidence, ln_focal: f64, kappa: f64) -> Option<Vote> {
    let above = frame.tried.partition_point(|t| t.ln_focal < ln_focal);
    let single = |index: usize| {
        let tried = &frame.tried[index];
        let pooled = tried.pooled();
        let square_law = (2.0 * (ln_focal - tried.ln_focal)).exp();
        let response = |tau: f64| (tau + pooled.mean_x()) * square_law / kappa;
        let tau_hat = pooled.tau()?;
        let residual = pooled.mean_square(tau_hat).sqrt() / frame.spread.std;
        Some(Vote { tau: response(tau_hat) - pooled.mean_x(), mean_x: pooled.mean_x(), std: frame.spread.std, residual })
    };
    if above == 0 || above == frame.tried.len() {
        return single(above.min(frame.tried.len().checked_sub(1)?));
    }
    let (low, high) = (single(above - 1)?, single(above)?);
    let gap = frame.tried[above].ln_focal - frame.tried[above - 1].ln_focal;
    let share = (ln_focal - frame.tried[above - 1].ln_focal) / gap;
    let mix = |a: f64, b: f64| a * (1.0 - share) + b * share;
    Some(Vote {
        tau: mix(low.tau, high.tau),
        mean_x: mix(low.mean_x, high.mean_x),
        std: low.std,
        residual: mix(low.residual, high.residual),
    })
}

/// Fewest frames whose disagreement says anything.
pub const LEAST_FRAMES: usize = 3;

/// Residual, over the output's spread, below which frames count alike: resampling and quantization leave that much.
const LEAST_RESIDUAL: f64 = 0.05;

/// Where `tau + mean(x)` falls below this share of what the frames say, its logarithm is continued by its tangent.
const NEAR: f64 = 0.05;

/// Frames held; beyond, the held ones stand for all.
const CAPACITY: usize = 128;
