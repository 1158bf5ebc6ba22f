//! What a board does when it starts: check the stored calibration on a few frames, keep it, or find a new one in time.

use fathom_core::calibration::{Calibration, State};
use fathom_core::frame::{Frame, RgbImage};
use fathom_core::model::DepthModel;

use crate::Result;
use crate::calibrator::{Calibrator, FrameAnchors, Options};
use crate::consistency::pool::LEAST_FRAMES;
use crate::verdict::Outcome;

/// Time that a run may take, and the clock it is measured with.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// Seconds.
    pub seconds: f64,
    /// Seconds since the run began.
    pub elapsed_s: &'a dyn Fn() -> f64,
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The stored calibration fits the frames: shift seen, its distance from the stored one in sigmas.
    Kept {
        /// Shift that the check saw.
        seen_tau: f64,
        /// Distance in sigmas.
        sigmas: f64,
    },
    /// There was none, or it no longer fits, and the frames hold a new one.
    Recalibrated {
        /// Distance of the stored one in sigmas, if there was one.
        drift_sigmas: Option<f64>,
    },
    /// The frames hold nothing: the stored one, or the default, stands.
    KeptOld {
        /// Distance of the stored one in sigmas, if the check could tell.
        drift_sigmas: Option<f64>,
    },
}

/// The end of a boot.
#[derive(Debug, Clone, PartialEq)]
pub struct Boot {
    /// What was decided.
    pub decision: Decision,
    /// The calibration to use, with its reasons and cues.
    pub outcome: Outcome,
}

/// Checks `stored` on the first frames; if it is within [`SIGMAS`] it is kept, otherwise all frames that the budget allows
/// are used for a new one.
///
/// A frame is only begun if it fits into the budget ([`Pace`]); the best so far is returned, marked incomplete.
///
/// # Errors
/// Those of [`Calibrator::add_frame`].
pub fn boot(
    model: &mut dyn DepthModel,
    options: Options,
    stored: Option<&Calibration>,
    mut frames: impl Iterator<Item = RgbImage>,
    budget: Budget<'_>,
) -> Result<Boot> {
    let options = Options { old: stored.cloned().unwrap_or_else(|| options.old.clone()), ..options };
    let ln_focal = stored.and_then(|s| s.camera).map(|c| c.fx_px.ln()).or(options.focal.map(|f| f.ln_focal));
    let mut calibrator = Calibrator::new(model, options)?;
    let mut pace = Pace::new(budget);
    let mut drift_sigmas = None;
    if let Some(stored) = stored {
        add_all(&mut calibrator, frames.by_ref().take(CHECK_FRAMES), &mut pace)?;
        let outcome = calibrator.finish();
        let seen = ln_focal.and_then(|f| calibrator.pool().estimate(f));
        drift_sigmas = seen.map(|seen| (seen.tau - stored.tau).abs() / seen.sigma.hypot(finite_or_zero(stored.tau_sigma())));
        if let (Some(seen), Some(sigmas)) = (seen, drift_sigmas.filter(|s| *s <= SIGMAS)) {
            let calibration = Calibration { state: State::Kept, ..stored.clone() };
            let outcome = Outcome { calibration, reasons: Vec::new(), ..outcome };
            return Ok(Boot { decision: Decision::Kept { seen_tau: seen.tau, sigmas }, outcome });
        }
    }
    add_all(&mut calibrator, frames, &mut pace)?;
    let outcome = calibrator.finish();
    let decision = if outcome.is_calibrated() { Decision::Recalibrated { drift_sigmas } } else { Decision::KeptOld { drift_sigmas } };
    Ok(Boot { decision, outcome })
}

fn add_all(calibrator: &mut Calibrator<'_>, frames: impl Iterator<Item = RgbImage>, pace: &mut Pace<'_>) -> Result<()> {
    for frame in frames {
        if !pace.begin(calibrator, &frame.as_frame())? {
            calibrator.mark_incomplete();
            break;
        }
        calibrator.add_frame(&frame.as_frame(), &FrameAnchors::default())?;
        pace.frame_done(calibrator);
    }
    Ok(())
}

/// Whether another frame fits into a budget, and through how many focal lengths it may be looked at.
///
/// A frame's time is its runs of the network times the slowest so far. Before the first frame one run is timed, so that
/// even that frame is not begun in vain; where fewer than [`LEAST_FRAMES`] frames would fit, fewer focal lengths are tried.
pub struct Pace<'a> {
    budget: Budget<'a>,
    slowest_run_s: f64,
    begun_s: f64,
    begun_runs: usize,
}

impl<'a> Pace<'a> {
    /// Nothing done yet.
    #[must_use]
    pub fn new(budget: Budget<'a>) -> Self {
        Self { budget, slowest_run_s: 0.0, begun_s: (budget.elapsed_s)(), begun_runs: 0 }
    }

    /// Whether `frame` may be begun: whether it would end within the budget.
    ///
    /// # Errors
    /// Those of the network.
    pub fn begin(&mut self, calibrator: &mut Calibrator<'_>, frame: &Frame<'_>) -> Result<bool> {
        let now_s = || (self.budget.elapsed_s)();
        if self.budget.seconds.is_finite() && self.begun_runs == 0 && now_s() < self.budget.seconds {
            let start_s = now_s();
            calibrator.rehearse(frame)?;
            self.slowest_run_s = (now_s() - start_s) / NETWORK_SHARE;
            let least_frame_s = (self.budget.seconds - now_s()) / LEAST_FRAMES as f64;
            calibrator.limit_runs((least_frame_s / self.slowest_run_s) as usize);
        }
        let left_s = self.budget.seconds - now_s();
        (self.begun_s, self.begun_runs) = (now_s(), calibrator.network_runs());
        Ok(self.slowest_run_s * calibrator.runs_per_frame() as f64 <= left_s)
    }

    /// Notes that a frame is done.
    pub fn frame_done(&mut self, calibrator: &Calibrator<'_>) {
        let runs = calibrator.network_runs() - self.begun_runs;
        if runs > 0 {
            self.slowest_run_s = self.slowest_run_s.max(((self.budget.elapsed_s)() - self.begun_s) / runs as f64);
        }
    }
}

fn finite_or_zero(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// Frames on which a stored calibration is checked.
pub const CHECK_FRAMES: usize = 4;

/// Share of a frame's time that the network is taken to have before any was measured: rendering has the rest.
const NETWORK_SHARE: f64 = 0.8;

/// Distance at which a stored calibration no longer fits.
pub const SIGMAS: f64 = 3.0;
