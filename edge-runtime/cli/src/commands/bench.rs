//! `fathom bench`: latency and memory of a network on this machine.

use std::path::PathBuf;

use clap::Args;
use fathom_core::frame::{RgbImage, Size};
use fathom_runtime::engine::Engine;
use fathom_runtime::network::plan::Step;
use serde::Serialize;

use crate::args::{CardArgs, DeviceArgs, NetworkArgs};
use crate::clock::{StageTimes, Stopwatch};
use crate::io::pictures;
use crate::memory::peak_rss_bytes;
use crate::network::open;
use crate::progress;
use crate::report::{Report, bytes, table};

/// Arguments of `fathom bench`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BenchArgs {
    /// ONNX file; without it the embedded network.
    #[arg(value_name = "M.onnx")]
    file: Option<PathBuf>,

    /// The same as naming the file alone.
    #[arg(long, value_name = "M.onnx", conflicts_with = "file")]
    model: Option<PathBuf>,

    /// Timed runs, after one that warms up and is reported as the first frame.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,

    /// Picture to run on; without it a drawn one of 640x480.
    #[arg(long, value_name = "IMAGE")]
    image: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArgs,

    #[command(flatten)]
    card: CardArgs,
}

const AFTER_HELP: &str = "\
A run is a whole frame: conversion, resampling, network, depth back at the frame's size.

Examples:
  fathom bench
  fathom bench midas.onnx --runs 100 --backend cpu
  fathom bench --adapter llvmpipe --json";

/// Steps that the text lists; JSON holds all.
const SLOWEST: usize = 8;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct BenchReport {
    model: String,
    sha256: String,
    backend: &'static str,
    executor: &'static str,
    adapter: Option<String>,
    reason: String,
    runs: u32,
    load_ms: f64,
    first_frame_ms: f64,
    median_ms: f64,
    p99_ms: f64,
    /// Median of each stage.
    ms: StageTimes,
    dispatches: Option<usize>,
    arena_bytes: Option<usize>,
    arena_lower_bound_bytes: Option<usize>,
    weights_bytes: Option<usize>,
    /// Largest resident memory of the whole program so far; Linux only.
    peak_rss_bytes: Option<u64>,
    /// One run, step by step; `None` where the executor does not tell.
    steps: Option<Vec<StepTime>>,
}

/// How long one step of the plan took.
#[derive(Debug, Serialize)]
struct StepTime {
    name: String,
    op: &'static str,
    macs: u64,
    ms: f64,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<BenchReport> {
    let picture = args.image.as_deref().map_or_else(drawn, pictures::read)?;
    let mut stopwatch = Stopwatch::start();
    let model = args.file.clone().or_else(|| args.model.clone());
    let (mut engine, name) = open(&NetworkArgs { model, device: args.device.clone(), card: args.card.clone() })?;
    let load_ms = stopwatch.lap_ms();
    engine.infer(&picture.as_frame())?;
    let first_frame_ms = stopwatch.lap_ms();

    let bar = progress::bar(args.runs as usize, "bench");
    let mut totals = Vec::with_capacity(args.runs as usize);
    let mut stages: Vec<StageTimes> = Vec::with_capacity(args.runs as usize);
    for _ in 0..args.runs {
        let mut times = StageTimes::new();
        let mut stopwatch = Stopwatch::start();
        engine.infer_observed(&picture.as_frame(), &mut |stage| {
            times.insert(stage.name(), stopwatch.lap_ms());
        })?;
        totals.push(times.values().sum());
        stages.push(times);
        bar.inc(1);
    }
    bar.finish_and_clear();

    let steps = step_times(&mut engine, &picture)?;
    let names: Vec<&'static str> = stages.first().into_iter().flat_map(|times| times.keys().copied()).collect();
    let of_stage = |name: &str| stages.iter().filter_map(|times| times.get(name).copied()).collect::<Vec<f64>>();
    let plan = engine.plan().ok();
    let backend = engine.backend();
    Ok(BenchReport {
        model: name,
        sha256: engine.sha256().to_owned(),
        backend: backend.backend,
        executor: backend.executor,
        adapter: backend.adapter.clone(),
        reason: backend.reason.clone(),
        runs: args.runs,
        load_ms,
        first_frame_ms,
        median_ms: percentile(&mut totals, 0.5),
        p99_ms: percentile(&mut totals, 0.99),
        ms: names.into_iter().map(|name| (name, percentile(&mut of_stage(name), 0.5))).collect(),
        dispatches: engine.dispatches(),
        arena_bytes: plan.map(|plan| plan.arena_bytes),
        arena_lower_bound_bytes: plan.map(|plan| plan.arena_lower_bound_bytes),
        weights_bytes: plan.map(|plan| plan.weights_bytes()),
        peak_rss_bytes: peak_rss_bytes(),
        steps,
    })
}

fn step_times(engine: &mut Engine, picture: &RgbImage) -> anyhow::Result<Option<Vec<StepTime>>> {
    let stopwatch = Stopwatch::start();
    let times = engine.step_times_ms(&picture.as_frame(), &mut || stopwatch.elapsed_ms())?;
    let Some((times, Ok(plan))) = times.map(|times| (times, engine.plan())) else { return Ok(None) };
    let step = |(step, ms): (&Step, f64)| StepTime { name: step.name.clone(), op: step.op.name(), macs: step.cost.macs, ms };
    Ok(Some(plan.steps.iter().zip(times).map(step).collect()))
}

/// A picture with slopes and edges, the same on every machine.
fn drawn() -> anyhow::Result<RgbImage> {
    let size = Size::new(640, 480);
    let pixels = (0..size.area() as u32).map(|i| (i % size.width, i / size.width));
    let colour = |(x, y): (u32, u32)| {
        [(x * 255 / size.width) as u8, (y * 255 / size.height) as u8, if (x / 40 + y / 40) % 2 == 0 { 60 } else { 200 }]
    };
    Ok(RgbImage::new(size, pixels.map(colour).collect())?)
}

/// The value that this share of the values does not exceed (nearest rank).
fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

impl Report for BenchReport {
    fn text(&self) -> String {
        let device = self.adapter.as_deref().unwrap_or(self.backend);
        let size = |count: Option<usize>| count.map_or_else(|| "-".into(), |count| bytes(count as u64));
        let stages: Vec<String> = self.ms.iter().map(|(name, ms)| format!("{name} {ms:.2}")).collect();
        let mut lines = vec![
            format!("{} on {device} through {} ({})", self.model, self.executor, self.reason),
            format!("  median {:.2} ms, p99 {:.2} ms over {} runs ({})", self.median_ms, self.p99_ms, self.runs, stages.join(", ")),
            format!("  loading {:.0} ms, first frame {:.1} ms", self.load_ms, self.first_frame_ms),
            format!("  dispatches {}", self.dispatches.map_or_else(|| "-".into(), |count| count.to_string())),
            format!(
                "  weights {}, arena {} (at least {})",
                size(self.weights_bytes),
                size(self.arena_bytes),
                size(self.arena_lower_bound_bytes)
            ),
            format!("  peak memory of the program {}", self.peak_rss_bytes.map_or_else(|| "-".into(), bytes)),
        ];
        if let Some(steps) = &self.steps {
            let mut slowest: Vec<&StepTime> = steps.iter().collect();
            slowest.sort_by(|a, b| b.ms.total_cmp(&a.ms));
            let row = |step: &&StepTime| {
                vec![step.name.clone(), step.op.into(), format!("{:.1}", step.macs as f64 / 1e6), format!("{:.2}", step.ms)]
            };
            let rows: Vec<_> = slowest.iter().take(SLOWEST).map(row).collect();
            lines.push(format!("\n{}", table(&["slowest steps of one run", "op", "MMAC", "ms"], &rows)));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([percentile(&mut values, 0.5), percentile(&mut values, 0.99), percentile(&mut [7.0], 0.99)], [50.0, 99.0, 7.0]);
    }
}
