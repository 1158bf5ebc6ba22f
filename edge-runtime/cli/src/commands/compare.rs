//! `fathom compare`: the plan on CPU and GPU, step by step, and the first step that differs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use fathom_gpu::{AdapterPolicy, Gpu};
use fathom_runtime::network::compare::{StepDifference, compare};
use fathom_runtime::network::cpu::CpuExecutor;
use fathom_runtime::network::gpu::GpuExecutor;
use fathom_runtime::network::lower::lower;
use fathom_runtime::preprocess::preprocess;
use serde::Serialize;

use crate::args::CardArgs;
use crate::exit::FAILED;
use crate::io::pictures;
use crate::network::Source;
use crate::report::{Report, table};

/// Arguments of `fathom compare`.
#[derive(Debug, Args)]
#[command(after_help = "Bytes have to be equal, floats to 1e-4 of a step's range; ends with 1 where they are not.\n\n\
    Examples:\n  fathom compare midas.onnx photo.jpg\n  fathom compare midas.onnx photo.jpg --adapter llvmpipe --json")]
pub(crate) struct CompareArgs {
    /// ONNX file.
    #[arg(value_name = "M.onnx")]
    model: PathBuf,

    /// Picture to run on.
    image: PathBuf,

    /// Part of the GPU's name. A software device (llvmpipe) is used only when named here.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,

    #[command(flatten)]
    card: CardArgs,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct CompareReport {
    model: String,
    sha256: String,
    adapter: String,
    equal: bool,
    /// The first step whose difference matters.
    first: Option<Step>,
    steps: Vec<Step>,
}

/// One step on both executors.
#[derive(Debug, Clone, Serialize)]
struct Step {
    index: usize,
    name: String,
    op: &'static str,
    element: &'static str,
    elements: usize,
    differing: usize,
    largest: f64,
    range: f64,
    matters: bool,
}

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<CompareReport> {
    let picture = pictures::read(&args.image)?;
    let source = Source::open(Some(&args.model))?;
    let model = source.import(&args.card)?;
    let plan = Arc::new(lower(&model.graph).context("planning the network")?);
    let policy = args.adapter.clone().map_or(AdapterPolicy::Hardware, AdapterPolicy::Named);
    let gpu = Arc::new(Gpu::open(&policy).map_err(fathom_runtime::Error::from)?);
    let adapter = format!("{} ({})", gpu.report().name, gpu.report().driver);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut on_cpu = CpuExecutor::new(Arc::clone(&plan), threads)?;
    let mut on_gpu = GpuExecutor::new(Arc::clone(&plan), gpu)?;
    let image = preprocess(&picture.as_frame(), &model.card)?;
    let steps: Vec<Step> = compare(&plan, &image, &mut on_cpu, &mut on_gpu)?.into_iter().map(Step::from).collect();
    let first = steps.iter().find(|step| step.matters).cloned();
    Ok(CompareReport { model: source.name, sha256: model.sha256, adapter, equal: first.is_none(), first, steps })
}

impl From<StepDifference> for Step {
    fn from(found: StepDifference) -> Self {
        let matters = found.matters();
        let StepDifference { index, name, op, element, elements, differing, largest, range } = found;
        Self { index, name, op, element, elements, differing, largest, range, matters }
    }
}

impl Report for CompareReport {
    fn text(&self) -> String {
        let header = ["step", "op", "type", "elements", "differing", "largest", "range"];
        let row = |step: &Step| {
            let counts = [step.elements.to_string(), step.differing.to_string()];
            let sizes = [format!("{:.3e}", step.largest), format!("{:.3e}", step.range)];
            let mark = if step.matters { " <-" } else { "" };
            [&[format!("{} {}{mark}", step.index, step.name), step.op.into(), step.element.into()][..], &counts, &sizes].concat()
        };
        let rows: Vec<_> = self.steps.iter().filter(|step| step.differing > 0).map(row).collect();
        let verdict = match &self.first {
            None => format!("CPU and GPU agree in all {} steps compared.", self.steps.len()),
            Some(step) => format!("They part at step {} ({}, {}).", step.index, step.name, step.op),
        };
        let listed = if rows.is_empty() { String::new() } else { format!("{}\n\n", table(&header, &rows)) };
        format!("{} on cpu and {}\n\n{listed}{verdict}", self.model, self.adapter)
    }

    fn exit_code(&self) -> ExitCode {
        if self.equal { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
    }
}
