//! What calibration does for each camera: errors before, after and at best; sigmas; focal lengths; metres.

use fathom_calibration::anchors::frame_scale::frame_scale;
use fathom_calibration::anchors::perspective::Perspective;
use fathom_calibration::anchors::place::Place;
use fathom_calibration::anchors::prior::{FocalPrior, ShiftPrior};
use fathom_calibration::anchors::range::{Range, RangePoint};
use fathom_calibration::calibrator::{Calibrator, FrameAnchors, Options, responds};
use fathom_calibration::consistency::frame::FrameEvidence;
use fathom_calibration::consistency::pool::Pool;
use fathom_calibration::information::Cue;
use fathom_calibration::scene::Spread;
use fathom_calibration::solve::{Prior, solve};
use fathom_calibration::verdict::Outcome;
use fathom_core::calibration::Calibration;
use fathom_core::camera::Intrinsics;
use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::{Frame, Size};
use fathom_core::measures::accuracy::abs_rel;
use fathom_core::measures::alignment::{Affine, scale_only};
use fathom_core::measures::camera::Claim;
use fathom_core::measures::{Pair, median, pairs};
use fathom_core::model::{DepthModel, ModelCard, Prediction, Response, ScaleSpread};
use fathom_core::ops::image::resize::resize_plane;
use fathom_tests::noise::Noise;

use crate::cameras::{CameraFrames, Finder, Shot};
use crate::turns::{self, turn_of_twenty_degrees};

/// A network under another card.
pub(crate) struct Carded<'a> {
    pub(crate) model: &'a mut dyn DepthModel,
    pub(crate) card: ModelCard,
}

impl DepthModel for Carded<'_> {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn predict(&mut self, image: &Frame<'_>) -> Result<Prediction, fathom_core::Error> {
        self.model.predict(image)
    }
}

/// What one camera's frames hold, whatever response is assumed.
pub(crate) struct Seen {
    pub(crate) camera: CameraFrames,
    pub(crate) kind: OutputKind,
    pub(crate) pool: Pool,
    pub(crate) frames: Vec<SeenFrame>,
    pub(crate) perspective: Perspective,
    /// Horizontal field of view and sigma of ln f as the network says them, one a frame.
    pub(crate) fovs: Vec<(f64, f64)>,
    pub(crate) size: Size,
    pub(crate) default_tau: f64,
    pub(crate) shift: Option<ShiftPrior>,
    spread: ScaleSpread,
    /// What calibration ends with under the network's own card; `None` for a card that says that it does not respond.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) turn: Option<[Option<turns::Found>; 2]>,
}

/// One frame's output and truth.
pub(crate) struct SeenFrame {
    pub(crate) raw: Vec<Pair>,
    output: RelativeDepth,
    /// Somewhere in the middle half.
    point: Option<RangePoint>,
    /// Where Fathom asks for it.
    asked: Option<RangePoint>,
}

/// Runs a network over one camera's frames at the known focal length.
pub(crate) fn see(model: &mut dyn DepthModel, camera: &CameraFrames, seed: u64) -> Seen {
    let own = model.card().kappa.filter(|kappa| responds(*kappa));
    // Where the card lets no frames in, one that does: for measuring the response.
    let card = ModelCard { kappa: own.or(Some(Response { value: 1.0, sigma: 0.0 })), ..model.card().clone() };
    let kind = card.output_kind;
    let default_tau = card.default_tau;
    let spread = card.assumed_scale_spread();
    let shift = card.default_tau_sigma.map(|sigma| ShiftPrior { tau: card.default_tau, sigma });
    let mut carded = Carded { model, card };
    let size = camera.shots[0].picture().size();
    let options = Options {
        frame: size,
        old: Calibration::from_default_tau(0.0),
        focal: FocalPrior::new(camera.focal_px, 0.001).ok(),
        camera_height_m: None,
    };
    let (mut frames, mut fovs) = (Vec::new(), Vec::new());
    for (index, shot) in camera.shots.iter().enumerate() {
        let prediction = carded.predict(&shot.picture().as_frame()).expect("the network runs");
        fovs.extend(prediction.fov.map(|f| (f.fov_rad, f.ln_focal_sigma)));
        frames.push(seen_frame(shot, prediction.relative, default_tau, size, camera.focal_px, seed + index as u64));
    }
    let mut calibrator = Calibrator::new(&mut carded, options).expect("options are good");
    for shot in &camera.shots {
        calibrator.add_frame(&shot.picture().as_frame(), &FrameAnchors::default()).expect("the network runs");
    }
    let outcome = own.map(|_| calibrator.finish());
    let (pool, perspective) = (calibrator.pool().clone(), *calibrator.perspective());
    let mut noise = Noise(seed);
    let turn = camera.shots.iter().take(4).find_map(|shot| turn_of_twenty_degrees(&shot.picture(), camera.focal_px, &mut noise));
    Seen { camera: camera.clone(), kind, pool, frames, perspective, fovs, size, default_tau, shift, spread, outcome, turn }
}

fn seen_frame(shot: &Shot, output: RelativeDepth, tau: f64, size: Size, focal_px: f64, seed: u64) -> SeenFrame {
    let (depth_size, depth) = shot.depth_m();
    let full = resize_plane(output.values(), output.size(), depth_size).expect("sizes are good");
    let all = pairs(&full, &depth);
    // One in so many: the errors are means.
    let raw = all.iter().step_by((all.len() / 4000).max(1)).copied().collect();
    let mut noise = Noise(seed);
    let finder = Finder::new(Intrinsics::centred(size, focal_px).expect("focal length is good"), (depth_size, depth));
    let point = (0..200).find_map(|_| finder.read([0.25 + 0.5 * noise.uniform(), 0.25 + 0.5 * noise.uniform()], &mut noise));
    let asked = finder.read_asked(&output, tau, &mut noise);
    SeenFrame { raw, output, point, asked }
}

/// What calibration made of one camera.
#[derive(Debug, Clone)]
pub(crate) struct Scored {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) fov_deg: f64,
    /// Best single shift, and mean of the output.
    pub(crate) tau_true: f64,
    pub(crate) mean_x: f64,
    /// AbsRel by the frames alone, without the card's usual shift.
    pub(crate) e_alone: Option<f64>,
    /// Found shift and its sigma; `None` if it was refused.
    pub(crate) tau: Option<(f64, f64)>,
    /// Mean AbsRel after scale only: card's default, start 40% low and high, calibrated, best single shift.
    pub(crate) e_default: f64,
    pub(crate) e_start: [f64; 2],
    pub(crate) e_calibrated: Option<f64>,
    pub(crate) e_oracle: f64,
    /// `(tau_hat + mean) / (tau* + mean)` over the frames together.
    pub(crate) kappa: Option<f64>,
    /// Relative sigma of the frames' pooled estimate without kappa's spread.
    pub(crate) kappa_noise: f64,
    /// The same by yaw and by pitch alone, median over frames.
    pub(crate) kappa_by_direction: [Option<f64>; 2],
    /// What range points bring, one in all and one a frame.
    pub(crate) metres: [Option<Metres>; 2],
    /// Of each frame at the default shift: ln of its best scale over the median of all, and of its point's over its best.
    pub(crate) off_scale: Vec<[f64; 2]>,
    /// ln f as found over the true one, and its sigma, by what found it.
    pub(crate) focal: Vec<(&'static str, turns::Found)>,
    /// Likewise of single images by the network's field-of-view output.
    pub(crate) singles: Vec<turns::Found>,
    /// Likewise of the guesses FOV 55 and 60 degrees.
    pub(crate) guesses: [f64; 2],
}

/// Scores one camera.
pub(crate) fn score(seen: &Seen, seed: u64) -> Scored {
    let ln_focal = seen.camera.focal_px.ln();
    let kind = seen.kind;
    let mean_of = |tau: f64| mean_abs_rel(kind, &seen.frames, tau);
    let tau_true = best_tau(kind, &seen.frames);
    let (mean_x, std_x) = spread(&seen.frames);
    let unit = mean_x + tau_true;
    let mut raw_pool = seen.pool.clone();
    raw_pool.assume_response(Response { value: 1.0, sigma: 0.0 });
    let raw = raw_pool.estimate(ln_focal);
    let known = FocalPrior::new(seen.camera.focal_px, 0.001).expect("focal length is good");
    let prior = Prior::broad(seen.size.width, mean_x, std_x);
    let alone = solve(&[&seen.pool, &known], &prior);
    let calibrated = seen.outcome.as_ref().filter(|o| o.is_calibrated()).map(|o| &o.calibration);
    let tau = calibrated.map(|c| (c.tau, c.tau_sigma()));
    let width = f64::from(seen.size.width);
    let of_fov = |fov_rad: f64| (width / 2.0 / (fov_rad / 2.0).tan()).ln() - ln_focal;
    let by_direction = |views: [usize; 2]| {
        let mut ratios: Vec<f64> = seen.pool.frames().iter().filter_map(|frame| direction(frame, views, tau_true)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    };
    Scored {
        name: seen.camera.name.clone(),
        group: seen.camera.group.clone(),
        fov_deg: 2.0 * (f64::from(seen.size.width) / 2.0 / seen.camera.focal_px).atan().to_degrees(),
        tau_true,
        mean_x,
        tau,
        e_default: mean_of(seen.default_tau),
        e_start: [mean_of(tau_true - 0.4 * unit), mean_of(tau_true + 0.4 * unit)],
        e_alone: calibrated.map(|_| mean_of(alone.theta.tau)),
        e_calibrated: tau.map(|(tau, _)| mean_of(tau)),
        e_oracle: mean_of(tau_true),
        kappa: raw.map(|r| (r.tau + r.mean_x) / (tau_true + r.mean_x)),
        kappa_noise: raw.map_or(f64::INFINITY, |r| r.sigma / (tau_true + r.mean_x)),
        kappa_by_direction: [by_direction([0, 1]), by_direction([2, 3])],
        metres: [1, usize::MAX].map(|points| calibrated.and_then(|_| metres(seen, &known, &prior, points, tau_true))),
        off_scale: off_scale(seen),
        focal: focal_lengths(seen, &prior, ln_focal, seed),
        singles: seen.fovs.iter().map(|(fov_rad, sigma)| (of_fov(*fov_rad), *sigma)).collect(),
        guesses: [55_f64, 60.0].map(|fov_deg| of_fov(fov_deg.to_radians())),
    }
}

/// `(tau_hat + mean) / (tau* + mean)` of one frame by two of its views.
fn direction(frame: &FrameEvidence, views: [usize; 2], tau_true: f64) -> Option<f64> {
    let tried = frame.tried.first()?;
    let both = tried.views[views[0]] + tried.views[views[1]];
    Some((both.tau()? + both.mean_x()) / (tau_true + both.mean_x()))
}

/// ln f over the true one and its sigma, by a prior of 10%, by the network's field of view, by a turn, and by what goes together.
fn focal_lengths(seen: &Seen, prior: &Prior, ln_focal: f64, seed: u64) -> Vec<(&'static str, turns::Found)> {
    let mut noise = Noise(seed);
    let rough = FocalPrior::new(seen.camera.focal_px * (0.1 * noise.normal()).exp(), 0.1).expect("focal length is good");
    let by_turn = |index: usize| {
        let (off, sigma) = seen.turn?[index]?;
        FocalPrior::new((ln_focal + off).exp(), sigma).ok()
    };
    let (turn, gyro) = (by_turn(0), by_turn(1));
    let mut found = Vec::new();
    let mut by = |name, cues: &[Option<&dyn Cue>]| {
        if let Some(cues) = cues.iter().copied().collect::<Option<Vec<_>>>() {
            let solution = solve(&cues, prior);
            found.push((name, (solution.theta.ln_focal - ln_focal, solution.covariance[(2, 2)].sqrt())));
        }
    };
    fn cue(prior: &Option<FocalPrior>) -> Option<&dyn Cue> {
        prior.as_ref().map(|p| p as &dyn Cue)
    }
    let fov = seen.perspective.estimate().map(|_| &seen.perspective as &dyn Cue);
    by("prior of 10%", &[Some(&rough)]);
    by("the frames' field of view", &[fov]);
    by("prior of 10% and field of view", &[Some(&rough), fov]);
    by("turn of 20 deg", &[cue(&turn)]);
    by("turn of 20 deg with gyro", &[cue(&gyro)]);
    by("turn of 20 deg, prior of 10%, field of view", &[cue(&turn), Some(&rough), fov]);
    found
}

/// What range points bring.
#[derive(Debug, Clone)]
pub(crate) struct Metres {
    /// Mean AbsRel without any alignment.
    pub(crate) error: f64,
    /// The same with each frame's own point joined to the camera's scale.
    pub(crate) error_with_own_point: f64,
    /// The same with the point that Fathom asks for in each frame.
    pub(crate) error_with_asked_point: f64,
    /// Of that point alone, the camera's scale unknown.
    pub(crate) error_by_asked_point: f64,
    /// ln of each frame's scale by it, and of the frame's best one.
    pub(crate) scales_by_asked_point: Vec<Claim>,
    /// AbsRel with the camera's best scale: what no number of points can better.
    pub(crate) error_of_best: f64,
    /// ln of the scale, and of the best one for all frames, with the claimed sigma.
    pub(crate) scale: Claim,
    /// The shift that the points and all else tell together, and AbsRel after scale only by it.
    pub(crate) tau: Claim,
    pub(crate) error_of_shape: f64,
}

/// Metres by the first `points` frames' range points.
fn metres(seen: &Seen, focal: &FocalPrior, prior: &Prior, points: usize, tau_true: f64) -> Option<Metres> {
    let mut range = Range::new(seen.kind, seen.size, seen.spread);
    for frame in seen.frames.iter().filter(|f| f.point.is_some()).take(points) {
        range.add(&frame.output, frame.point.as_slice(), Place::New).ok()?;
    }
    let mut cues: Vec<&dyn Cue> = vec![&seen.pool, focal, &range];
    cues.extend(seen.shift.as_ref().map(|s| s as &dyn Cue));
    let solution = solve(&cues, prior);
    let theta = solution.theta;
    let best_ln_scale = |frame: &SeenFrame| Some(scale_only(seen.kind, &frame.raw, theta.tau)?.scale.ln());
    let truth = median(seen.frames.iter().filter_map(best_ln_scale).collect())?;
    let error_at =
        |frame: &SeenFrame, ln_scale: f64| abs_rel(&Affine { scale: ln_scale.exp(), tau: theta.tau }.apply(seen.kind, &frame.raw));
    let mean = |errors: Vec<f64>| (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64);
    let camera = Calibration {
        ln_scale: Some(theta.ln_scale),
        camera: Intrinsics::centred(seen.size, theta.ln_focal.exp()).ok(),
        covariance: solution.covariance,
        ..Calibration::from_default_tau(theta.tau)
    };
    let unknown = Calibration { ln_scale: None, ..camera.clone() };
    let moved = |camera: &Calibration, frame: &SeenFrame, point: Option<RangePoint>| {
        frame_scale(camera, seen.spread, &frame.output, seen.size, point.as_slice()).ok().filter(|found| found.ln_scale.is_some())
    };
    let by = |camera: &Calibration, frame: &SeenFrame, point| error_at(frame, moved(camera, frame, point)?.ln_scale?);
    let claim = |frame: &SeenFrame| {
        let found = moved(&unknown, frame, frame.asked)?;
        Some(Claim { estimate: found.ln_scale?, sigma: found.ln_scale_sigma(), truth: best_ln_scale(frame)? })
    };
    Some(Metres {
        error: mean(seen.frames.iter().filter_map(|f| error_at(f, theta.ln_scale)).collect())?,
        error_with_own_point: mean(seen.frames.iter().filter_map(|f| by(&camera, f, f.point)).collect())?,
        error_with_asked_point: mean(seen.frames.iter().filter_map(|f| by(&camera, f, f.asked)).collect())?,
        error_by_asked_point: mean(seen.frames.iter().filter_map(|f| by(&unknown, f, f.asked)).collect())?,
        scales_by_asked_point: seen.frames.iter().filter_map(claim).collect(),
        error_of_best: mean(seen.frames.iter().filter_map(|f| error_at(f, truth)).collect())?,
        scale: Claim { estimate: theta.ln_scale, sigma: solution.covariance[(0, 0)].sqrt(), truth },
        tau: Claim { estimate: theta.tau, sigma: solution.covariance[(1, 1)].sqrt(), truth: tau_true },
        error_of_shape: mean_abs_rel(seen.kind, &seen.frames, theta.tau),
    })
}

fn off_scale(seen: &Seen) -> Vec<[f64; 2]> {
    let tau = seen.default_tau;
    let best = |frame: &SeenFrame| Some(scale_only(seen.kind, &frame.raw, tau)?.scale.ln());
    let Some(middle) = median(seen.frames.iter().filter_map(best).collect()) else { return Vec::new() };
    let camera = Calibration { camera: Intrinsics::centred(seen.size, seen.camera.focal_px).ok(), ..Calibration::from_default_tau(tau) };
    let by_point = |frame: &SeenFrame| frame_scale(&camera, seen.spread, &frame.output, seen.size, frame.point.as_slice()).ok()?.ln_scale;
    seen.frames.iter().filter_map(|f| Some([best(f)? - middle, by_point(f)? - best(f)?])).collect()
}

fn spread(frames: &[SeenFrame]) -> (f64, f64) {
    let all: Vec<f32> = frames.iter().flat_map(|f| f.output.values().iter().step_by(37).copied()).collect();
    let spread = Spread::of(&all);
    (spread.mean, spread.std)
}

fn mean_abs_rel(kind: OutputKind, frames: &[SeenFrame], tau: f64) -> f64 {
    let error = |frame: &SeenFrame| abs_rel(&scale_only(kind, &frame.raw, tau)?.apply(kind, &frame.raw));
    let errors: Vec<f64> = frames.iter().map(|f| error(f).unwrap_or(1.0)).collect();
    errors.iter().sum::<f64>() / errors.len().max(1) as f64
}

/// The one shift with the least mean AbsRel after scale only: a grid, then golden sections.
fn best_tau(kind: OutputKind, frames: &[SeenFrame]) -> f64 {
    let (mean, std) = spread(frames);
    let at = |step: f64| mean_abs_rel(kind, frames, step * std - mean);
    // From a tenth of the spread above the mean's negative, in ratios of 1.15 up to 30 spreads.
    let grid: Vec<f64> = (0..42).map(|i| 0.1 * 1.15_f64.powi(i)).collect();
    let best = grid.iter().copied().min_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap_or(1.0);
    let (mut low, mut high) = (best / 1.15, best * 1.15);
    for _ in 0..20 {
        let (a, b) = (high - 0.618 * (high - low), low + 0.618 * (high - low));
        if at(a) < at(b) { high = b } else { low = a }
    }
    0.5 * (low + high) * std - mean
}

/// The response over cameras: median, and the spread that the cameras' own noise does not explain.
pub(crate) fn response<'a>(scores: impl Iterator<Item = &'a Scored> + Clone) -> Option<Response> {
    let kappas: Vec<f64> = scores.clone().filter_map(|s| s.kappa).collect();
    let middle = median(kappas.clone())?;
    let spread = 1.4826 * median(kappas.iter().map(|k| (k - middle).abs()).collect())?;
    let noise = median(scores.filter(|s| s.kappa.is_some()).map(|s| s.kappa_noise).collect())?;
    Some(Response { value: middle, sigma: (spread * spread - noise * noise).max(0.0).sqrt() })
}

/// How far frames lie from their camera's scale, and pixels from their frame's: robust sigmas over all cameras together.
pub(crate) fn scale_spread<'a>(scores: impl Iterator<Item = &'a Scored> + Clone) -> Option<ScaleSpread> {
    // The median of an absolute normal value is 0.6745 sigma.
    let sigma = |i: usize| Some(median(scores.clone().flat_map(|s| &s.off_scale).map(|off| off[i].abs()).collect())? / 0.6745);
    Some(ScaleSpread { frame: sigma(0)?, pixel: sigma(1)? })
}

/// Lower quartile, median and upper quartile.
pub(crate) fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}
