//! What a board does when it starts: check the stored calibration on a few frames, keep it, or find a new one in time.

use fathom_core::calibration::{Calibration, State};
use fathom_core::frame::RgbImage;
use fathom_core::model::DepthModel;

use crate::Result;
use crate::calibrator::{Calibrator, FrameAnchors, Options};
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
/// A frame is only begun if the slowest frame so far would still fit into the budget; the best so far is returned, marked
/// incomplete.
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
        for frame in frames.by_ref().take(CHECK_FRAMES) {
            if !pace.allows_another() {
                calibrator.mark_incomplete();
                break;
            }
            calibrator.add_frame(&frame.as_frame(), &FrameAnchors::default())?;
            pace.frame_done();
        }
        let outcome = calibrator.finish();
        let seen = ln_focal.and_then(|f| calibrator.pool().estimate(f));
        drift_sigmas = seen.map(|seen| (seen.tau - stored.tau).abs() / seen.sigma.hypot(finite_or_zero(stored.tau_sigma())));
        if let (Some(seen), Some(sigmas)) = (seen, drift_sigmas.filter(|s| *s <= SIGMAS)) {
            let calibration = Calibration { state: State::Kept, ..stored.clone() };
            let outcome = Outcome { calibration, reasons: Vec::new(), ..outcome };
            return Ok(Boot { decision: Decision::Kept { seen_tau: seen.tau, sigmas }, outcome });
        }
    }
    for frame in frames {
        if !pace.allows_another() {
            calibrator.mark_incomplete();
            break;
        }
        calibrator.add_frame(&frame.as_frame(), &FrameAnchors::default())?;
        pace.frame_done();
    }
    let outcome = calibrator.finish();
    let decision = if outcome.is_calibrated() { Decision::Recalibrated { drift_sigmas } } else { Decision::KeptOld { drift_sigmas } };
    Ok(Boot { decision, outcome })
}

/// Whether another frame fits into a budget.
pub struct Pace<'a> {
    budget: Budget<'a>,
    slowest_s: f64,
    begun_s: f64,
}

impl<'a> Pace<'a> {
    /// Nothing done yet.
    #[must_use]
    pub fn new(budget: Budget<'a>) -> Self {
        Self { budget, slowest_s: 0.0, begun_s: (budget.elapsed_s)() }
    }

    /// Whether a frame as slow as the slowest would end within the budget.
    #[must_use]
    pub fn allows_another(&self) -> bool {
        (self.budget.elapsed_s)() + self.slowest_s <= self.budget.seconds
    }

    /// Notes that a frame is done.
    pub fn frame_done(&mut self) {
        let now = (self.budget.elapsed_s)();
        self.slowest_s = self.slowest_s.max(now - self.begun_s);
        self.begun_s = now;
    }
}

fn finite_or_zero(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// Frames on which a stored calibration is checked.
pub const CHECK_FRAMES: usize = 4;

/// Distance at which a stored calibration no longer fits.
pub const SIGMAS: f64 = 3.0;
