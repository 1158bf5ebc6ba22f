//! The residual of any view, at the points of the frame, with its derivatives for tau and ln f.
//!
//! `e(p) = [x'(q(p)) - chi(z'(p))] / std(x)`: the network's answer where the point went, against its output units of the
//! depth the point has there. In network units a flattened world does not win; in relative depth it does.
//!
//! The derivatives hold the picture and the answer fixed, with the answer's slope across the picture:
//! `dP/dtau = -d^2 R r` (inverse depth) or `R r` (depth), `dP/dln f = d R (-u/f, -v/f, 0)`.

use fathom_core::camera::{Intrinsics, Pose};
use fathom_core::depth::RelativeDepth;
use fathom_core::ops::splat::Rendering;
use nalgebra::{Point3, Vector3};

use crate::consistency::rotation::{HUBER, MAD_TO_SIGMA};
use crate::render::screen_point;
use crate::scene::{median, sample};
use crate::theta::{depth_of, depth_slope, output_of};

/// One residual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// Index of the point's pixel in the reference.
    pub pixel: usize,
    /// `x'(q) - chi(z')`, network units.
    pub value: f64,
    /// Its derivatives with respect to tau and ln f.
    pub slope: [f64; 2],
}

/// Reference, answer and camera of one view.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// Raw output for the frame's own view, through the same renderer and camera.
    pub x: &'a RelativeDepth,
    /// Pixels of `x` that may be compared.
    pub keep: &'a [bool],
    /// Raw output for the view.
    pub answer: &'a RelativeDepth,
    /// Pixels of the answer that may be compared.
    pub keep_answer: &'a [bool],
    /// Camera of both.
    pub camera: &'a Intrinsics,
    /// Pose of the view.
    pub view_from_frame: &'a Pose,
    /// Z-buffer of the view, if it was splatted; a turned view hides nothing.
    pub rendering: Option<&'a Rendering>,
}

/// The residuals at `tau` of all points that are comparable, in front of both cameras and visible in the view.
#[must_use]
pub fn residuals(comparison: &Comparison<'_>, tau: f64) -> Vec<Residual> {
    let Comparison { x, keep, answer, keep_answer, camera, view_from_frame, rendering } = *comparison;
    let (kind, width) = (x.kind(), x.size().width as usize);
    let mut residuals = Vec::new();
    for (pixel, &value) in x.values().iter().enumerate().filter(|(i, _)| keep[*i]) {
        let ray = camera.ray((pixel % width) as f64 + 0.5, (pixel / width) as f64 + 0.5);
        let Some(depth) = depth_of(kind, f64::from(value), tau) else { continue };
        let point = Point3::from(ray * depth);
        let moved = view_from_frame * point;
        let Some((u, v)) = camera.project(&moved.coords) else { continue };
        let Some(here) = sample(answer, u, v) else { continue };
        let landed = (v as usize).min(answer.size().height as usize - 1) * width + (u as usize).min(width - 1);
        let hidden = rendering
            .is_some_and(|view| !screen_point(Some(&point), camera, view_from_frame, [0; 3]).is_visible(&view.nearest_bits, camera.size));
        if !keep_answer[landed] || hidden {
            continue;
        }
        let rotate = |direction: Vector3<f64>| view_from_frame.rotation * direction;
        let per_tau = rotate(ray * depth_slope(kind, depth));
        let per_focal = rotate(Vector3::new(-ray.x, -ray.y, 0.0) * depth);
        let slope_of = |dp: Vector3<f64>, focal_moves: f64| {
            // Where the point lands moves with it, and with the focal length of the view itself.
            let du = camera.fx_px * ((dp.x - moved.x / moved.z * dp.z) / moved.z + focal_moves * moved.x / moved.z);
            let dv = camera.fy_px * ((dp.y - moved.y / moved.z * dp.z) / moved.z + focal_moves * moved.y / moved.z);
            let along = |du: f64, dv: f64| sample(answer, u + du, v + dv).unwrap_or(here);
            let (gu, gv) = ((along(1.0, 0.0) - along(-1.0, 0.0)) / 2.0, (along(0.0, 1.0) - along(0.0, -1.0)) / 2.0);
            // d chi / d z is the inverse of d depth / d tau.
            gu * du + gv * dv - dp.z / depth_slope(kind, moved.z)
        };
        let slope = [slope_of(per_tau, 0.0) + 1.0, slope_of(per_focal, 1.0)];
        residuals.push(Residual { pixel, value: here - output_of(kind, moved.z, tau), slope });
    }
    residuals
}

/// Root mean square, and the mean of Huber's loss, of some residuals in units of `scale`; `None` of none.
#[must_use]
pub fn loss(residuals: &[Residual], scale: f64) -> Option<(f64, f64)> {
    let mut sizes: Vec<f64> = residuals.iter().map(|r| r.value.abs() / scale).collect();
    let limit = HUBER * MAD_TO_SIGMA * median(&mut sizes)?;
    let n = sizes.len() as f64;
    let rms = (sizes.iter().map(|s| s * s).sum::<f64>() / n).sqrt();
    let robust = sizes.iter().map(|s| if *s <= limit { s * s } else { limit * (2.0 * s - limit) }).sum::<f64>() / n;
    Some((rms, robust))
}
