//! Calibration against worlds whose truth is known: what can be observed, how well, and what must be refused.

use std::cell::Cell;

use fathom_calibration::Error;
use fathom_calibration::anchors::prior::FocalPrior;
use fathom_calibration::anchors::range::RangePoint;
use fathom_calibration::boot::{Budget, Decision, boot};
use fathom_calibration::calibrator::{Calibrator, FrameAnchors, Options};
use fathom_calibration::consistency::frame::glance;
use fathom_calibration::consistency::residual::{Comparison, loss, residuals};
use fathom_calibration::consistency::rotation::{Moments, changes};
use fathom_calibration::consistency::two_way::two_way;
use fathom_calibration::render::{Source, moved, view_camera};
use fathom_calibration::scene::{Spread, comparable, lift};
use fathom_calibration::theta::depth_of;
use fathom_calibration::verdict::{Outcome, Reason};
use fathom_calibration::views::{self, View};
use fathom_core::calibration::{Calibration, State};
use fathom_core::camera::{Intrinsics, Pose};
use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::{Frame, RgbImage, Size};
use fathom_core::model::{DepthModel, ModelCard, Prediction, Response, ScaleSpread};
use fathom_core::ops::splat::{ScreenPoint, splat};
use fathom_tests::oracle::model::Oracle;
use fathom_tests::oracle::resection::{Match, ProjectiveCamera, resect};
use fathom_tests::oracle::room::Room;
use nalgebra::{Point3, Translation3, UnitQuaternion};

const SCALE: f64 = 0.4;
const TAU: f64 = 0.3;
const INPUT: Size = Size::new(192, 144);
const FRAME: Size = Size::new(320, 240);

/// The design's table: 192 px, f = 0.85 W.
fn table_camera() -> Intrinsics {
    Intrinsics::centred(INPUT, 0.85 * 192.0).unwrap()
}

fn pose(step: usize) -> Pose {
    let i = step as f64;
    let turn = UnitQuaternion::from_euler_angles(0.1 - 0.05 * i, 0.3 - 0.15 * i, 0.05);
    Pose::from_parts(Translation3::new(0.1 * i - 0.2, 0.05 * i, 0.0), turn)
}

/// What an exact network sees in an exactly drawn view, and the residual there over the output's spread.
///
/// The scene is lifted with a tau that is off by `tau_off (mean(x) + tau)` and a focal length that is off by `1 / k`; its
/// points are projected into the view without any rounding, and the network finds the camera that such a picture implies.
fn exact_residual(kind: OutputKind, view: &Pose, tau_off: f64, k: f64) -> f64 {
    let (room, camera) = (Room::furnished(), table_camera());
    let assumed = Intrinsics::centred(INPUT, camera.fx_px / k).unwrap();
    let camera_from_world = Pose::from_parts(Translation3::new(0.0, 0.2, 0.5), UnitQuaternion::from_euler_angles(0.12, 0.2, 0.05));
    let oracle = Oracle::new(room.clone(), INPUT, kind, SCALE, TAU);
    let truth = ProjectiveCamera::new(camera.matrix() * camera_from_world.to_homogeneous().fixed_rows::<3>(0)).unwrap();
    let x = oracle.output(&truth, INPUT);
    let spread = Spread::of(x.values());
    let tau = TAU + tau_off * (spread.mean + TAU);
    let depths = room.depth(&camera, &camera_from_world);
    let (mut matches, mut points) = (Vec::new(), Vec::new());
    for (i, (depth, output)) in depths.iter().zip(x.values()).enumerate() {
        let (u, v) = ((i % 192) as f64 + 0.5, (i / 192) as f64 + 0.5);
        let Some(assumed_depth) = depth_of(kind, f64::from(*output), tau) else { continue };
        let there = view * Point3::from(assumed.ray(u, v) * assumed_depth);
        if let Some((u_view, v_view)) = assumed.project(&there.coords) {
            let point = camera_from_world.inverse() * Point3::from(camera.ray(u, v) * *depth);
            matches.push(Match { pixel: [u_view, v_view], point });
            points.push(ScreenPoint::new(u_view as f32, v_view as f32, there.z as f32, [0; 3]));
        }
    }
    let answer = oracle.output(&resect(&matches).unwrap(), INPUT);
    let rendering = splat(&points, INPUT).unwrap();
    let (keep, keep_answer) = (comparable(&x), comparable(&answer));
    let comparison = Comparison {
        x: &x,
        keep: &keep,
        answer: &answer,
        keep_answer: &keep_answer,
        camera: &assumed,
        view_from_frame: view,
        rendering: Some(&rendering),
    };
    loss(&residuals(&comparison, tau), spread.std).unwrap().0
}

#[test]
fn the_observability_table_of_the_design_is_reproduced() {
    let median_depth = 4.0 * SCALE;
    let yaw = |degrees: f64| views::rotations(degrees.to_radians())[0].view_from_frame;
    let orbit = |degrees: f64| views::orbits(degrees.to_radians(), median_depth)[1].view_from_frame;
    let side = views::sideways(0.1 * median_depth)[1].view_from_frame;
    // Pose, residual expected for tau off by 10% and 50%, and for k = 1.1. The room is not the design's: within a factor 1.6.
    let table = [
        ("yaw 10", yaw(10.0), [0.013, 0.066, 0.0095]),
        ("yaw 25", yaw(25.0), [0.023, 0.115, 0.055]),
        ("orbit 15", orbit(15.0), [0.025, 0.115, 0.022]),
        ("orbit 35", orbit(35.0), [0.066, 0.29, 0.103]),
    ];
    let residual = |pose: &Pose, tau_off, k| exact_residual(OutputKind::InverseDepth, pose, tau_off, k);
    for (name, pose, expected) in table {
        let found = [residual(&pose, 0.1, 1.0), residual(&pose, 0.5, 1.0), residual(&pose, 0.0, 1.1)];
        println!("{name}: truth {:.4}, found {found:.4?}, design {expected:.4?}", residual(&pose, 0.0, 1.0));
        for (found, expected) in found.iter().zip(expected) {
            assert!((0.6..1.7).contains(&(found / expected)), "{name}: {found} against {expected}");
        }
    }
    for (tau_off, k) in [(0.1, 1.0), (0.5, 1.0), (0.0, 1.1)] {
        let found = residual(&side, tau_off, k);
        println!("sideways, tau {tau_off}, k {k}: {found:.5}");
        // Nothing but bilinear sampling across edges: a step aside carries no information.
        assert!(found < 0.006, "{found}");
    }
}

#[test]
fn tau_is_exact_to_a_thousandth_with_exact_renders() {
    for kind in [OutputKind::InverseDepth, OutputKind::Depth] {
        let camera = view_camera(&table_camera(), INPUT);
        let oracle = Oracle::new(Room::furnished(), INPUT, kind, SCALE, TAU);
        let see = |from: &Pose| {
            let matrix = camera.matrix() * from.to_homogeneous().fixed_rows::<3>(0);
            oracle.output(&ProjectiveCamera::new(matrix).unwrap(), INPUT)
        };
        let x = see(&pose(1));
        let mut sum: Option<Moments> = None;
        for View { view_from_frame, .. } in views::rotations(views::ROTATION_RAD) {
            let answer = see(&(view_from_frame * pose(1)));
            let compared = changes(&x, &comparable(&x), &answer, &comparable(&answer), &camera, &view_from_frame.rotation);
            let moments = Moments::robust(&compared);
            sum = Some(sum.map_or(moments, |s| s + moments));
        }
        let sum = sum.unwrap();
        let error = (sum.tau().unwrap() - TAU) / (TAU + sum.mean_x());
        assert!(error.abs() < 1e-3, "{kind:?}: {error}");
    }
}

#[test]
fn tau_is_right_to_two_hundredths_through_the_splat() {
    for kind in [OutputKind::InverseDepth, OutputKind::Depth] {
        let frame_camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
        let mut oracle = Oracle::new(Room::furnished(), INPUT, kind, SCALE, TAU);
        let photo = Room::furnished().photograph(&frame_camera, &pose(1));
        let source = Source::new(&photo.as_frame(), INPUT).unwrap();
        let camera = view_camera(&frame_camera, INPUT);
        let whole = oracle.predict(&photo.as_frame()).unwrap().relative;
        // The scene is lifted with a tau 40% off: a turn shows nothing of it.
        let spread = Spread::of(whole.values());
        let start = TAU + 0.4 * (TAU + spread.mean);
        let scene = lift(&source, &frame_camera, &whole, &frame_camera.resized(INPUT), start).unwrap();
        let mut see = |from: &Pose| {
            let (picture, _) = moved(&scene, &camera, from).unwrap();
            (oracle.predict(&picture.image.as_frame()).unwrap().relative, picture.shown)
        };
        let (x, _) = see(&Pose::identity());
        let mut sum: Option<Moments> = None;
        for View { view_from_frame, .. } in views::rotations(views::ROTATION_RAD) {
            let (answer, shown) = see(&view_from_frame);
            let keep: Vec<bool> = comparable(&answer).iter().zip(&shown).map(|(a, b)| *a && *b).collect();
            let compared = changes(&x, &comparable(&x), &answer, &keep, &camera, &view_from_frame.rotation);
            let moments = Moments::robust(&compared);
            sum = Some(sum.map_or(moments, |s| s + moments));
        }
        let sum = sum.unwrap();
        let error = (sum.tau().unwrap() - TAU) / (TAU + sum.mean_x());
        assert!(error.abs() < 0.02, "{kind:?}: {error}");
    }
}

/// A network that was told what to answer, in order: to a frame, to its own view, to a moved view.
struct Told(ModelCard, std::collections::VecDeque<RelativeDepth>);

impl DepthModel for Told {
    fn card(&self) -> &ModelCard {
        &self.0
    }

    fn predict(&mut self, _: &Frame<'_>) -> Result<Prediction, fathom_core::Error> {
        Ok(Prediction { relative: self.1.pop_front().expect("told enough"), fov: None })
    }
}

#[test]
fn the_two_way_objective_of_an_orbit_is_least_at_the_truth_and_steps_towards_it() {
    let (camera, from) = (Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap(), pose(1));
    let (room, view_of) = (Room::furnished(), view_camera(&camera, INPUT));
    let oracle = Oracle::new(room.clone(), INPUT, OutputKind::InverseDepth, SCALE, TAU);
    let see = |camera: &Intrinsics, from: &Pose| {
        oracle.output(&ProjectiveCamera::new(camera.matrix() * from.to_homogeneous().fixed_rows::<3>(0)).unwrap(), INPUT)
    };
    let (whole, own) = (see(&camera.resized(INPUT), &from), see(&view_of, &from));
    let unit = TAU + Spread::of(whole.values()).mean;
    let photo = room.photograph_papered(&camera, &from);
    let source = Source::new(&photo.as_frame(), INPUT).unwrap();
    let at = |off: f64| {
        let tau = TAU + off * unit;
        let scene = lift(&source, &camera, &whole, &camera.resized(INPUT), tau).unwrap();
        let orbit = views::orbits(15_f64.to_radians(), scene.median_depth)[1];
        // Where the points of the room land in the view, lifted with this tau: the camera that such a picture implies.
        let depths = room.depth(&view_of, &from);
        let land = |(i, (depth, x)): (usize, (&f64, &f32))| {
            let (u, v) = ((i % 192) as f64 + 0.5, (i / 192) as f64 + 0.5);
            let lifted = Point3::from(view_of.ray(u, v) * depth_of(OutputKind::InverseDepth, f64::from(*x), tau)?);
            let (u_view, v_view) = view_of.project(&(orbit.view_from_frame * lifted).coords)?;
            Some(Match { pixel: [u_view, v_view], point: from.inverse() * Point3::from(view_of.ray(u, v) * *depth) })
        };
        let matches: Vec<Match> = depths.iter().zip(own.values()).enumerate().filter_map(land).collect();
        let answer = oracle.output(&resect(&matches).unwrap(), INPUT);
        let mut told = Told(oracle.card().clone(), [whole.clone(), own.clone(), answer].into());
        let glance = glance(&mut told, &photo.as_frame()).unwrap();
        two_way(&mut told, &glance, &camera, tau, |_| orbit).unwrap().expect("half of the view is visible")
    };
    let (low, truth, high) = (at(-0.2), at(0.0), at(0.2));
    println!("depth {:.4} {:.4} {:.4}, image {:.3} {:.3} {:.3}", low.depth, truth.depth, high.depth, low.image, truth.image, high.image);
    println!("steps {:+.3} {:+.3} {:+.3} of {unit:.3}", low.step.0, truth.step.0, high.step.0);
    assert!(truth.depth < 0.5 * low.depth && truth.depth < 0.5 * high.depth);
    assert!(truth.image < 0.1, "what comes back is the frame: {}", truth.image);
    assert!(low.step.0 > 0.0 && high.step.0 < 0.0 && truth.step.0.abs() < 0.02 * unit);
}

fn known_focal(camera: &Intrinsics) -> Options {
    Options {
        frame: camera.size,
        old: Calibration::from_default_tau(0.0),
        focal: Some(FocalPrior::new(camera.fx_px, 0.001).unwrap()),
        camera_height_m: None,
    }
}

fn photographs(camera: &Intrinsics, count: usize) -> Vec<RgbImage> {
    (0..count).map(|step| Room::furnished().photograph(camera, &pose(step))).collect()
}

fn run(model: &mut dyn DepthModel, options: Options, photos: &[RgbImage]) -> Outcome {
    let mut calibrator = Calibrator::new(model, options).unwrap();
    for photo in photos {
        calibrator.add_frame(&photo.as_frame(), &FrameAnchors::default()).unwrap();
    }
    calibrator.finish()
}

#[test]
fn a_camera_is_calibrated_from_its_frames_whatever_it_started_from() {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let photos = photographs(&camera, 5);
    let mut found = Vec::new();
    for off in [-0.4, 0.4] {
        let mut oracle = Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU);
        let old = Calibration::from_default_tau(TAU + off * (TAU + 0.23));
        let outcome = run(&mut oracle, Options { old, ..known_focal(&camera) }, &photos);
        assert_eq!(outcome.calibration.state, State::Calibrated, "{:?}", outcome.reasons);
        assert_eq!(outcome.network_runs, oracle.runs);
        assert!(outcome.network_runs <= 40 * photos.len());
        found.push(outcome.theta.tau);
    }
    assert_eq!(found[0], found[1]);
    assert!((found[0] - TAU).abs() < 0.02 * (TAU + 0.23), "{}", found[0]);
}

#[test]
fn a_network_that_realises_half_the_change_is_corrected_by_its_card() {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let photos = photographs(&camera, 4);
    let half = Response { value: 0.5, sigma: 0.02 };
    let oracle = Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU).with_card(|card| card.kappa = Some(half));
    // Half of the change: the answer is the mean of the true one and of the reference carried along.
    let mut lazy = Lazy { oracle, share: 0.5, camera: view_camera(&camera, INPUT), reference: None, views: 0 };
    let outcome = run(&mut lazy, known_focal(&camera), &photos);
    assert!((outcome.theta.tau - TAU).abs() < 0.05 * (TAU + 0.23), "{}", outcome.theta.tau);
}

/// An oracle that realises a share of the change between its reference view and a turned one.
struct Lazy {
    oracle: Oracle,
    share: f64,
    camera: Intrinsics,
    reference: Option<RelativeDepth>,
    views: usize,
}

impl DepthModel for Lazy {
    fn card(&self) -> &ModelCard {
        self.oracle.card()
    }

    /// Knows the order in which a frame's pictures come: the frame, the reference, four turned views.
    fn predict(&mut self, image: &Frame<'_>) -> Result<Prediction, fathom_core::Error> {
        let mut prediction = self.oracle.predict(image)?;
        let index = self.views % 6;
        self.views += 1;
        match (index, &self.reference) {
            (1, _) => self.reference = Some(prediction.relative.clone()),
            (2.., Some(reference)) => {
                let back = views::rotations(views::ROTATION_RAD)[index - 2].view_from_frame.rotation.inverse();
                let width = INPUT.width as usize;
                let mixed = prediction.relative.values().iter().enumerate().map(|(i, &answer)| {
                    let ray = back * self.camera.ray((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
                    let before = self.camera.project(&ray).and_then(|(u, v)| fathom_calibration::scene::sample(reference, u, v));
                    before.map_or(answer, |b| (self.share * f64::from(answer) + (1.0 - self.share) * b) as f32)
                });
                let values = mixed.collect();
                prediction.relative = RelativeDepth::new(INPUT, prediction.relative.kind(), values)?;
            }
            _ => {}
        }
        Ok(prediction)
    }
}

/// Calibrates on four frames of one room, with a distance measured in each.
fn by_range_points(scale_spread: Option<ScaleSpread>) -> Outcome {
    by_range_points_after(scale_spread, &[])
}

/// The same, each frame offered with `bad` anchors first, and the first one as a motion of a negative baseline.
fn by_range_points_after(scale_spread: Option<ScaleSpread>, bad: &[FrameAnchors<'_>]) -> Outcome {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let room = Room::furnished();
    let mut oracle =
        Oracle::new(room.clone(), INPUT, OutputKind::InverseDepth, SCALE, TAU).with_card(|card| card.scale_spread = scale_spread);
    let mut calibrator = Calibrator::new(&mut oracle, known_focal(&camera)).unwrap();
    for step in 0..4 {
        let photo = room.photograph(&camera, &pose(step));
        let depth = room.depth(&camera, &pose(step));
        let (column, row) = (200, 90);
        let ray = camera.ray(column as f64 + 0.5, row as f64 + 0.5);
        let metres = depth[row * 320 + column] * ray.norm();
        let point = RangePoint { u_px: column as f64 + 0.5, v_px: row as f64 + 0.5, metres, relative_sigma: 0.01 };
        for anchors in bad {
            let refused = calibrator.add_frame(&photo.as_frame(), &FrameAnchors { range: &[&[point], anchors.range].concat(), ..*anchors });
            assert!(matches!(refused, Err(Error::Anchor { .. })), "{refused:?}");
        }
        if step == 0 && !bad.is_empty() {
            let refused = calibrator.add_motion(&photo.as_frame(), &photo.as_frame(), Some(-1.0));
            assert!(matches!(refused, Err(Error::Anchor { .. })), "{refused:?}");
        }
        calibrator.add_frame(&photo.as_frame(), &FrameAnchors { range: &[point], gravity: None }).unwrap();
    }
    calibrator.finish()
}

#[test]
fn frames_with_bad_anchors_count_as_not_seen() {
    let far = RangePoint { u_px: 9.0, v_px: 9.0, metres: f64::INFINITY, relative_sigma: 0.01 };
    let bad = [FrameAnchors { range: &[far], gravity: None }, FrameAnchors { range: &[], gravity: Some([0.0; 3]) }];
    let spread = Some(ScaleSpread { frame: 0.02, pixel: 0.05 });
    let (clean, after) = (by_range_points(spread), by_range_points_after(spread, &bad));
    assert_eq!((after.calibration, after.reasons), (clean.calibration, clean.reasons));
}

#[test]
fn one_range_point_a_frame_brings_metres() {
    let outcome = by_range_points(Some(ScaleSpread { frame: 0.02, pixel: 0.05 }));
    let scale = outcome.calibration.ln_scale.expect("a range finder gives metres").exp();
    assert!((scale / SCALE - 1.0).abs() < 0.02, "{scale}");
    // Only the range finder speaks of metres; what it says of them rests on the others' tau.
    for cue in &outcome.cues {
        assert_eq!(cue.sigma[0].is_finite(), cue.name == "range", "{cue:?}");
    }
    assert!(outcome.cues.iter().any(|cue| cue.name == "range" && cue.share[0] > 0.3), "{:?}", outcome.cues);
}

#[test]
fn distances_in_one_room_are_no_scale_for_others_where_a_network_sees_each_in_its_own() {
    let outcome = by_range_points(None);
    assert_eq!((outcome.calibration.state, outcome.calibration.ln_scale), (State::Calibrated, None));
    let few = outcome.reasons.iter().find(|reason| matches!(reason, Reason::TooFewDistances { .. })).expect("a reason");
    assert!(few.to_string().contains("each place in a scale of its own"), "{few}");
}

/// A network that answers every picture with the same map.
struct Fixed(ModelCard, RelativeDepth);

impl DepthModel for Fixed {
    fn card(&self) -> &ModelCard {
        &self.0
    }

    fn predict(&mut self, _: &Frame<'_>) -> Result<Prediction, fathom_core::Error> {
        Ok(Prediction { relative: self.1.clone(), fov: None })
    }
}

fn not_observable(name: &str, outcome: &Outcome, old: f64) {
    assert_eq!(outcome.calibration.state, State::NotObservable, "{name}: {:?}", outcome.theta);
    assert_eq!(outcome.calibration.tau, old, "{name}: the old value stands");
    assert_eq!(outcome.calibration.camera, None, "{name}");
    assert!(!outcome.reasons.is_empty(), "{name}: no reason given");
    println!("{name}: {}", outcome.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
}

#[test]
fn pictures_that_show_nothing_are_refused_and_the_old_values_stand() {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let good = photographs(&camera, 5);
    let painted = |paint: &dyn Fn(usize, &RgbImage) -> RgbImage| good.iter().enumerate().map(|(i, p)| paint(i, p)).collect::<Vec<_>>();
    let dark = painted(&|_, p| RgbImage::new(FRAME, p.pixels().iter().map(|c| c.map(|v| v / 20)).collect()).unwrap());
    let mirror_flat = painted(&|i, _| RgbImage::new(FRAME, vec![[90 + 20 * i as u8; 3]; FRAME.area()]).unwrap());
    let sky = painted(&|i, _| {
        let shade = |pixel: usize| [90 + 10 * i as u8, 140, (180 + pixel / 320 / 8) as u8];
        RgbImage::new(FRAME, (0..FRAME.area()).map(shade).collect()).unwrap()
    });
    let blurred = painted(&|i, p| blur(p, 24 + i));
    let identical = vec![good[0].clone(); 6];
    for (name, photos) in [("dark", dark), ("mirror-flat", mirror_flat), ("sky", sky), ("blurred", blurred), ("identical", identical)] {
        let mut oracle = Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU);
        let old = Calibration::from_default_tau(0.77);
        let outcome = run(&mut oracle, Options { old, ..known_focal(&camera) }, &photos);
        not_observable(name, &outcome, 0.77);
    }
}

#[test]
fn a_planar_wall_is_refused() {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let photos = photographs(&camera, 5);
    let oracle = Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU);
    let slanted = (0..INPUT.area()).map(|i| 0.2 + 0.001 * (i % 192) as f32 + 0.0005 * (i / 192) as f32).collect();
    let wall = RelativeDepth::new(INPUT, OutputKind::InverseDepth, slanted).unwrap();
    let mut model = Fixed(oracle.card().clone(), wall);
    let old = Calibration::from_default_tau(0.77);
    let outcome = run(&mut model, Options { old, ..known_focal(&camera) }, &photos);
    not_observable("planar wall", &outcome, 0.77);
}

#[test]
fn a_network_that_does_not_respond_is_refused_by_its_card_and_by_its_answers() {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let photos = photographs(&camera, 5);
    for kappa in [None, Some(Response { value: 0.05, sigma: 0.1 }), Some(Response { value: 0.5, sigma: 0.4 })] {
        let mut oracle = Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU).with_card(|card| card.kappa = kappa);
        let outcome = run(&mut oracle, known_focal(&camera), &photos);
        not_observable("no response", &outcome, 0.0);
        assert!(outcome.reasons.iter().any(|r| matches!(r, Reason::UnknownResponse | Reason::NoResponse { .. })));
        assert_eq!(oracle.runs, photos.len(), "no view is rendered for a network that does not respond");
    }
    // A card that promises what the network does not do: the same map whatever the view.
    let oracle = Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU);
    let bumpy = (0..INPUT.area()).map(|i| 0.5 + 0.2 * ((i % 192) as f32 * 0.1).sin() * ((i / 192) as f32 * 0.13).cos()).collect();
    let mut model = Fixed(oracle.card().clone(), RelativeDepth::new(INPUT, OutputKind::InverseDepth, bumpy).unwrap());
    let outcome = run(&mut model, known_focal(&camera), &photos);
    not_observable("same map", &outcome, 0.0);
}

fn blur(photo: &RgbImage, radius: usize) -> RgbImage {
    let (width, height) = (FRAME.width as usize, FRAME.height as usize);
    let pass = |pixels: &[[f32; 3]], step: usize, count: usize, lines: usize, line_step: usize| {
        let mut out = pixels.to_vec();
        for line in 0..lines {
            for i in 0..count {
                let window = i.saturating_sub(radius)..(i + radius + 1).min(count);
                let n = window.len() as f32;
                let mut sum = [0.0; 3];
                for j in window {
                    for (total, value) in sum.iter_mut().zip(pixels[line * line_step + j * step]) {
                        *total += value / n;
                    }
                }
                out[line * line_step + i * step] = sum;
            }
        }
        out
    };
    let mut pixels: Vec<[f32; 3]> = photo.pixels().iter().map(|p| p.map(f32::from)).collect();
    for _ in 0..2 {
        pixels = pass(&pixels, 1, width, height, width);
        pixels = pass(&pixels, width, height, width, 1);
    }
    RgbImage::new(FRAME, pixels.iter().map(|p| p.map(|v| v.round() as u8)).collect()).unwrap()
}

#[test]
fn a_time_budget_is_honoured_and_the_best_so_far_returned() {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let photos = photographs(&camera, 8);
    let mut oracle = Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU);
    // A clock that a picture moves by a second when it is fetched; a frame then takes one second.
    let now = Cell::new(0.0);
    let frames = photos.iter().map(|photo| {
        now.set(now.get() + 1.0);
        photo.clone()
    });
    let elapsed_s = || now.get();
    let booted = boot(&mut oracle, known_focal(&camera), None, frames, Budget { seconds: 5.5, elapsed_s: &elapsed_s }).unwrap();
    assert!(now.get() <= 6.0, "{}", now.get());
    assert!(!booted.outcome.complete);
    assert_eq!(booted.decision, Decision::Recalibrated { drift_sigmas: None });
    assert!((booted.outcome.theta.tau - TAU).abs() < 0.02);
}

/// A network of which every run takes a second of a clock.
struct Slow<'a>(Oracle, &'a Cell<f64>);

impl DepthModel for Slow<'_> {
    fn card(&self) -> &ModelCard {
        self.0.card()
    }

    fn predict(&mut self, image: &Frame<'_>) -> Result<Prediction, fathom_core::Error> {
        self.1.set(self.1.get() + 1.0);
        self.0.predict(image)
    }
}

#[test]
fn a_slow_network_and_an_unknown_focal_length_stay_within_the_budget_from_the_first_frame_on() {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let photos = photographs(&camera, 8);
    // Seconds; fewest and most frames begun. A frame that is refused takes two runs, others 6, 14 or 22.
    for (seconds, frames) in [(5.0, 0..=0), (30.0, 3..=6), (70.0, 3..=6), (1000.0, 8..=8)] {
        let now = Cell::new(0.0);
        let mut slow = Slow(Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU), &now);
        let elapsed_s = || now.get();
        let options = Options { focal: None, ..known_focal(&camera) };
        let booted = boot(&mut slow, options, None, photos.iter().cloned(), Budget { seconds, elapsed_s: &elapsed_s }).unwrap();
        assert!(now.get() <= seconds, "{} of {seconds} s", now.get());
        assert!(frames.contains(&booted.outcome.frames.1), "{} frames begun in {seconds} s", booted.outcome.frames.1);
        assert_eq!(booted.outcome.network_runs as f64, now.get());
        assert_eq!(booted.outcome.complete, frames.contains(&photos.len()));
    }
}

#[test]
fn a_stored_calibration_is_kept_while_it_fits_and_replaced_when_it_has_drifted() {
    let camera = Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap();
    let photos = photographs(&camera, 7);
    let clock = || 0.0;
    let budget = || Budget { seconds: 1.0, elapsed_s: &clock };
    let mut oracle = Oracle::new(Room::furnished(), INPUT, OutputKind::InverseDepth, SCALE, TAU);
    let stored = run(&mut oracle, known_focal(&camera), &photos).calibration;
    oracle.runs = 0;
    let same = boot(&mut oracle, known_focal(&camera), Some(&stored), photos.iter().cloned(), budget()).unwrap();
    assert!(matches!(same.decision, Decision::Kept { sigmas, .. } if sigmas < 1.0), "{:?}", same.decision);
    assert_eq!(same.outcome.calibration, Calibration { state: State::Kept, ..stored.clone() });
    assert!(oracle.runs < 6 * photos.len(), "a check takes a few frames");
    let drifted = Calibration { tau: stored.tau + 0.2, ..stored.clone() };
    let new = boot(&mut oracle, known_focal(&camera), Some(&drifted), photos.iter().cloned(), budget()).unwrap();
    assert!(matches!(new.decision, Decision::Recalibrated { drift_sigmas: Some(s) } if s > 3.0), "{:?}", new.decision);
    assert!((new.outcome.calibration.tau - TAU).abs() < 0.02);
    let dark = vec![RgbImage::new(FRAME, vec![[1; 3]; FRAME.area()]).unwrap(); 5];
    let old = boot(&mut oracle, known_focal(&camera), Some(&stored), dark.into_iter(), budget()).unwrap();
    assert_eq!(old.decision, Decision::KeptOld { drift_sigmas: None });
    assert_eq!(old.outcome.calibration.tau, stored.tau);
    assert!(!old.outcome.reasons.is_empty());
}
