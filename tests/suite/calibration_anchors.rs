//! Each anchor against simulated data with noise, and with outliers in a tenth of its rows.

use fathom_calibration::anchors::floor::Floor;
use fathom_calibration::anchors::motion::Motions;
use fathom_calibration::anchors::place::Place;
use fathom_calibration::anchors::prior::{FocalPrior, ShiftPrior};
use fathom_calibration::anchors::range::{Range, RangePoint};
use fathom_calibration::anchors::turn::Turns;
use fathom_calibration::information::Cue;
use fathom_calibration::scene::Spread;
use fathom_calibration::solve::{Prior, Solution, solve};
use fathom_core::camera::{Intrinsics, Pose};
use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::{RgbImage, Size};
use fathom_core::model::ScaleSpread;
use fathom_tests::noise::Noise;
use fathom_tests::oracle::room::Room;
use nalgebra::{Translation3, UnitQuaternion, Vector3};

const FRAME: Size = Size::new(320, 240);
const OUTPUT: Size = Size::new(128, 96);
const SCALE: f64 = 0.4;
const TAU: f64 = 0.3;
/// Of the simulated network: its frames share one scale, its pixels err by a few hundredths.
const SPREAD: ScaleSpread = ScaleSpread { frame: 0.02, pixel: 0.05 };

fn camera(fov_deg: f64) -> Intrinsics {
    Intrinsics::from_fov(FRAME, fov_deg.to_radians()).unwrap()
}

/// What a network says of a room: exact but for smooth errors of `error` and, in `outliers` of the pixels, nonsense.
fn output(kind: OutputKind, camera: &Intrinsics, from: &Pose, error: f64, noise: &mut Noise) -> RelativeDepth {
    let depth = Room::furnished().depth(&camera.resized(OUTPUT), from);
    let (phase, tilt) = (noise.uniform() * 6.3, noise.uniform() * 0.2);
    let value = |(i, z): (usize, &f64)| {
        let wave = 1.0 + error * ((i % 128) as f64 * (0.1 + tilt) + phase).sin() * ((i / 128) as f64 * 0.15 + phase).cos();
        let x = match kind {
            OutputKind::InverseDepth => wave / (z * SCALE) - TAU,
            _ => z * wave / SCALE - TAU,
        };
        x as f32
    };
    RelativeDepth::new(OUTPUT, kind, depth.iter().enumerate().map(value).collect()).unwrap()
}

fn pose(step: usize, noise: &mut Noise) -> Pose {
    let turn = UnitQuaternion::from_euler_angles(0.3 * noise.uniform(), 0.8 * noise.uniform() - 0.4, 0.0);
    Pose::from_parts(Translation3::new(0.05 * step as f64, 0.0, 0.0), turn)
}

fn solved(cues: &[&dyn Cue], output: &RelativeDepth) -> Solution {
    let spread = Spread::of(output.values());
    solve(cues, &Prior::broad(FRAME.width, spread.mean, spread.std))
}

#[test]
fn range_points_give_scale_and_shift_with_a_tenth_of_them_wrong() {
    for kind in [OutputKind::InverseDepth, OutputKind::Depth] {
        let (camera, mut noise) = (camera(70.0), Noise(7));
        let mut range = Range::new(kind, FRAME, SPREAD);
        let mut last = None;
        for step in 0..10 {
            let from = pose(step, &mut noise);
            let depth = Room::furnished().depth(&camera, &from);
            let x = output(kind, &camera, &from, 0.03, &mut noise);
            let points: Vec<RangePoint> = (0..12)
                .map(|_| {
                    let (column, row) = ((noise.uniform() * 320.0) as usize, (noise.uniform() * 240.0) as usize);
                    let (u_px, v_px) = (column as f64 + 0.5, row as f64 + 0.5);
                    let exact = depth[row * 320 + column] * camera.ray(u_px, v_px).norm();
                    let wrong = if noise.uniform() < 0.1 { 0.3 } else { 1.0 };
                    RangePoint { u_px, v_px, metres: exact * wrong * (1.0 + 0.02 * noise.normal()), relative_sigma: 0.02 }
                })
                .collect();
            range.add(&x, &points, Place::New).unwrap();
            last = Some(x);
        }
        let prior = FocalPrior::new(camera.fx_px, 0.01).unwrap();
        let x = last.unwrap();
        let solution = solved(&[&range, &prior], &x);
        let unit = TAU + Spread::of(x.values()).mean;
        let sigma = solution.covariance.diagonal().map(f64::sqrt);
        let (tau_error, scale_error) = ((solution.theta.tau - TAU) / unit, solution.theta.ln_scale - SCALE.ln());
        println!("{kind:?}: tau {tau_error:+.3} +- {:.3}, ln s {scale_error:+.3} +- {:.3}", sigma[1] / unit, sigma[0]);
        assert!(tau_error.abs() < 0.1 && scale_error.abs() < 0.1);
        assert!((tau_error * unit).abs() < 3.0 * sigma[1] && scale_error.abs() < 3.0 * sigma[0]);
        assert!(sigma[0] < 0.1 && sigma[1] < 0.15 * unit, "{sigma}");
    }
}

#[test]
fn one_range_point_says_nothing_about_tau_alone() {
    let (camera, mut noise) = (camera(70.0), Noise(3));
    let from = pose(0, &mut noise);
    let x = output(OutputKind::InverseDepth, &camera, &from, 0.0, &mut noise);
    let mut range = Range::new(OutputKind::InverseDepth, FRAME, SPREAD);
    range.add(&x, &[RangePoint { u_px: 160.5, v_px: 120.5, metres: 3.0, relative_sigma: 0.01 }], Place::New).unwrap();
    let solution = solved(&[&range], &x);
    assert!(solution.covariance[(1, 1)].is_infinite() && solution.covariance[(2, 2)].is_infinite(), "{}", solution.covariance);
}

#[test]
fn a_network_whose_frames_differ_in_scale_needs_distances_in_several_places() {
    let wide = ScaleSpread { frame: 0.4, pixel: 0.15 };
    let (camera, mut noise) = (camera(70.0), Noise(5));
    let mut range = Range::new(OutputKind::InverseDepth, FRAME, wide);
    let prior = FocalPrior::new(camera.fx_px, 0.01).unwrap();
    let shift = ShiftPrior { tau: TAU, sigma: 0.01 };
    for places in 1..=3 {
        let from = pose(places, &mut noise);
        let x = output(OutputKind::InverseDepth, &camera, &from, 0.0, &mut noise);
        let metres = Room::furnished().depth(&camera, &from)[120 * 320 + 160];
        // Many points of one frame are one frame all the same, and many frames of one place one place.
        let point = RangePoint { u_px: 160.5, v_px: 120.5, metres, relative_sigma: 0.01 };
        for place in [Place::New, Place::Same, Place::Same] {
            range.add(&x, &[point; 3], place).unwrap();
        }
        assert_eq!(range.places(), places);
        let sigma = solved(&[&range, &prior, &shift], &x).covariance[(0, 0)].sqrt();
        let expected = 0.4_f64.hypot(0.15 / 2.0) / (places as f64).sqrt();
        assert!((0.95..1.1).contains(&(sigma / expected)), "{places} places: {sigma}, {expected}");
    }
}

#[test]
fn where_places_have_scales_of_their_own_what_they_differ_in_says_nothing_about_tau() {
    for kind in [OutputKind::InverseDepth, OutputKind::Depth] {
        let of_tau = |spread: ScaleSpread| {
            let (camera, mut noise) = (camera(70.0), Noise(5));
            let mut range = Range::new(kind, FRAME, spread);
            let prior = FocalPrior::new(camera.fx_px, 0.01).unwrap();
            let mut last = None;
            for place in 0..8 {
                let from = pose(place, &mut noise);
                let x = output(kind, &camera, &from, 0.0, &mut noise);
                let (column, row) = (60 + 20 * place, 80 + 10 * place);
                let (u_px, v_px) = (column as f64 + 0.5, row as f64 + 0.5);
                let metres = Room::furnished().depth(&camera, &from)[row * 320 + column] * camera.ray(u_px, v_px).norm();
                range.add(&x, &[RangePoint { u_px, v_px, metres, relative_sigma: 0.01 }], Place::New).unwrap();
                last = Some(x);
            }
            solved(&[&range, &prior], &last.unwrap()).covariance[(1, 1)].sqrt()
        };
        // One scale for all: the same points tell tau.
        assert!(of_tau(SPREAD) < 0.5, "{kind:?}: {}", of_tau(SPREAD));
        assert!(of_tau(ScaleSpread { frame: 0.4, pixel: 0.15 }).is_infinite(), "{kind:?}");
    }
}

#[test]
fn range_points_outside_the_frame_or_not_finite_are_refused() {
    let mut noise = Noise(1);
    let x = output(OutputKind::InverseDepth, &camera(70.0), &pose(0, &mut noise), 0.0, &mut noise);
    let good = RangePoint { u_px: 10.0, v_px: 10.0, metres: 2.0, relative_sigma: 0.01 };
    for bad in [
        RangePoint { u_px: 321.0, ..good },
        RangePoint { v_px: -1.0, ..good },
        RangePoint { metres: 0.0, ..good },
        RangePoint { metres: f64::NAN, ..good },
        RangePoint { relative_sigma: 0.0, ..good },
    ] {
        assert!(Range::new(OutputKind::InverseDepth, FRAME, SPREAD).add(&x, &[bad], Place::New).is_err(), "{bad:?}");
    }
}

#[test]
fn floors_seen_at_several_pitches_give_focal_shift_and_with_height_scale() {
    let (camera, mut noise) = (camera(75.0), Noise(11));
    let height_m = 1.3;
    let mut floor = Floor::new(FRAME, Some(height_m)).unwrap();
    let mut last = None;
    for step in 0..30 {
        let pitch = 0.15 + 0.4 * noise.uniform();
        // The camera looks down by `pitch`: gravity leans into the view.
        let from = Pose::from_parts(Translation3::identity(), UnitQuaternion::from_euler_angles(pitch, 0.0, 0.0))
            * Pose::translation(0.0, -(1.5 - height_m), 0.0);
        let gravity = from.rotation * Vector3::y();
        let room = Room { boxes: Vec::new(), ..Room::furnished() };
        let depth = room.depth(&camera.resized(OUTPUT), &from);
        let values = depth.iter().map(|z| ((1.0 + 0.02 * noise.normal()) / (z * SCALE) - TAU) as f32).collect();
        let x = RelativeDepth::new(OUTPUT, OutputKind::InverseDepth, values).unwrap();
        // A tenth of the frames has a wrong idea of down.
        let lied = if step % 10 == 4 { Vector3::new(0.0, 0.95, -0.3) } else { gravity * 9.81 };
        floor.add(&x, &lied).unwrap();
        last = Some(x);
    }
    assert!(floor.found() > 15, "{}", floor.found());
    let x = last.unwrap();
    let solution = solved(&[&floor], &x);
    let unit = TAU + Spread::of(x.values()).mean;
    let errors = [solution.theta.ln_scale - SCALE.ln(), (solution.theta.tau - TAU) / unit, solution.theta.ln_focal - camera.fx_px.ln()];
    let sigma = solution.covariance.diagonal().map(f64::sqrt);
    println!("floor: errors {errors:+.3?}, sigma {:.3?}", [sigma[0], sigma[1] / unit, sigma[2]]);
    assert!(errors.iter().all(|e| e.abs() < 0.1), "{errors:?}");
    assert!(errors[2].abs() < 3.0 * sigma[2] && errors[0].abs() < 3.0 * sigma[0]);
}

#[test]
fn no_floor_is_found_on_a_wall_or_without_gravity() {
    let mut floor = Floor::new(FRAME, None).unwrap();
    let wall = RelativeDepth::new(OUTPUT, OutputKind::InverseDepth, vec![0.5; OUTPUT.area()]).unwrap();
    assert!(!floor.add(&wall, &Vector3::y()).unwrap());
    assert!(floor.add(&wall, &Vector3::zeros()).is_err());
    assert!(floor.add(&wall, &Vector3::new(f64::NAN, 1.0, 0.0)).is_err());
    assert!(Floor::new(FRAME, Some(-1.0)).is_err());
}

fn photograph(camera: &Intrinsics, from: &Pose, noise: &mut Noise) -> RgbImage {
    let exact = Room::furnished().photograph_papered(camera, from);
    let noisy = exact.pixels().iter().map(|p| {
        let level = 2.0 * noise.normal();
        p.map(|c| (f64::from(c) + level).round().clamp(0.0, 255.0) as u8)
    });
    RgbImage::new(camera.size, noisy.collect()).unwrap()
}

#[test]
fn a_turn_of_twenty_degrees_gives_the_focal_length_with_and_without_a_gyro() {
    for (fov_deg, degrees) in [(55.0, 20.0_f64), (75.0, 20.0), (95.0, -20.0)] {
        let (camera, mut noise) = (camera(fov_deg), Noise(5));
        let from = Pose::from_parts(Translation3::new(0.2, 0.0, 0.3), UnitQuaternion::from_euler_angles(0.1, 0.2, 0.02));
        let turn = UnitQuaternion::from_euler_angles(0.04, degrees.to_radians(), 0.01);
        let before = photograph(&camera, &from, &mut noise);
        let after = photograph(&camera, &(turn * from), &mut noise);
        for (gyro, limit) in [(Some(turn.angle()), 0.03), (None, 0.08)] {
            let mut turns = Turns::new(FRAME);
            assert!(turns.add(&before.as_frame(), &after.as_frame(), gyro).unwrap(), "fov {fov_deg}, gyro {gyro:?}: not seen as a turn");
            let (ln_focal, sigma) = turns.found()[0];
            let error = ln_focal - camera.fx_px.ln();
            println!("fov {fov_deg}, gyro {}: error {error:+.4} +- {sigma:.4}", gyro.is_some());
            assert!(error.abs() < limit && error.abs() < 3.5 * sigma, "{error} +- {sigma}");
        }
    }
}

#[test]
fn two_frames_that_share_nothing_are_no_turn() {
    let (camera, mut noise) = (camera(70.0), Noise(9));
    let before = photograph(&camera, &Pose::identity(), &mut noise);
    let behind = Pose::from_parts(Translation3::identity(), UnitQuaternion::from_euler_angles(0.0, 3.0, 0.0));
    let after = photograph(&camera, &behind, &mut noise);
    let mut turns = Turns::new(FRAME);
    assert!(!turns.add(&before.as_frame(), &after.as_frame(), None).unwrap());
    assert!(!turns.add(&before.as_frame(), &before.as_frame(), None).unwrap(), "the same frame twice is no turn");
    assert!(turns.add(&before.as_frame(), &after.as_frame(), Some(-1.0)).is_err());
}

#[test]
fn real_motion_gives_tau_and_with_a_baseline_scale() {
    let (camera, mut noise) = (camera(70.0), Noise(21));
    let mut motions = Motions::new(FRAME);
    let mut last = None;
    for step in 0..4 {
        let from =
            Pose::from_parts(Translation3::new(0.2, 0.0, 0.2), UnitQuaternion::from_euler_angles(0.12, 0.3 - 0.15 * step as f64, 0.0));
        let step_m = Vector3::new(0.15, 0.02, if step % 2 == 0 { 0.1 } else { -0.1 });
        let moved = Pose::from_parts(step_m.into(), UnitQuaternion::from_euler_angles(0.01, -0.02, 0.0)) * from;
        let (before, after) = (photograph(&camera, &from, &mut noise), photograph(&camera, &moved, &mut noise));
        let x = output(OutputKind::InverseDepth, &camera, &from, 0.01, &mut noise);
        motions.add(&before.as_frame(), &after.as_frame(), x.clone(), Some(step_m.norm())).unwrap();
        last = Some(x);
    }
    assert!(motions.count() >= 3, "{}", motions.count());
    let prior = FocalPrior::new(camera.fx_px, 0.02).unwrap();
    let x = last.unwrap();
    let solution = solved(&[&motions, &prior], &x);
    let unit = TAU + Spread::of(x.values()).mean;
    let sigma = solution.covariance.diagonal().map(f64::sqrt);
    let errors = [solution.theta.ln_scale - SCALE.ln(), (solution.theta.tau - TAU) / unit];
    println!("motion: ln s {:+.3} +- {:.3}, tau {:+.3} +- {:.3}", errors[0], sigma[0], errors[1], sigma[1] / unit);
    assert!(errors.iter().all(|e| e.abs() < 0.15), "{errors:?}");
}
