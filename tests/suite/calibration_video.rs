//! The scale along a video: frames of a ray-traced room, and a network whose frames have scales of their own and whose errors stick
//! to things.

use fathom_calibration::anchors::align::Motion;
use fathom_calibration::anchors::link::{Link, Look, link};
use fathom_calibration::anchors::place::{Place, Places};
use fathom_calibration::anchors::range::RangePoint;
use fathom_calibration::track::{ScaleTrack, WINDOW};
use fathom_core::calibration::Calibration;
use fathom_core::camera::{Intrinsics, Pose};
use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::{RgbImage, Size};
use fathom_core::measures::median;
use fathom_core::model::ScaleSpread;
use fathom_tests::noise::Noise;
use fathom_tests::oracle::room::Room;
use nalgebra::{Point3, Rotation3, Translation3, UnitQuaternion};

const FRAME: Size = Size::new(160, 120);
const OUTPUT: Size = Size::new(128, 96);
const TAU: f64 = 0.3;
const SPREAD: ScaleSpread = ScaleSpread { frame: 0.4, pixel: 0.1 };

fn camera() -> Intrinsics {
    Intrinsics::from_fov(FRAME, 70_f64.to_radians()).unwrap()
}

fn rest() -> Motion {
    Motion { tau: TAU, ..Motion::turn(Rotation3::identity(), (camera().fx_px / f64::from(FRAME.width)).ln()) }
}

/// A camera that looks `yaw_deg` to the side, a little off the room's middle.
fn looking(yaw_deg: f64) -> Pose {
    let turn = UnitQuaternion::from_euler_angles(0.1, yaw_deg.to_radians(), 0.0);
    Pose::from_parts(Translation3::new(0.1 + 0.1 * yaw_deg.to_radians().sin(), 0.0, 0.2), turn)
}

fn photograph(from: &Pose, noise: &mut Noise) -> RgbImage {
    let exact = Room::furnished().photograph_papered(&camera(), from);
    let noisy = exact.pixels().iter().map(|p| {
        let level = 2.0 * noise.normal();
        p.map(|c| (f64::from(c) + level).round().clamp(0.0, 255.0) as u8)
    });
    RgbImage::new(FRAME, noisy.collect()).unwrap()
}

/// ln of what the network says a thing's depth is over its depth.
fn error_at(point: &Point3<f64>, size: f64) -> f64 {
    size * 1.4 * (5.0 * point.x + 1.0).sin() * (4.0 * point.y + 3.0 * point.z).cos()
}

/// What a network says of the room, its scale `ln s` and its errors of one size.
fn output(kind: OutputKind, from: &Pose, ln_scale: f64, error: f64) -> RelativeDepth {
    let camera = camera().resized(OUTPUT);
    let depth = Room::furnished().depth(&camera, from);
    let value = |(i, z): (usize, &f64)| {
        let ray = camera.ray((i % 128) as f64 + 0.5, (i / 128) as f64 + 0.5);
        let seen = z * error_at(&(from.inverse() * Point3::from(ray * *z)), error).exp();
        let x = if kind == OutputKind::InverseDepth { 1.0 / (seen * ln_scale.exp()) } else { seen / ln_scale.exp() };
        (x - TAU) as f32
    };
    RelativeDepth::new(OUTPUT, kind, depth.iter().enumerate().map(value).collect()).unwrap()
}

/// What a range finder in the middle of the frame measures: the ray is the optical axis.
fn beam(from: &Pose) -> RangePoint {
    let metres = Room::furnished().depth(&camera(), from)[60 * 160 + 80];
    RangePoint { u_px: 80.5, v_px: 60.5, metres, relative_sigma: 0.01 }
}

fn track() -> ScaleTrack {
    track_of(SPREAD)
}

fn track_of(spread: ScaleSpread) -> ScaleTrack {
    let mut calibration = Calibration::from_default_tau(TAU);
    calibration.camera = Some(camera());
    calibration.covariance[(2, 2)] = 0.0;
    ScaleTrack::new(calibration, spread, FRAME).unwrap()
}

fn step(kind: OutputKind, from: [&Pose; 2], change: f64, noise: &mut Noise) -> Option<Link> {
    let [before, after] = [(from[0], -0.9), (from[1], -0.9 + change)]
        .map(|(from, ln_scale)| Look::new(&photograph(from, noise).as_frame(), output(kind, from, ln_scale, 0.03)).unwrap());
    link(&before, &after, &rest())
}

#[test]
fn how_the_scale_changed_is_seen_where_two_frames_overlap() {
    let mut noise = Noise(3);
    for kind in [OutputKind::InverseDepth, OutputKind::Depth] {
        for (yaw_deg, change) in [(0.0, 0.0), (3.0, 0.2), (-4.0, -0.3)] {
            let link = step(kind, [&looking(5.0), &looking(5.0 + yaw_deg)], change, &mut noise).expect("frames overlap");
            println!("{kind:?}, {yaw_deg} degrees: {:+.4} +- {:.4} for {change}", link.step, link.sigma);
            assert!((link.step - change).abs() < 0.02 && (link.step - change).abs() < 2.0 * link.sigma, "{link:?}");
            assert!((link.motion.rotation.angle().to_degrees() - yaw_deg.abs()).abs() < 0.5, "{link:?}");
        }
    }
}

#[test]
fn frames_that_share_nothing_are_not_linked() {
    let mut noise = Noise(4);
    assert_eq!(step(OutputKind::InverseDepth, [&looking(0.0), &looking(170.0)], 0.0, &mut noise), None);
    assert_eq!(step(OutputKind::InverseDepth, [&looking(0.0), &looking(60.0)], 0.0, &mut noise), None);
}

#[test]
fn a_beam_travels_with_the_camera_and_stays_while_it_rests() {
    let (kind, mut noise) = (OutputKind::InverseDepth, Noise(5));
    let middle = [0.5, 0.5];
    for (yaw_deg, expected) in [(0.0, 0.0), (4.0, 4_f64.to_radians().tan() * camera().fx_px / 160.0)] {
        let link = step(kind, [&looking(0.0), &looking(yaw_deg)], 0.0, &mut noise).unwrap();
        let travel = link.travel(&output(kind, &looking(0.0), -0.9, 0.0), middle, middle);
        assert!((travel - expected).abs() < 0.012, "{travel}, {expected}");
    }
}

/// Follows a video in which every frame's scale is its own; returns `(ln s, sigma, true ln s)` of the first frame by its own reading
/// and of the last looking back. `error` is the network's at a pixel.
fn follow(kind: OutputKind, error: f64, yaws_deg: impl Iterator<Item = f64>) -> [(f64, f64, f64); 2] {
    let (mut track, mut noise) = (track_of(ScaleSpread { pixel: error, ..SPREAD }), Noise(6));
    let mut ends = Vec::new();
    for (i, yaw_deg) in yaws_deg.enumerate() {
        let (from, ln_scale) = (looking(yaw_deg), -0.9 + 0.1 * (i as f64 / 3.0).sin());
        let found = track.add(&photograph(&from, &mut noise).as_frame(), &output(kind, &from, ln_scale, error), &[beam(&from)]).unwrap();
        ends.push((found.ln_scale.unwrap(), found.ln_scale_sigma(), ln_scale));
        assert!(i == 0 || track.is_linked(), "frame {i}");
    }
    [ends[0], ends[ends.len() - 1]]
}

#[test]
fn a_camera_that_looks_about_averages_the_networks_errors_out() {
    for kind in [OutputKind::InverseDepth, OutputKind::Depth] {
        // The second network errs as the embedded one does.
        for error in [0.1, 0.16] {
            let yaws_deg = (0..24).map(|i| f64::from(i) * 2.0 - 20.0);
            let [_, last] = follow(kind, error, yaws_deg.clone());
            // A reading is as certain as the network is where it is taken: of 24 places the median.
            let single = median(yaws_deg.map(|yaw_deg| follow(kind, error, std::iter::once(yaw_deg))[0].1).collect()).unwrap();
            println!("{kind:?}, {error}: last {last:?}, a single reading {single}");
            // Three quarters of a reading that knows nothing of its place; the links' own sigmas, the same for both, keep the better
            // network from three quarters of one that does.
            assert!(last.1 < 0.75 * 1.6 * error && last.1 < 0.9 * single, "{single} {last:?}");
            assert!(error < 0.15 || last.1 < 0.75 * single, "{single} {last:?}");
            assert!((last.0 - last.2).abs() < 2.0 * last.1 && (last.0 - last.2).abs() < 0.1, "{last:?}");
        }
    }
}

#[test]
fn a_camera_that_hovers_learns_no_more_than_from_its_first_reading() {
    let [first, last] = follow(OutputKind::InverseDepth, SPREAD.pixel, (0..24).map(|_| 12.0));
    println!("first {first:?}, last {last:?}");
    assert!((first.0 - first.2).abs() > 0.05, "the network is right here: {first:?}");
    // All readings are wrong by the same error of the network, and only the sigma says so.
    assert!(last.1 > 0.9 * first.1, "{first:?} {last:?}");
    assert!(((last.0 - last.2) - (first.0 - first.2)).abs() < 0.03, "{first:?} {last:?}");
}

#[test]
fn a_cut_begins_anew_and_a_later_distance_serves_the_frames_before_it() {
    let (kind, mut track, mut noise) = (OutputKind::InverseDepth, track(), Noise(8));
    let scenes = [(0.0, true), (1.0, false), (170.0, false), (171.0, false), (172.0, true), (173.0, false)];
    let mut known = Vec::new();
    for (yaw_deg, measured) in scenes {
        let from = looking(yaw_deg);
        let points = [beam(&from)];
        let points = if measured { &points[..] } else { &[] };
        let found = track.add(&photograph(&from, &mut noise).as_frame(), &output(kind, &from, -0.9, 0.0), points).unwrap();
        known.push(found.ln_scale.is_some());
    }
    assert_eq!(known, [true, true, false, false, true, true]);
    assert_eq!(track.steps().iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, true, true, true]);
    let back = track.looking_back();
    assert!(back.iter().all(|c| (c.ln_scale.unwrap() + 0.9).abs() < 0.05), "{back:?}");
    // The frame that was measured in knows more than the one before it.
    assert!(back[4].ln_scale_sigma() < back[2].ln_scale_sigma());
}

#[test]
fn a_long_video_takes_no_more_memory_and_bad_input_counts_as_not_seen() {
    let (kind, mut track, mut noise) = (OutputKind::InverseDepth, track(), Noise(9));
    let from = looking(0.0);
    let (picture, output) = (photograph(&from, &mut noise), output(kind, &from, -0.9, 0.0));
    let mut sigmas = Vec::new();
    for i in 0..WINDOW + 12 {
        let point = [beam(&from)];
        let points = if i == 0 { &point[..] } else { &[] };
        sigmas.push(track.add(&picture.as_frame(), &output, points).unwrap().ln_scale_sigma());
    }
    assert_eq!(track.looking_back().len(), WINDOW);
    // What frames that are gone knew stays, and fades by the links.
    assert!(sigmas.is_sorted() && sigmas[WINDOW + 11] < 2.0 * sigmas[0], "{sigmas:?}");
    let before = track.looking_back();
    let small = RgbImage::new(Size::new(8, 8), vec![[0; 3]; 64]).unwrap();
    let refused = track.add(&small.as_frame(), &output, &[]).unwrap_err();
    assert!(refused.to_string().contains("8x8") && refused.to_string().contains("160x120"), "{refused}");
    let refused = track.add(&picture.as_frame(), &output, &[RangePoint { metres: -1.0, ..beam(&from) }]).unwrap_err();
    assert!(refused.to_string().contains("-1"), "{refused}");
    assert_eq!(track.looking_back(), before);
}

#[test]
fn a_place_lasts_while_frames_show_the_same() {
    let (kind, mut noise) = (OutputKind::InverseDepth, Noise(10));
    let mut places = Places::default();
    let mut place = |yaw_deg: f64| {
        let from = looking(yaw_deg);
        places.of(Look::new(&photograph(&from, &mut noise).as_frame(), output(kind, &from, -0.9, 0.0)).unwrap(), &rest(), SPREAD.frame)
    };
    assert_eq!([0.0, 0.0, 2.0, 170.0, 171.0].map(&mut place), [Place::New, Place::Same, Place::Same, Place::New, Place::Same]);
    // A long way in small steps leads somewhere else as well.
    let walked = (0..60).map(|i| place(171.0 + 6.0 * f64::from(i))).filter(|place| *place == Place::New).count();
    assert!((1..60).contains(&walked), "{walked}");
}
