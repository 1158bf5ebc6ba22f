//! Layer normalization written out: `(x - mean) / sqrt(mean((x - mean)^2) + epsilon) scale + bias` over the last axis.

use std::rc::Rc;

use fathom_core::ops::nn::Activation;
use fathom_core::ops::nn::elementwise::{Binary, Unary};
use fathom_core::ops::nn::reduce::Reduction;

use super::Matcher;
use crate::network::lower::constant::Constant;
use crate::network::lower::net::{Id, Net, Number, Op};

/// Replaces the quotient, together with a scale and a bias that follow it.
pub(super) fn recognise(net: &mut Net) {
    let found: Vec<(usize, Id, f32)> = {
        let matcher = Matcher::new(net);
        let quotient = |n: usize| matcher.quotient(net.nodes[n].output).map(|(x, epsilon)| (n, x, epsilon));
        (0..net.nodes.len()).filter_map(quotient).collect()
    };
    for (n, x, epsilon) in found {
        let columns = net.shape(x).last().copied().unwrap_or(1);
        let output = net.nodes[n].output;
        let (scale, scaled) = affine(net, output, Binary::Mul, columns).unwrap_or((ones(columns), output));
        let (bias, biased) = match affine(net, scaled, Binary::Add, columns) {
            Some((bias, biased)) => (Some(bias), biased),
            None => (None, scaled),
        };
        net.nodes[n].op = Op::LayerNorm { epsilon, scale, bias };
        net.nodes[n].inputs = vec![x];
        if biased != output {
            // The last node of the composition keeps its output; this one takes it over at its own, earlier place.
            net.nodes.retain(|node| node.output != biased);
            if let Some(node) = net.nodes.iter_mut().find(|node| node.output == output) {
                node.output = biased;
            }
        }
    }
}

impl Matcher<'_> {
    /// `x` and epsilon if the value is the normalized quotient.
    fn quotient(&self, id: Id) -> Option<(Id, f32)> {
        let (centred, deviation) = self.binary(id, Binary::Div)?;
        let (x, mean) = self.binary(centred, Binary::Sub)?;
        if self.mean_over_last(mean)? != x || self.net.number(id) != Number::Float {
            return None;
        }
        let sum = self.unary(deviation, |u| u == Unary::Activation(Activation::Sqrt))?;
        let (variance, epsilon) = self.with_scalar(sum, Binary::Add)?;
        let square = self.mean_over_last(variance)?;
        let squared = match self.binary(square, Binary::Pow) {
            Some((base, two)) => (self.net.scalar(two) == Some(2.0)).then_some(base),
            None => self.binary(square, Binary::Mul).filter(|(a, b)| a == b).map(|(a, _)| a),
        };
        (squared? == centred).then_some((x, epsilon))
    }

    fn mean_over_last(&self, id: Id) -> Option<Id> {
        let node = self.producer(id)?;
        match &node.op {
            Op::Reduce { reduction: Reduction::Mean, axes } if *axes == [self.net.shape(node.inputs[0]).len() - 1] => Some(node.inputs[0]),
            _ => None,
        }
    }
}

/// The constant and the result if the only reader of `id` is `op` with one constant per column.
fn affine(net: &Net, id: Id, op: Binary, columns: usize) -> Option<(Rc<Constant>, Id)> {
    let users = net.users();
    if !net.has_one_user(&users, id) || net.number(id) != Number::Float {
        return None;
    }
    let node = &net.nodes[users[id][0]];
    if !matches!(&node.op, Op::Binary(found, Activation::None) if *found == op) {
        return None;
    }
    let constant = node.inputs.iter().find_map(|&input| net.constant(input))?;
    (constant.len() == columns && constant.shape.last() == Some(&columns)).then(|| (constant.clone(), node.output))
}

fn ones(columns: usize) -> Rc<Constant> {
    Rc::new(Constant::of_reals(vec![columns], vec![1.0; columns]))
}
