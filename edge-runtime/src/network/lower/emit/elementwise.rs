//! Element-wise operations, tables, and operations over rows or axes.

use std::rc::Rc;

use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::elementwise::{Binary, Broadcast, ByteProduct, ByteSum, RANK, Unary};
use fathom_core::ops::nn::layer_norm::LayerNorm;
use fathom_core::ops::nn::reduce::{Reduce, Reduction};
use fathom_core::ops::nn::softmax::Softmax;
use fathom_core::quant::QuantParams;

use super::{Emitter, shape_error};
use crate::network::lower::constant::Constant;
use crate::network::lower::net::{Id, Node, Number};
use crate::network::lower::table::Table;
use crate::network::lower::view::View;
use crate::network::plan::StepOp;
use crate::{Error, Result};

impl Emitter<'_> {
    pub(super) fn unary(&mut self, node: &Node, unary: Unary) -> Result<()> {
        let x = self.view(node.inputs[0])?;
        let number = self.net.number(node.output);
        if unary == Unary::Identity && x.number == number {
            return self.define(node, x);
        }
        let order = x.order();
        let input = self.dense(&x, &order, &node.name)?;
        let out = self.new_tensor(node.output, &order);
        self.step(node, StepOp::Unary(unary), vec![input], out.tensor);
        self.define(node, out)
    }

    pub(super) fn table(&mut self, node: &Node, table: &Table) -> Result<()> {
        let x = self.view(node.inputs[0])?;
        if table.bytes.is_identity() && self.joins.place_of(node.output).is_none() {
            // The same bytes under another meaning.
            return self.define(node, x);
        }
        let mut order = x.order();
        if let Some(from_end) = table.axis_from_end {
            let axis = x.shape.len() - 1 - from_end;
            order.retain(|&a| a != axis);
            order.push(axis);
        }
        let input = self.dense(&x, &order, &node.name)?;
        let out = self.new_tensor(node.output, &order);
        self.step(node, StepOp::Table(table.bytes.clone()), vec![input], out.tensor);
        self.define(node, out)
    }

    pub(super) fn binary(&mut self, node: &Node, op: Binary, activation: Activation) -> Result<()> {
        let shape = self.net.shape(node.output).to_vec();
        let bytes = self.byte_operands(node, op, activation);
        let order = self.leading_order(node, shape.len())?;
        let a = self.broadcast_operand(node, 0, &shape, &order, bytes.map(|q| q[0]))?;
        let b = self.broadcast_operand(node, 1, &shape, &order, bytes.map(|q| q[1]))?;
        let out = self.new_tensor(node.output, &order);
        let axes = index_space(&order, &a, &b, &out).ok_or_else(|| Error::UnsupportedOp {
            op: format!("{op:?}"),
            node: node.name.clone(),
            detail: format!(": operands of shapes {:?} and {:?} do not fold to {RANK} axes", a.shape, b.shape),
        })?;
        let step = match (op, bytes) {
            (Binary::Add, Some([a, b, out])) => StepOp::ByteSum { sum: ByteSum::new(a, b, out), axes, then: None },
            (_, Some([a, b, out])) => StepOp::ByteProduct { product: ByteProduct::new(a, b, out), axes, then: None },
            (_, None) => StepOp::Binary { op, axes, activation },
        };
        // Views may start anywhere in their tensor: the operand is then the part from there on.
        let inputs = vec![self.tensor_at_offset(node, &a)?, self.tensor_at_offset(node, &b)?];
        self.step(node, step, inputs, out.tensor);
        self.define(node, out)
    }

    /// Quantizations of operands and result if all three are bytes of one kind and the operation is exact on them.
    fn byte_operands(&self, node: &Node, op: Binary, activation: Activation) -> Option<[QuantParams; 3]> {
        if !matches!(op, Binary::Add | Binary::Mul) || activation != Activation::None {
            return None;
        }
        let quant = |id: Id| match self.net.constant(id) {
            None => self.net.number(id).quant(),
            Some(constant) => constant.levels()?.per_tensor(),
        };
        let all = [quant(node.inputs[0])?, quant(node.inputs[1])?, quant(node.output)?];
        (all[0].signed == all[1].signed && all[0].signed == all[2].signed).then_some(all)
    }

    /// Memory order of the result: that of the largest operand that is no constant.
    fn leading_order(&mut self, node: &Node, rank: usize) -> Result<Vec<usize>> {
        let mut operands: Vec<Id> = node.inputs.iter().copied().filter(|&id| self.net.constant(id).is_none()).collect();
        operands.sort_by_key(|&id| std::cmp::Reverse(self.net.shape(id).iter().product::<usize>()));
        let Some(&id) = operands.first() else { return Ok((0..rank).collect()) };
        let view = self.view(id)?;
        let lead = rank.saturating_sub(view.shape.len());
        Ok((0..lead).chain(view.order().into_iter().map(|axis| axis + lead)).collect())
    }

    /// An operand broadcast to the result's shape. A constant is laid out in the result's order, as bytes if `quant` says so.
    fn broadcast_operand(&mut self, node: &Node, i: usize, shape: &[usize], order: &[usize], quant: Option<QuantParams>) -> Result<View> {
        let id = node.inputs[i];
        let view = match self.net.constant(id).cloned() {
            None => self.view(id)?,
            Some(constant) => {
                let lead = shape.len().saturating_sub(constant.shape.len());
                let mut extended = (*constant).clone();
                extended.shape.splice(0..0, std::iter::repeat_n(1, lead));
                let number = quant.map_or(Number::Float, Number::Bytes);
                let name = self.net.values[id].name.clone();
                self.constant_tensor(&name, &extended, number, order)
            }
        };
        let view = self.addressable(&view, &node.name)?;
        view.broadcast(shape).ok_or_else(|| shape_error(node, format!("{:?} does not broadcast to {shape:?}", view.shape)))
    }

    pub(super) fn softmax(&mut self, node: &Node, axis: usize) -> Result<()> {
        let (input, order) = self.rows_of(node, axis)?;
        let out = self.new_tensor(node.output, &order);
        let tensor = &self.tensors[out.tensor.0];
        let softmax = Softmax { rows: tensor.rows(), columns: tensor.channels() };
        self.step(node, StepOp::Softmax(softmax), vec![input], out.tensor);
        self.define(node, out)
    }

    pub(super) fn layer_norm(&mut self, node: &Node, epsilon: f32, scale: &Rc<Constant>, bias: Option<&Rc<Constant>>) -> Result<()> {
        let last = self.net.shape(node.output).len().saturating_sub(1);
        let (input, order) = self.rows_of(node, last)?;
        let out = self.new_tensor(node.output, &order);
        let tensor = &self.tensors[out.tensor.0];
        let norm = LayerNorm { rows: tensor.rows(), columns: tensor.channels(), epsilon };
        if scale.len() != norm.columns || bias.is_some_and(|b| b.len() != norm.columns) {
            return Err(shape_error(node, format!("{} scales for {} columns", scale.len(), norm.columns)));
        }
        let scale = self.add_floats(node, "scale", scale);
        let bias = bias.map(|bias| self.add_floats(node, "bias", bias));
        self.step(node, StepOp::LayerNorm { norm, scale, bias }, vec![input], out.tensor);
        self.define(node, out)
    }

    /// The operand with `axis` last in memory.
    fn rows_of(&mut self, node: &Node, axis: usize) -> Result<(crate::network::plan::TensorId, Vec<usize>)> {
        let x = self.view(node.inputs[0])?;
        let mut order = x.order();
        order.retain(|&a| a != axis);
        order.push(axis);
        Ok((self.dense(&x, &order, &node.name)?, order))
    }

    pub(super) fn reduce(&mut self, node: &Node, reduction: Reduction, axes: &[usize]) -> Result<()> {
        let x = self.view(node.inputs[0])?;
        let x = self.addressable(&x, &node.name)?;
        let out_shape = self.net.shape(node.output);
        let kept: Vec<usize> = x.order().into_iter().filter(|axis| !axes.contains(axis)).collect();
        let keeps = out_shape.len() == x.shape.len();
        // Where a kept axis of the operand stands in the result.
        let place = |axis: usize| if keeps { axis } else { axis - axes.iter().filter(|&&a| a < axis).count() };
        let mut order: Vec<usize> = if keeps { axes.to_vec() } else { Vec::new() };
        order.extend(kept.iter().map(|&axis| place(axis)));
        let out = self.new_tensor(node.output, &order);
        let stride = |view: &View, axis: usize| view.strides[axis].unsigned_abs();
        let kept_axes = fold_axes(kept.iter().map(|&axis| (x.shape[axis], [stride(&x, axis), stride(&out, place(axis))])).collect());
        let mut reduced: Vec<usize> = axes.to_vec();
        reduced.sort_by_key(|&axis| std::cmp::Reverse(stride(&x, axis)));
        let reduced_axes = fold_axes(reduced.iter().map(|&axis| (x.shape[axis], [stride(&x, axis), 0])).collect());
        let (Some((kept, [input, out_strides])), Some((reduced, [reduced_strides, _]))) = (kept_axes, reduced_axes) else {
            let detail = format!(": shape {:?} over axes {axes:?} does not fold to {RANK} axes", x.shape);
            return Err(Error::UnsupportedOp { op: format!("Reduce{reduction:?}"), node: node.name.clone(), detail });
        };
        let reduce = Reduce { reduction, kept, input, out: out_strides, reduced, reduced_strides };
        let inputs = vec![self.tensor_at_offset(node, &x)?];
        self.step(node, StepOp::Reduce(reduce), inputs, out.tensor);
        self.define(node, out)
    }

    /// The tensor of a view whose strides the step holds itself: the part of it that starts where the view does.
    fn tensor_at_offset(&mut self, node: &Node, view: &View) -> Result<crate::network::plan::TensorId> {
        self.starting_at(view)
            .ok_or_else(|| shape_error(node, format!("operand starts at element {} of its tensor, no multiple of 4", view.offset)))
    }
}

/// The index space of a broadcast with axes in memory order, folded to [`RANK`] axes.
fn index_space(order: &[usize], a: &View, b: &View, out: &View) -> Option<Broadcast> {
    let axis = |&i: &usize| (out.shape[i], [a.strides[i].unsigned_abs(), b.strides[i].unsigned_abs(), out.strides[i].unsigned_abs()]);
    let (shape, [a, b, out]) = fold_axes(order.iter().map(axis).collect())?;
    Some(Broadcast { shape, a, b, out })
}

/// Drops axes of extent 1, joins neighbours that lie one behind the other in all operands, and fills up with leading 1s.
fn fold_axes<const N: usize>(axes: Vec<(usize, [usize; N])>) -> Option<([usize; RANK], [[usize; RANK]; N])> {
    let mut folded: Vec<(usize, [usize; N])> = Vec::new();
    for (extent, strides) in axes.into_iter().filter(|(extent, _)| *extent != 1) {
        match folded.last_mut() {
            Some((outer, steps)) if (0..N).all(|i| steps[i] == strides[i] * extent) => {
                *outer *= extent;
                *steps = strides;
            }
            _ => folded.push((extent, strides)),
        }
    }
    let lead = RANK.checked_sub(folded.len())?;
    let mut shape = [1; RANK];
    let mut strides = [[0; RANK]; N];
    for (i, (extent, steps)) in folded.into_iter().enumerate() {
        shape[lead + i] = extent;
        for (all, step) in strides.iter_mut().zip(steps) {
            all[lead + i] = step;
        }
    }
    Some((shape, strides))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_axes_fold_into_one() {
        let folded = fold_axes(vec![(1, [9, 9]), (2, [12, 12]), (3, [4, 4]), (4, [1, 1])]);
        assert_eq!(folded, Some(([1, 1, 1, 24], [[0, 0, 0, 1], [0, 0, 0, 1]])));
        assert_eq!(fold_axes(vec![(2, [1]), (2, [10]), (2, [3]), (2, [100]), (2, [7])]), None);
    }
}
