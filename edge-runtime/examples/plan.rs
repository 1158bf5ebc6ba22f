//! Prints the plan of a network: `cargo run --release -p fathom-runtime --example plan -- MODEL.onnx`.
//!
//! Goldens under `tests/goldens/plans` were made by running this and reading the result; no test writes them.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use fathom_runtime::network::{import, lower};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: plan MODEL.onnx")?;
    let model = import::import(&std::fs::read(path)?, import::ImportOptions::default())?;
    print!("{}", lower::lower(&model.graph)?);
    Ok(())
}
