//! Metres by a range finder's one beam in a video: what following the scale from frame to frame brings.

use std::time::Instant;

use fathom_calibration::anchors::frame_scale::frame_scale;
use fathom_calibration::anchors::prior::FocalPrior;
use fathom_calibration::anchors::range::RangePoint;
use fathom_calibration::calibrator::{Calibrator, FrameAnchors, Options};
use fathom_calibration::track::ScaleTrack;
use fathom_core::calibration::Calibration;
use fathom_core::camera::Intrinsics;
use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::measures::accuracy::abs_rel;
use fathom_core::measures::alignment::{Affine, scale_only};
use fathom_core::measures::camera::{Claim, coverage};
use fathom_core::measures::{Pair, median, pairs};
use fathom_core::model::DepthModel;
use fathom_core::ops::image::resize::resize_plane;
use fathom_tests::noise::Noise;

use crate::cameras::{CameraFrames, Shot};

/// Where a frame's metres come from.
const WAYS: [&str; 7] = [
    "the first frame's reading, for all",
    "the same, carried from frame to frame",
    "each frame's own reading",
    "readings of all frames so far, carried",
    "the same, looking back from the last frame",
    "the camera's best one scale",
    "the best one scale, carried",
];

/// One camera's video.
pub(crate) struct Followed {
    group: String,
    name: String,
    accepted: bool,
    scale_only: f64,
    /// Mean AbsRel without alignment, by [`WAYS`].
    errors: [f64; 7],
    /// ln s so far and looking back, of every frame.
    claims: [Vec<Claim>; 2],
    /// Frames that were linked to the one before, and frames that have one before.
    linked: (usize, usize),
    add_ms: f64,
}

struct Seen {
    output: RelativeDepth,
    raw: Vec<Pair>,
    point: Option<RangePoint>,
    best_ln_scale: f64,
}

/// Follows one video; the focal length is known, tau is what calibrating on these frames gives or else the card's default.
pub(crate) fn follow(model: &mut dyn DepthModel, camera: &CameraFrames, seed: u64) -> Option<Followed> {
    let card = model.card().clone();
    let kind = card.output_kind;
    let spread = card.assumed_scale_spread();
    let size = camera.shots[0].picture().size();
    let old = Calibration::from_default_tau(card.default_tau);
    let options = Options { frame: size, old, focal: FocalPrior::new(camera.focal_px, 0.001).ok(), camera_height_m: None };
    let mut calibrator = Calibrator::new(model, options).expect("options are good");
    for shot in &camera.shots {
        calibrator.add_frame(&shot.picture().as_frame(), &FrameAnchors::default()).expect("the network runs");
    }
    let outcome = calibrator.finish();
    let lens = Intrinsics::centred(size, camera.focal_px).expect("focal length is good");
    let mut covariance = outcome.calibration.covariance;
    covariance[(2, 2)] = 0.0;
    let calibration = Calibration { camera: Some(lens), ln_scale: None, covariance, ..outcome.calibration.clone() };
    let tau = calibration.tau;
    let mut noise = Noise(seed);
    // The beam's place is the robot's: one for all frames, somewhere in the middle half.
    let place = [0.25 + 0.5 * noise.uniform(), 0.25 + 0.5 * noise.uniform()];
    let seen: Vec<Seen> = camera.shots.iter().filter_map(|shot| see(model, shot, (&lens, tau), place, &mut noise)).collect();
    let first = seen.iter().position(|s| s.point.is_some())?;

    let by_point = |s: &Seen| frame_scale(&calibration, spread, &s.output, size, s.point.as_slice()).ok()?.ln_scale;
    let first_reading = by_point(&seen[first])?;
    let own: Vec<f64> = seen.iter().map(|s| by_point(s).unwrap_or(first_reading)).collect();
    let best = median(seen.iter().map(|s| s.best_ln_scale).collect())?;
    let track = || ScaleTrack::new(calibration.clone(), spread, size).expect("size is good");
    let (mut carried, mut joined) = (track(), track());
    let mut add_ms = Vec::new();
    let (mut carried_scales, mut so_far) = (Vec::new(), Vec::new());
    for (i, (shot, s)) in camera.shots.iter().zip(&seen).enumerate() {
        let picture = shot.picture();
        let once = if i == first { s.point.as_slice() } else { &[] };
        carried_scales.push(carried.add(&picture.as_frame(), &s.output, once).expect("points are good"));
        let start = Instant::now();
        so_far.push(joined.add(&picture.as_frame(), &s.output, s.point.as_slice()).expect("points are good"));
        add_ms.push(1e3 * start.elapsed().as_secs_f64());
    }
    let looking_back = joined.looking_back();
    let steps = joined.steps();
    // The change of scale alone, from the links.
    let mut sum = 0.0;
    let drift: Vec<f64> = steps
        .iter()
        .map(|step| {
            sum += step.unwrap_or(0.0);
            sum
        })
        .collect();
    let offset = median(seen.iter().zip(&drift).map(|(s, d)| s.best_ln_scale - d).collect())?;

    let ln_scale = |c: &Calibration| c.ln_scale.unwrap_or(first_reading);
    let mean = |scale_of: &dyn Fn(usize) -> f64| {
        let error = |i: usize| abs_rel(&Affine { scale: scale_of(i).exp(), tau }.apply(kind, &seen[i].raw));
        let errors: Vec<f64> = (0..seen.len()).filter_map(error).collect();
        errors.iter().sum::<f64>() / errors.len() as f64
    };
    let claims = [&so_far, &looking_back].map(|found| {
        let claims = found.iter().zip(&seen).filter(|(c, _)| c.ln_scale.is_some());
        claims.map(|(c, s)| Claim { estimate: ln_scale(c), sigma: c.ln_scale_sigma(), truth: s.best_ln_scale }).collect()
    });
    Some(Followed {
        group: camera.group.clone(),
        name: camera.name.clone(),
        accepted: outcome.is_calibrated(),
        scale_only: mean(&|i| seen[i].best_ln_scale),
        errors: [
            mean(&|_| first_reading),
            mean(&|i| ln_scale(&carried_scales[i])),
            mean(&|i| own[i]),
            mean(&|i| ln_scale(&so_far[i])),
            mean(&|i| ln_scale(&looking_back[i])),
            mean(&|_| best),
            mean(&|i| offset + drift[i]),
        ],
        claims,
        linked: (steps.iter().flatten().count(), seen.len() - 1),
        add_ms: median(add_ms)?,
    })
}

fn see(model: &mut dyn DepthModel, shot: &Shot, (lens, tau): (&Intrinsics, f64), place: [f64; 2], noise: &mut Noise) -> Option<Seen> {
    let kind: OutputKind = model.card().output_kind;
    let output = model.predict(&shot.picture().as_frame()).expect("the network runs").relative;
    let (depth_size, depth) = shot.depth_m();
    let full = resize_plane(output.values(), output.size(), depth_size).expect("sizes are good");
    let all = pairs(&full, &depth);
    let raw: Vec<Pair> = all.iter().step_by((all.len() / 4000).max(1)).copied().collect();
    let [u_px, v_px] = [place[0] * f64::from(lens.size.width), place[1] * f64::from(lens.size.height)];
    let (column, row) = ((place[0] * f64::from(depth_size.width)) as usize, (place[1] * f64::from(depth_size.height)) as usize);
    let z = f64::from(depth[row * depth_size.width as usize + column]);
    // True to 1%.
    let metres = z * lens.ray(u_px, v_px).norm() * (1.0 + 0.01 * noise.normal());
    let point = (z > 0.0).then_some(RangePoint { u_px, v_px, metres, relative_sigma: 0.01 });
    let best_ln_scale = scale_only(kind, &raw, tau)?.scale.ln();
    Some(Seen { output, raw, point, best_ln_scale })
}

/// Prints one line a camera, then medians.
pub(crate) fn print(all: &[Followed]) {
    println!(
        "camera                    accepted  linked  scale only  {}",
        (1..=WAYS.len()).map(|i| format!("     ({i})")).collect::<String>()
    );
    for f in all {
        let ratios: String = f.errors.iter().map(|e| format!("{:>8.3}", e / f.scale_only)).collect();
        println!(
            "{:<25} {:>8}  {:>2}/{:<2}  {:>10.3}  {ratios}",
            format!("{} {}", f.group, f.name),
            f.accepted,
            f.linked.0,
            f.linked.1,
            f.scale_only
        );
    }
    let of = |value: &dyn Fn(&Followed) -> f64| median(all.iter().map(value).collect()).unwrap_or(f64::NAN);
    let base = of(&|f| f.scale_only);
    println!("\n{} cameras; AbsRel after scale only, median over cameras: {base:.3}", all.len());
    println!("\nmetres by                                        AbsRel  over scale only: of medians  median of ratios");
    for (i, way) in WAYS.iter().enumerate() {
        let error = of(&|f| f.errors[i]);
        println!("({}) {way:<44} {error:>6.3}  {:>27.3}  {:>16.3}", i + 1, error / base, of(&|f| f.errors[i] / f.scale_only));
    }
    for (i, name) in ["so far", "looking back"].iter().enumerate() {
        let claims: Vec<Claim> = all.iter().flat_map(|f| f.claims[i].clone()).collect();
        let share = |sigmas: f64| coverage(&claims, sigmas).unwrap_or(f64::NAN);
        let sigma = median(claims.iter().map(|c| c.sigma).collect()).unwrap_or(f64::NAN);
        let off = median(claims.iter().map(|c| (c.estimate - c.truth).abs()).collect()).unwrap_or(f64::NAN);
        println!("ln s {name}: median sigma {sigma:.3}, median error {off:.3}, within 1 and 2 sigma {:.2} {:.2}", share(1.0), share(2.0));
    }
    let (linked, pairs) = all.iter().fold((0, 0), |sum, f| (sum.0 + f.linked.0, sum.1 + f.linked.1));
    println!("linked {linked} of {pairs} pairs of frames; following takes {:.1} ms a frame", of(&|f| f.add_ms));
}
