//! Metres for one frame, from distances measured in that very frame.
//!
//! A calibration holds one scale for all frames of a camera, and each frame lies a little off it. Where a range finder is read
//! with every frame, that frame's reading says by how much.

use fathom_core::calibration::Calibration;
use fathom_core::depth::RelativeDepth;
use fathom_core::frame::Size;
use fathom_core::model::ScaleSpread;
use nalgebra::Matrix3;

use super::range::{INDEPENDENT_POINTS, RangePoint, ln_ray, value_at};
use super::spot::Cells;
use crate::Result;
use crate::scene::median;
use crate::solve::broad_focal;
use crate::theta::{depth_of, scale_sign};

/// The calibration for one frame: its scale is what the camera's and the frame's own points say together, each as well as it is known.
///
/// The camera's scale counts with its own variance and that of frames about it, the points' median with that of the network there
/// ([`super::spot`], [`TAILS`]); where the camera's scale is unknown the points stand alone. Points where the network sees nothing before
/// infinity are left out; without any point left, the calibration comes back as it was. `points` lie in frames of `frame`; `output` may be
/// of any size.
///
/// Without a known focal length a point's ray is taken through the broad prior's lens (60 degrees): exact in the middle, and as
/// uncertain towards the border as that lens is.
///
/// # Errors
/// [`crate::Error::Anchor`] naming the first bad point.
pub fn frame_scale(
    calibration: &Calibration,
    spread: ScaleSpread,
    output: &RelativeDepth,
    frame: Size,
    points: &[RangePoint],
) -> Result<Calibration> {
    let Some(seen) = reading(calibration, output, frame, points)? else { return Ok(calibration.clone()) };
    let seen_weight = 1.0 / (seen.sensor_variance + seen.network_sigma(spread).powi(2));
    let camera_weight = calibration.ln_scale.map_or(0.0, |_| 1.0 / (calibration.covariance[(0, 0)] + spread.frame.powi(2)));
    let weight = camera_weight + seen_weight;
    let ln_scale = (camera_weight * calibration.ln_scale.unwrap_or(0.0) + seen_weight * seen.ln_scale) / weight;
    Ok(with_scale(calibration, ln_scale, 1.0 / weight))
}

/// What the points of one frame say about its scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    /// Their median.
    pub(crate) ln_scale: f64,
    /// Variance by the sensor and the lens alone: without the network's errors at the points.
    pub(crate) sensor_variance: f64,
    /// The network's error in it, over its error at one pixel in general.
    pub(crate) error_factor: f64,
}

impl Reading {
    /// One sigma of the network's error in it.
    pub(crate) fn network_sigma(&self, spread: ScaleSpread) -> f64 {
        TAILS * spread.pixel * self.error_factor
    }
}

/// Reads a frame's scale at its points; `None` without any, or where the network sees nothing before infinity there.
pub(crate) fn reading(calibration: &Calibration, output: &RelativeDepth, frame: Size, points: &[RangePoint]) -> Result<Option<Reading>> {
    if points.is_empty() {
        return Ok(None);
    }
    let (ln_focal, focal_sigma) = lens(calibration, frame);
    let cells = Cells::of(output, calibration.tau, frame);
    let (mut scales, mut variances, mut factors) = (Vec::new(), Vec::new(), Vec::new());
    for point in points {
        let point = point.checked(frame)?;
        let Some(depth) = value_at(output, frame, &point).and_then(|x| depth_of(output.kind(), x, calibration.tau)) else { continue };
        let (ln_ray, ray_slope) = ln_ray(point.offset_px(frame), ln_focal);
        scales.push(scale_sign(output.kind()) * (point.metres.ln() - ln_ray - depth.ln()));
        factors.push(cells.as_ref().map_or(1.0, |cells| cells.error_factor([point.u_px, point.v_px])));
        variances.push(point.relative_sigma.powi(2) + (ray_slope * focal_sigma).powi(2));
    }
    let count = (scales.len() as f64).min(INDEPENDENT_POINTS);
    let medians = [&mut scales, &mut variances, &mut factors].map(|values| median(values));
    let [Some(ln_scale), Some(variance), Some(factor)] = medians else { return Ok(None) };
    Ok(Some(Reading { ln_scale, sensor_variance: variance / count, error_factor: factor / count.sqrt() }))
}

/// Natural logarithm of the focal length in pixels of the frames and its sigma: the calibration's, or the broad prior's.
pub(crate) fn lens(calibration: &Calibration, frame: Size) -> (f64, f64) {
    let known = calibration.camera.map(|camera| (camera.fx_px.ln(), calibration.ln_focal_sigma()));
    known.filter(|(_, sigma)| sigma.is_finite()).unwrap_or_else(|| broad_focal(frame.width))
}

/// The calibration with the scale of one frame.
pub(crate) fn with_scale(calibration: &Calibration, ln_scale: f64, variance: f64) -> Calibration {
    // The scale is the frame's now, and moves with nothing else.
    let mut covariance: Matrix3<f64> = calibration.covariance;
    covariance.row_mut(0).fill(0.0);
    covariance.column_mut(0).fill(0.0);
    covariance[(0, 0)] = variance;
    Calibration { ln_scale: Some(ln_scale), covariance, ..calibration.clone() }
}

/// One sigma of the network's error at a pixel, with edges and strange things among them, over that of the middle of all such pixels, which
/// the card says. Chosen for sigmas as large as the errors along the held-out videos ([`crate::track`]). The tails stay heavier than a
/// normal error's: at the spots that are asked for ([`super::spot`]) 0.66 of the truths lie within one of these sigmas and 0.81 within two, at
/// pixels in general 0.75 and 0.90 (1,600 renders of other scenes).
pub const TAILS: f64 = 1.85;

#[cfg(test)]
mod tests {
    use fathom_core::camera::Intrinsics;
    use fathom_core::depth::OutputKind;

    use super::*;

    const FRAME: Size = Size::new(8, 6);

    /// Of a network that errs by 0.4 at that point.
    fn spread_at(point: &RangePoint) -> ScaleSpread {
        let factor = TAILS * Cells::of(&output(), 0.5, FRAME).unwrap().error_factor([point.u_px, point.v_px]);
        ScaleSpread { frame: 0.3, pixel: 0.4 / factor }
    }

    fn point(metres: f64) -> RangePoint {
        RangePoint { u_px: 4.0, v_px: 3.0, metres, relative_sigma: 1e-9 }
    }

    /// Inverse depth: `x + tau = 2` everywhere, half a unit away at scale 1.
    fn output() -> RelativeDepth {
        RelativeDepth::new(FRAME, OutputKind::InverseDepth, vec![1.5; 48]).unwrap()
    }

    #[test]
    fn where_the_camera_has_no_scale_the_frames_point_gives_it() {
        let found = frame_scale(&Calibration::from_default_tau(0.5), spread_at(&point(4.0)), &output(), FRAME, &[point(4.0)]).unwrap();
        // 1 / (s 2) = 4.
        assert!((found.ln_scale.unwrap() - 0.125_f64.ln()).abs() < 1e-9 && (found.ln_scale_sigma() - 0.4).abs() < 1e-9);
        assert_eq!(found.apply(&output()).unwrap().unit_name(), "metres");
    }

    #[test]
    fn cameras_scale_and_frames_point_weigh_by_their_variances() {
        let mut camera = Calibration { ln_scale: Some(0.0), ..Calibration::from_default_tau(0.5) };
        camera.covariance[(0, 0)] = 0.07;
        // The point alone would say -1: metres = e / 2. Variances are 0.07 + 0.09 and 0.16: half each.
        let found = frame_scale(&camera, spread_at(&point(1.0)), &output(), FRAME, &[point(0.5_f64 * 1_f64.exp())]).unwrap();
        assert!((found.ln_scale.unwrap() + 0.5).abs() < 1e-9, "{found:?}");
        assert!((found.covariance[(0, 0)] - 0.08).abs() < 1e-9);
    }

    #[test]
    fn away_from_the_middle_an_unknown_lens_makes_the_scale_less_certain() {
        let (unknown, corner) = (Calibration::from_default_tau(0.5), RangePoint { u_px: 8.0, v_px: 6.0, ..point(4.0) });
        let sigma = |camera: &Calibration| frame_scale(camera, spread_at(&corner), &output(), FRAME, &[corner]).unwrap().ln_scale_sigma();
        // |offset|^2 = 25 px^2 over f^2 = 16 / tan^2 30 = 48 px^2: slope 25 / 73, times 0.4.
        assert!((sigma(&unknown) - 0.4_f64.hypot(0.4 * 25.0 / 73.0)).abs() < 1e-9, "{}", sigma(&unknown));
        let mut known = Calibration { camera: Intrinsics::centred(FRAME, 7.0).ok(), ..unknown };
        known.covariance[(2, 2)] = 0.0;
        assert!((sigma(&known) - 0.4).abs() < 1e-9);
    }

    #[test]
    fn points_at_infinity_change_nothing_and_bad_ones_are_named() {
        let camera = Calibration::from_default_tau(-1.5);
        assert_eq!(frame_scale(&camera, spread_at(&point(4.0)), &output(), FRAME, &[point(4.0)]).unwrap(), camera);
        let error = frame_scale(&camera, spread_at(&point(4.0)), &output(), FRAME, &[point(-4.0)]).unwrap_err();
        assert!(error.to_string().contains("distance"), "{error}");
    }
}
