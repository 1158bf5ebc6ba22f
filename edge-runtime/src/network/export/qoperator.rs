//! QDQ to QOperator: a Conv between DequantizeLinear and QuantizeLinear becomes one QLinearConv, so that an executor which
//! runs QDQ in floats computes convolutions in integers, as onnxruntime does.

use std::sync::Arc;

use fathom_core::ops::nn::Activation;
use fathom_core::tensor::{Element, Elements, Tensor};

use crate::Result;
use crate::network::graph::{Graph, Node, Op, Unary, Value, ValueId};

/// Largest relative difference between a bias' scale and `scale_x scale_w`, the only one QLinearConv knows. Writers compute
/// the product in f32 or f64: one rounding apart.
const SCALE_TOLERANCE: f32 = 1e-6;

/// The graph with each convolution that allows it in integers. What nothing reads any more is left out.
///
/// # Errors
/// Core's, if a zero point cannot be made (it can).
pub fn qoperator(graph: &Graph) -> Result<Graph> {
    let mut graph = graph.clone();
    let uses = Uses::of(&graph);
    let mut replaced: Vec<(usize, Node)> = Vec::new();
    for index in 0..graph.nodes.len() {
        if let Some(found) = matched(&graph, &uses, index) {
            let (at, node) = found.into_node(&mut graph)?;
            replaced.push((at, node));
        }
    }
    for (at, node) in replaced {
        graph.nodes[at] = node;
    }
    Ok(without_unread(graph))
}

/// Who makes and who reads each value.
struct Uses {
    maker: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
}

impl Uses {
    fn of(graph: &Graph) -> Self {
        let mut uses = Self { maker: vec![None; graph.values.len()], readers: vec![Vec::new(); graph.values.len()] };
        for (index, node) in graph.nodes.iter().enumerate() {
            uses.maker[node.output.0] = Some(index);
            for id in node.inputs.iter().flatten() {
                uses.readers[id.0].push(index);
            }
        }
        uses
    }

    /// The node that makes an operand.
    fn maker<'g>(&self, graph: &'g Graph, id: ValueId) -> Option<&'g Node> {
        self.maker[id.0].map(|index| &graph.nodes[index])
    }

    /// The one node that reads a value which is not an output.
    fn only_reader(&self, graph: &Graph, id: ValueId) -> Option<usize> {
        match self.readers[id.0][..] {
            [reader] if !graph.outputs.contains(&id) => Some(reader),
            _ => None,
        }
    }
}

/// A quantized operand: bytes, scale, zero point.
#[derive(Clone, Copy)]
struct Quantized {
    bytes: ValueId,
    scale: ValueId,
    zero_point: Option<ValueId>,
}

/// A convolution that can be computed in integers.
struct Match {
    op: Op,
    x: Quantized,
    w: Quantized,
    y: Quantized,
    bias: Option<ValueId>,
    /// The QuantizeLinear that it replaces.
    quantize: usize,
}

fn matched(graph: &Graph, uses: &Uses, index: usize) -> Option<Match> {
    let node = &graph.nodes[index];
    let Op::Conv { window, groups } = node.op else { return None };
    let operand = |i: usize| node.inputs.get(i).copied().flatten();
    let x = dequantized(graph, uses, operand(0)?).filter(|x| is_byte(graph, x.bytes))?;
    let w = dequantized(graph, uses, operand(1)?).filter(|w| graph.value(w.bytes).constant.is_some() && is_byte(graph, w.bytes))?;
    if floats(graph, x.scale)?.len() != 1 {
        return None;
    }
    let bias = match operand(2) {
        Some(id) => Some(integer_bias(graph, uses, id, x, w)?),
        None => None,
    };
    let (quantize, y) = quantized(graph, uses, node.output)?;
    Some(Match { op: Op::QLinearConv { window, groups }, x, w, y, bias, quantize })
}

fn dequantized(graph: &Graph, uses: &Uses, id: ValueId) -> Option<Quantized> {
    let node = uses.maker(graph, id)?;
    if !matches!(node.op, Op::DequantizeLinear { .. }) {
        return None;
    }
    Some(Quantized { bytes: node.inputs[0]?, scale: node.inputs[1]?, zero_point: node.inputs.get(2).copied().flatten() })
}

fn is_byte(graph: &Graph, id: ValueId) -> bool {
    matches!(graph.value(id).element, Element::U8 | Element::I8)
}

fn floats(graph: &Graph, id: ValueId) -> Option<&[f32]> {
    graph.value(id).constant.as_ref().and_then(|t| t.as_f32().ok())
}

/// The i32 behind a dequantized bias whose scale is `scale_x scale_w`.
fn integer_bias(graph: &Graph, uses: &Uses, id: ValueId, x: Quantized, w: Quantized) -> Option<ValueId> {
    let bias = dequantized(graph, uses, id).filter(|b| graph.value(b.bytes).element == Element::I32)?;
    let (x_scale, w_scales, scales) = (floats(graph, x.scale)?[0], floats(graph, w.scale)?, floats(graph, bias.scale)?);
    let count = w_scales.len().max(scales.len());
    let at = |values: &[f32], i: usize| values[if values.len() == 1 { 0 } else { i }];
    let agrees = |i: usize| (at(scales, i) - x_scale * at(w_scales, i)).abs() <= SCALE_TOLERANCE * at(scales, i);
    let fits = |n: usize| n == 1 || n == count;
    (fits(w_scales.len()) && fits(scales.len()) && (0..count).all(agrees)).then_some(bias.bytes)
}

/// The QuantizeLinear that alone reads `id`, directly or behind an activation that saturation carries out anyway.
fn quantized(graph: &Graph, uses: &Uses, id: ValueId) -> Option<(usize, Quantized)> {
    let reader = uses.only_reader(graph, id)?;
    let node = &graph.nodes[reader];
    match node.op {
        Op::QuantizeLinear { .. } => {
            let y = Quantized { bytes: node.output, scale: node.inputs[1]?, zero_point: node.inputs.get(2).copied().flatten() };
            (floats(graph, y.scale)?.len() == 1).then_some((reader, y))
        }
        Op::Unary(Unary::Activation(activation)) => {
            let next = uses.only_reader(graph, node.output).filter(|&n| matches!(graph.nodes[n].op, Op::QuantizeLinear { .. }))?;
            let (quantize, y) = quantized(graph, uses, node.output).filter(|(index, _)| *index == next)?;
            saturates(graph, y, activation).then_some((quantize, y))
        }
        _ => None,
    }
}

/// Whether clamping to the byte's range already carries out the activation.
fn saturates(graph: &Graph, y: Quantized, activation: Activation) -> bool {
    let signed = graph.value(y.bytes).element == Element::I8;
    let (lowest, highest) = if signed { (-128, 127) } else { (0, 255) };
    let zero_point = match y.zero_point.and_then(|id| graph.value(id).constant.as_deref()).map(Tensor::elements) {
        Some(Elements::U8(v)) => v.first().map_or(0, |&z| i32::from(z)),
        Some(Elements::I8(v)) => v.first().map_or(0, |&z| i32::from(z)),
        _ => 0,
    };
    let scale = floats(graph, y.scale).map_or(0.0, |s| s[0]);
    let real = |q: i32| scale * (q - zero_point) as f32;
    match activation {
        Activation::Relu => real(lowest) >= 0.0,
        Activation::Clip { low, high } => real(lowest) >= low && real(highest) <= high,
        _ => false,
    }
}

impl Match {
    fn into_node(self, graph: &mut Graph) -> Result<(usize, Node)> {
        let mut inputs = Vec::with_capacity(9);
        for part in [self.x, self.w, self.y] {
            if part.bytes != self.y.bytes {
                inputs.push(Some(part.bytes));
            }
            inputs.push(Some(part.scale));
            inputs.push(Some(zero_point(graph, part)?));
        }
        inputs.extend(self.bias.map(Some));
        let name = graph.nodes[self.quantize].name.clone();
        Ok((self.quantize, Node { name: format!("{name}/qlinear"), op: self.op, inputs, output: self.y.bytes }))
    }
}

/// The operand's zero point; 0 of its type where the file leaves it out.
fn zero_point(graph: &mut Graph, part: Quantized) -> Result<ValueId> {
    if let Some(id) = part.zero_point {
        return Ok(id);
    }
    let shape = graph.value(part.scale).shape.clone();
    let count = shape.iter().product();
    let element = graph.value(part.bytes).element;
    let elements = if element == Element::I8 { Elements::I8(vec![0; count]) } else { Elements::U8(vec![0; count]) };
    let name = format!("{}/zero_point{}", graph.value(part.bytes).name, graph.values.len());
    graph.values.push(Value { name, element, shape: shape.clone(), constant: Some(Arc::new(Tensor::new(shape, elements)?)) });
    Ok(ValueId(graph.values.len() - 1))
}

/// Drops nodes whose results nothing reads. Values keep their ids; constants that nothing reads are emptied of their contents.
fn without_unread(mut graph: Graph) -> Graph {
    let mut used = vec![false; graph.values.len()];
    for id in graph.outputs.iter().chain([&graph.input]) {
        used[id.0] = true;
    }
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for node in graph.nodes.into_iter().rev() {
        if used[node.output.0] {
            for id in node.inputs.iter().flatten() {
                used[id.0] = true;
            }
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
    for (value, used) in graph.values.iter_mut().zip(used) {
        if !used {
            value.constant = None;
        }
    }
    graph
}
