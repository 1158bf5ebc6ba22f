//! From the imported graph to the net: quantization nodes become the numbers of values.

use std::rc::Rc;
use std::sync::Arc;

use fathom_core::ops::nn::Window;
use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::elementwise::{Binary, Unary};
use fathom_core::ops::nn::pool::Pooling;
use fathom_core::quant::QuantParams;
use fathom_core::tensor::{Element, Elements, Tensor};

use super::constant::{Constant, integers};
use super::finish::Finish;
use super::net::{Conv, Id, MatMul, Net, Node, Number, Op};
use crate::network::graph::{self, Graph, ValueId};
use crate::{Error, Result};

/// Reads the graph.
///
/// `DequantizeLinear` vanishes: its readers read the bytes. `QuantizeLinear` of a value that nobody else reads becomes that
/// value's number; of any other value it becomes an identity node that yields bytes.
pub(super) fn read(graph: &Graph) -> Result<Net> {
    let mut reader = Reader {
        graph,
        net: Net { values: Vec::new(), nodes: Vec::new(), input: 0, outputs: Vec::new() },
        ids: vec![None; graph.values.len()],
        readers: count_readers(graph),
    };
    reader.net.input = reader.declare(graph.input);
    for node in &graph.nodes {
        reader.node(node)?;
    }
    reader.net.outputs = graph.outputs.iter().map(|&id| reader.id(id)).collect::<Result<_>>()?;
    Ok(reader.net)
}

fn count_readers(graph: &Graph) -> Vec<usize> {
    let mut readers = vec![0; graph.values.len()];
    let inputs = graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten());
    inputs.chain(&graph.outputs).for_each(|id| readers[id.0] += 1);
    readers
}

struct Reader<'g> {
    graph: &'g Graph,
    net: Net,
    /// The net's value for each of the graph's.
    ids: Vec<Option<Id>>,
    /// How often each of the graph's values is read, outputs counted.
    readers: Vec<usize>,
}

impl Reader<'_> {
    fn declare(&mut self, id: ValueId) -> Id {
        let value = self.graph.value(id);
        let new = self.net.add(value.name.clone(), value.shape.clone(), Number::Float);
        self.ids[id.0] = Some(new);
        new
    }

    /// The net's value for one of the graph's; constants enter when first read.
    fn id(&mut self, id: ValueId) -> Result<Id> {
        if let Some(known) = self.ids[id.0] {
            return Ok(known);
        }
        let value = self.graph.value(id);
        let Some(tensor) = &value.constant else {
            return Err(Error::BadGraph { place: format!("value {:?}", value.name), message: "read before any node computes it".into() });
        };
        let new = self.net.add_constant(value.name.clone(), Rc::new(Constant::from_tensor(tensor)));
        self.ids[id.0] = Some(new);
        Ok(new)
    }

    fn node(&mut self, node: &graph::Node) -> Result<()> {
        match &node.op {
            graph::Op::QuantizeLinear { .. } => self.quantize(node),
            graph::Op::DequantizeLinear { axis } => self.dequantize(node, *axis),
            graph::Op::QLinearConv { window, groups } => self.qlinear_conv(node, *window, *groups),
            graph::Op::QLinearMatMul => self.qlinear_matmul(node),
            graph::Op::Conv { window, groups } => {
                let conv = Conv { transposed: None, window: *window, groups: *groups, ..self.conv(node)? };
                self.push(node, Op::Conv(Box::new(conv)), 1)
            }
            graph::Op::ConvTranspose { window, groups, output_padding } => {
                let conv = Conv { transposed: Some(*output_padding), window: *window, groups: *groups, ..self.conv(node)? };
                self.push(node, Op::Conv(Box::new(conv)), 1)
            }
            graph::Op::MatMul => self.matmul(node, 1.0, false, false, None),
            graph::Op::Gemm { alpha, beta, trans_a, trans_b } => self.matmul(node, *alpha, *trans_a, *trans_b, Some(*beta)),
            graph::Op::LayerNormalization { epsilon } => {
                let scale = self.constant(node, 1)?;
                let bias = if input(node, 2).is_some() { Some(self.constant(node, 2)?) } else { None };
                self.push(node, Op::LayerNorm { epsilon: *epsilon, scale, bias }, 1)
            }
            graph::Op::Gather { axis } => self.gather(node, *axis),
            op => {
                let op = plain(op).ok_or_else(|| unsupported(node, ""))?;
                let moves = op.moves();
                self.push(node, op, node.inputs.len())?;
                // Among QLinear operators bytes are moved without quantization nodes around.
                if moves && matches!(self.graph.value(node.output).element, Element::U8 | Element::I8) {
                    self.keep_number();
                }
                Ok(())
            }
        }
    }

    /// Adds a node that reads the first `operands` inputs.
    fn push(&mut self, node: &graph::Node, op: Op, operands: usize) -> Result<()> {
        let inputs = (0..operands).map(|i| self.id(self.expect(node, i)?)).collect::<Result<_>>()?;
        let output = self.declare(node.output);
        self.net.nodes.push(Node { name: node.name.clone(), op, inputs, output });
        Ok(())
    }

    /// Gives the last node's output the number of its first operand.
    fn keep_number(&mut self) {
        if let Some(last) = self.net.nodes.last() {
            let (from, to) = (last.inputs[0], last.output);
            self.net.values[to].number = self.net.number(from);
        }
    }

    fn expect(&self, node: &graph::Node, i: usize) -> Result<ValueId> {
        input(node, i).ok_or_else(|| Error::BadGraph { place: format!("node {:?}", node.name), message: format!("operand {i} is missing") })
    }

    fn tensor(&self, node: &graph::Node, i: usize) -> Result<&Arc<Tensor>> {
        let value = self.graph.value(self.expect(node, i)?);
        value.constant.as_ref().ok_or_else(|| unsupported(node, &format!(": operand {i} ({:?}) must be constant", value.name)))
    }

    fn constant(&mut self, node: &graph::Node, i: usize) -> Result<Rc<Constant>> {
        let id = self.id(self.expect(node, i)?)?;
        let missing = || unsupported(node, &format!(": operand {i} must be constant"));
        self.net.constant(id).cloned().ok_or_else(missing)
    }

    /// Scale and zero point of a whole tensor at operands `i` and `i + 1`.
    fn params(&self, node: &graph::Node, i: usize, signed_without_zero: bool) -> Result<QuantParams> {
        let scale = self.tensor(node, i)?;
        let zero = if input(node, i + 1).is_some() { Some(self.tensor(node, i + 1)?) } else { None };
        let scales = scale.as_f32()?;
        if scales.len() != 1 || zero.is_some_and(|z| z.len() != 1) {
            return Err(unsupported(node, ": activations are quantized per tensor only"));
        }
        let signed = match zero.map(|zero| zero.element()) {
            Some(Element::I8) => true,
            Some(Element::U8) => false,
            Some(other) => return Err(unsupported(node, &format!(": activations of {}", other.name()))),
            None => signed_without_zero,
        };
        Ok(QuantParams::new(scales[0], zero.map_or(0, |z| integers(z.elements())[0] as i32), signed)?)
    }

    fn quantize(&mut self, node: &graph::Node) -> Result<()> {
        let from = self.expect(node, 0)?;
        let quant = self.params(node, 1, self.graph.value(node.output).element == Element::I8)?;
        let x = self.id(from)?;
        let alone = self.readers[from.0] == 1;
        if let Some(constant) = self.net.constant(x) {
            let values = Elements::I32(constant.reals().iter().map(|&r| quant.quantize(r)).collect());
            let values = Arc::new(Tensor::new(constant.shape.clone(), values)?);
            let levels = super::constant::Levels { values, scales: vec![quant.scale], zero_points: vec![quant.zero_point], axis: 0 };
            let constant = Constant::of_levels(constant.shape.clone(), levels);
            self.ids[node.output.0] = Some(self.net.add_constant(self.graph.value(node.output).name.clone(), Rc::new(constant)));
            return Ok(());
        }
        match self.net.number(x) {
            Number::Bytes(same) if same == quant => self.ids[node.output.0] = Some(x),
            Number::Float if alone => {
                self.net.values[x].number = Number::Bytes(quant);
                if let Some(finish) = self.net.nodes.iter_mut().find(|n| n.output == x).and_then(|n| n.op.finish_mut()) {
                    finish.number = Number::Bytes(quant);
                }
                self.ids[node.output.0] = Some(x);
            }
            _ => {
                self.push(node, Op::Unary(Unary::Identity), 1)?;
                if let Some(id) = self.ids[node.output.0] {
                    self.net.values[id].number = Number::Bytes(quant);
                }
            }
        }
        Ok(())
    }

    fn dequantize(&mut self, node: &graph::Node, axis: usize) -> Result<()> {
        let from = self.expect(node, 0)?;
        if self.graph.value(from).constant.is_some() {
            let zero = if input(node, 2).is_some() { Some(self.tensor(node, 2)?) } else { None };
            let place = format!("node {:?}", node.name);
            let constant = Constant::dequantized(self.tensor(node, 0)?, self.tensor(node, 1)?, zero, axis, &place)?;
            self.ids[node.output.0] = Some(self.net.add_constant(self.graph.value(node.output).name.clone(), constant));
            return Ok(());
        }
        let x = self.id(from)?;
        let quant = self.params(node, 1, self.graph.value(from).element == Element::I8)?;
        if self.net.constant(x).is_none() && self.net.number(x) != Number::Bytes(quant) {
            return Err(unsupported(node, ": its parameters are not those that its operand was quantized with"));
        }
        // The readers of the result read the bytes instead.
        self.ids[node.output.0] = Some(x);
        self.readers[from.0] += self.readers[node.output.0];
        Ok(())
    }

    /// A convolution's constants; geometry is the caller's.
    fn conv(&mut self, node: &graph::Node) -> Result<Conv> {
        let weights = self.constant(node, 1)?;
        if weights.shape.len() != 4 {
            return Err(unsupported(node, &format!(": weights of shape {:?}, only two-dimensional convolutions are", weights.shape)));
        }
        let bias = if input(node, 2).is_some() { Some(self.constant(node, 2)?) } else { None };
        let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad_before: [0, 0], pad_after: [0, 0] };
        Ok(Conv { transposed: None, window, groups: 1, weights, finish: Finish::new(bias, Number::Float) })
    }

    fn qlinear_conv(&mut self, node: &graph::Node, window: Window, groups: usize) -> Result<()> {
        let place = format!("node {:?}", node.name);
        let weights = Constant::dequantized(self.tensor(node, 3)?, self.tensor(node, 4)?, Some(self.tensor(node, 5)?), 0, &place)?;
        let x_quant = self.params(node, 1, false)?;
        let y_quant = self.params(node, 6, false)?;
        let levels = weights.levels().ok_or_else(|| unsupported(node, ""))?;
        let bias = match input(node, 8) {
            None => None,
            Some(_) => {
                let scales: Vec<f32> = levels.scales.iter().map(|s| s * x_quant.scale).collect();
                let scale = Tensor::f32(if scales.len() == 1 { vec![] } else { vec![scales.len()] }, scales)?;
                Some(Constant::dequantized(self.tensor(node, 8)?, &scale, None, 0, &place)?)
            }
        };
        let finish = Finish::new(bias, Number::Bytes(y_quant));
        let conv = Conv { transposed: None, window, groups, weights, finish };
        self.push(node, Op::Conv(Box::new(conv)), 1)?;
        self.quantized_io(node, &[(0, x_quant)], y_quant)
    }

    fn qlinear_matmul(&mut self, node: &graph::Node) -> Result<()> {
        let a_quant = self.params(node, 1, false)?;
        let y_quant = self.params(node, 6, false)?;
        let finish = Finish::new(None, Number::Bytes(y_quant));
        let constant_b = self.graph.value(self.expect(node, 3)?).constant.is_some();
        let mut matmul = MatMul { trans_a: false, trans_b: false, weights: None, alpha: 1.0, finish };
        if constant_b {
            let place = format!("node {:?}", node.name);
            let b = self.tensor(node, 3)?;
            let axis = b.shape().len().saturating_sub(1);
            matmul.weights = Some(Constant::dequantized(b, self.tensor(node, 4)?, Some(self.tensor(node, 5)?), axis, &place)?);
            self.push(node, Op::MatMul(Box::new(matmul)), 1)?;
            return self.quantized_io(node, &[(0, a_quant)], y_quant);
        }
        let b_quant = self.params(node, 4, false)?;
        let inputs = vec![self.id(self.expect(node, 0)?)?, self.id(self.expect(node, 3)?)?];
        let output = self.declare(node.output);
        self.net.nodes.push(Node { name: node.name.clone(), op: Op::MatMul(Box::new(matmul)), inputs, output });
        self.quantized_io(node, &[(0, a_quant), (1, b_quant)], y_quant)
    }

    /// Gives the last node's output its number and checks those of its operands.
    fn quantized_io(&mut self, node: &graph::Node, operands: &[(usize, QuantParams)], output: QuantParams) -> Result<()> {
        let Some(last) = self.net.nodes.last() else { return Ok(()) };
        for &(i, quant) in operands {
            if self.net.number(last.inputs[i]) != Number::Bytes(quant) {
                return Err(unsupported(node, &format!(": operand {i} was quantized with other parameters")));
            }
        }
        let id = last.output;
        self.net.values[id].number = Number::Bytes(output);
        Ok(())
    }

    fn matmul(&mut self, node: &graph::Node, alpha: f32, trans_a: bool, trans_b: bool, beta: Option<f32>) -> Result<()> {
        let a = self.id(self.expect(node, 0)?)?;
        let b = self.id(self.expect(node, 1)?)?;
        let weights = self.net.constant(b).filter(|c| c.shape.len() == 2).cloned();
        let mut inputs = vec![a];
        if weights.is_none() {
            inputs.push(b);
        }
        let added = match (beta, input(node, 2)) {
            (Some(beta), Some(c)) if beta != 0.0 => Some((self.id(c)?, beta)),
            _ => None,
        };
        let columns = self.graph.value(node.output).shape.last().copied().unwrap_or(1);
        let bias = added.and_then(|(c, beta)| {
            self.net.constant(c).filter(|c| beta == 1.0 && c.len() == columns && c.shape.last() == Some(&columns)).cloned()
        });
        let has_bias = bias.is_some();
        let matmul = MatMul { trans_a, trans_b, weights, alpha, finish: Finish::new(bias, Number::Float) };
        let output = self.declare(node.output);
        self.net.nodes.push(Node { name: node.name.clone(), op: Op::MatMul(Box::new(matmul)), inputs, output });
        match added {
            Some((c, beta)) if !has_bias => self.add_scaled(node, output, c, beta),
            _ => Ok(()),
        }
    }

    /// `output + beta c` for a Gemm whose C is no plain bias.
    fn add_scaled(&mut self, node: &graph::Node, product: Id, c: Id, beta: f32) -> Result<()> {
        let shape = self.net.shape(product).to_vec();
        let mut addend = c;
        if beta != 1.0 {
            let factor = self.net.add_constant(format!("{}.beta", node.name), Rc::new(Constant::scalar(beta)));
            addend = self.net.add(format!("{}.beta_c", node.name), self.net.shape(c).to_vec(), Number::Float);
            let op = Op::Binary(Binary::Mul, Activation::None);
            self.net.nodes.push(Node { name: node.name.clone(), op, inputs: vec![c, factor], output: addend });
        }
        let sum = self.net.add(format!("{}.sum", node.name), shape, Number::Float);
        let op = Op::Binary(Binary::Add, Activation::None);
        self.net.nodes.push(Node { name: node.name.clone(), op, inputs: vec![product, addend], output: sum });
        self.ids[node.output.0] = Some(sum);
        Ok(())
    }

    fn gather(&mut self, node: &graph::Node, axis: usize) -> Result<()> {
        let indices = self.tensor(node, 1)?;
        let keeps_axis = !indices.shape().is_empty();
        let extent = self.graph.value(self.expect(node, 0)?).shape.get(axis).copied().unwrap_or(0);
        let wrapped = integers(indices.elements()).into_iter().map(|i| if i < 0 { i + extent as i64 } else { i });
        let indices: Option<Vec<usize>> = wrapped.map(|i| usize::try_from(i).ok().filter(|&i| i < extent)).collect();
        let indices = indices.ok_or_else(|| Error::BadGraph {
            place: format!("node {:?} (Gather)", node.name),
            message: format!("an index lies outside axis {axis} of extent {extent}"),
        })?;
        self.push(node, Op::Gather { axis, indices, keeps_axis }, 1)
    }
}

fn input(node: &graph::Node, i: usize) -> Option<ValueId> {
    node.inputs.get(i).copied().flatten()
}

pub(super) fn unsupported(node: &graph::Node, detail: &str) -> Error {
    let debug = format!("{:?}", node.op);
    let op = debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    Error::UnsupportedOp { op, node: node.name.clone(), detail: detail.into() }
}

/// Operations whose operands are all tensors.
fn plain(op: &graph::Op) -> Option<Op> {
    Some(match op {
        graph::Op::Unary(unary) => Op::Unary(*unary),
        graph::Op::Binary(binary) => Op::Binary(*binary, Activation::None),
        graph::Op::MaxPool(window) => Op::Pool { window: *window, pooling: Pooling::Max },
        graph::Op::AveragePool { window, count_include_pad } => {
            Op::Pool { window: *window, pooling: Pooling::Average { count_include_pad: *count_include_pad } }
        }
        graph::Op::Reduce { kind, axes, .. } => Op::Reduce { reduction: *kind, axes: axes.clone() },
        graph::Op::Resize { mode, coordinates, scales } => {
            Op::Resize { mode: *mode, coordinates: *coordinates, scales: *scales, then: None }
        }
        graph::Op::Concat { axis } => Op::Concat { axis: *axis },
        graph::Op::Slice { starts, steps } => Op::Slice { starts: starts.clone(), steps: steps.clone() },
        graph::Op::Pad { before, after, mode } => Op::Pad { before: before.clone(), after: after.clone(), mode: *mode },
        graph::Op::Transpose { perm } => Op::Transpose { perm: perm.clone() },
        graph::Op::Reshape => Op::Reshape,
        graph::Op::Expand => Op::Expand,
        graph::Op::Softmax { axis } => Op::Softmax { axis: *axis },
        graph::Op::DepthToSpace { block, crd } => Op::DepthToSpace { block: *block, crd: *crd },
        _ => return None,
    })
}
