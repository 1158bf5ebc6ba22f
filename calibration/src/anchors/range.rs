//! Distances at pixels: a range finder's one beam, or a time-of-flight sensor's grid.
//!
//! A beam measures along its ray: `D = d |r|`, `r` the pixel's ray with z = 1. The residual is the logarithm of the
//! calibrated distance over the measured one, so one point gives s, and points of a frame at different x give s and tau. How well a
//! point tells s is the network's doing more than the sensor's: frames have scales of their own, and pixels errors
//! ([`ScaleSpread`], from the card). Frames of one place ([`super::place`]) have that scale in common. Between places tau shows only for
//! a network whose frames differ in scale less than its pixels err.

use fathom_core::camera::Intrinsics;
use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::Size;
use fathom_core::model::ScaleSpread;
use nalgebra::Vector3;

use crate::anchors::place::Place;
use crate::information::{Bounded, Cue, Row};
use crate::scene::sample;
use crate::theta::{Theta, scale_sign, soft_ln};
use crate::{Error, Result};

/// One measured distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RangePoint {
    /// Column in the frame, pixels; the first pixel's centre is 0.5.
    pub u_px: f64,
    /// Row.
    pub v_px: f64,
    /// Distance along the ray, metres.
    pub metres: f64,
    /// One sigma relative to the distance.
    pub relative_sigma: f64,
}

impl RangePoint {
    /// Checks the point against its frame.
    ///
    /// # Errors
    /// [`Error::Anchor`] for a pixel outside the frame, or a distance or sigma that is not finite and positive.
    pub fn checked(self, frame: Size) -> Result<Self> {
        let refuse = |what, got, allowed| Err(Error::Anchor { anchor: "range", what, got, allowed });
        if !(0.0..=f64::from(frame.width)).contains(&self.u_px) {
            return refuse("column", self.u_px, "0 to the frame's width");
        }
        if !(0.0..=f64::from(frame.height)).contains(&self.v_px) {
            return refuse("row", self.v_px, "0 to the frame's height");
        }
        for (what, got) in [("distance", self.metres), ("relative sigma", self.relative_sigma)] {
            if !(got.is_finite() && got > 0.0) {
                return refuse(what, got, "finite and above 0");
            }
        }
        Ok(self)
    }

    /// From the middle of the frame.
    pub(super) fn offset_px(&self, frame: Size) -> [f64; 2] {
        [self.u_px - f64::from(frame.width) / 2.0, self.v_px - f64::from(frame.height) / 2.0]
    }
}

/// The points of all frames so far; memory does not grow.
#[derive(Debug, Clone)]
pub struct Range {
    kind: OutputKind,
    frame: Size,
    spread: ScaleSpread,
    /// Points of one frame stand together, and frames of one place.
    rows: Bounded<Seen, 4096>,
    frames: usize,
    places: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    /// Number of the place.
    place: usize,
    /// Number of the frame.
    frame: usize,
    x: f64,
    /// Spread of the frame's output: the unit in which `x + tau` is small.
    std: f64,
    offset_px: [f64; 2],
    metres: f64,
    relative_sigma: f64,
}

/// A residual in logarithms of distance with its derivatives, before any sigma.
type Plain = (f64, Vector3<f64>);

impl Range {
    /// No points yet, for frames of one size and a network whose frames and pixels lie so far from their camera's scale.
    #[must_use]
    pub fn new(kind: OutputKind, frame: Size, spread: ScaleSpread) -> Self {
        Self { kind, frame, spread, rows: Bounded::default(), frames: 0, places: 0 }
    }

    /// Whether no point was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.items().is_empty()
    }

    /// Adds one frame's points, given the network's output for that frame and whether it shows where the last one with points was.
    ///
    /// # Errors
    /// [`Error::Anchor`] naming the first bad point; none is added then.
    pub fn add(&mut self, output: &RelativeDepth, points: &[RangePoint], place: Place) -> Result<()> {
        let spread = crate::scene::Spread::of(output.values());
        let points = points.iter().map(|point| point.checked(self.frame)).collect::<Result<Vec<_>>>()?;
        self.frames += 1;
        self.places += usize::from(place == Place::New);
        for point in points {
            let Some(x) = value_at(output, self.frame, &point) else { continue };
            let offset_px = point.offset_px(self.frame);
            let (metres, relative_sigma) = (point.metres, point.relative_sigma);
            self.rows.push(Seen { place: self.places, frame: self.frames, x, std: spread.std, offset_px, metres, relative_sigma });
        }
        Ok(())
    }

    /// Places in which distances were measured.
    #[must_use]
    pub fn places(&self) -> usize {
        self.rows.items().chunk_by(|a, b| a.place == b.place).count()
    }

    fn plain(&self, seen: &Seen, theta: &Theta) -> Plain {
        let (ln_shifted, slope) = soft_ln(seen.x + theta.tau, NEAR * seen.std);
        let sign = scale_sign(self.kind);
        let (ln_ray, ray_slope) = ln_ray(seen.offset_px, theta.ln_focal);
        let residual = sign * (theta.ln_scale + ln_shifted) + ln_ray - seen.metres.ln();
        (residual, Vector3::new(sign, sign * slope, ray_slope))
    }

    /// What one place's points have in common, which is as uncertain as the place's own scale. What the points of a frame differ in is
    /// not: that is where tau shows, and goes to `rows`.
    fn place(&self, points: &[Seen], theta: &Theta, rows: &mut Vec<Row>) -> (Plain, f64) {
        let share = (points.len() as f64 / INDEPENDENT_POINTS).max(1.0).sqrt();
        let mut middles = Vec::new();
        for points in points.chunk_by(|a, b| a.frame == b.frame) {
            let plain = points.iter().map(|seen| (self.plain(seen, theta), seen.relative_sigma.hypot(self.spread.pixel)));
            let (middle, others) = apart(plain.collect());
            rows.extend(others.iter().map(|((residual, j), sigma)| row(*residual - middle.0.0, *j - middle.0.1, sigma * share)));
            middles.push(middle);
        }
        let ((plain, pixel_sigma), _) = apart(middles);
        (plain, self.spread.frame.hypot(pixel_sigma / (points.len() as f64).min(INDEPENDENT_POINTS).sqrt()))
    }
}

/// Takes the one with the median residual out of some residuals, of which there is at least one.
fn apart(mut plain: Vec<(Plain, f64)>) -> ((Plain, f64), Vec<(Plain, f64)>) {
    plain.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
    let middle = plain.remove(plain.len() / 2);
    (middle, plain)
}

fn row(residual: f64, jacobian: Vector3<f64>, sigma: f64) -> Row {
    Row::new(residual, jacobian.into(), sigma)
}

impl Cue for Range {
    fn name(&self) -> &'static str {
        "range"
    }

    fn rows(&self, theta: &Theta) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.rows.items().len());
        let points = self.rows.items().chunk_by(|a, b| a.place == b.place);
        let mut places: Vec<(Plain, f64)> = points.map(|points| self.place(points, theta, &mut rows)).collect();
        if self.spread.frame > self.spread.pixel {
            // Where places have scales of their own, those go with how far a place reaches: what places differ in tells nothing of tau.
            let common = places.iter().map(|((_, slope), _)| slope[1]).sum::<f64>() / places.len() as f64;
            places.iter_mut().for_each(|((_, slope), _)| slope[1] = common);
        }
        rows.extend(places.into_iter().map(|((residual, slope), sigma)| row(residual, slope, sigma)));
        rows
    }
}

/// Points of one place that count fully; more share this weight, for their errors are the same network's.
pub const INDEPENDENT_POINTS: f64 = 4.0;

/// Where `x + tau` falls below this share of the output's spread, its logarithm is continued by its tangent.
const NEAR: f64 = 0.05;

/// `ln |r|` of the ray that far from the middle, and its derivative with respect to ln f.
pub(super) fn ln_ray(offset_px: [f64; 2], ln_focal: f64) -> (f64, f64) {
    let focal_px = ln_focal.exp();
    let squared = offset_px.iter().map(|o| (o / focal_px).powi(2)).sum::<f64>();
    (0.5 * squared.ln_1p(), -squared / (1.0 + squared))
}

/// The network's output at a point of a frame of size `frame`.
pub(super) fn value_at(output: &RelativeDepth, frame: Size, point: &RangePoint) -> Option<f64> {
    let scale = |from: u32, to: u32| f64::from(to) / f64::from(from);
    let size = output.size();
    patch_median(output, point.u_px * scale(frame.width, size.width), point.v_px * scale(frame.height, size.height))
}

/// Median of the 3 x 3 samples one pixel apart around a position: a beam is wider than a pixel, and edges are not depths.
fn patch_median(output: &RelativeDepth, u: f64, v: f64) -> Option<f64> {
    let mut values = Vec::with_capacity(9);
    for dv in [-1.0, 0.0, 1.0] {
        for du in [-1.0, 0.0, 1.0] {
            values.extend(sample(output, u + du, v + dv));
        }
    }
    crate::scene::median(&mut values)
}

/// The points of a sensor's regular grid over the whole frame, row by row: distances of 0 or less mean "nothing seen".
#[must_use]
pub fn grid(camera: &Intrinsics, columns: usize, metres: &[f64], relative_sigma: f64) -> Vec<RangePoint> {
    let rows = metres.len().div_ceil(columns.max(1));
    let place = |index: usize, count: usize, extent: u32| (index as f64 + 0.5) / count as f64 * f64::from(extent);
    metres
        .iter()
        .enumerate()
        .filter(|(_, m)| **m > 0.0 && m.is_finite())
        .map(|(i, &metres)| RangePoint {
            u_px: place(i % columns, columns, camera.size.width),
            v_px: place(i / columns, rows, camera.size.height),
            metres,
            relative_sigma,
        })
        .collect()
}
