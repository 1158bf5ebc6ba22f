//! The two-way objective of a moved view: depth there, image back.
//!
//! The frame is lifted with a tau, splatted into the view and shown to the network. *There*: its answer is compared, at the
//! frame's points, with the depth they have in the view ([`residual`](super::residual)). *Back*: the view is lifted with the
//! answer, splatted into the frame's own view and compared with it as a picture. The image term adds no new observability;
//! it re-weights the depth residual, so that what comes back in the wrong place counts less.
//!
//! Orbits show focal length and tau together; what they say is shown in reports and ablations. The calibration itself rests
//! on turned views, which need no geometry.

use fathom_core::camera::Intrinsics;
use fathom_core::frame::RgbImage;
use fathom_core::model::DepthModel;

use crate::Result;
use crate::consistency::frame::Glance;
use crate::consistency::residual::{Comparison, residuals};
use crate::consistency::rotation::{HUBER, MAD_TO_SIGMA, huber};
use crate::render::{Picture, Source, moved, view_camera};
use crate::scene::{Scene, Spread, comparable, lift, median};
use crate::views::View;

/// What one moved view says at one tau.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoWay {
    /// Root of the weighted mean square depth residual, over the spread of the output.
    pub depth: f64,
    /// Mean difference of the picture that came back, 0 (equal) to 1.
    pub image: f64,
    /// Share of the view that the frame holds.
    pub visible: f64,
    /// Gauss-Newton's step of tau for this view, and the information about tau in it (residuals of variance 1).
    pub step: (f64, f64),
    /// Points compared.
    pub points: usize,
}

/// Evaluates one view: two runs of the network (reference through the same renderer, and view).
///
/// `frame_camera`: of the glance's frame. `tau`: the shift that the scene is lifted with; `view` gets the scene's median
/// depth, to orbit about. `None` if too little has a depth or is visible.
///
/// # Errors
/// Those of the network and of rendering.
pub fn two_way(
    model: &mut dyn DepthModel,
    glance: &Glance,
    frame_camera: &Intrinsics,
    tau: f64,
    view: impl FnOnce(f64) -> View,
) -> Result<Option<TwoWay>> {
    let input = model.card().input;
    let Some(scene) = lift(&glance.source, frame_camera, &glance.output, &frame_camera.resized(input), tau) else { return Ok(None) };
    let camera = view_camera(frame_camera, input);
    let pose = view(scene.median_depth).view_from_frame;
    let (own, _) = moved(&scene, &camera, &fathom_core::camera::Pose::identity())?;
    let (picture, rendering) = moved(&scene, &camera, &pose)?;
    let visible = picture.shown_fraction();
    if visible < LEAST_VISIBLE {
        return Ok(None);
    }
    let x = model.predict(&own.image.as_frame())?.relative;
    let answer = model.predict(&picture.image.as_frame())?.relative;
    let and = |keep: Vec<bool>, shown: &[bool]| keep.iter().zip(shown).map(|(a, b)| *a && *b).collect::<Vec<_>>();
    let (keep, keep_answer) = (and(comparable(&x), &own.shown), and(comparable(&answer), &picture.shown));
    let comparison = Comparison {
        x: &x,
        keep: &keep,
        answer: &answer,
        keep_answer: &keep_answer,
        camera: &camera,
        view_from_frame: &pose,
        rendering: Some(&rendering),
    };
    let found = residuals(&comparison, tau);
    let Some(returned) = lift_view(&picture, &camera, &answer, tau) else { return Ok(None) };
    let (back, _) = moved(&returned, &camera, &pose.inverse())?;
    let difference = picture_difference(&own, &back);
    let mut sizes: Vec<f64> = found.iter().map(|r| r.value.abs()).collect();
    let Some(limit) = median(&mut sizes).map(|m| HUBER * MAD_TO_SIGMA * m) else { return Ok(None) };
    let (mut weights, mut squares, mut along, mut information) = (0.0, 0.0, 0.0, 0.0);
    for residual in &found {
        let trusted = difference[residual.pixel].map_or(UNSEEN_WEIGHT, |d| 1.0 / (1.0 + f64::from(d) / IMAGE_SCALE));
        let weight = trusted * huber(residual.value, limit);
        weights += weight;
        squares += weight * residual.value * residual.value;
        along += weight * residual.value * residual.slope[0];
        information += weight * residual.slope[0] * residual.slope[0];
    }
    if information <= 0.0 {
        return Ok(None);
    }
    let seen: Vec<f64> = difference.iter().flatten().map(|d| f64::from(*d)).collect();
    Ok(Some(TwoWay {
        depth: (squares / weights).sqrt() / Spread::of(x.values()).std.max(f64::MIN_POSITIVE),
        image: seen.iter().sum::<f64>() / seen.len().max(1) as f64,
        visible,
        step: (-along / information, information),
        points: found.len(),
    }))
}

/// The view's own pixels as points of the view's camera; filled holes make none.
fn lift_view(picture: &Picture, camera: &Intrinsics, answer: &fathom_core::depth::RelativeDepth, tau: f64) -> Option<Scene> {
    let pixels: Vec<[f32; 3]> = picture.image.pixels().iter().map(|p| p.map(f32::from)).collect();
    let source = Source::of(picture.image.size(), &pixels);
    let mut scene = lift(&source, camera, answer, camera, tau)?;
    for (point, shown) in scene.points.iter_mut().zip(&picture.shown) {
        if !shown {
            *point = None;
        }
    }
    Some(scene)
}

/// Per pixel that both show: `0.85 (1 - SSIM) / 2 + 0.15 |difference| / 255` of luminance, SSIM over 3 x 3 pixels.
///
/// Source: Godard et al., *Unsupervised monocular depth estimation with left-right consistency*, CVPR 2017, equation 2.
fn picture_difference(own: &Picture, back: &Picture) -> Vec<Option<f32>> {
    let size = own.image.size();
    let (width, height) = (size.width as usize, size.height as usize);
    let grey = |image: &RgbImage| {
        image.pixels().iter().map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2])).collect::<Vec<_>>()
    };
    let (one, two) = (grey(&own.image), grey(&back.image));
    let mut difference = vec![None; size.area()];
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let window = [y - 1, y, y + 1].map(|row| row * width + x - 1);
            if !window.iter().all(|start| (*start..start + 3).all(|i| own.shown[i] && back.shown[i])) {
                continue;
            }
            let mut sums = [0.0_f32; 5];
            for i in window.iter().flat_map(|start| *start..start + 3) {
                let (a, b) = (one[i], two[i]);
                for (sum, value) in sums.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                    *sum += value / 9.0;
                }
            }
            let [a, b, aa, bb, ab] = sums;
            let (variance_a, variance_b, covariance) = ((aa - a * a).max(0.0), (bb - b * b).max(0.0), ab - a * b);
            let similarity = (2.0 * a * b + C1) * (2.0 * covariance + C2) / ((a * a + b * b + C1) * (variance_a + variance_b + C2));
            let centre = y * width + x;
            difference[centre] = Some((0.425 * (1.0 - similarity) + 0.15 * (one[centre] - two[centre]).abs() / 255.0).clamp(0.0, 1.0));
        }
    }
    difference
}

/// Least share of a view that the frame must hold.
pub const LEAST_VISIBLE: f64 = 0.5;

/// Difference of pictures at which a point's weight is halved.
const IMAGE_SCALE: f64 = 0.2;

/// Weight of a point that did not come back: occluded on the way, so not proven wrong.
const UNSEEN_WEIGHT: f64 = 0.5;

/// SSIM's constants for 8-bit grey levels: (0.01 * 255)^2 and (0.03 * 255)^2.
const C1: f32 = 6.5025;
const C2: f32 = 58.5225;
