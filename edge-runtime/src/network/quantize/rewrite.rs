//! The graph with QuantizeLinear and DequantizeLinear where values become bytes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fathom_core::quant::QuantParams;
use fathom_core::tensor::{Element, Elements, Tensor};

use super::placement::Placement;
use super::ranges::parameters;
use crate::Result;
use crate::network::graph::{Graph, Node, Op, Value, ValueId};

/// A quantized graph, and which of its values stand for which of the original.
pub(super) struct Rewritten {
    pub(super) graph: Graph,
    /// Original value, and the one that holds it after bytes.
    pub(super) stand_ins: Vec<(ValueId, ValueId)>,
}

/// Rewrites `graph`; `ranges` holds the parameters of each value in `placement.bytes`.
pub(super) fn rewrite(graph: &Graph, placement: &Placement, ranges: &HashMap<ValueId, QuantParams>) -> Result<Rewritten> {
    let params = |id: &ValueId| ranges.get(placement.follows.get(id).unwrap_or(id)).or_else(|| ranges.get(id)).copied();
    let mut writer = Writer {
        graph: Graph {
            values: graph.values.clone(),
            nodes: Vec::with_capacity(graph.nodes.len() * 3),
            input: graph.input,
            outputs: Vec::new(),
        },
        names: graph.values.iter().map(|v| v.name.clone()).collect(),
        stand_ins: HashMap::new(),
        constants: HashMap::new(),
    };
    let bytes: HashSet<ValueId> = placement.bytes.iter().copied().collect();
    if let Some(params) = params(&graph.input).filter(|_| bytes.contains(&graph.input)) {
        writer.through_bytes(graph.input, params)?;
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut inputs: Vec<Option<ValueId>> = node.inputs.clone();
        for (position, input) in inputs.iter_mut().enumerate() {
            let Some(id) = *input else { continue };
            let constant = graph.value(id).constant.as_deref().filter(|t| t.element() == Element::F32);
            *input = Some(match constant {
                Some(tensor) if placement.integer.contains(&index) => match role(&node.op, position) {
                    Role::Weights(axis) => writer.weights(id, tensor, axis)?,
                    Role::Bias => id,
                    Role::Operand => writer.operand(id, tensor)?,
                },
                Some(_) => id,
                None => writer.stand_ins.get(&id).copied().unwrap_or(id),
            });
        }
        if placement.integer.contains(&index)
            && let Some(bias) = bias_of(graph, node)
        {
            inputs[2] = Some(writer.bias(bias, &inputs)?);
        }
        writer.graph.nodes.push(Node { inputs, ..node.clone() });
        if let Some(params) = params(&node.output).filter(|_| bytes.contains(&node.output)) {
            writer.through_bytes(node.output, params)?;
        }
    }
    writer.name_outputs(graph);
    let stand_ins = placement.bytes.iter().filter_map(|id| writer.stand_ins.get(id).map(|stand_in| (*id, *stand_in))).collect();
    Ok(Rewritten { graph: writer.graph, stand_ins })
}

/// What a constant operand is to its node.
enum Role {
    /// Weights with one scale per slice of the axis; `None`: one for all.
    Weights(Option<usize>),
    Bias,
    Operand,
}

fn role(op: &Op, position: usize) -> Role {
    match (op, position) {
        (Op::Conv { .. }, 1) => Role::Weights(Some(0)),
        (Op::ConvTranspose { groups: 1, .. }, 1) => Role::Weights(Some(1)),
        (Op::ConvTranspose { .. }, 1) => Role::Weights(None),
        (Op::Gemm { trans_b, .. }, 1) => Role::Weights(Some(usize::from(!trans_b))),
        (Op::MatMul, 1) => Role::Weights(Some(usize::MAX)),
        (Op::Conv { .. } | Op::ConvTranspose { .. } | Op::Gemm { .. }, 2) => Role::Bias,
        _ => Role::Operand,
    }
}

/// A constant bias of a weighted sum.
fn bias_of(graph: &Graph, node: &Node) -> Option<ValueId> {
    let biased = matches!(node.op, Op::Conv { .. } | Op::ConvTranspose { .. } | Op::Gemm { .. });
    let id = node.inputs.get(2).copied().flatten().filter(|_| biased)?;
    graph.value(id).constant.is_some().then_some(id)
}

struct Writer {
    graph: Graph,
    names: HashSet<String>,
    stand_ins: HashMap<ValueId, ValueId>,
    /// Constants that are bytes already, with what stands for them.
    constants: HashMap<ValueId, ValueId>,
}

impl Writer {
    fn value(&mut self, stem: &str, suffix: &str, element: Element, shape: Vec<usize>, constant: Option<Tensor>) -> ValueId {
        let mut name = format!("{stem}_{suffix}");
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        self.graph.values.push(Value { name, element, shape, constant: constant.map(Arc::new) });
        ValueId(self.graph.values.len() - 1)
    }

    fn constant(&mut self, stem: &str, suffix: &str, tensor: Tensor) -> ValueId {
        self.value(stem, suffix, tensor.element(), tensor.shape().to_vec(), Some(tensor))
    }

    fn node(&mut self, op: Op, inputs: &[ValueId], output: ValueId) {
        let name = format!("{}_node", self.graph.value(output).name);
        self.graph.nodes.push(Node { name, op, inputs: inputs.iter().copied().map(Some).collect(), output });
    }

    /// Adds QuantizeLinear and DequantizeLinear behind a value; later readers get the latter's result.
    fn through_bytes(&mut self, id: ValueId, params: QuantParams) -> Result<()> {
        let Value { name, shape, .. } = self.graph.value(id).clone();
        let scale = self.constant(&name, "scale", Tensor::f32(vec![], vec![params.scale])?);
        let zero_point = self.constant(&name, "zero_point", Tensor::new(vec![], Elements::U8(vec![params.zero_point as u8]))?);
        let bytes = self.value(&name, "quantized", Element::U8, shape.clone(), None);
        let back = self.value(&name, "dequantized", Element::F32, shape, None);
        self.node(Op::QuantizeLinear { axis: 0 }, &[id, scale, zero_point], bytes);
        self.node(Op::DequantizeLinear { axis: 0 }, &[bytes, scale, zero_point], back);
        self.stand_ins.insert(id, back);
        Ok(())
    }

    fn dequantized(&mut self, id: ValueId, axis: usize, bytes: Tensor, scale: Tensor, zero_point: Tensor) -> ValueId {
        let Value { name, shape, .. } = self.graph.value(id).clone();
        let operands = [
            self.constant(&name, "quantized", bytes),
            self.constant(&name, "scale", scale),
            self.constant(&name, "zero_point", zero_point),
        ];
        let back = self.value(&name, "dequantized", Element::F32, shape, None);
        self.node(Op::DequantizeLinear { axis }, &operands, back);
        self.constants.insert(id, back);
        // The floats have done their work.
        self.graph.values[id.0].constant = None;
        back
    }

    /// Symmetric i8, -127..=127, one scale per slice of `axis`.
    fn weights(&mut self, id: ValueId, tensor: &Tensor, axis: Option<usize>) -> Result<ValueId> {
        if let Some(&done) = self.constants.get(&id) {
            return Ok(done);
        }
        let shape = tensor.shape().to_vec();
        // Slices of a stack of matrices would need a scale per matrix, which ONNX has not.
        let axis = axis.map(|a| a.min(shape.len().saturating_sub(1))).filter(|_| shape.len() == 2 || shape.len() == 4);
        let (slices, stride) = axis.map_or((1, 1), |a| (shape[a], shape[a + 1..].iter().product()));
        let values = tensor.as_f32()?;
        let mut scales = vec![0.0_f32; slices];
        for (i, v) in values.iter().enumerate() {
            let slice = i / stride % slices;
            scales[slice] = scales[slice].max(v.abs() / 127.0);
        }
        scales.iter_mut().filter(|s| !s.is_normal()).for_each(|s| *s = 1.0);
        let bytes = values.iter().enumerate().map(|(i, v)| (v / scales[i / stride % slices]).round_ties_even().clamp(-127.0, 127.0) as i8);
        let bytes = Tensor::new(shape, Elements::I8(bytes.collect()))?;
        let rank = if axis.is_some() { vec![slices] } else { vec![] };
        let zero_point = Tensor::new(rank.clone(), Elements::I8(vec![0; slices]))?;
        Ok(self.dequantized(id, axis.unwrap_or(0), bytes, Tensor::f32(rank, scales)?, zero_point))
    }

    /// u8 with one scale, for constants that are added or multiplied.
    fn operand(&mut self, id: ValueId, tensor: &Tensor) -> Result<ValueId> {
        if let Some(&done) = self.constants.get(&id) {
            return Ok(done);
        }
        let values = tensor.as_f32()?;
        let (low, high) = values.iter().fold((0.0_f32, 0.0_f32), |(l, h), &v| (l.min(v), h.max(v)));
        let params = parameters((low, high))?;
        let bytes = Elements::U8(values.iter().map(|&v| params.quantize(v) as u8).collect());
        let bytes = Tensor::new(tensor.shape().to_vec(), bytes)?;
        let zero_point = Tensor::new(vec![], Elements::U8(vec![params.zero_point as u8]))?;
        Ok(self.dequantized(id, 0, bytes, Tensor::f32(vec![], vec![params.scale])?, zero_point))
    }

    /// i32 in steps of `scale_x scale_w`; the operands in `inputs` are dequantized already.
    fn bias(&mut self, id: ValueId, inputs: &[Option<ValueId>]) -> Result<ValueId> {
        let scales = |position: usize| -> Vec<f32> {
            let maker = self.graph.nodes.iter().rev().find(|n| Some(n.output) == inputs[position]);
            let scale = maker.and_then(|n| n.inputs.get(1).copied().flatten()).and_then(|s| self.graph.value(s).constant.as_deref());
            scale.and_then(|t| t.as_f32().ok()).map(<[f32]>::to_vec).unwrap_or_default()
        };
        let (x, w) = (scales(0), scales(1));
        let Some(tensor) = self.graph.value(id).constant.clone() else { return Ok(id) };
        let (&[x], false) = (&x[..], w.is_empty()) else { return Ok(id) };
        let values = tensor.as_f32()?;
        let steps: Vec<f32> = w.iter().map(|w| x * w).collect();
        let at = |i: usize| steps[if steps.len() == 1 { 0 } else { i }];
        if values.iter().enumerate().any(|(i, v)| (v / at(i)).abs() >= i32::MAX as f32) {
            // A bias far above its weights: left in floats rather than clipped.
            return Ok(id);
        }
        let bytes = values.iter().enumerate().map(|(i, v)| (v / at(i)).round_ties_even() as i32).collect();
        let rank = if steps.len() == 1 { vec![] } else { vec![steps.len()] };
        let zero_point = Tensor::new(rank.clone(), Elements::I32(vec![0; steps.len()]))?;
        let bytes = Tensor::new(tensor.shape().to_vec(), Elements::I32(bytes))?;
        Ok(self.dequantized(id, 0, bytes, Tensor::f32(rank, steps)?, zero_point))
    }

    /// Lets the outputs keep their names though bytes lie before them.
    fn name_outputs(&mut self, original: &Graph) {
        for &id in &original.outputs {
            let stand_in = self.stand_ins.get(&id).copied().unwrap_or(id);
            if stand_in != id {
                let name = std::mem::take(&mut self.graph.values[id.0].name);
                self.graph.values[id.0].name = std::mem::replace(&mut self.graph.values[stand_in.0].name, name);
            }
            self.graph.outputs.push(stand_in);
        }
    }
}
