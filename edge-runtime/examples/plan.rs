//! Prints the plan of a network: `cargo run --release -p fathom-runtime --example plan -- MODEL.onnx`.
//!
//! Goldens under `tests/goldens/plans` were made by running this and reading the result; no test writes them.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use fathom_core::depth::OutputKind;
use fathom_core::model::ChannelOrder;
use fathom_runtime::network::{card::CardFacts, import, lower};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: plan MODEL.onnx")?;
    // A plan does not depend on what the numbers mean: files without a card may be looked at too.
    let card = CardFacts {
        channel_order: Some(ChannelOrder::Rgb),
        mean: Some([0.0; 3]),
        std: Some([1.0; 3]),
        output_kind: Some(OutputKind::InverseDepth),
        ..CardFacts::default()
    };
    let model = import::import(&std::fs::read(path)?, import::ImportOptions { card: Some(&card), ..Default::default() })?;
    print!("{}", lower::lower(&model.graph)?);
    Ok(())
}
