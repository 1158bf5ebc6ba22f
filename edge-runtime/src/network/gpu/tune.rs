//! Choosing tactics on the device: first whether each is exact there, then which is fastest for each step.

use std::time::Duration;

use fathom_core::tensor::Tensor;
use fathom_gpu::cache::Pipelines;
use fathom_gpu::read_back::ReadBack;

use super::probe::probe;
use super::tactic::{has_choice, suits};
use super::{GpuExecutor, Precision, Tactic, Tactics, border, load};
use crate::Result;

/// Nanoseconds of a step under each tactic that was timed.
pub type Times = Vec<(Tactic, f64)>;

/// What tuning found.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// Tactics that the device could run but computes wrongly.
    pub refused: Vec<Refused>,
    /// For each step with a choice: its index, the tactic taken, and the nanoseconds of every one that suits it and was timed.
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
            let wanted = tactic != Tactic::Half || self.options.precision == Precision::Half;
            if !(wanted && tactic.runs_on(&self.gpu)) {
                continue;
            }
            if let Err(message) = probe(&self.gpu, tactic)? {
                let report = self.gpu.report();
                log::warn!("{} ({}): tactic {} computes wrongly ({message}); not used", report.name, report.driver, tactic.name());
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
                let suited = times.iter().filter(|(tactic, _)| suits(*tactic, &self.plan.steps[i]));
                let timed: Vec<(Tactic, f64)> = suited.map(|(tactic, least)| (*tactic, least[i])).collect();
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
