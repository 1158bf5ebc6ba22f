//! Sums of products of bytes, four products to a lane, in the vectors of this machine.
//!
//! A quad is four unsigned bytes that one lane multiplies with four signed weights. Sums are exact on every machine: VNNI has an
//! instruction for it, elsewhere bytes are split into even and odd ones and multiplied as i16, whose pairs cannot overflow i32.
//! `tests` hold all machines at hand to plain loops. Other processors than x86 have none yet and keep to matrix products and
//! [`super::lines`].

use fathom_core::ops::nn::elementwise::ByteSum;

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(super) use x86::Machine;

/// No machine: callers keep to other loops.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Debug, Clone, Copy)]
pub(super) enum Machine {}

#[cfg(not(target_arch = "x86_64"))]
impl Machine {
    pub(super) fn new() -> Option<Self> {
        None
    }

    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        Vec::new()
    }

    pub(super) const fn multiplies_bytes(self) -> bool {
        match self {}
    }

    pub(super) fn run(self, _job: impl Job) {
        match self {}
    }
}

/// Lanes of a vector of sums.
pub(super) const LANES: usize = 16;

/// Four weights for each lane.
pub(super) type Weights = [i8; 4 * LANES];

/// Vectors of [`LANES`] lanes.
pub(super) trait Dot: Copy {
    /// A sum in each lane.
    type Sums: Copy;
    /// A quad in each lane.
    type Quads: Copy;
    /// Four weights in each lane.
    type Weights: Copy;

    /// Whether there are registers for 24 vectors of sums and what they are added up from; else for four.
    const MANY_REGISTERS: bool;

    /// Sums that begin with these numbers.
    fn sums(self, first: &[i32; LANES]) -> Self::Sums;

    /// One quad for all lanes.
    fn splat(self, quad: [u8; 4]) -> Self::Quads;

    fn quads(self, quads: &[u32; LANES]) -> Self::Quads;

    fn weights(self, weights: &Weights) -> Self::Weights;

    /// `sums + quads weights`.
    fn add_products(self, sums: Self::Sums, quads: Self::Quads, weights: Self::Weights) -> Self::Sums;

    /// Puts bytes into the quads: as their byte number `at`, which is still 0.
    fn lay(self, quads: [u32; LANES], levels: &[u8; LANES], at: usize) -> [u32; LANES];

    /// `requantize` of core, lane by lane.
    fn requantize(self, sums: Self::Sums, multiplier: &[f32; LANES], to: Rounding) -> [u8; LANES];

    /// `ByteSum::value` of core, lane by lane.
    fn add(self, first: [u8; LANES], second: [u8; LANES], sum: &Addition) -> [u8; LANES];
}

/// Bounds of a byte, both less its zero point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounding {
    pub(super) low: f32,
    pub(super) high: f32,
    pub(super) zero_point: i32,
}

/// The sum of two bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addition {
    pub(super) sum: ByteSum,
    /// Whether the bytes are signed.
    pub(super) signed: bool,
}

/// Loops over such vectors.
pub(super) trait Job {
    fn run<D: Dot>(self, dot: D);
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// Products of four vectors and what becomes of them.
    struct Products<'a> {
        quads: &'a [[u32; LANES]],
        weights: &'a [Weights],
        first: &'a [i32; LANES],
        multiplier: &'a [f32; LANES],
        to: Rounding,
        out: &'a mut [u8; LANES],
    }

    impl Job for Products<'_> {
        fn run<D: Dot>(self, dot: D) {
            let pairs = self.quads.iter().zip(self.weights);
            let sums =
                pairs.fold(dot.sums(self.first), |sums, (quads, weights)| dot.add_products(sums, dot.quads(quads), dot.weights(weights)));
            *self.out = dot.requantize(sums, self.multiplier, self.to);
        }
    }

    #[test]
    fn extreme_bytes_are_summed_and_rounded_exactly_on_every_machine() {
        let extremes = [0_u8, 1, 127, 128, 254, 255];
        let quads: Vec<[u32; LANES]> = (0..37)
            .map(|i| std::array::from_fn(|n| u32::from_le_bytes(std::array::from_fn(|k| extremes[(i + 5 * n + k * k) % 6]))))
            .collect();
        let weights: Vec<Weights> = (0..37).map(|i| std::array::from_fn(|k| [-128_i8, -127, -1, 0, 1, 127][(i * 7 + k * 5) % 6])).collect();
        for (low, high, zero_point) in [(0, 255, 0), (0, 255, 131), (-128, 127, 3), (5, 77, 5)] {
            let first: [i32; LANES] = std::array::from_fn(|n| n as i32 * 1001 - 7000);
            let multiplier: [f32; LANES] = std::array::from_fn(|n| 0.5_f32.powi(n as i32 + 2));
            let to = Rounding { low: (low - zero_point) as f32, high: (high - zero_point) as f32, zero_point };
            let expected: [u8; LANES] = std::array::from_fn(|n| {
                let products = quads
                    .iter()
                    .zip(&weights)
                    .flat_map(|(q, w)| (0..4).map(move |k| i32::from(q[n].to_le_bytes()[k]) * i32::from(w[4 * n + k])));
                fathom_core::quant::requantize(products.sum::<i32>() + first[n], multiplier[n], zero_point, low, high) as u8
            });
            for machine in Machine::all() {
                let mut out = [0; LANES];
                machine.run(Products { quads: &quads, weights: &weights, first: &first, multiplier: &multiplier, to, out: &mut out });
                assert_eq!(out, expected, "{machine:?}, zero point {zero_point}");
            }
        }
    }
}
