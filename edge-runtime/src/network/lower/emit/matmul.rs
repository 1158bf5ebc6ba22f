//! Matrix products over strided views.

use fathom_core::ops::nn::matmul::{MatMul as Product, Strided};
use fathom_core::tensor::Elements;

use super::conv::{Operands, byte_weights, float, integer};
use super::{Emitter, shape_error};
use crate::network::lower::net::{Id, MatMul, Node, Number, Op};
use crate::network::lower::view::View;
use crate::network::plan::{Arithmetic, MatMulStep, StepOp, WeightId};
use crate::{Error, Result};

/// A batch axis: extent, strides of a, b and the result.
type Batch = (usize, [usize; 3]);

impl Emitter<'_> {
    pub(super) fn matmul(&mut self, node: &Node, matmul: &MatMul) -> Result<()> {
        let out_shape = self.net.shape(node.output).to_vec();
        let rank = out_shape.len();
        let a = self.operand(node, node.inputs[0], matmul.trans_a)?;
        let (rows, inner) = (a.shape[a.shape.len() - 2], a.shape[a.shape.len() - 1]);
        let columns = out_shape.last().copied().unwrap_or(1);
        let (b, weights, arithmetic) = self.second(node, matmul, inner, columns)?;
        if rank < 2 || out_shape[rank - 2] != rows || b.as_ref().is_some_and(|b| b.shape[b.shape.len() - 2..] != [inner, columns]) {
            return Err(shape_error(node, format!("{:?} times a matrix of {columns} columns does not give {out_shape:?}", a.shape)));
        }
        let order = self.product_order(node.output);
        let out = self.new_tensor(node.output, &order);
        let lead = &out_shape[..rank - 2];
        let wide = |view: &View| {
            let matrix = &view.shape[view.shape.len() - 2..];
            view.broadcast(&[lead, matrix].concat()).ok_or_else(|| shape_error(node, format!("{:?} does not broadcast", view.shape)))
        };
        let a = wide(&a)?;
        let b = b.as_ref().map(wide).transpose()?;
        let b_stride = |axis: usize| b.as_ref().map_or(0, |b| b.strides[axis].unsigned_abs());
        let stride = |view: &View, axis: usize| view.strides[axis].unsigned_abs();
        let batch: Vec<Batch> = (0..rank - 2).map(|i| (out_shape[i], [stride(&a, i), b_stride(i), stride(&out, i)])).collect();
        let (mut batch, mut rows_out) = (merged(batch), rows);
        let (mut a_row, mut out_row) = (stride(&a, rank - 2), stride(&out, rank - 2));
        // A batch whose matrices lie one below the other is one tall matrix.
        if let Some(&(extent, [a_step, 0, out_step])) = batch.last() {
            let below = rows_out == 1 || (a_step == rows_out * a_row && out_step == rows_out * out_row);
            if b.is_none() && below {
                if rows_out == 1 {
                    (a_row, out_row) = (a_step, out_step);
                }
                rows_out *= extent;
                batch.pop();
            }
        }
        let Ok(batch) = <[Batch; 2]>::try_from([vec![(1, [0; 3]); 2_usize.saturating_sub(batch.len())], batch].concat()) else {
            return Err(Error::UnsupportedOp { op: "MatMul".into(), node: node.name.clone(), detail: ": more than two batch axes".into() });
        };
        let b_strided = match &b {
            Some(b) => Strided { offset: b.offset, batch: batch.map(|x| x.1[1]), row: stride(b, rank - 2), column: stride(b, rank - 1) },
            None => Strided { offset: 0, batch: [0, 0], row: 1, column: inner },
        };
        let product = Product {
            batch: batch.map(|x| x.0),
            rows: rows_out,
            inner,
            columns,
            a: Strided { offset: a.offset, batch: batch.map(|x| x.1[0]), row: a_row, column: stride(&a, rank - 1) },
            b: b_strided,
            out: Strided { offset: 0, batch: batch.map(|x| x.1[2]), row: out_row, column: 1 },
        };
        let mut inputs = vec![a.tensor];
        inputs.extend(b.as_ref().map(|b| b.tensor));
        if matmul.finish.has_residual() {
            let last = node.inputs[node.inputs.len() - 1];
            let residual = self.view(last)?;
            inputs.push(self.dense(&residual, &order, &node.name)?);
        }
        let alpha = if matches!(arithmetic, Arithmetic::Float(_)) { matmul.alpha } else { 1.0 };
        let op = StepOp::MatMul(Box::new(MatMulStep { product, weights, alpha, arithmetic }));
        self.step(node, op, inputs, out.tensor);
        self.define(node, out)
    }

    /// An operand of at least two axes whose strides are positive, transposed if asked.
    fn operand(&mut self, node: &Node, id: Id, transposed: bool) -> Result<View> {
        let mut view = self.view(id)?;
        let rank = view.shape.len();
        if rank < 2 {
            return Err(shape_error(node, format!("operand of shape {:?}, expected two axes or more", view.shape)));
        }
        view = self.addressable(&view, &node.name)?;
        if transposed {
            view.shape.swap(rank - 2, rank - 1);
            view.strides.swap(rank - 2, rank - 1);
        }
        Ok(view)
    }

    /// The second operand as a view or as weights, and the numbers.
    fn second(
        &mut self,
        node: &Node,
        matmul: &MatMul,
        inner: usize,
        columns: usize,
    ) -> Result<(Option<View>, Option<WeightId>, Arithmetic)> {
        let a = self.net.number(node.inputs[0]);
        let Some(constant) = &matmul.weights else {
            let b = self.operand(node, node.inputs[1], matmul.trans_b)?;
            let arithmetic = match (a, self.net.number(node.inputs[1])) {
                (Number::Bytes(a), Number::Bytes(b)) => {
                    let operands = Operands { a, zero_b: b.zero_point, scales_b: vec![b.scale; columns], alpha: matmul.alpha };
                    integer(&matmul.finish, &operands)
                }
                _ => Arithmetic::Float(float(&matmul.finish)),
            };
            return Ok((Some(b), None, arithmetic));
        };
        let (k_axis, n_axis) = if matmul.trans_b { (1, 0) } else { (0, 1) };
        if constant.shape[k_axis] != inner || constant.shape[n_axis] != columns {
            return Err(shape_error(node, format!("weights {:?} do not take {inner} to {columns}", constant.shape)));
        }
        let at = |i: usize| {
            let (n, k) = (i / inner.max(1), i % inner.max(1));
            if matmul.trans_b { n * inner + k } else { k * columns + n }
        };
        let count = constant.len();
        let (elements, arithmetic) = match (a, byte_weights(constant, n_axis, columns)) {
            (Number::Bytes(a), Some((bytes, scales_b))) => {
                let operands = Operands { a, zero_b: 0, scales_b, alpha: matmul.alpha };
                (Elements::I8((0..count).map(|i| bytes[at(i)]).collect()), integer(&matmul.finish, &operands))
            }
            _ => {
                let reals = constant.reals();
                (Elements::F32((0..count).map(|i| reals[at(i)]).collect()), Arithmetic::Float(float(&matmul.finish)))
            }
        };
        let weights = self.add_weight(&format!("{}.weights", node.name), elements);
        Ok((None, Some(weights), arithmetic))
    }

    /// Memory order of a product: if it is only transposed (its columns staying last), the order that makes that free.
    fn product_order(&self, id: Id) -> Vec<usize> {
        let rank = self.net.shape(id).len();
        let users = &self.users[id];
        if self.net.has_one_user(&self.users, id)
            && let Op::Transpose { perm } = &self.net.nodes[users[0]].op
            && perm.last() == Some(&(rank - 1))
        {
            return perm.clone();
        }
        (0..rank).collect()
    }
}

/// Batch axes without those of extent 1, neighbours joined where all three operands allow.
fn merged(batch: Vec<Batch>) -> Vec<Batch> {
    let mut joined: Vec<Batch> = Vec::new();
    for (extent, strides) in batch.into_iter().filter(|(extent, _)| *extent != 1) {
        match joined.last_mut() {
            Some((outer, steps)) if (0..3).all(|i| steps[i] == strides[i] * extent) => {
                *outer *= extent;
                *steps = strides;
            }
            _ => joined.push((extent, strides)),
        }
    }
    joined
}
