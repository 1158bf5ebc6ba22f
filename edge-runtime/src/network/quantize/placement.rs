//! Which values become bytes, which of them share their parameters, and which stay numbers.

use std::collections::{HashMap, HashSet};

use fathom_core::ops::nn::Activation;
use fathom_core::tensor::Element;

use crate::network::graph::{Binary, Graph, Node, Op, Reduce, Unary, ValueId};

/// What is quantized.
pub(super) struct Placement {
    /// Values that become bytes, in the order they are made.
    pub(super) bytes: Vec<ValueId>,
    /// Where a value only moves elements of another, the one whose parameters it has.
    pub(super) follows: HashMap<ValueId, ValueId>,
    /// Nodes (by index) whose constant operands become bytes.
    pub(super) integer: HashSet<usize>,
}

impl Placement {
    pub(super) fn of(graph: &Graph) -> Self {
        let (inside, tail) = (inside(graph), tail(graph));
        let mut placement = Self { bytes: Vec::new(), follows: HashMap::new(), integer: HashSet::new() };
        let mut seen = HashSet::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            // The last weighted sums read bytes and give numbers.
            if !has_integer_form(graph, node) || (tail.contains(&node.output) && !is_weighted_sum(&node.op)) {
                continue;
            }
            placement.integer.insert(index);
            let operands = node.inputs.iter().flatten().copied().filter(|id| graph.value(*id).constant.is_none());
            for id in operands.chain([node.output]) {
                if graph.value(id).element == Element::F32 && !inside.contains(&id) && !tail.contains(&id) && seen.insert(id) {
                    placement.bytes.push(id);
                }
            }
            if moves(&node.op)
                && let Some(source) = node.inputs.first().copied().flatten()
            {
                let root = placement.follows.get(&source).copied().unwrap_or(source);
                placement.follows.insert(node.output, root);
            }
        }
        placement
    }
}

/// Operators that onnxruntime or the plan computes in integers.
fn has_integer_form(graph: &Graph, node: &Node) -> bool {
    let constant = |index: usize| node.inputs.get(index).copied().flatten().is_some_and(|id| graph.value(id).constant.is_some());
    match &node.op {
        Op::Conv { .. } | Op::ConvTranspose { .. } => constant(1),
        Op::Gemm { alpha, beta, trans_a, .. } => constant(1) && *alpha == 1.0 && *beta == 1.0 && !trans_a && bias_is_a_row(graph, node),
        Op::Unary(Unary::Activation(activation)) => !matches!(
            activation,
            Activation::Elu { .. } | Activation::Gelu | Activation::Erf | Activation::Sqrt | Activation::Exp | Activation::Tanh
        ),
        Op::Binary(binary) => matches!(binary, Binary::Add | Binary::Mul | Binary::Max | Binary::Min),
        Op::Reduce { kind, .. } => *kind == Reduce::Mean,
        Op::MatMul
        | Op::MaxPool(_)
        | Op::AveragePool { .. }
        | Op::Resize { .. }
        | Op::Concat { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Transpose { .. }
        | Op::Reshape
        | Op::Gather { .. }
        | Op::Softmax { .. }
        | Op::DepthToSpace { .. } => true,
        _ => false,
    }
}

/// Gemm's C as a bias: one number a column, or none.
fn bias_is_a_row(graph: &Graph, node: &Node) -> bool {
    node.inputs.get(2).copied().flatten().is_none_or(|id| graph.value(id).constant.is_some() && graph.value(id).shape.len() == 1)
}

/// Operators whose result holds elements of the operand, or means of neighbours: no new range, so the same parameters.
const fn moves(op: &Op) -> bool {
    matches!(
        op,
        Op::MaxPool(_)
            | Op::Resize { .. }
            | Op::Slice { .. }
            | Op::Transpose { .. }
            | Op::Reshape
            | Op::Gather { .. }
            | Op::DepthToSpace { .. }
    )
}

/// Values that nothing but the graph's outputs is made of: from the last weighted sum on they stay numbers, since 256 levels
/// of the answer itself would be steps where a wall recedes.
fn tail(graph: &Graph) -> HashSet<ValueId> {
    let readers = |id: ValueId| graph.nodes.iter().filter(|node| node.inputs.contains(&Some(id))).count();
    let mut tail: HashSet<ValueId> = graph.outputs.iter().copied().filter(|id| readers(*id) == 0).collect();
    for node in graph.nodes.iter().rev() {
        let onward = moves(&node.op) || matches!(node.op, Op::Unary(_));
        let source = node.inputs.first().copied().flatten().filter(|_| onward && tail.contains(&node.output));
        tail.extend(source.filter(|id| *id != graph.input && readers(*id) == 1));
    }
    tail
}

const fn is_weighted_sum(op: &Op) -> bool {
    matches!(op, Op::Conv { .. } | Op::ConvTranspose { .. } | Op::MatMul | Op::Gemm { .. })
}

/// Values between a weighted sum and the activation that alone reads it: the clamp of the bytes carries the activation out.
fn inside(graph: &Graph) -> HashSet<ValueId> {
    let mut readers: HashMap<ValueId, usize> = HashMap::new();
    for id in graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten()).chain(&graph.outputs) {
        *readers.entry(*id).or_default() += 1;
    }
    let sums: HashSet<ValueId> = graph
        .nodes
        .iter()
        .filter(|node| is_weighted_sum(&node.op) || matches!(node.op, Op::Binary(Binary::Add)))
        .map(|node| node.output)
        .collect();
    let clamp = |op: &Op| matches!(op, Op::Unary(Unary::Activation(Activation::Relu | Activation::Clip { .. })));
    let clamped = graph.nodes.iter().filter(|node| clamp(&node.op)).filter_map(|node| node.inputs.first().copied().flatten());
    clamped.filter(|id| sums.contains(id) && readers.get(id) == Some(&1)).collect()
}
