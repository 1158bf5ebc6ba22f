//! Numbers for mutations: seeded, the same on every machine.

/// xorshift64*, by Vigna ("An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016). The seed is not 0.
pub struct Random(pub u64);

impl Random {
    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        ((self.bits() >> 16) % limit.max(1) as u64) as usize
    }

    /// One of several.
    ///
    /// # Panics
    /// If there is none.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A range within `length` items, short ones more often.
    pub fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let reach = 1 << self.below(8);
        start..(start + 1 + self.below(reach)).min(length)
    }
}
