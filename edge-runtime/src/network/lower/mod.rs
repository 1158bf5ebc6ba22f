//! From the imported graph to a plan.
//!
//! | pass | what it does |
//! |---|---|
//! | `read` | quantization nodes become the numbers of values: bytes or floats |
//! | `numbers` | operations that only move elements get one number on both sides |
//! | `patterns` | GELU, SiLU, HardSwish, leaky ReLU and layer normalization are put back together |
//! | `pointwise` | element-wise chains between byte tensors become tables |
//! | `fuse` | producers absorb bias, scale, activation, residual and table; convolutions absorb a Pad |
//! | `join` | operands of channel concatenations are born inside the result |
//! | `emit` | every value becomes a strided view, every operation that is no view a step |
//! | `settle` | lifetimes, places in the arena, costs |
//!
//! **Exactness.** Integer sums, sums and products of bytes, and tables round as onnxruntime's QLinear operators do. Where a network
//! computes in floats between bytes, a byte may round the other way; through random weights that grows: on the QDQ files of
//! `fixtures/networks` onnxruntime with and without its optimizations correlates at 0.89 (Lite-Mono), 0.973 (MiDaS small) and 0.973
//! (Depth Anything), and this plan with the optimized answer at 0.80, 0.9995 and 0.978. FastDepth and PyDNet++ are equal.
//!
//! Feature maps end up channels last because convolutions write them so and everything else keeps the memory order of
//! what it reads: transposes of the graph are permutations of strides and never run.

mod constant;
mod emit;
mod finish;
mod fuse;
mod join;
mod net;
mod numbers;
mod patterns;
mod pointwise;
mod read;
mod settle;
mod table;
mod view;

use crate::Result;
use crate::network::graph::Graph;
use crate::network::plan::Plan;

/// Lowers a graph.
///
/// # Errors
/// [`crate::Error::UnsupportedOp`] naming the node and what about it has no step; [`crate::Error::BadGraph`] if shapes contradict each other.
pub fn lower(graph: &Graph) -> Result<Plan> {
    let mut net = read::read(graph)?;
    numbers::settle(&mut net);
    patterns::recognise(&mut net);
    pointwise::tabulate(&mut net);
    fuse::fuse(&mut net);
    let joins = join::Joins::plan(&net);
    Ok(settle::settle(emit::emit(&net, &joins)?))
}
