//! The program `fathom`: depth from one camera, its calibration, and what a board makes of a network.
//!
//! Each command is one room of [`commands`] that takes its arguments and returns a report; `main` prints the report, as text
//! or as one JSON object, and turns errors into exit codes. Progress and warnings go to stderr.

mod args;
mod calibrate;
mod calibration;
mod clock;
mod commands;
mod dataset;
mod doctor;
mod exit;
mod io;
mod look_back;
mod memory;
mod network;
mod preview;
mod progress;
mod range_flag;
mod reading;
mod report;
mod results;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Arguments, Command};
use crate::report::{print, print_error};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = ["warn", "info", "debug", "trace"][usize::from(arguments.verbose).min(3)];
    // Drivers and shader compilers chatter; what they say is for those who ask.
    let filter = format!("{level},wgpu_core=error,wgpu_hal=error,naga=error,tract_linalg=error");
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(filter)).format_timestamp(None).init();
    let json = arguments.json;
    match run(arguments.command, json) {
        Ok(code) => code,
        Err(error) => {
            let code = exit::code_of(&error);
            print_error(&error, code, json);
            ExitCode::from(code)
        }
    }
}

fn run(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::Depth(args) => print(&commands::depth::run(&args)?, json),
        Command::Calibrate(args) => print(&calibrate::run(&args)?, json),
        Command::Eval(args) => print(&commands::eval::run(&args)?, json),
        Command::Quantize(args) => print(&commands::quantize::run(&args)?, json),
        #[cfg(feature = "gpu")]
        Command::Compare(args) => print(&commands::compare::run(&args)?, json),
        Command::Inspect(args) => print(&commands::inspect::run(&args)?, json),
        Command::Bench(args) => print(&commands::bench::run(&args)?, json),
        Command::Boards(args) => print(&commands::boards::run(&args)?, json),
        Command::Doctor(args) => print(&commands::doctor::run(&args)?, json),
        Command::Demo(args) => print(&commands::demo::run(&args)?, json),
    }
}
