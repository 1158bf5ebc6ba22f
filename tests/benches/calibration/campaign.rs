//! What calibration does for each camera: errors before, after and at best; sigmas; focal lengths; metres.

use fathom_calibration::anchors::perspective::Perspective;
use fathom_calibration::anchors::prior::{FocalPrior, ShiftPrior};
use fathom_calibration::anchors::range::{Range, RangePoint};
use fathom_calibration::calibrator::{Calibrator, FrameAnchors, Options};
use fathom_calibration::consistency::pool::Pool;
use fathom_calibration::information::Cue;
use fathom_calibration::scene::Spread;
use fathom_calibration::solve::{Prior, solve};
use fathom_calibration::verdict::{DATA_LIMIT, TAU_LIMIT};
use fathom_core::calibration::Calibration;
use fathom_core::camera::Intrinsics;
use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::{Frame, Size};
use fathom_core::measures::accuracy::{abs_rel, gap_closed};
use fathom_core::measures::alignment::{Affine, scale_only};
use fathom_core::measures::camera::{Claim, coverage};
use fathom_core::measures::{Pair, median, pairs};
use fathom_core::model::{DepthModel, ModelCard, Prediction, Response};
use fathom_core::ops::image::resize::resize_plane;

use crate::cameras::{CameraFrames, Shot};

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
}

/// One frame's output and truth.
pub(crate) struct SeenFrame {
    pub(crate) raw: Vec<Pair>,
    output: RelativeDepth,
    point: Option<RangePoint>,
}

/// Runs a network over one camera's frames at the known focal length.
pub(crate) fn see(model: &mut dyn DepthModel, camera: &CameraFrames, seed: u64) -> Seen {
    // The response is assumed later: here any that lets frames in.
    let card = ModelCard { kappa: Some(Response { value: 1.0, sigma: 0.0 }), ..model.card().clone() };
    let kind = card.output_kind;
    let default_tau = card.default_tau;
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
        frames.push(seen_frame(shot, prediction.relative, size, camera.focal_px, seed + index as u64));
    }
    let mut calibrator = Calibrator::new(&mut carded, options).expect("options are good");
    for shot in &camera.shots {
        calibrator.add_frame(&shot.picture().as_frame(), &FrameAnchors::default()).expect("the network runs");
    }
    let (pool, perspective) = (calibrator.pool().clone(), *calibrator.perspective());
    Seen { camera: camera.clone(), kind, pool, frames, perspective, fovs, size, default_tau, shift }
}

fn seen_frame(shot: &Shot, output: RelativeDepth, size: Size, focal_px: f64, seed: u64) -> SeenFrame {
    let (depth_size, depth) = shot.depth_m();
    let full = resize_plane(output.values(), output.size(), depth_size).expect("sizes are good");
    let all = pairs(&full, &depth);
    // One in so many: the errors are means.
    let raw = all.iter().step_by((all.len() / 4000).max(1)).copied().collect();
    let mut noise = Noise(seed);
    let camera = Intrinsics::centred(size, focal_px).expect("focal length is good");
    // A range finder's one beam, somewhere in the middle half, true to 1%.
    let point = (0..200).find_map(|_| {
        let (u_px, v_px) =
            (f64::from(size.width) * (0.25 + 0.5 * noise.uniform()), f64::from(size.height) * (0.25 + 0.5 * noise.uniform()));
        let column = (u_px / f64::from(size.width) * f64::from(depth_size.width)) as usize;
        let row = (v_px / f64::from(size.height) * f64::from(depth_size.height)) as usize;
        let z = f64::from(depth[row * depth_size.width as usize + column]);
        let metres = z * camera.ray(u_px, v_px).norm() * (1.0 + 0.01 * noise.normal());
        (z > 0.0).then_some(RangePoint { u_px, v_px, metres, relative_sigma: 0.01 })
    });
    SeenFrame { raw, output, point }
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
    /// AbsRel in metres with one range point in all and with one a frame.
    pub(crate) e_metres: [Option<f64>; 2],
    /// |error of f| with a prior of 10%, and its sigma.
    pub(crate) focal_prior: (f64, f64),
    /// |error of f| from the network's field-of-view output alone, averaged over the frames, and its sigma.
    pub(crate) focal_network: Option<(f64, f64)>,
}

/// Scores one camera under a response.
pub(crate) fn score(seen: &Seen, kappa: Response, seed: u64) -> Scored {
    let ln_focal = seen.camera.focal_px.ln();
    let kind = seen.kind;
    let mean_of = |tau: f64| mean_abs_rel(kind, &seen.frames, tau);
    let tau_true = best_tau(kind, &seen.frames);
    let (mean_x, std_x) = spread(&seen.frames);
    let unit = mean_x + tau_true;
    let mut raw_pool = seen.pool.clone();
    raw_pool.assume_response(Response { value: 1.0, sigma: 0.0 });
    let raw = raw_pool.estimate(ln_focal);
    let mut pool = seen.pool.clone();
    pool.assume_response(kappa);
    let known = FocalPrior::new(seen.camera.focal_px, 0.001).expect("focal length is good");
    let prior = Prior::broad(seen.size.width, mean_x, std_x);
    let alone = solve(&[&pool, &known], &prior);
    let mut cues: Vec<&dyn Cue> = vec![&pool, &known];
    cues.extend(seen.shift.as_ref().map(|s| s as &dyn Cue));
    let solution = solve(&cues, &prior);
    let sigma = solution.covariance[(1, 1)].sqrt();
    let alone_sigma = alone.covariance[(1, 1)].sqrt();
    let found = solution.theta.tau;
    let trusted = kappa.value >= 0.3 && kappa.value >= 3.0 * kappa.sigma;
    let unit_found = (found + mean_x).abs();
    let accepted = trusted && found + mean_x > 0.0 && sigma <= TAU_LIMIT * unit_found && alone_sigma <= DATA_LIMIT * unit_found;
    let tau = accepted.then_some((found, sigma));
    let mut noise = Noise(seed);
    let rough = FocalPrior::new(seen.camera.focal_px * (0.1 * noise.normal()).exp(), 0.1).expect("focal length is good");
    let with_prior = solve(&[&seen.perspective, &rough], &prior);
    let error = |ln_f: f64| ((ln_f - ln_focal).exp() - 1.0).abs();
    Scored {
        name: seen.camera.name.clone(),
        group: seen.camera.group.clone(),
        fov_deg: 2.0 * (f64::from(seen.size.width) / 2.0 / seen.camera.focal_px).atan().to_degrees(),
        tau_true,
        mean_x,
        tau,
        e_default: mean_of(seen.default_tau),
        e_start: [mean_of(tau_true - 0.4 * unit), mean_of(tau_true + 0.4 * unit)],
        e_alone: accepted.then(|| mean_of(alone.theta.tau)),
        e_calibrated: tau.map(|(tau, _)| mean_of(tau)),
        e_oracle: mean_of(tau_true),
        kappa: raw.map(|r| (r.tau + r.mean_x) / (tau_true + r.mean_x)),
        kappa_noise: raw.map_or(f64::INFINITY, |r| r.sigma / (tau_true + r.mean_x)),
        e_metres: [metres(seen, &pool, &known, &prior, 1), metres(seen, &pool, &known, &prior, usize::MAX)],
        focal_prior: (error(with_prior.theta.ln_focal), with_prior.covariance[(2, 2)].sqrt()),
        focal_network: seen.perspective.estimate().map(|(ln_f, sigma)| (error(ln_f), sigma)),
    }
}

/// Mean AbsRel without any alignment, with the scale from the first `points` frames' range points.
fn metres(seen: &Seen, pool: &Pool, focal: &FocalPrior, prior: &Prior, points: usize) -> Option<f64> {
    let mut range = Range::new(seen.kind, seen.size);
    for frame in seen.frames.iter().filter(|f| f.point.is_some()).take(points) {
        range.add(&frame.output, frame.point.as_slice()).ok()?;
    }
    let mut cues: Vec<&dyn Cue> = vec![pool, focal, &range];
    cues.extend(seen.shift.as_ref().map(|s| s as &dyn Cue));
    let theta = solve(&cues, prior).theta;
    let affine = Affine { scale: theta.ln_scale.exp(), tau: theta.tau };
    let errors: Vec<f64> = seen.frames.iter().filter_map(|f| abs_rel(&affine.apply(seen.kind, &f.raw))).collect();
    (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
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
pub(crate) fn response(scores: &[Scored]) -> Option<Response> {
    let kappas: Vec<f64> = scores.iter().filter_map(|s| s.kappa).collect();
    let middle = median(kappas.clone())?;
    let spread = 1.4826 * median(kappas.iter().map(|k| (k - middle).abs()).collect())?;
    let noise = median(scores.iter().filter(|s| s.kappa.is_some()).map(|s| s.kappa_noise).collect())?;
    Some(Response { value: middle, sigma: (spread * spread - noise * noise).max(0.0).sqrt() })
}

/// Lower quartile, median and upper quartile.
pub(crate) fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}

/// Prints one line a camera and the figures over all of them.
pub(crate) fn print(scores: &[Scored], seen: &[Seen]) {
    println!("camera      group         fov   tau*    mean   kappa  tau            E_def  E-40   E+40   E_cal  E_best m1     m/frame");
    for s in scores {
        let tau = s.tau.map_or("refused".to_owned(), |(tau, sigma)| format!("{tau:.3}+-{sigma:.3}"));
        let dash = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.3}"));
        println!(
            "{:<11} {:<12} {:>4.0} {:>7.3} {:>6.3} {:>6} {:<14} {:.3}  {:.3}  {:.3}  {:<6} {:.3}  {:<6} {}",
            s.name,
            s.group,
            s.fov_deg,
            s.tau_true,
            s.mean_x,
            dash(s.kappa),
            tau,
            s.e_default,
            s.e_start[0],
            s.e_start[1],
            dash(s.e_calibrated),
            s.e_oracle,
            dash(s.e_metres[0]),
            dash(s.e_metres[1])
        );
    }
    let over = |value: &dyn Fn(&Scored) -> Option<f64>| median(scores.iter().filter_map(value).collect());
    let show = |name: &str, value: Option<f64>| println!("{name:<58} {}", value.map_or("-".to_owned(), |v| format!("{v:.3}")));
    println!("\ncameras {}, accepted {}", scores.len(), scores.iter().filter(|s| s.tau.is_some()).count());
    show("E_default / E_domain-oracle, median", over(&|s| Some(s.e_default / s.e_oracle)));
    show("E_calibrated / E_domain-oracle, median (target 1.10)", over(&|s| Some(s.e_calibrated? / s.e_oracle)));
    show("E_frames-alone / E_domain-oracle, median", over(&|s| Some(s.e_alone? / s.e_oracle)));
    for (i, name) in ["gap closed from -40%, median (target 0.7)", "gap closed from +40%, median (target 0.7)"].iter().enumerate() {
        show(name, over(&|s| gap_closed(s.e_start[i], s.e_calibrated?, s.e_oracle)));
    }
    show("|tau - tau*| / (mean + tau*), median", over(&|s| Some((s.tau?.0 - s.tau_true).abs() / (s.mean_x + s.tau_true))));
    let claims: Vec<Claim> =
        scores.iter().filter_map(|s| s.tau.map(|(tau, sigma)| Claim { estimate: tau, sigma, truth: s.tau_true })).collect();
    show("share within 1 sigma (target 0.55 .. 0.80)", coverage(&claims, 1.0));
    show("share within 2 sigma", coverage(&claims, 2.0));
    show("metres, one range point / scale only, median (target 1.10)", over(&|s| Some(s.e_metres[0]? / s.e_calibrated?)));
    show("metres, one range point a frame / scale only, median", over(&|s| Some(s.e_metres[1]? / s.e_calibrated?)));
    show("focal error with a prior of 10%, median", over(&|s| Some(s.focal_prior.0)));
    show("focal error from the frames' field of view, median", over(&|s| Some(s.focal_network?.0)));
    show("  its sigma, median", over(&|s| Some(s.focal_network?.1)));
    let width = |s: &Seen| f64::from(s.size.width);
    let guess = |fov_deg: f64| {
        let error = |s: &Seen| (width(s) / 2.0 / (fov_deg / 2.0).to_radians().tan() / s.camera.focal_px - 1.0).abs();
        median(seen.iter().map(error).collect())
    };
    show("focal error of the guess FOV 55", guess(55.0));
    show("focal error of the guess FOV 60", guess(60.0));
    let single = |s: &Seen| {
        let error = |fov: &(f64, f64)| (width(s) / 2.0 / (fov.0 / 2.0).tan() / s.camera.focal_px - 1.0).abs();
        s.fovs.iter().map(error).collect::<Vec<_>>()
    };
    show("focal error of single images, median", median(seen.iter().flat_map(single).collect()));
    let within = |s: &Seen| {
        let honest = |fov: &(f64, f64)| ((width(s) / 2.0 / (fov.0 / 2.0).tan() / s.camera.focal_px).ln().abs() <= fov.1) as u8;
        s.fovs.iter().map(|f| f64::from(honest(f))).collect::<Vec<_>>()
    };
    let honest: Vec<f64> = seen.iter().flat_map(within).collect();
    show("  share of them within 1 sigma", (!honest.is_empty()).then(|| honest.iter().sum::<f64>() / honest.len() as f64));
}

/// Reproducible noise.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
