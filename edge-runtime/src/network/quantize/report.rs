//! What quantization cost: noise per layer, and the output's error against fp32.

use fathom_core::tensor::Tensor;

use super::observe::Observed;
use super::rewrite::Rewritten;
use crate::Result;
use crate::network::graph::{Graph, ValueId};

/// What quantization cost.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizeReport {
    /// Values that became bytes, in the order they are made.
    pub layers: Vec<LayerNoise>,
    /// The depth output.
    pub output: OutputError,
    /// Pairs of layers that were equalised.
    pub equalised_pairs: usize,
}

/// Noise of one value, over all images.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNoise {
    /// The value's name in the fp32 network.
    pub name: String,
    /// `10 log10(signal power / noise power)`, dB; infinite without noise. Where equalisation rescaled a value it is not
    /// comparable with the original's, and left out.
    pub snr_db: f64,
}

/// Difference of the depth output from fp32's, over all images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputError {
    /// Mean absolute difference, as a share of the fp32 output's range.
    pub mean_of_range: f64,
    /// Largest absolute difference, likewise.
    pub largest_of_range: f64,
    /// Pearson's correlation.
    pub correlation: f64,
}

/// Sums over all elements seen so far.
#[derive(Default, Clone, Copy)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
    noise: f64,
    absolute: f64,
    largest: f64,
}

impl Sums {
    fn add(&mut self, exact: &[f32], quantized: &[f32]) {
        for (&x, &y) in exact.iter().zip(quantized) {
            let (x, y) = (f64::from(x), f64::from(y));
            self.n += 1.0;
            self.x += x;
            self.y += y;
            self.xx += x * x;
            self.yy += y * y;
            self.xy += x * y;
            self.noise += (x - y).powi(2);
            self.absolute += (x - y).abs();
            self.largest = self.largest.max((x - y).abs());
        }
    }

    fn snr_db(&self) -> f64 {
        10.0 * (self.xx / self.noise).log10()
    }

    fn correlation(&self) -> f64 {
        let covariance = self.xy - self.x * self.y / self.n;
        let variances = (self.xx - self.x * self.x / self.n) * (self.yy - self.y * self.y / self.n);
        covariance / variances.sqrt()
    }
}

/// Runs both networks on all images. `original` is the network before equalisation.
pub(super) fn measure(
    original: &Graph,
    rewritten: &Rewritten,
    images: &[Tensor],
    threads: usize,
    step: &mut dyn FnMut(),
) -> Result<QuantizeReport> {
    let exact_ids: Vec<ValueId> = rewritten.stand_ins.iter().map(|(id, _)| *id).chain([original.outputs[0]]).collect();
    let byte_ids: Vec<ValueId> = rewritten.stand_ins.iter().map(|(_, id)| *id).chain([rewritten.graph.outputs[0]]).collect();
    let mut exact = Observed::new(original, &exact_ids, threads)?;
    let mut bytes = Observed::new(&rewritten.graph, &byte_ids, threads)?;
    let mut sums = vec![Sums::default(); exact_ids.len()];
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for image in images {
        let (left, right) = (exact.run(image)?, bytes.run(image)?);
        step();
        for ((sums, x), y) in sums.iter_mut().zip(&left).zip(&right) {
            sums.add(x.as_f32()?, y.as_f32()?);
        }
        if let Some(output) = left.last() {
            for &v in output.as_f32()? {
                low = low.min(v);
                high = high.max(v);
            }
        }
        step();
    }
    let range = f64::from(high - low).max(f64::MIN_POSITIVE);
    let last = sums.pop().unwrap_or_default();
    let layers = exact_ids.iter().zip(&sums).map(|(id, sums)| LayerNoise { name: original.value(*id).name.clone(), snr_db: sums.snr_db() });
    Ok(QuantizeReport {
        layers: layers.filter(|layer| layer.snr_db.is_finite()).collect(),
        output: OutputError {
            mean_of_range: last.absolute / last.n / range,
            largest_of_range: last.largest / range,
            correlation: last.correlation(),
        },
        equalised_pairs: 0,
    })
}
