//! Gravity and a floor: f and tau from pitch, s from the camera's height. Inverse-depth networks only.
//!
//! The floor lies at height h along gravity g (unit, in the camera frame, pointing down): `1/d = g . r / h`, so output on it
//! is a plane over the image, `x = a u + b v + c` with `u, v` in pixels from the principal point and
//! `a = g_x / (f h s)`, `b = g_y / (f h s)`, `c = g_z / (h s) - tau`. Hence `c = (g_z / g_y) b f - tau` for every frame: frames
//! of different pitch give f and tau by one linear regression; with h known, `b f h s = g_y` gives s.

use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::Size;
use nalgebra::{Matrix2, Vector2, Vector3};

use crate::consistency::rotation::{MAD_TO_SIGMA, huber};
use crate::information::{Bounded, Cue, Row};
use crate::scene::{Spread, median};
use crate::theta::Theta;
use crate::{Error, Result};

/// The floors of all frames so far; memory does not grow.
#[derive(Debug, Clone)]
pub struct Floor {
    frame: Size,
    height_m: Option<f64>,
    fits: Bounded<FloorFit, 512>,
}

/// The plane that one frame's output makes on the floor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloorFit {
    /// Slope along gravity's image, network units per pixel of the frame: `x = b (g_x/g_y u + v) + c`.
    pub b: f64,
    /// Value at the principal point.
    pub c: f64,
    /// One sigma of `c` and, relative, of `b`.
    pub sigma: [f64; 2],
    /// Gravity in the camera frame, unit length.
    pub gravity: Vector3<f64>,
}

impl Floor {
    /// No floor yet. `height_m`: of the camera above the floor, if it is known.
    ///
    /// # Errors
    /// [`Error::Anchor`] for a height that is not finite and positive.
    pub fn new(frame: Size, height_m: Option<f64>) -> Result<Self> {
        if let Some(got) = height_m.filter(|h| !(h.is_finite() && *h > 0.0)) {
            return Err(Error::Anchor { anchor: "floor", what: "camera height", got, allowed: "finite and above 0" });
        }
        Ok(Self { frame, height_m, fits: Bounded::default() })
    }

    /// Looks for a floor in one frame's output, given gravity in its camera frame. Returns whether one was found: a plane
    /// over most of the lower part of the image, that slopes the way gravity says.
    ///
    /// # Errors
    /// [`Error::Anchor`] if gravity is not finite or has no length.
    pub fn add(&mut self, output: &RelativeDepth, gravity: &Vector3<f64>) -> Result<bool> {
        let fit = fit(output, self.frame, direction(gravity)?);
        if let Some(fit) = fit {
            self.fits.push(fit);
        }
        Ok(fit.is_some())
    }

    /// How many floors were found.
    #[must_use]
    pub const fn found(&self) -> usize {
        self.fits.offered()
    }
}

/// Gravity at length 1.
pub(crate) fn direction(gravity: &Vector3<f64>) -> Result<Vector3<f64>> {
    let length = gravity.norm();
    if length.is_finite() && length > 0.0 {
        return Ok(gravity / length);
    }
    Err(Error::Anchor { anchor: "floor", what: "gravity's length", got: length, allowed: "finite and above 0" })
}

impl Cue for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn rows(&self, theta: &Theta) -> Vec<Row> {
        let focal = theta.ln_focal.exp();
        let mut rows = Vec::new();
        for fit in self.fits.items() {
            let horizon = fit.gravity.z / fit.gravity.y * fit.b * focal;
            // The slope's own error counts at the lever of the horizon's distance.
            let sigma = fit.sigma[0].hypot(horizon * fit.sigma[1]);
            rows.push(Row::new(fit.c - horizon + theta.tau, [0.0, 1.0, -horizon], sigma));
            if let Some(height) = self.height_m {
                let residual = (fit.b * focal * height / fit.gravity.y).ln() + theta.ln_scale;
                rows.push(Row::new(residual, [1.0, 0.0, 1.0], fit.sigma[1]));
            }
        }
        rows
    }
}

/// Robust plane over the lower part of the image (along gravity), its slope's direction fixed by gravity.
fn fit(output: &RelativeDepth, frame: Size, gravity: Vector3<f64>) -> Option<FloorFit> {
    // A floor is seen when gravity points down the image, within 60 degrees of it.
    if output.kind() != OutputKind::InverseDepth || gravity.y < 0.5 {
        return None;
    }
    let size = output.size();
    let (to_u, to_v) = (f64::from(frame.width) / f64::from(size.width), f64::from(frame.height) / f64::from(size.height));
    let lean = gravity.x / gravity.y;
    let reach = f64::from(frame.height) / 2.0;
    let mut points = Vec::new();
    for (i, x) in output.values().iter().enumerate() {
        let (column, row) = (i % size.width as usize, i / size.width as usize);
        let u = (column as f64 + 0.5) * to_u - f64::from(frame.width) / 2.0;
        let v = (row as f64 + 0.5) * to_v - f64::from(frame.height) / 2.0;
        let down = v + lean * u;
        // The lower third along gravity, less the rim at the very bottom.
        if down > reach / 3.0 && v < 0.92 * reach && u.abs() < 0.47 * f64::from(frame.width) {
            points.push((down, f64::from(*x)));
        }
    }
    if points.len() < LEAST_POINTS {
        return None;
    }
    let spread = Spread::of(output.values());
    let (mut line, mut scale) = (None, f64::INFINITY);
    for _ in 0..8 {
        let residual = |line: Option<Vector2<f64>>, p: &(f64, f64)| line.map_or(0.0, |l| p.1 - l[0] * p.0 - l[1]);
        let (mut normal, mut right) = (Matrix2::zeros(), Vector2::zeros());
        for p in &points {
            let basis = Vector2::new(p.0, 1.0);
            // Twice Huber's weight: what stands on the floor is many pixels.
            let weight = huber(residual(line, p), scale).powi(2);
            normal += basis * basis.transpose() * weight;
            right += basis * (weight * p.1);
        }
        line = Some(normal.cholesky()?.solve(&right));
        let mut sizes: Vec<f64> = points.iter().map(|p| residual(line, p).abs()).collect();
        scale = (MAD_TO_SIGMA * median(&mut sizes)?).max(1e-9 * spread.std);
    }
    let line = line?;
    let inliers = points.iter().filter(|p| (p.1 - line[0] * p.0 - line[1]).abs() < 3.0 * scale).count();
    let flat_enough = scale < FLATNESS * line[0] * reach;
    if line[0] <= 0.0 || !flat_enough || (inliers as f64) < LEAST_INLIERS * points.len() as f64 {
        return None;
    }
    // Errors across a floor are smooth: they count as a few independent patches, not as thousands of pixels.
    let patches = (PATCHES * inliers as f64 / points.len() as f64).sqrt();
    let sigma_c = (scale / patches).hypot(0.02 * line[0] * reach);
    let sigma_b = (scale / (line[0] * reach / 3.0) / patches).hypot(0.05);
    Some(FloorFit { b: line[0], c: line[1], sigma: [sigma_c, sigma_b], gravity })
}

/// Fewest pixels of output a floor is fitted to.
const LEAST_POINTS: usize = 200;

/// Least share of the lower part of the image that must lie on the plane.
const LEAST_INLIERS: f64 = 0.6;

/// Largest deviation from the plane, as a share of its rise over half the image.
const FLATNESS: f64 = 0.15;

/// Independent patches across a floor.
const PATCHES: f64 = 16.0;
