//! `fathom boards`: what is known of each board, and which one this is.

use clap::Args;
use fathom_boards::{Profile, detect, named, profiles};
use serde::Serialize;

use crate::report::{Report, number, table};

/// Arguments of `fathom boards`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fathom boards\n  fathom boards jetson-orin-nano --json")]
pub(crate) struct BoardsArgs {
    /// One board, in full; without it all are listed.
    name: Option<String>,
}

/// The boards asked for.
#[derive(Debug, Serialize)]
pub(crate) struct BoardsReport {
    /// Name of the board this is, if it is a known one.
    this: Option<String>,
    boards: Vec<Profile>,
}

pub(crate) fn run(args: &BoardsArgs) -> anyhow::Result<BoardsReport> {
    let boards = match &args.name {
        Some(name) => vec![named(name)?],
        None => profiles()?,
    };
    Ok(BoardsReport { this: this_board()?.map(|board| board.name), boards })
}

/// The profile of the machine the program runs on, if it is a known board.
pub(crate) fn this_board() -> anyhow::Result<Option<Profile>> {
    let model = std::fs::read_to_string("/proc/device-tree/model").unwrap_or_default();
    Ok(detect(&model)?)
}

impl Report for BoardsReport {
    fn text(&self) -> String {
        match self.boards.as_slice() {
            [board] => in_full(board),
            boards => {
                let header = ["board", "fp32 T/s", "fp16 T/s", "dot4 T/s", "DRAM GB/s", "memory MiB"];
                let rows: Vec<_> = boards.iter().map(row).collect();
                let this = self.this.as_deref().unwrap_or("none of these");
                format!("{}\n\nThis machine: {this}.", table(&header, &rows))
            }
        }
    }
}

fn row(board: &Profile) -> Vec<String> {
    let rate = |rate| number(rate, 2);
    let peak = &board.peak;
    let rates = [rate(peak.fp32_tops), rate(peak.fp16_tops), rate(peak.dot4_tops), number(peak.dram_gb_s, 1)];
    [vec![board.name.clone()], rates.to_vec(), vec![board.memory_mib.to_string()]].concat()
}

fn in_full(board: &Profile) -> String {
    let peak = &board.peak;
    let rates = [
        ("fp32", peak.fp32_tops, "10^12 operations/s"),
        ("fp16", peak.fp16_tops, "10^12 operations/s"),
        ("dot4 (four-byte dot product)", peak.dot4_tops, "10^12 operations/s"),
        ("tensor cores, fp16", peak.tensor_fp16_tops, "10^12 operations/s"),
        ("tensor cores, int8", peak.tensor_int8_tops, "10^12 operations/s"),
        ("memory", peak.dram_gb_s, "10^9 bytes/s"),
    ];
    let mut lines = vec![format!("{} ({})", board.title, board.name)];
    let known = rates.iter().filter_map(|(name, rate, unit)| rate.map(|rate| format!("  {name:<30}{rate:>8.2} {unit}")));
    lines.extend(known);
    lines.push(format!("  memory {} MiB, of which a network may take {} MiB", board.memory_mib, board.memory_budget_mib));
    lines.push(format!("  source: {}", board.source));
    lines.extend(board.advice.iter().map(|advice| format!("  - {advice}")));
    lines.join("\n")
}
