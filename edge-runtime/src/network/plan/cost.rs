//! What a step costs: the numbers of a roofline.

/// Work and memory traffic of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Multiplications; for steps without sums, one per element written.
    pub macs: u64,
    /// Whether they are of bytes.
    pub integer: bool,
    /// Bytes of operands and constants read, each once.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

impl Cost {
    /// Seconds on a machine that does `macs_per_s` multiplications and moves `bytes_per_s`, whichever is slower.
    ///
    /// Source: Williams, Waterman & Patterson, *Roofline*, CACM 52(4), 2009.
    #[must_use]
    pub fn seconds(&self, macs_per_s: f64, bytes_per_s: f64) -> f64 {
        (self.macs as f64 / macs_per_s).max((self.read_bytes + self.written_bytes) as f64 / bytes_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_arithmetic_and_traffic_decides() {
        let cost = Cost { macs: 100, integer: false, read_bytes: 30, written_bytes: 20 };
        assert_eq!([cost.seconds(10.0, 10.0), cost.seconds(1000.0, 10.0)], [10.0, 5.0]);
    }
}
