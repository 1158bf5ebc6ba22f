//! fp32 to standard ONNX QDQ: symmetric i8 weights per channel, u8 activations with a zero point, i32 biases.
//!
//! `graph -> (weights equalised across layers) -> ranges of activations over images -> QDQ graph -> file, and what it cost`.
//! The file opens in onnxruntime. Which values become bytes follows onnxruntime's quantizer: operands and results of the
//! operators that have integer forms; what lies between a convolution and its activation stays inside.

mod equalise;
mod observe;
mod placement;
mod ranges;
mod report;
mod rewrite;

use fathom_core::tensor::Tensor;

pub use ranges::RangeMethod;
pub use report::{LayerNoise, OutputError, QuantizeReport};

use super::card;
use super::export::export;
use super::graph::{Graph, Op};
use super::import::Model;
use crate::{Error, Result};

/// How to quantize.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantizeOptions {
    /// How ranges of activations are chosen.
    pub ranges: RangeMethod,
    /// Whether weights are first balanced between neighbouring layers, which depthwise networks need.
    pub equalise: bool,
    /// Threads of the CPU executor that collects ranges.
    pub threads: usize,
}

/// A quantized network.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// The same as a graph.
    pub graph: Graph,
    /// What it cost.
    pub report: QuantizeReport,
}

/// Quantizes a network by its answers to `images`, each f32 `[1, 3, height, width]`, preprocessed as the card says.
///
/// `progress` is told how many of how many runs are done.
///
/// # Errors
/// [`Error::BadGraph`] if the network is quantized already or there is no image; whatever planning or running says.
pub fn quantize(model: &Model, images: &[Tensor], options: &QuantizeOptions, progress: &mut dyn FnMut(usize, usize)) -> Result<Quantized> {
    let refuse = |message: &str| Err(Error::BadGraph { place: "graph".into(), message: message.into() });
    if images.is_empty() {
        return refuse("cannot be quantized without an image to take ranges from");
    }
    let quantized =
        |op: &Op| matches!(op, Op::QuantizeLinear { .. } | Op::DequantizeLinear { .. } | Op::QLinearConv { .. } | Op::QLinearMatMul);
    if model.graph.nodes.iter().any(|node| quantized(&node.op)) {
        return refuse("is quantized already; give the fp32 network");
    }
    let passes = if options.ranges == RangeMethod::MinMax { 1 } else { 2 };
    let total = (passes + 2) * images.len();
    let mut done = 0;
    let mut step = || {
        done += 1;
        progress(done, total);
    };

    let mut graph = model.graph.clone();
    let equalised_pairs = if options.equalise { equalise::equalise(&mut graph)? } else { 0 };
    let placement = placement::Placement::of(&graph);
    let ranges = ranges::collect(&graph, &placement.bytes, images, options, &mut step)?;
    let rewritten = rewrite::rewrite(&graph, &placement, &ranges)?;
    let mut report = report::measure(&model.graph, &rewritten, images, options.threads, &mut step)?;
    report.equalised_pairs = equalised_pairs;
    let onnx = export(&rewritten.graph, &model.card.name, &card::metadata(&model.card))?;
    Ok(Quantized { onnx, graph: rewritten.graph, report })
}
