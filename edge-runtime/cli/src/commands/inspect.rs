//! `fathom inspect`: what a network is, what it costs, and the least time it takes on each board.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use fathom_boards::{profiles, roofline};
use fathom_core::model::{ChannelOrder, ModelCard};
use fathom_runtime::network::lower::lower;
use fathom_runtime::network::plan::Plan;
use serde::Serialize;

use crate::args::CardArgs;
use crate::network::Source;
use crate::report::{Report, bytes, number, table};

/// Arguments of `fathom inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fathom inspect\n  fathom inspect midas.onnx --plan\n  fathom inspect midas.onnx --json | jq .ops")]
pub(crate) struct InspectArgs {
    /// ONNX file; without it the embedded network.
    #[arg(value_name = "M.onnx")]
    file: Option<PathBuf>,

    /// The same as naming the file alone.
    #[arg(long, value_name = "M.onnx", conflicts_with = "file")]
    model: Option<PathBuf>,

    /// List the fused steps, and the least time on each board.
    #[arg(long)]
    plan: bool,

    #[command(flatten)]
    card: CardArgs,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct InspectReport {
    model: String,
    sha256: String,
    file_bytes: usize,
    card: CardReport,
    /// Operators of the imported graph with their counts.
    ops: BTreeMap<String, usize>,
    macs: Option<u64>,
    weights_bytes: Option<usize>,
    /// Number of fused steps, each a dispatch on a GPU.
    steps: Option<usize>,
    dispatches: Option<usize>,
    arena_bytes: Option<usize>,
    arena_lower_bound_bytes: Option<usize>,
    /// Why there is no plan; such a network runs through tract on the CPU.
    not_planned: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boards: Option<Vec<BoardTime>>,
}

/// The card as JSON holds it; the keys are those of its TOML form.
#[derive(Debug, Serialize)]
struct CardReport {
    name: String,
    input_width: u32,
    input_height: u32,
    channel_order: &'static str,
    mean: [f32; 3],
    std: [f32; 3],
    output_kind: &'static str,
    output: Option<String>,
    fov_output: Option<String>,
    train_fov_deg: Option<(f64, f64)>,
    kappa: Option<f64>,
    default_tau: f64,
    /// One sigma of ln scale: of frames about their camera, of pixels about their frame.
    scale_spread: Option<(f64, f64)>,
    licence: Option<String>,
}

/// The least time on one board.
#[derive(Debug, Serialize)]
struct BoardTime {
    board: String,
    arithmetic_ms: f64,
    memory_ms: f64,
    least_ms: f64,
}

pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<InspectReport> {
    let source = Source::open(args.file.as_deref().or(args.model.as_deref()))?;
    let model = source.import(&args.card)?;
    let mut ops = BTreeMap::new();
    for node in &model.graph.nodes {
        *ops.entry(node.op.name().to_owned()).or_insert(0) += 1;
    }
    let (plan, not_planned) = match lower(&model.graph) {
        Ok(plan) => (Some(plan), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let detailed = plan.as_ref().filter(|_| args.plan);
    Ok(InspectReport {
        model: source.name.clone(),
        sha256: model.sha256,
        file_bytes: source.bytes().len(),
        card: CardReport::new(model.card),
        ops,
        macs: plan.as_ref().map(Plan::macs),
        weights_bytes: plan.as_ref().map(Plan::weights_bytes),
        steps: plan.as_ref().map(|plan| plan.steps.len()),
        dispatches: plan.as_ref().map(Plan::dispatches),
        arena_bytes: plan.as_ref().map(|plan| plan.arena_bytes),
        arena_lower_bound_bytes: plan.as_ref().map(|plan| plan.arena_lower_bound_bytes),
        not_planned,
        plan: detailed.map(ToString::to_string),
        boards: detailed.map(board_times).transpose()?,
    })
}

fn board_times(plan: &Plan) -> anyhow::Result<Vec<BoardTime>> {
    let sum = |integer: bool| plan.steps.iter().map(|step| step.cost).filter(|cost| cost.integer == integer).map(|cost| cost.macs).sum();
    let moved = plan.steps.iter().map(|step| step.cost.read_bytes + step.cost.written_bytes).sum();
    let work = roofline::Work { int8_macs: sum(true), float_macs: sum(false), bytes: moved };
    let time = |board: fathom_boards::Profile| {
        let bound = roofline::bound(&board, &work)?;
        Some(BoardTime { board: board.name, arithmetic_ms: bound.arithmetic_ms, memory_ms: bound.memory_ms, least_ms: bound.least_ms() })
    };
    Ok(profiles()?.into_iter().filter_map(time).collect())
}

impl CardReport {
    fn new(card: ModelCard) -> Self {
        Self {
            name: card.name,
            input_width: card.input.width,
            input_height: card.input.height,
            channel_order: if card.channel_order == ChannelOrder::Rgb { "rgb" } else { "bgr" },
            mean: card.mean,
            std: card.std,
            output_kind: card.output_kind.name(),
            output: card.output,
            fov_output: card.fov_output,
            train_fov_deg: card.train_fov_deg,
            kappa: card.kappa.map(|kappa| kappa.value),
            scale_spread: card.scale_spread.map(|spread| (spread.frame, spread.pixel)),
            default_tau: card.default_tau,
            licence: card.licence,
        }
    }
}

impl Report for InspectReport {
    fn text(&self) -> String {
        let card = &self.card;
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "not stated".into());
        let mut lines = vec![
            format!("{} ({}), sha256 {}", self.model, bytes(self.file_bytes as u64), self.sha256),
            String::new(),
            format!("  name     {}", card.name),
            format!(
                "  input    {} x {}, {}, mean {:?}, std {:?}",
                card.input_width, card.input_height, card.channel_order, card.mean, card.std
            ),
            format!("  output   {}, default shift {}", card.output_kind, card.default_tau),
            format!("  kappa    {}", number(card.kappa, 2)),
            format!(
                "  scale    {}",
                card.scale_spread.map_or_else(
                    || "spread never measured".into(),
                    |(frame, pixel)| { format!("frames lie {frame:.2}, pixels {pixel:.2} off it (1 sigma of ln)") }
                )
            ),
            format!("  licence  {}", known(&card.licence)),
            String::new(),
        ];
        let ops: Vec<String> = self.ops.iter().map(|(op, count)| format!("{op} {count}")).collect();
        lines.push(format!("  ops      {}", ops.join(", ")));
        if let Some(why) = &self.not_planned {
            lines.push(format!("  plan     none: {why}; it runs through tract on the CPU"));
        }
        if let (Some(macs), Some(weights), Some(steps), Some(arena), Some(bound)) =
            (self.macs, self.weights_bytes, self.steps, self.arena_bytes, self.arena_lower_bound_bytes)
        {
            lines.push(format!("  work     {:.3} GMAC in {steps} steps (dispatches)", macs as f64 / 1e9));
            lines.push(format!(
                "  memory   weights {}, arena {} (at least {})",
                bytes(weights as u64),
                bytes(arena as u64),
                bytes(bound as u64)
            ));
        }
        if let Some(plan) = &self.plan {
            lines.extend([String::new(), plan.trim_end().to_owned()]);
        }
        if let Some(boards) = &self.boards {
            let rows: Vec<_> = boards
                .iter()
                .map(|b| [vec![b.board.clone()], [b.arithmetic_ms, b.memory_ms, b.least_ms].map(|ms| format!("{ms:.2}")).to_vec()].concat())
                .collect();
            lines.push(String::new());
            lines.push(table(&["at least, ms", "arithmetic", "memory", "bound"], &rows));
        }
        lines.join("\n")
    }
}
