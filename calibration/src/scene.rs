//! What one frame's prediction says about the scene: points from theta, and which of them can be trusted.

use fathom_core::camera::Intrinsics;
use fathom_core::depth::{OutputKind, RelativeDepth};
use nalgebra::Point3;

use crate::render::Source;
use crate::theta::depth_of;

/// Points of one frame in its own camera, one per pixel of a grid, in units of depth with `s = 1`.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Positions; `None` where the depth is not finite or not positive.
    pub points: Vec<Option<Point3<f64>>>,
    /// Their colours.
    pub colours: Vec<[u8; 3]>,
    /// Median depth along z of the points there are.
    pub median_depth: f64,
}

/// Lifts a prediction: each pixel of `source` becomes a point on its ray, at the depth that `x` and `tau` say there.
///
/// `x` belongs to `x_camera`'s pixels; `frame_camera` is the source's camera at any size. Points of the source that `x` does
/// not cover are left out. `None` if fewer than half the covered pixels have a depth.
#[must_use]
pub fn lift(source: &Source, frame_camera: &Intrinsics, x: &RelativeDepth, x_camera: &Intrinsics, tau: f64) -> Option<Scene> {
    let camera = frame_camera.resized(source.size());
    let mut points = Vec::with_capacity(source.size().area());
    let (mut depths, mut covered) = (Vec::new(), 0_usize);
    for row in 0..source.size().height {
        for column in 0..source.size().width {
            let ray = camera.ray(f64::from(column) + 0.5, f64::from(row) + 0.5);
            let at = x_camera.project(&ray).and_then(|(u, v)| sample(x, u, v));
            covered += usize::from(at.is_some());
            let depth = at.and_then(|x_here| depth_of(x.kind(), x_here, tau));
            depths.extend(depth);
            points.push(depth.map(|z| Point3::from(ray * z)));
        }
    }
    if depths.len() * 2 < covered.max(1) {
        return None;
    }
    let colours = source.rows().flatten().map(|p| p.map(|c| (c + 0.5) as u8)).collect();
    Some(Scene { points, colours, median_depth: median(&mut depths)? })
}

/// Bilinear sample of raw output at a pixel position; `None` outside the map. The half pixel at the border repeats it.
#[must_use]
pub fn sample(x: &RelativeDepth, u_px: f64, v_px: f64) -> Option<f64> {
    let (width, height) = (x.size().width as usize, x.size().height as usize);
    if !(u_px >= 0.0 && v_px >= 0.0 && u_px <= width as f64 && v_px <= height as f64) {
        return None;
    }
    let column = (u_px - 0.5).clamp(0.0, (width - 1) as f64);
    let row = (v_px - 0.5).clamp(0.0, (height - 1) as f64);
    let (x0, y0) = (column as usize, row as usize);
    let (x1, y1) = ((x0 + 1).min(width - 1), (y0 + 1).min(height - 1));
    let (fx, fy) = (column - x0 as f64, row - y0 as f64);
    let at = |column: usize, row: usize| f64::from(x.values()[row * width + column]);
    Some((at(x0, y0) * (1.0 - fx) + at(x1, y0) * fx) * (1.0 - fy) + (at(x0, y1) * (1.0 - fx) + at(x1, y1) * fx) * fy)
}

/// Pixels whose output can be compared between views: away from the rim, from depth edges and from the sky.
///
/// * rim: [`RIM`] of the width and height, where networks are biased;
/// * edges: where a neighbour two pixels on differs by more than [`EDGE`] of the map's spread;
/// * sky (inverse depth): the lowest values, where `x` is within [`SKY`] of the map's spread of its minimum over a tenth or
///   more of the map: depth there is not finite and its output is clamped.
#[must_use]
pub fn comparable(x: &RelativeDepth) -> Vec<bool> {
    let (width, height) = (x.size().width as usize, x.size().height as usize);
    let values = x.values();
    let spread = Spread::of(values);
    let edge = (EDGE * spread.std) as f32;
    let sky = sky_below(x, &spread);
    let (rim_x, rim_y) = ((RIM * width as f64).ceil() as usize, (RIM * height as f64).ceil() as usize);
    let (rim_x, rim_y, reach) = (rim_x.max(REACH), rim_y.max(REACH), REACH * width);
    let mut kept = vec![false; values.len()];
    for row in rim_y..height.saturating_sub(rim_y) {
        for i in row * width + rim_x..(row * width + width).saturating_sub(rim_x) {
            kept[i] = values[i] > sky
                && (values[i - REACH] - values[i + REACH]).abs() < edge
                && (values[i - reach] - values[i + reach]).abs() < edge;
        }
    }
    kept
}

/// Mean and standard deviation of a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
}

impl Spread {
    /// Of all values; zeros for none.
    #[must_use]
    pub fn of(values: &[f32]) -> Self {
        let n = values.len().max(1) as f64;
        let mean = lanes(values, 0.0, |sum, v| sum + f64::from(v)).iter().sum::<f64>() / n;
        let variance = lanes(values, 0.0, |sum, v| sum + (f64::from(v) - mean).powi(2)).iter().sum::<f64>() / n;
        Self { mean, std: variance.sqrt() }
    }
}

/// Folds every eighth value into a lane of its own: no step waits for the one before.
fn lanes<T: Copy>(values: &[f32], start: T, fold: impl Fn(T, f32) -> T) -> [T; 8] {
    let mut lanes = [start; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks.iter().map(<[f32; 8]>::as_slice).chain([rest]) {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane = fold(*lane, value));
    }
    lanes
}

/// Rim left out, share of the width and height on each side.
pub const RIM: f64 = 0.06;

/// How far on the neighbours lie that an edge is looked for between, pixels.
const REACH: usize = 2;

/// Change over four pixels above which a pixel is a depth edge, standard deviations of the map.
pub const EDGE: f64 = 0.5;

/// Width of the band above the minimum that counts as sky if a tenth of the map is in it, standard deviations.
pub const SKY: f64 = 0.05;

fn sky_below(x: &RelativeDepth, spread: &Spread) -> f32 {
    if x.kind() != OutputKind::InverseDepth {
        return f32::NEG_INFINITY;
    }
    let lowest = lanes(x.values(), f32::INFINITY, f32::min).into_iter().fold(f32::INFINITY, f32::min);
    let limit = lowest + (SKY * spread.std) as f32;
    let within = x.values().iter().filter(|v| **v <= limit).count();
    if within * 10 >= x.values().len() { limit } else { f32::NEG_INFINITY }
}

/// Median of some numbers, which it reorders; `None` of none.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
