//! `fathom doctor`: what this machine offers, what is missing, and what to do about it.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::args::DeviceArgs;
use crate::doctor::{Check, Verdict, machine, network, vulkan};
use crate::exit::FAILED;
use crate::report::Report;

/// Arguments of `fathom doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Ends with 1 if depth cannot be computed here at all, with 0 otherwise: warnings cost speed and nothing else.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    device: DeviceArgs,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct DoctorReport {
    version: &'static str,
    healthy: bool,
    checks: Vec<Check>,
}

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<DoctorReport> {
    let mut checks = vec![machine::board()?, machine::cpu()];
    checks.extend(vulkan::checks());
    checks.extend(network::checks(&args.device));
    let healthy = checks.iter().all(|check| check.verdict != Verdict::Failed);
    Ok(DoctorReport { version: env!("CARGO_PKG_VERSION"), healthy, checks })
}

impl Report for DoctorReport {
    fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        let mut lines = vec![format!("fathom {}", self.version)];
        for check in &self.checks {
            lines.push(format!("{:>8}  {:width$}  {}", check.verdict.word(), check.name, check.found));
            lines.extend(check.advice.iter().map(|advice| format!("{:>8}  {:width$}  -> {advice}", "", "")));
        }
        let warnings = self.checks.iter().filter(|check| check.verdict == Verdict::Warning).count();
        let verdict = match (self.healthy, warnings) {
            (false, _) => "Depth cannot be computed here; see what failed above.".into(),
            (true, 0) => "All is well.".into(),
            (true, 1) => "Depth works here; one thing could be better.".into(),
            (true, count) => format!("Depth works here; {count} things could be better."),
        };
        lines.push(format!("\n{verdict}"));
        lines.join("\n")
    }

    fn exit_code(&self) -> ExitCode {
        if self.healthy { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
    }
}
