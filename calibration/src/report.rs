//! What a report shows: numbers only, no drawing.

use fathom_core::camera::Intrinsics;
use fathom_core::depth::RelativeDepth;
use fathom_core::frame::Frame;
use fathom_core::model::DepthModel;
use nalgebra::UnitQuaternion;

use crate::Result;
use crate::calibrator::Calibrator;
use crate::consistency::frame::glance;
use crate::consistency::residual::{Comparison, residuals};
use crate::render::{turned, view_camera};
use crate::scene::{Spread, comparable};
use crate::verdict::Outcome;
use crate::views::{ROTATION_RAD, rotations};

/// A curve: abscissa and ordinate.
pub type Curve = Vec<(f64, f64)>;

/// The loss around an outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// Mean squared residual over the output's variance, against tau.
    pub tau: Curve,
    /// The same against focal length in pixels, at each one's own best tau.
    pub focal: Curve,
    /// What each frame says tau is, through the outcome's focal length.
    pub frames: Vec<f64>,
}

/// Samples the loss around an outcome.
#[must_use]
pub fn curves(calibrator: &Calibrator<'_>, outcome: &Outcome) -> Curves {
    let pool = calibrator.pool();
    let (tau, ln_focal) = (outcome.theta.tau, outcome.theta.ln_focal);
    let reach = 1.2 * (tau + outcome.mean_x).abs().max(f64::MIN_POSITIVE);
    let sample = |i: i32| {
        let tau = tau + reach * f64::from(i) / 60.0;
        pool.loss(tau, ln_focal).map(|loss| (tau, loss))
    };
    let mut tried: Vec<f64> = pool.frames().iter().flat_map(|f| f.tried.iter().map(|t| t.ln_focal)).collect();
    tried.sort_by(f64::total_cmp);
    tried.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    let at_best = |ln_focal: f64| Some((ln_focal.exp(), pool.loss(pool.estimate(ln_focal)?.tau, ln_focal)?));
    Curves {
        tau: (-60..=60).filter_map(sample).collect(),
        focal: tried.into_iter().filter_map(at_best).collect(),
        frames: pool.votes(ln_focal),
    }
}

/// One frame looked at closely.
#[derive(Debug, Clone, PartialEq)]
pub struct CloseUp {
    /// The network's output for the whole frame.
    pub output: RelativeDepth,
    /// For each view and each tau asked about, residuals over the output's spread at every pixel of the reference.
    pub residuals: Vec<ResidualMap>,
}

/// Residuals of one view at one tau.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualMap {
    /// Index of the view, in the order of [`rotations`].
    pub view: usize,
    /// Shift.
    pub tau: f64,
    /// `[height, width]` of the network's input; `None` where nothing was compared.
    pub values: Vec<Option<f32>>,
    /// Root mean square.
    pub rms: f64,
}

/// Residual maps of a frame's first two views (yaw both ways) at some shifts, through a focal length.
///
/// # Errors
/// Those of the network and of rendering.
pub fn close_up(model: &mut dyn DepthModel, frame: &Frame<'_>, ln_focal: f64, taus: &[f64]) -> Result<CloseUp> {
    let glance = glance(model, frame)?;
    let frame_camera = Intrinsics::centred(frame.size(), ln_focal.exp())?;
    let camera = view_camera(&frame_camera, model.card().input);
    let reference = turned(&glance.source, &frame_camera, &camera, &UnitQuaternion::identity())?;
    let x = model.predict(&reference.image.as_frame())?.relative;
    let (keep, spread) = (comparable(&x), Spread::of(x.values()));
    let mut maps = Vec::new();
    for (index, view) in rotations(ROTATION_RAD).into_iter().take(2).enumerate() {
        let picture = turned(&glance.source, &frame_camera, &camera, &view.view_from_frame.rotation)?;
        let answer = model.predict(&picture.image.as_frame())?.relative;
        let keep_answer: Vec<bool> = comparable(&answer).iter().zip(&picture.shown).map(|(a, b)| *a && *b).collect();
        for &tau in taus {
            let comparison = Comparison {
                x: &x,
                keep: &keep,
                answer: &answer,
                keep_answer: &keep_answer,
                camera: &camera,
                view_from_frame: &view.view_from_frame,
                rendering: None,
            };
            let mut values = vec![None; camera.size.area()];
            let (mut squares, mut count) = (0.0, 0.0);
            for residual in residuals(&comparison, tau) {
                let relative = residual.value / spread.std;
                values[residual.pixel] = Some(relative as f32);
                squares += relative * relative;
                count += 1.0;
            }
            maps.push(ResidualMap { view: index, tau, values, rms: (squares / f64::max(count, 1.0)).sqrt() });
        }
    }
    Ok(CloseUp { output: glance.output, residuals: maps })
}
