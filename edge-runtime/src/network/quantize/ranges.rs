//! Ranges of activations: the extremes seen, or a narrower range that trades a few clipped values for finer steps.

use std::collections::HashMap;

use fathom_core::quant::QuantParams;
use fathom_core::tensor::Tensor;

use super::QuantizeOptions;
use super::observe::Observed;
use crate::Result;
use crate::network::graph::{Graph, ValueId};

/// How the range of a value is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RangeMethod {
    /// Smallest and largest value seen.
    MinMax,
    /// The range that holds this share of the values, in percent, the rest split between both ends.
    Percentile(f64),
    /// The range with the least mean squared error of values quantized and back.
    LeastError,
}

/// Bins of a histogram between the extremes.
const BINS: usize = 2048;

/// Shares of the extremes among which the least error is sought.
const SHRINKS: std::ops::RangeInclusive<usize> = 30..=100;

/// Values of one tensor over all images.
struct Seen {
    low: f32,
    high: f32,
    bins: Vec<u64>,
}

impl Seen {
    fn new() -> Self {
        Self { low: f32::INFINITY, high: f32::NEG_INFINITY, bins: Vec::new() }
    }

    fn widen(&mut self, values: &[f32]) {
        for &v in values.iter().filter(|v| v.is_finite()) {
            self.low = self.low.min(v);
            self.high = self.high.max(v);
        }
    }

    fn count(&mut self, values: &[f32]) {
        self.bins.resize(BINS, 0);
        let width = (self.high - self.low).max(f32::MIN_POSITIVE) / BINS as f32;
        for &v in values.iter().filter(|v| v.is_finite()) {
            self.bins[(((v - self.low) / width) as usize).min(BINS - 1)] += 1;
        }
    }

    fn centre(&self, bin: usize) -> f32 {
        self.low + (self.high - self.low) * (bin as f32 + 0.5) / BINS as f32
    }

    fn range(&self, method: RangeMethod) -> (f32, f32) {
        match method {
            RangeMethod::MinMax => (self.low, self.high),
            RangeMethod::Percentile(percent) => {
                let all: u64 = self.bins.iter().sum();
                let tail = (all as f64 * (100.0 - percent.clamp(0.0, 100.0)) / 200.0) as u64;
                (self.centre(first_beyond(self.bins.iter(), tail)), self.centre(BINS - 1 - first_beyond(self.bins.iter().rev(), tail)))
            }
            RangeMethod::LeastError => SHRINKS
                .map(|percent| (self.low * percent as f32 / 100.0, self.high * percent as f32 / 100.0))
                .min_by(|a, b| self.error(*a).total_cmp(&self.error(*b)))
                .unwrap_or((self.low, self.high)),
        }
    }

    /// Squared error of the histogram's values, quantized within a range and back.
    fn error(&self, range: (f32, f32)) -> f64 {
        let Ok(params) = parameters(range) else { return f64::INFINITY };
        let off = |bin: usize| f64::from(self.centre(bin) - params.dequantize(params.quantize(self.centre(bin))));
        self.bins.iter().enumerate().filter(|(_, n)| **n > 0).map(|(bin, &n)| n as f64 * off(bin).powi(2)).sum()
    }
}

/// The first bin at which more than `tail` values have been passed.
fn first_beyond<'a>(bins: impl Iterator<Item = &'a u64>, tail: u64) -> usize {
    let mut passed = 0;
    for (bin, count) in bins.enumerate() {
        passed += count;
        if passed > tail {
            return bin;
        }
    }
    0
}

/// Unsigned parameters of a range, widened to hold 0 so that padding and ReLU are exact.
pub(super) fn parameters((low, high): (f32, f32)) -> Result<QuantParams> {
    let (low, high) = (low.min(0.0), high.max(0.0));
    let scale = (high - low) / 255.0;
    let scale = if scale.is_normal() { scale } else { 1.0 };
    Ok(QuantParams::new(scale, (-low / scale).round_ties_even().clamp(0.0, 255.0) as i32, false)?)
}

/// Ranges of `values` over `images`, as parameters.
pub(super) fn collect(
    graph: &Graph,
    values: &[ValueId],
    images: &[Tensor],
    options: &QuantizeOptions,
    step: &mut dyn FnMut(),
) -> Result<HashMap<ValueId, QuantParams>> {
    let mut observed = Observed::new(graph, values, options.threads)?;
    let mut seen: Vec<Seen> = values.iter().map(|_| Seen::new()).collect();
    let mut pass = |seen: &mut [Seen], look: fn(&mut Seen, &[f32])| -> Result<()> {
        for image in images {
            for (seen, tensor) in seen.iter_mut().zip(observed.run(image)?) {
                look(seen, tensor.as_f32()?);
            }
            step();
        }
        Ok(())
    };
    pass(&mut seen, Seen::widen)?;
    if options.ranges != RangeMethod::MinMax {
        pass(&mut seen, Seen::count)?;
    }
    values.iter().zip(&seen).map(|(&id, seen)| Ok((id, parameters(seen.range(options.ranges))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[f32]) -> Seen {
        let mut seen = Seen::new();
        seen.widen(values);
        seen.count(values);
        seen
    }

    #[test]
    fn a_range_always_holds_zero_exactly() {
        let params = parameters((2.0, 4.0)).unwrap();
        assert_eq!((params.zero_point, params.quantize(0.0), params.quantize(4.0)), (0, 0, 255));
        let params = parameters((-1.0, 1.0)).unwrap();
        assert_eq!(params.dequantize(params.quantize(0.0)), 0.0);
        assert_eq!(parameters((0.0, 0.0)).unwrap().scale, 1.0);
    }

    #[test]
    fn a_percentile_leaves_the_outlier_out() {
        let mut values: Vec<f32> = (0..10_000).map(|i| i as f32 / 10_000.0).collect();
        values.push(100.0);
        let (_, high) = seen(&values).range(RangeMethod::Percentile(99.9));
        assert!(high < 2.0, "{high}");
        assert_eq!(seen(&values).range(RangeMethod::MinMax).1, 100.0);
    }

    #[test]
    fn the_least_error_clips_a_lone_outlier_but_not_a_uniform_tail() {
        let uniform: Vec<f32> = (0..4096).map(|i| i as f32 / 4096.0).collect();
        assert!(seen(&uniform).range(RangeMethod::LeastError).1 > 0.95);
        // Steps of 3/255 cost a million values (3/255)^2/12 each, 11.5 in all; clipping 3 to 1.4 costs 2.5 + 1.6^2 = 5.1.
        let mut heavy: Vec<f32> = (0..1_000_000).map(|i| i as f32 / 1e6).collect();
        heavy.push(3.0);
        assert!(seen(&heavy).range(RangeMethod::LeastError).1 < 2.0);
    }
}
