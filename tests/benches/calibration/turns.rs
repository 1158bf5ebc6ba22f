//! Turns of 20 degrees inside wide frames: two virtual cameras look left and right out of one picture, with noise of their own.
//!
//! The frame's own focal length makes theirs exact. What is left out is what a real turn brings besides: a second exposure,
//! and the way from the optical centre to the axis of the hand that turns.

use fathom_calibration::anchors::turn::Turns;
use fathom_calibration::render::{Source, turned};
use fathom_core::camera::Intrinsics;
use fathom_core::frame::{RgbImage, Size};
use fathom_tests::noise::Noise;
use nalgebra::{UnitQuaternion, Vector3};

/// ln of the found over the true focal length and its claimed sigma.
pub(crate) type Found = (f64, f64);

/// What one turn of 20 degrees to the side says about focal length, without and with a gyro that is off by 1%; `None` where the
/// frame is too narrow for it, or where the turn is not recognised.
pub(crate) fn turn_of_twenty_degrees(picture: &RgbImage, focal_px: f64, noise: &mut Noise) -> Option<[Option<Found>; 2]> {
    let size = picture.size();
    let camera = Intrinsics::centred(size, focal_px).ok()?;
    let half_fov = (f64::from(size.width) / 2.0 / focal_px).atan() - HALF_TURN_RAD;
    if half_fov < LEAST_HALF_FOV_RAD {
        return None;
    }
    // Two thirds of the frame's height: the corners of a turned view dip.
    let narrow = Intrinsics::centred(size, f64::from(size.width) / 2.0 / half_fov.tan()).ok()?;
    // `Source` is made for zoomed views and never enlarges: this is the frame itself.
    let source = Source::new(&picture.as_frame(), size).ok()?;
    let mut look = |angle: f64| {
        let view = turned(&source, &camera, &narrow, &UnitQuaternion::from_scaled_axis(Vector3::y() * angle)).ok()?;
        let noisy = view.image.pixels().iter().map(|p| p.map(|c| (f64::from(c) + 2.0 * noise.normal()).clamp(0.0, 255.0) as u8)).collect();
        RgbImage::new(Size::new(size.width, size.height), noisy).ok()
    };
    let (left, right) = (look(-HALF_TURN_RAD)?, look(HALF_TURN_RAD)?);
    let gyro = 2.0 * HALF_TURN_RAD * (1.0 + 0.01 * noise.normal());
    Some([None, Some(gyro)].map(|angle| {
        let mut turns = Turns::new(size);
        turns.add(&left.as_frame(), &right.as_frame(), angle).ok()?.then_some(())?;
        turns.found().first().map(|(ln_focal, sigma)| (ln_focal - narrow.fx_px.ln(), *sigma))
    }))
}

/// 10 degrees to either side.
const HALF_TURN_RAD: f64 = 10.0 * std::f64::consts::PI / 180.0;

/// Half of the narrowest field of view that is made: below 30 degrees too little of it is in both views.
const LEAST_HALF_FOV_RAD: f64 = 15.0 * std::f64::consts::PI / 180.0;
