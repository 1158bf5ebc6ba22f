//! Choosing tactics on the device: first whether each is exact there, then which is fastest for each step.

use std::time::Duration;

use fathom_core::ops::nn::conv::{Conv2d, conv2d_bytes};
use fathom_core::ops::nn::epilogue::ByteEpilogue;
use fathom_core::ops::nn::{Map, Window};
use fathom_core::tensor::Tensor;
use fathom_gpu::buffer::Buffer;
use fathom_gpu::cache::Pipelines;
use fathom_gpu::nn::conv_bytes::ByteConv;
use fathom_gpu::nn::epilogue::Finish;
use fathom_gpu::nn::{Lay, Prepared, conv_dot4, conv_spread};
use fathom_gpu::recorder::{ReadBack, Recorder};
use fathom_gpu::{Gpu, Kernel};

use super::tactic::has_choice;
use super::{GpuExecutor, Tactic, Tactics, border, load};
use crate::Result;

/// Nanoseconds of a step under each tactic that was timed.
pub type Times = Vec<(Tactic, f64)>;

/// What tuning found.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// Tactics that the device could run but computes wrongly.
    pub refused: Vec<Refused>,
    /// For each step with a choice: its index, the tactic taken, and the nanoseconds of every one that was timed.
    pub steps: Vec<(usize, Tactic, Times)>,
}

/// A tactic whose result differs from the definition on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The tactic.
    pub tactic: Tactic,
    /// Adapter and driver, which are at fault.
    pub driver: String,
    /// What differed.
    pub message: String,
}

impl GpuExecutor {
    /// Checks every tactic against the definition, times the trusted ones on `image`, and takes the fastest for each step.
    ///
    /// Times are the device's timestamps, or where it has none those of `clock` around each step; the least of `runs` counts.
    /// [`GpuExecutor::store`] keeps the result for the next start.
    ///
    /// # Errors
    /// As [`GpuExecutor::run`]; `Refused` is no error unless nothing is left.
    pub fn tune(&mut self, image: &Tensor, runs: usize, clock: &mut dyn FnMut() -> Duration) -> Result<Tuning> {
        let mut refused = Vec::new();
        let mut times: Vec<(Tactic, Vec<f64>)> = Vec::new();
        let input = border::pack(&self.plan, image)?;
        for tactic in Tactic::ALL {
            if !tactic.runs_on(&self.gpu) {
                continue;
            }
            if let Err(message) = probe(&self.gpu, tactic)? {
                let report = self.gpu.report();
                log::warn!("{} ({}): tactic {} is not exact ({message}); not used", report.name, report.driver, tactic.name());
                refused.push(Refused { tactic, driver: format!("{} ({})", report.name, report.driver), message });
                continue;
            }
            self.use_tactics(Tactics::new(vec![tactic; self.plan.steps.len()]))?;
            self.submit(&input)?;
            let mut least = vec![f64::INFINITY; self.plan.steps.len()];
            for _ in 0..runs.max(1) {
                least.iter_mut().zip(self.times(clock)?).for_each(|(least, time)| *least = least.min(time));
            }
            times.push((tactic, least));
        }
        let steps: Vec<_> = (0..self.plan.steps.len())
            .filter(|&i| has_choice(&self.plan.steps[i]))
            .map(|i| {
                let timed: Vec<(Tactic, f64)> = times.iter().map(|(tactic, least)| (*tactic, least[i])).collect();
                let best = timed.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a }).map_or(Tactic::Plain, |(tactic, _)| tactic);
                (i, best, timed)
            })
            .collect();
        let mut tactics = vec![Tactic::Plain; self.plan.steps.len()];
        steps.iter().for_each(|(i, best, _)| tactics[*i] = *best);
        self.use_tactics(Tactics::new(tactics))?;
        Ok(Tuning { refused, steps })
    }

    /// Takes tactics as given, without checking or timing them.
    ///
    /// # Errors
    /// As [`GpuExecutor::new`].
    pub fn use_tactics(&mut self, tactics: Tactics) -> Result<()> {
        let pipelines = std::mem::replace(&mut self.loaded.pipelines, Pipelines::open(&self.gpu, &[], None));
        self.loaded = load(&self.plan, &self.gpu, pipelines, &tactics, self.options.work_per_dispatch)?;
        self.tactics = tactics;
        Ok(())
    }

    /// Nanoseconds of each step.
    fn times(&self, clock: &mut dyn FnMut() -> Duration) -> Result<Vec<f64>> {
        if self.gpu.abilities().timestamps {
            return self.step_times_ns();
        }
        let mut nothing = ReadBack::new(&self.gpu, &[])?;
        let steps = 0..self.plan.steps.len();
        let timed = steps.map(|step| {
            let start = clock();
            self.loaded.frame.run_marks(&self.gpu, step..step + 1, &mut nothing)?;
            Ok(clock().saturating_sub(start).as_secs_f64() * 1e9)
        });
        timed.collect()
    }
}

/// Runs a small convolution with extreme numbers by a tactic and compares it with the definition. The inner error says what
/// differs.
fn probe(gpu: &Gpu, tactic: Tactic) -> Result<std::result::Result<(), String>> {
    let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad_before: [1, 1], pad_after: [1, 1] };
    let conv = Conv2d { input: Map { height: 7, width: 11, channels: 16 }, out_channels: 12, window, groups: 1 };
    let input: Vec<u8> = (0..conv.input.len()).map(|i| if i % 3 == 0 { 255 } else { (i * 89 % 256) as u8 }).collect();
    let weights: Vec<i8> = (0..conv.weights_len()).map(|i| if i % 5 == 0 { 127 } else { (i * 57 % 256) as u8 as i8 }).collect();
    let epilogue = ByteEpilogue {
        bias: (0..12).map(|o| o * 1000 - 5000).collect(),
        multiplier: (0..12).map(|o| 0.0007 + 0.0001 * o as f32).collect(),
        zero_point: 128,
        low: 0,
        high: 255,
        table: None,
        residual: None,
        then: None,
    };
    let sums = conv2d_bytes(&conv, &input, 131, &weights)?;
    let expected = epilogue.apply::<u8>(&sums, conv.out_channels, None)?;
    let step = ByteConv {
        conv,
        weights: &weights,
        signed: false,
        zero_point: 131,
        finish: Finish::Byte { epilogue: &epilogue, signed: false },
        source: Lay::bytes(16),
        residual: Lay::bytes(12),
        target: Lay::bytes(12),
    };
    let prepared = match tactic {
        Tactic::Plain => Some(conv_dot4::prepare(&step, [8, 8])),
        Tactic::Spread => conv_spread::prepare(&step),
    };
    let Some(prepared) = prepared else { return Ok(Err("the probe does not fit the tactic".into())) };
    let result = run_once(gpu, &prepared, &input, expected.len())?;
    let wrong = result.iter().zip(&expected).position(|(got, want)| got != want);
    Ok(wrong.map_or(Ok(()), |i| Err(format!("element {i} of the probe is {} instead of {}", result[i], expected[i]))))
}

fn run_once(gpu: &Gpu, prepared: &Prepared, input: &[u8], output_bytes: usize) -> Result<Vec<u8>> {
    let kernel: &[&Kernel] = &[prepared.launch.kernel];
    let mut pipelines = Pipelines::open(gpu, kernel, None);
    let source = Buffer::arena(gpu, "probe input", input.len() as u64)?;
    source.write(gpu, 0, input)?;
    let target = Buffer::arena(gpu, "probe output", output_bytes as u64)?;
    let constants = prepared.constants.iter().map(|bytes| Buffer::constants(gpu, "probe constants", bytes));
    let constants = constants.collect::<fathom_gpu::Result<Vec<Buffer>>>()?;
    let [weights, columns, tables] = [0, 1, 2].map(|i| constants[i].whole());
    let mut recorder = Recorder::default();
    let bindings = [source.whole(), weights, columns, tables, target.whole(), target.whole()];
    recorder.launch(gpu, &mut pipelines, &prepared.launch, &bindings, 0)?;
    let mut output = ReadBack::new(gpu, &[target.whole()])?;
    recorder.finish(gpu)?.run(gpu, &mut output)?;
    Ok(output.bytes(0)[..output_bytes].to_vec())
}
