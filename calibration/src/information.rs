//! What every cue adds: residual rows, summed to a 3 x 3 matrix and a vector about the same theta.

use nalgebra::{Matrix3, Vector3};

use crate::theta::Theta;

/// One residual in units of its sigma, with its derivatives with respect to `(ln s, tau, ln f)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Residual over sigma.
    pub residual: f64,
    /// Its derivatives.
    pub jacobian: Vector3<f64>,
}

impl Row {
    /// A residual with its sigma; both it and its derivatives are divided by it.
    #[must_use]
    pub fn new(residual: f64, jacobian: [f64; 3], sigma: f64) -> Self {
        Self { residual: residual / sigma, jacobian: Vector3::from(jacobian) / sigma }
    }

    /// Cauchy's weight: about 1 within two sigma, small where a row is an outlier.
    ///
    /// Source: Holland and Welsch, *Robust regression using iteratively reweighted least-squares*, 1977; 95% efficiency.
    #[must_use]
    pub fn weight(&self) -> f64 {
        1.0 / (1.0 + (self.residual / CAUCHY).powi(2))
    }

    /// Cauchy's loss, half of it: what the solver minimises.
    #[must_use]
    pub fn loss(&self) -> f64 {
        0.5 * CAUCHY * CAUCHY * (self.residual / CAUCHY).powi(2).ln_1p()
    }
}

/// Anything that knows something about theta.
pub trait Cue {
    /// Short name for reports: `consistency`, `range`, `floor`, ...
    fn name(&self) -> &'static str;

    /// Its residuals at `theta`; none while it knows nothing.
    fn rows(&self, theta: &Theta) -> Vec<Row>;
}

/// Gauss-Newton's normal equations of some rows at one theta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Information {
    /// `sum w J^T J`: about `(ln s, tau, ln f)`.
    pub matrix: Matrix3<f64>,
    /// `sum w J^T e`.
    pub vector: Vector3<f64>,
    /// Sum of robust losses.
    pub loss: f64,
    /// Sum of weights: how many rows agree.
    pub weight: f64,
    /// Sum of weighted squared residuals.
    pub squares: f64,
    /// Rows.
    pub rows: usize,
}

impl Information {
    /// Nothing known.
    #[must_use]
    pub fn none() -> Self {
        Self { matrix: Matrix3::zeros(), vector: Vector3::zeros(), loss: 0.0, weight: 0.0, squares: 0.0, rows: 0 }
    }

    /// Of rows, robustly weighted. Rows that are not finite count for nothing.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let mut sum = Self::none();
        for row in rows.iter().filter(|r| r.residual.is_finite() && r.jacobian.iter().all(|j| j.is_finite())) {
            let weight = row.weight();
            sum.matrix.ger(weight, &row.jacobian, &row.jacobian, 1.0);
            sum.vector += row.jacobian * (weight * row.residual);
            sum.loss += row.loss();
            sum.weight += weight;
            sum.squares += weight * row.residual * row.residual;
            sum.rows += 1;
        }
        sum
    }
}

impl std::ops::AddAssign for Information {
    fn add_assign(&mut self, other: Self) {
        self.matrix += other.matrix;
        self.vector += other.vector;
        self.loss += other.loss;
        self.weight += other.weight;
        self.squares += other.squares;
        self.rows += other.rows;
    }
}

/// Residual, in sigmas, from which Cauchy's weight falls below a half.
const CAUCHY: f64 = 2.385;

/// A list that never holds more than `N` items: when it is full, every other one is dropped and from then on only every
/// second, fourth, ... is taken. What it holds is spread evenly over everything offered.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounded<T, const N: usize> {
    items: Vec<T>,
    stride: usize,
    offered: usize,
}

impl<T, const N: usize> Default for Bounded<T, N> {
    fn default() -> Self {
        Self { items: Vec::new(), stride: 1, offered: 0 }
    }
}

impl<T, const N: usize> Bounded<T, N> {
    /// Offers an item.
    pub fn push(&mut self, item: T) {
        if self.offered.is_multiple_of(self.stride) {
            if self.items.len() == N {
                let mut index = 0;
                self.items.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
            if self.offered.is_multiple_of(self.stride) {
                self.items.push(item);
            }
        }
        self.offered += 1;
    }

    /// What it holds, in the order offered.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// How many were offered.
    #[must_use]
    pub const fn offered(&self) -> usize {
        self.offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_list_stays_small_and_evenly_spread() {
        let mut list = Bounded::<usize, 8>::default();
        for i in 0..1000 {
            list.push(i);
            assert!(list.items().len() <= 8);
        }
        assert_eq!(list.items(), [0, 128, 256, 384, 512, 640, 768, 896]);
        assert_eq!(list.offered(), 1000);
    }

    #[test]
    fn rows_that_are_not_finite_count_for_nothing() {
        let information = Information::of(&[Row::new(f64::NAN, [1.0; 3], 1.0), Row::new(1.0, [f64::INFINITY; 3], 1.0)]);
        assert_eq!(information, Information::none());
    }
}
