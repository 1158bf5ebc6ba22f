//! Seeded numbers for inputs: the same on every machine.

/// A linear congruential generator (Knuth's MMIX constants), high bits only.
pub(crate) struct Noise(u64);

impl Noise {
    /// A sequence of its own for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1))
    }

    /// The next 32 bits.
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Bytes over their whole range.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 24) as u8).collect()
    }

    /// Signed bytes in `-limit..=limit`.
    pub(crate) fn weights(&mut self, count: usize, limit: i32) -> Vec<i8> {
        (0..count).map(|_| ((self.next() >> 8) as i32 % (limit + 1) * if self.next() & 1 == 0 { 1 } else { -1 }) as i8).collect()
    }

    /// Integers in `-limit..=limit`.
    pub(crate) fn integers(&mut self, count: usize, limit: i32) -> Vec<i32> {
        (0..count).map(|_| (self.next() >> 1) as i32 % (2 * limit + 1) - limit).collect()
    }

    /// Floats in `low..high`.
    pub(crate) fn floats(&mut self, count: usize, low: f32, high: f32) -> Vec<f32> {
        (0..count).map(|_| low + (high - low) * (self.next() >> 8) as f32 / (1 << 24) as f32).collect()
    }
}
