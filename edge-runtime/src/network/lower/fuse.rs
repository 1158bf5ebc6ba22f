//! Producers absorb what follows them: bias, scale, activation, residual, table; convolutions absorb a constant Pad before them.

use std::rc::Rc;

use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::elementwise::{Binary, ByteSum, Unary};
use fathom_core::ops::nn::pad::PadMode;
use fathom_core::ops::nn::resize::ResizeMode;

use super::constant::Constant;
use super::net::{Id, Net, Node, Number, Op};

/// Fuses until nothing more fits.
pub(super) fn fuse(net: &mut Net) {
    while fuse_once(net) {}
}

/// Tries each node in order; says whether one was absorbed.
fn fuse_once(net: &mut Net) -> bool {
    let users = net.users();
    let producers = net.producers();
    for n in 0..net.nodes.len() {
        let found = Reach { net, users: &users, producers: &producers };
        let fused = match &net.nodes[n].op {
            Op::Conv(_) => found.pad_before(n),
            Op::MatMul(_) => found.scale_before(n),
            Op::Unary(Unary::Activation(activation)) => found.activation(n, *activation),
            Op::Unary(Unary::Identity) => found.activation(n, Activation::None),
            Op::Table(_) => found.table(n),
            Op::Binary(Binary::Add, _) => found.bias(n).or_else(|| found.residual(n)),
            Op::Binary(Binary::Mul, Activation::None) => found.scale(n),
            _ => None,
        };
        if let Some(Fused { at, node, gone }) = fused {
            net.nodes[at] = node;
            net.nodes.remove(gone);
            net.sweep();
            return true;
        }
    }
    false
}

/// A node that takes the place of two.
struct Fused {
    /// Index of the node replaced.
    at: usize,
    node: Node,
    /// Index of the node removed.
    gone: usize,
}

/// The net and who reads and writes its values.
struct Reach<'n> {
    net: &'n Net,
    users: &'n [Vec<usize>],
    producers: &'n [Option<usize>],
}

impl Reach<'_> {
    /// The node that computes `id` for one reader only.
    fn sole_producer(&self, id: Id) -> Option<usize> {
        self.producers[id].filter(|_| self.net.has_one_user(self.users, id))
    }

    /// `reader` goes; the producer, with `op`, yields what it yielded, at the reader's place.
    fn absorb(&self, producer: usize, reader: usize, op: Op, further: Option<Id>) -> Option<Fused> {
        let mut node = Node { op, output: self.net.nodes[reader].output, ..self.net.nodes[producer].clone() };
        node.name.clone_from(&self.net.nodes[reader].name);
        node.inputs.extend(further);
        Some(Fused { at: reader, node, gone: producer })
    }

    fn activation(&self, n: usize, activation: Activation) -> Option<Fused> {
        let node = &self.net.nodes[n];
        let producer = self.sole_producer(node.inputs[0])?;
        let number = self.net.number(node.output);
        let mut op = self.net.nodes[producer].op.clone();
        if let Op::Binary(_, fused @ Activation::None) = &mut op {
            // A float result may still be rounded to bytes; a byte result was rounded already.
            if self.net.number(node.inputs[0]) != Number::Float {
                return None;
            }
            *fused = activation;
            return self.absorb(producer, n, op, None);
        }
        let fits = op.finish_mut()?.push_activation(activation, number);
        if fits { self.absorb(producer, n, op, None) } else { None }
    }

    fn table(&self, n: usize) -> Option<Fused> {
        let node = &self.net.nodes[n];
        let Op::Table(table) = &node.op else { return None };
        let producer = self.sole_producer(node.inputs[0])?;
        let number = self.net.number(node.output);
        let mut op = self.net.nodes[producer].op.clone();
        if let Op::Table(first) = &mut op {
            *first = first.then(table)?;
            return self.absorb(producer, n, op, None);
        }
        if let Op::Resize { mode: ResizeMode::Linear | ResizeMode::Cubic { .. }, then, .. } = &mut op {
            let (None, None, Number::Bytes(rounds_to)) = (&then, table.axis_from_end, self.net.number(node.inputs[0])) else {
                return None;
            };
            *then = Some((rounds_to, table.clone()));
            return self.absorb(producer, n, op, None);
        }
        let channels_last = if matches!(op, Op::MatMul(_)) { 0 } else { 2 };
        if table.axis_from_end.is_some_and(|axis| axis != channels_last) {
            return None;
        }
        let fits = op.finish_mut()?.push_table(table, number);
        if fits { self.absorb(producer, n, op, None) } else { None }
    }

    fn residual(&self, n: usize) -> Option<Fused> {
        let node = &self.net.nodes[n];
        let Op::Binary(_, activation) = node.op else { return None };
        let out = self.net.number(node.output);
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let alike = |id: Id| self.net.shape(id) == self.net.shape(node.output) && self.net.constant(id).is_none();
        if a == b || !alike(a) || !alike(b) {
            return None;
        }
        // The later producer: the other operand is then ready when it runs.
        let mut candidates: Vec<(usize, Id, Id)> =
            [(a, b), (b, a)].into_iter().filter_map(|(x, other)| Some((self.sole_producer(x)?, x, other))).collect();
        candidates.sort_by_key(|(producer, ..)| std::cmp::Reverse(*producer));
        candidates.into_iter().find_map(|(producer, x, other)| {
            let mut op = self.net.nodes[producer].op.clone();
            let finish = op.finish_mut()?;
            let fits = match (self.net.number(x), self.net.number(other), out) {
                (Number::Bytes(p), Number::Bytes(q), Number::Bytes(r)) => {
                    let sum = if x == a { ByteSum::new(p, q, r) } else { ByteSum::new(q, p, r).swap() };
                    p.signed == q.signed && p.signed == r.signed && activation == Activation::None && finish.push_residual(Some(sum), out)
                }
                (Number::Float, _, _) => {
                    let middle = if activation == Activation::None { out } else { Number::Float };
                    finish.push_residual(None, middle) && (activation == Activation::None || finish.push_activation(activation, out))
                }
                _ => false,
            };
            if fits { self.absorb(producer, n, op, Some(other)) } else { None }
        })
    }

    /// `sum + constant per channel` becomes the bias.
    fn bias(&self, n: usize) -> Option<Fused> {
        let node = &self.net.nodes[n];
        let Op::Binary(_, activation) = node.op else { return None };
        let (x, constant) = self.variable_and_constant(node)?;
        let producer = self.sole_producer(x).filter(|_| self.net.number(x) == Number::Float)?;
        let mut op = self.net.nodes[producer].op.clone();
        let per_channel = self.per_channel(&op, x, &constant)?;
        let finish = op.finish_mut()?;
        if !finish.stages.is_empty() {
            return None;
        }
        let sum = match &finish.bias {
            Some(bias) => bias.reals().iter().zip(&per_channel).map(|(a, b)| a + b).collect(),
            None => per_channel,
        };
        finish.bias = Some(Rc::new(Constant::of_reals(vec![sum.len()], sum)));
        let out = self.net.number(node.output);
        if activation == Activation::None {
            finish.number = out;
        } else if !finish.push_activation(activation, out) {
            return None;
        }
        self.absorb(producer, n, op, None)
    }

    /// `sum times constant per channel` scales weights and bias, if those are floats.
    fn scale(&self, n: usize) -> Option<Fused> {
        let node = &self.net.nodes[n];
        let (x, constant) = self.variable_and_constant(node)?;
        let producer = self.sole_producer(x).filter(|_| self.net.number(x) == Number::Float)?;
        let mut op = self.net.nodes[producer].op.clone();
        let factors = self.per_channel(&op, x, &constant)?;
        match &mut op {
            Op::Conv(conv) if conv.weights.levels().is_none() => {
                let axis = usize::from(conv.transposed.is_some());
                if axis == 1 && conv.groups > 1 {
                    return None;
                }
                conv.weights = scaled_along(&conv.weights, axis, &factors);
            }
            Op::MatMul(matmul) => {
                let weights = matmul.weights.as_ref().filter(|w| w.levels().is_none())?;
                matmul.weights = Some(scaled_along(weights, usize::from(!matmul.trans_b), &factors));
            }
            _ => return None,
        }
        let finish = op.finish_mut()?;
        if !finish.stages.is_empty() || finish.clamp.is_some() {
            return None;
        }
        if let Some(bias) = &finish.bias {
            finish.bias = Some(scaled_along(bias, 0, &factors));
        }
        finish.number = self.net.number(node.output);
        self.absorb(producer, n, op, None)
    }

    /// A dynamic product whose first or second operand is `c x` takes `c` as its factor.
    fn scale_before(&self, n: usize) -> Option<Fused> {
        let node = &self.net.nodes[n];
        let Op::MatMul(matmul) = &node.op else { return None };
        let operands = if matmul.weights.is_some() { 1 } else { 2 };
        (0..operands).find_map(|i| {
            let x = node.inputs[i];
            let scale = self.sole_producer(x).filter(|_| self.net.number(x) == Number::Float)?;
            let Op::Binary(Binary::Mul, Activation::None) = self.net.nodes[scale].op else { return None };
            let (of, constant) = self.variable_and_constant(&self.net.nodes[scale])?;
            if constant.len() != 1 || self.net.shape(of) != self.net.shape(x) {
                return None;
            }
            let mut fused = matmul.clone();
            fused.alpha *= constant.reals()[0];
            let mut inputs = node.inputs.clone();
            inputs[i] = of;
            Some(Fused { at: n, node: Node { op: Op::MatMul(fused), inputs, ..node.clone() }, gone: scale })
        })
    }

    /// A zero Pad of rows and columns widens the convolution's own padding.
    fn pad_before(&self, n: usize) -> Option<Fused> {
        let node = &self.net.nodes[n];
        let Op::Conv(conv) = &node.op else { return None };
        let pad = self.sole_producer(node.inputs[0])?;
        let Op::Pad { before, after, mode: PadMode::Constant(value) } = &self.net.nodes[pad].op else { return None };
        let outer = |sides: &[usize]| sides.len() == 4 && sides[..2] == [0, 0];
        if *value != 0.0 || conv.transposed.is_some() || !outer(before) || !outer(after) {
            return None;
        }
        let mut fused = conv.clone();
        for axis in 0..2 {
            fused.window.pad_before[axis] += before[2 + axis];
            fused.window.pad_after[axis] += after[2 + axis];
        }
        let mut inputs = node.inputs.clone();
        inputs[0] = self.net.nodes[pad].inputs[0];
        Some(Fused { at: n, node: Node { op: Op::Conv(fused), inputs, ..node.clone() }, gone: pad })
    }

    fn variable_and_constant(&self, node: &Node) -> Option<(Id, Rc<Constant>)> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        match (self.net.constant(a), self.net.constant(b)) {
            (None, Some(constant)) => Some((a, constant.clone())),
            (Some(constant), None) => Some((b, constant.clone())),
            _ => None,
        }
    }

    /// The constant as one value per output channel of the convolution or column of the product, if it broadcasts so.
    fn per_channel(&self, op: &Op, x: Id, constant: &Constant) -> Option<Vec<f32>> {
        let shape = self.net.shape(x);
        let axis = match op {
            Op::Conv(_) => 1,
            Op::MatMul(_) => shape.len().checked_sub(1)?,
            _ => return None,
        };
        let from_end = shape.len() - 1 - axis;
        if constant.len() == 1 {
            return Some(vec![constant.reals()[0]; shape[axis]]);
        }
        let rank = constant.shape.len();
        let only = (0..rank).all(|i| constant.shape[i] == 1 || rank - 1 - i == from_end);
        (only && rank <= shape.len() && constant.len() == shape[axis]).then(|| constant.reals().into_owned())
    }
}

fn scaled_along(constant: &Constant, axis: usize, factors: &[f32]) -> Rc<Constant> {
    let inner: usize = constant.shape[axis + 1..].iter().product();
    let extent = constant.shape[axis];
    let scaled = constant.reals().iter().enumerate().map(|(i, x)| x * factors[i / inner % extent]).collect();
    Rc::new(Constant::of_reals(constant.shape.clone(), scaled))
}
