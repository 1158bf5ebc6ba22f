//! Metres by a range finder in a video: what following the scale from frame to frame brings.

use std::time::Instant;

use fathom_calibration::anchors::frame_scale::frame_scale;
use fathom_calibration::anchors::prior::FocalPrior;
use fathom_calibration::anchors::range::RangePoint;
use fathom_calibration::calibrator::{Calibrator, FrameAnchors, Options};
use fathom_calibration::track::ScaleTrack;
use fathom_core::calibration::{Calibration, State};
use fathom_core::camera::Intrinsics;
use fathom_core::depth::RelativeDepth;
use fathom_core::measures::accuracy::abs_rel;
use fathom_core::measures::alignment::{Affine, scale_only};
use fathom_core::measures::camera::{Claim, coverage};
use fathom_core::measures::{Pair, median, pairs};
use fathom_core::model::{DepthModel, ScaleSpread};
use fathom_core::ops::image::resize::resize_plane;
use fathom_tests::noise::Noise;

use crate::cameras::{CameraFrames, Finder};

/// Where a frame's metres come from.
const WAYS: [&str; 12] = [
    "the first frame's reading, for all",
    "the same, carried from frame to frame",
    "each frame's own reading",
    "readings of all frames so far, carried",
    "the same, looking back from the last frame",
    "the first frame's reading where it is asked for, carried",
    "each frame's own reading where it is asked for",
    "such readings of all frames so far, carried",
    "the same, looking back from the last frame",
    "each frame's own 8 x 8 readings",
    "the camera's best one scale",
    "the best one scale, carried",
];

/// What is claimed of ln s.
const CLAIMS: [&str; 4] = ["so far", "looking back", "so far, as asked", "looking back, as asked"];

/// Places that the one beam is tried at, for each camera.
const BEAMS: usize = 3;

/// One camera's video, by one beam.
pub(crate) struct Followed {
    name: String,
    accepted: bool,
    scale_only: f64,
    /// Mean AbsRel without alignment, by [`WAYS`].
    errors: [f64; WAYS.len()],
    /// ln s of every frame, by [`CLAIMS`].
    claims: [Vec<Claim>; CLAIMS.len()],
    /// Frames that were linked to the one before, and frames that have one before.
    linked: (usize, usize),
    add_ms: f64,
}

/// One camera's frames, and what the network says of them.
struct Video<'a> {
    camera: &'a CameraFrames,
    outputs: Vec<RelativeDepth>,
    finders: Vec<Finder>,
    /// Output and true depth at some pixels.
    raw: Vec<Vec<Pair>>,
    /// The scale that fits each frame best.
    best: Vec<f64>,
    calibration: Calibration,
    spread: ScaleSpread,
    lens: Intrinsics,
}

/// Follows one video by several beams; the focal length is known, tau is what calibrating on these frames gives or else the card's
/// default.
pub(crate) fn follow(model: &mut dyn DepthModel, camera: &CameraFrames, seed: u64) -> Vec<Followed> {
    let size = camera.shots[0].picture().size();
    let old = Calibration::from_default_tau(model.card().default_tau);
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
    let Some(video) = Video::see(model, camera, calibration, lens) else { return Vec::new() };
    let mut noise = Noise(seed);
    let mut beam = || {
        // The beam's place is the robot's: one for all frames, somewhere in the middle half.
        let place = [0.25 + 0.5 * noise.uniform(), 0.25 + 0.5 * noise.uniform()];
        video.follow(place, &mut noise)
    };
    (0..BEAMS).filter_map(|_| beam()).collect()
}

impl<'a> Video<'a> {
    fn see(model: &mut dyn DepthModel, camera: &'a CameraFrames, calibration: Calibration, lens: Intrinsics) -> Option<Self> {
        let (kind, spread) = (model.card().output_kind, model.card().assumed_scale_spread());
        let (mut outputs, mut finders, mut raw, mut best) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for shot in &camera.shots {
            let output = model.predict(&shot.picture().as_frame()).expect("the network runs").relative;
            let (depth_size, depth) = shot.depth_m();
            let full = resize_plane(output.values(), output.size(), depth_size).expect("sizes are good");
            let all = pairs(&full, &depth);
            let some: Vec<Pair> = all.iter().step_by((all.len() / 4000).max(1)).copied().collect();
            best.push(scale_only(kind, &some, calibration.tau)?.scale.ln());
            raw.push(some);
            finders.push(Finder::new(lens, (depth_size, depth)));
            outputs.push(output);
        }
        Some(Self { camera, outputs, finders, raw, best, calibration, spread, lens })
    }

    /// By a beam at a place, shares of width and height. `None` where it meets nothing in any frame.
    fn follow(&self, place: [f64; 2], noise: &mut Noise) -> Option<Followed> {
        let points: Vec<Option<RangePoint>> = self.finders.iter().map(|finder| finder.read(place, noise)).collect();
        let asked: Vec<Option<RangePoint>> =
            self.finders.iter().zip(&self.outputs).map(|(finder, output)| finder.read_asked(output, self.calibration.tau, noise)).collect();
        let first = points.iter().position(Option::is_some)?;
        let by_points = |i: usize, points: &[RangePoint]| {
            frame_scale(&self.calibration, self.spread, &self.outputs[i], self.lens.size, points).expect("points are good").ln_scale
        };
        let first_reading = by_points(first, points[first].as_slice())?;
        let each = |points: &[Option<RangePoint>]| -> Vec<f64> {
            (0..points.len()).map(|i| by_points(i, points[i].as_slice()).unwrap_or(first_reading)).collect()
        };
        let (own, own_asked) = (each(&points), each(&asked));
        let grids: Vec<f64> =
            (0..points.len()).map(|i| by_points(i, &Self::read_grid(&self.finders[i], noise)).unwrap_or(first_reading)).collect();
        let track = || ScaleTrack::new(self.calibration.clone(), self.spread, self.lens.size).expect("size is good");
        let (mut carried, mut joined, mut carried_asked, mut joined_asked) = (track(), track(), track(), track());
        let (mut add_ms, mut carried_scales, mut so_far) = (Vec::new(), Vec::new(), Vec::new());
        let (mut carried_asked_scales, mut so_far_asked) = (Vec::new(), Vec::new());
        for (i, (shot, output)) in self.camera.shots.iter().zip(&self.outputs).enumerate() {
            let picture = shot.picture();
            let once = if i == first { points[i].as_slice() } else { &[] };
            carried_scales.push(carried.add(&picture.as_frame(), output, once).expect("points are good"));
            let once_asked = if i == 0 { asked[i].as_slice() } else { &[] };
            carried_asked_scales.push(carried_asked.add(&picture.as_frame(), output, once_asked).expect("points are good"));
            so_far_asked.push(joined_asked.add(&picture.as_frame(), output, asked[i].as_slice()).expect("points are good"));
            let start = Instant::now();
            so_far.push(joined.add(&picture.as_frame(), output, points[i].as_slice()).expect("points are good"));
            add_ms.push(1e3 * start.elapsed().as_secs_f64());
        }
        let (looking_back, steps) = (joined.looking_back(), joined.steps());
        let looking_back_asked = joined_asked.looking_back();
        let best = median(self.best.clone())?;
        // The change of scale alone, from the links.
        let drift: Vec<f64> = steps
            .iter()
            .scan(0.0, |sum, step| {
                *sum += step.unwrap_or(0.0);
                Some(*sum)
            })
            .collect();
        let offset = median(self.best.iter().zip(&drift).map(|(best, drift)| best - drift).collect())?;

        let ln_scale = |c: &Calibration| c.ln_scale.unwrap_or(first_reading);
        let claims = [&so_far, &looking_back, &so_far_asked, &looking_back_asked].map(|found| {
            let claims = found.iter().zip(&self.best).filter(|(c, _)| c.ln_scale.is_some());
            claims.map(|(c, best)| Claim { estimate: ln_scale(c), sigma: c.ln_scale_sigma(), truth: *best }).collect()
        });
        Some(Followed {
            name: format!("{} {}", self.camera.group, self.camera.name),
            accepted: self.calibration.state == State::Calibrated,
            scale_only: self.error(&|i| self.best[i]),
            errors: [
                self.error(&|_| first_reading),
                self.error(&|i| ln_scale(&carried_scales[i])),
                self.error(&|i| own[i]),
                self.error(&|i| ln_scale(&so_far[i])),
                self.error(&|i| ln_scale(&looking_back[i])),
                self.error(&|i| ln_scale(&carried_asked_scales[i])),
                self.error(&|i| own_asked[i]),
                self.error(&|i| ln_scale(&so_far_asked[i])),
                self.error(&|i| ln_scale(&looking_back_asked[i])),
                self.error(&|i| grids[i]),
                self.error(&|_| best),
                self.error(&|i| offset + drift[i]),
            ],
            claims,
            linked: (steps.iter().flatten().count(), points.len() - 1),
            add_ms: median(add_ms)?,
        })
    }

    /// The middle half of the frame in 8 x 8 zones.
    fn read_grid(finder: &Finder, noise: &mut Noise) -> Vec<RangePoint> {
        let at = |i: usize| 0.25 + 0.5 * (i as f64 + 0.5) / 8.0;
        (0..64).filter_map(|i| finder.read([at(i % 8), at(i / 8)], noise)).collect()
    }

    /// Mean over the frames of AbsRel in metres, without alignment.
    fn error(&self, ln_scale_of: &dyn Fn(usize) -> f64) -> f64 {
        let (kind, tau) = (self.outputs[0].kind(), self.calibration.tau);
        let error = |i: usize| abs_rel(&Affine { scale: ln_scale_of(i).exp(), tau }.apply(kind, &self.raw[i]));
        let errors: Vec<f64> = (0..self.raw.len()).filter_map(error).collect();
        errors.iter().sum::<f64>() / errors.len() as f64
    }
}

/// Prints one line a camera and beam, then medians.
pub(crate) fn print(all: &[Followed]) {
    println!(
        "camera                    accepted  linked  scale only  {}",
        (1..=WAYS.len()).map(|i| format!("     ({i})")).collect::<String>()
    );
    for f in all {
        let ratios: String = f.errors.iter().map(|e| format!("{:>8.3}", e / f.scale_only)).collect();
        println!("{:<25} {:>8}  {:>2}/{:<2}  {:>10.3}  {ratios}", f.name, f.accepted, f.linked.0, f.linked.1, f.scale_only);
    }
    let of = |value: &dyn Fn(&Followed) -> f64| median(all.iter().map(value).collect()).unwrap_or(f64::NAN);
    let base = of(&|f| f.scale_only);
    println!("\n{} cameras and beams; AbsRel after scale only, median over cameras: {base:.3}", all.len());
    println!("\nmetres by                                        AbsRel  over scale only: of medians  median of ratios");
    for (i, way) in WAYS.iter().enumerate() {
        let error = of(&|f| f.errors[i]);
        println!("({}) {way:<44} {error:>6.3}  {:>27.3}  {:>16.3}", i + 1, error / base, of(&|f| f.errors[i] / f.scale_only));
    }
    for (i, name) in CLAIMS.iter().enumerate() {
        let claims: Vec<Claim> = all.iter().flat_map(|f| f.claims[i].clone()).collect();
        let share = |sigmas: f64| coverage(&claims, sigmas).unwrap_or(f64::NAN);
        let sigma = median(claims.iter().map(|c| c.sigma).collect()).unwrap_or(f64::NAN);
        let off = median(claims.iter().map(|c| (c.estimate - c.truth).abs()).collect()).unwrap_or(f64::NAN);
        println!("ln s {name}: median sigma {sigma:.3}, median error {off:.3}, within 1 and 2 sigma {:.2} {:.2}", share(1.0), share(2.0));
    }
    let (linked, pairs) = all.iter().fold((0, 0), |sum, f| (sum.0 + f.linked.0, sum.1 + f.linked.1));
    println!("linked {linked} of {pairs} pairs of frames; following takes {:.1} ms a frame", of(&|f| f.add_ms));
}
