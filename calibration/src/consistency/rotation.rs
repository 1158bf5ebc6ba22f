//! Turned views: tau in closed form.
//!
//! Under a rotation R a point on ray r keeps its place and its depth grows by `rho`, the third component of `R r`. With
//! `a = 1 - 1/rho` (inverse depth) or `a = 1 - rho` (depth), a network that sees the turned view correctly changes its
//! output at the point by `delta = x - x' = a (x + tau)`: linear in tau, no geometry needed. What a frame says is kept as
//! the 5 x 5 matrix of weighted products of `(a, a x, 1, x, delta)`, from which every variant of the estimate follows.

use fathom_core::camera::Intrinsics;
use fathom_core::depth::{OutputKind, RelativeDepth};
use nalgebra::{Matrix5, UnitQuaternion, Vector5};

use crate::scene::{median, sample};

/// Weighted products of `(a, a x, 1, x, delta)` over the points of one view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments(pub Matrix5<f64>);

/// One comparison: how the output at a point should and does change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Raw output in the reference.
    pub x: f64,
    /// Relative change of depth (negative) or of inverse depth that the rotation brings.
    pub a: f64,
    /// `x - x'`, what the network did.
    pub delta: f64,
}

/// Compares the reference `x` with the answer `turned` to a view turned by `view_from_frame`, both through `camera`.
///
/// `keep` and `keep_turned`: pixels of either map that may be compared; one in [`STRIDE`] of every [`STRIDE`]-th row is.
#[must_use]
pub fn changes(
    x: &RelativeDepth,
    keep: &[bool],
    turned: &RelativeDepth,
    keep_turned: &[bool],
    camera: &Intrinsics,
    view_from_frame: &UnitQuaternion<f64>,
) -> Vec<Change> {
    let width = x.size().width as usize;
    // Rays are linear in the pixel, turned ones too.
    let rotation = view_from_frame.to_rotation_matrix();
    let (first, right, down) = (camera.ray(0.5, 0.5), camera.ray(1.5, 0.5), camera.ray(0.5, 1.5));
    let (right, down, first) = (rotation * (right - first), rotation * (down - first), rotation * first);
    let mut changes = Vec::new();
    let rows = (0..x.size().height as usize).step_by(STRIDE);
    let pixels = rows.flat_map(|row| (0..width).step_by(STRIDE).map(move |column| (row, column)));
    for (row, column) in pixels.filter(|(row, column)| keep[row * width + column]) {
        let value = x.values()[row * width + column];
        let moved = first + right * column as f64 + down * row as f64;
        let Some((u, v)) = camera.project(&moved) else { continue };
        let Some(answer) = sample(turned, u, v) else { continue };
        let pixel = (v as usize).min(turned.size().height as usize - 1) * width + (u as usize).min(width - 1);
        if keep_turned[pixel] {
            let a = if x.kind() == OutputKind::InverseDepth { 1.0 - moved.z.recip() } else { 1.0 - moved.z };
            changes.push(Change { x: f64::from(value), a, delta: f64::from(value) - answer });
        }
    }
    changes
}

impl Moments {
    /// Robust sums: Huber weights about the view's own best tau, three rounds.
    #[must_use]
    pub fn robust(changes: &[Change]) -> Self {
        let Some(mut tau) = best_tau(changes, |_| 1.0) else { return Self::weighted(changes, |_| 1.0) };
        let residual = |c: &Change, tau: f64| c.delta - c.a * (c.x + tau);
        let mut sizes = Vec::with_capacity(changes.len());
        let mut limit = |tau: f64| {
            sizes.clear();
            sizes.extend(changes.iter().map(|c| residual(c, tau).abs()));
            HUBER * MAD_TO_SIGMA * median(&mut sizes).unwrap_or(0.0)
        };
        // The last round keeps all sums, those before it only what the next one needs.
        for _ in 0..2 {
            let limit = limit(tau);
            tau = best_tau(changes, |c| huber(residual(c, tau), limit)).unwrap_or(tau);
        }
        let limit = limit(tau);
        Self::weighted(changes, |c| huber(residual(c, tau), limit))
    }

    fn weighted(changes: &[Change], weight: impl Fn(&Change) -> f64) -> Self {
        // The triangle on and below the diagonal, row by row.
        let mut sums = [0.0; 15];
        for change in changes {
            let (row, weight) = ([change.a, change.a * change.x, 1.0, change.x, change.delta], weight(change));
            let weighted = row.map(|value| weight * value);
            let mut next = sums.iter_mut();
            for (i, value) in row.iter().enumerate() {
                weighted[..=i].iter().zip(next.by_ref()).for_each(|(other, sum)| *sum += value * other);
            }
        }
        Self(Matrix5::from_fn(|i, j| sums[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)]))
    }

    /// Sum of weights.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.0[(2, 2)]
    }

    /// `sum w a^2`: the information about tau for residuals of variance 1.
    #[must_use]
    pub fn information(&self) -> f64 {
        self.0[(0, 0)]
    }

    /// `tau = sum w a (delta - a x) / sum w a^2`; `None` if nothing was compared or nothing should change.
    #[must_use]
    pub fn tau(&self) -> Option<f64> {
        let m = &self.0;
        (m[(0, 0)] > 0.0).then(|| (m[(0, 4)] - m[(0, 1)]) / m[(0, 0)])
    }

    /// Mean of x, weighted as tau is: `sum w a^2 x / sum w a^2`.
    #[must_use]
    pub fn mean_x(&self) -> f64 {
        self.0[(0, 1)] / self.0[(0, 0)]
    }

    /// Mean square residual `delta - a (x + tau)` at some tau.
    #[must_use]
    pub fn mean_square(&self, tau: f64) -> f64 {
        let row = Vector5::new(-tau, -1.0, 0.0, 0.0, 1.0);
        (row.dot(&(self.0 * row)) / self.weight()).max(0.0)
    }
}

/// [`Moments::tau`] alone.
fn best_tau(changes: &[Change], weight: impl Fn(&Change) -> f64) -> Option<f64> {
    let (mut information, mut sum) = (0.0, 0.0);
    for change in changes {
        let weighted = weight(change) * change.a;
        information += weighted * change.a;
        sum += weighted * (change.delta - change.a * change.x);
    }
    (information > 0.0).then(|| sum / information)
}

impl std::ops::Add for Moments {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// Weight of a residual under Huber's loss: 1 up to `limit`, then falling as its inverse.
#[must_use]
pub fn huber(residual: f64, limit: f64) -> f64 {
    if residual.abs() <= limit { 1.0 } else { limit / residual.abs() }
}

/// Every so many pixels of every so many rows are compared: neighbours of a network's output say the same.
pub const STRIDE: usize = 2;

/// Huber's limit in standard deviations: 95% efficient for a normal distribution. Source: Huber, *Robust Statistics*, 1981.
pub const HUBER: f64 = 1.345;

/// Standard deviation of a normal distribution over its median absolute deviation.
pub const MAD_TO_SIGMA: f64 = 1.4826;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_is_exact_for_exact_changes_and_withstands_a_tenth_of_outliers() {
        let change = |i: i32| {
            let (x, a) = (f64::from(i % 17) * 0.1, f64::from(i % 23 - 11) * 0.01);
            let outlier = if i % 10 == 3 { 0.5 } else { 0.0 };
            Change { x, a, delta: a * (x + 0.7) + outlier }
        };
        let clean: Vec<_> = (0..2000).map(change).map(|c| Change { delta: c.a * (c.x + 0.7), ..c }).collect();
        assert!((Moments::robust(&clean).tau().unwrap() - 0.7).abs() < 1e-9);
        let dirty: Vec<_> = (0..2000).map(change).collect();
        assert!((Moments::robust(&dirty).tau().unwrap() - 0.7).abs() < 0.05);
    }

    #[test]
    fn sums_are_those_of_outer_products() {
        let changes: Vec<_> = (0..5).map(|i| Change { x: f64::from(i), a: 0.1 * f64::from(i) - 0.2, delta: 0.3 }).collect();
        let rows = changes.iter().map(|c| Vector5::new(c.a, c.a * c.x, 1.0, c.x, c.delta));
        let expected: Matrix5<f64> = rows.map(|row| 2.0 * row * row.transpose()).sum();
        let moments = Moments::weighted(&changes, |_| 2.0);
        assert!((moments.0 - expected).norm() < 1e-12);
        assert!((best_tau(&changes, |_| 2.0).unwrap() - moments.tau().unwrap()).abs() < 1e-12);
    }

    #[test]
    fn nothing_compared_gives_no_tau() {
        assert_eq!(Moments::robust(&[]).tau(), None);
    }
}
