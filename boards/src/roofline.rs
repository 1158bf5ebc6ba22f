//! The least time a network can take on a board: bounded by arithmetic or by memory, whichever is slower.
//!
//! Source: Williams, Waterman & Patterson, *Roofline: an insightful visual performance model*, CACM 2009. It is a bound, not
//! a forecast: kernels reach a part of the peaks, and every dispatch adds the driver's own time.

use crate::profile::{Peak, Profile};

/// What one inference asks of the hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Multiplications with addition of bytes.
    pub int8_macs: u64,
    /// Multiplications with addition of floats.
    pub float_macs: u64,
    /// Bytes read and written: weights once, every activation once out and once in.
    pub bytes: u64,
}

/// Least times of one inference, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// By arithmetic, on the board's fastest path that WGSL reaches without tensor cores.
    pub arithmetic_ms: f64,
    /// By arithmetic, if tensor cores (16-bit float) do all of it.
    pub tensor_ms: Option<f64>,
    /// By memory.
    pub memory_ms: f64,
}

impl Bound {
    /// The slower of arithmetic and memory.
    #[must_use]
    pub const fn least_ms(&self) -> f64 {
        self.arithmetic_ms.max(self.memory_ms)
    }
}

/// The bound for `work` on `board`; `None` where the profile states no peaks.
///
/// ```
/// use fathom_boards::{named, roofline::{Work, bound}};
/// // 0.235 GMAC of bytes on a Nano (fp16 0.47 T, no dot4): 0.47e9 operations in 1 ms; 25.6 MB in 1 ms.
/// let work = Work { int8_macs: 235_000_000, float_macs: 0, bytes: 25_600_000 };
/// let bound = bound(&named("jetson-nano")?, &work).expect("peaks are known");
/// assert!((bound.arithmetic_ms - 1.0).abs() < 1e-9 && (bound.memory_ms - 1.0).abs() < 1e-9);
/// # Ok::<(), fathom_boards::Error>(())
/// ```
#[must_use]
pub fn bound(board: &Profile, work: &Work) -> Option<Bound> {
    let Peak { fp32_tops, fp16_tops, dot4_tops, tensor_fp16_tops, dram_gb_s, .. } = board.peak;
    let fastest = |rates: &[Option<f64>]| rates.iter().flatten().copied().reduce(f64::max);
    let float = fastest(&[fp32_tops, fp16_tops])?;
    let int8 = fastest(&[Some(float), dot4_tops])?;
    let ms = |macs: u64, tops: f64| 2.0 * macs as f64 / (tops * 1e12) * 1e3;
    Some(Bound {
        arithmetic_ms: ms(work.int8_macs, int8) + ms(work.float_macs, float),
        tensor_ms: tensor_fp16_tops.map(|tops| ms(work.int8_macs + work.float_macs, tops)),
        memory_ms: work.bytes as f64 / (dram_gb_s? * 1e9) * 1e3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named;

    #[test]
    fn bytes_use_the_dot_product_where_the_board_has_it() {
        let work = Work { int8_macs: 1_045_000_000, float_macs: 600_000_000, bytes: 0 };
        let bound = bound(&named("jetson-orin-nano").unwrap(), &work).unwrap();
        // 2.09e9 operations at 2.09 T are 1 ms; 1.2e9 at 1.76 T (fp16) are 0.6818 ms.
        assert!((bound.arithmetic_ms - 1.681_818).abs() < 1e-5, "{bound:?}");
        assert_eq!(bound.least_ms(), bound.arithmetic_ms);
    }

    #[test]
    fn a_board_without_figures_is_not_predicted() {
        assert_eq!(bound(&named("generic-cpu").unwrap(), &Work::default()), None);
    }
}
