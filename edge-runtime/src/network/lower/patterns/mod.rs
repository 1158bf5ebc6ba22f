//! Compositions that exporters write out, recognised and put back together. Each works on floats only: chains of bytes
//! become tables in `pointwise`.

mod activations;
mod layer_norm;

use fathom_core::ops::nn::elementwise::{Binary, Unary};

use super::net::{Id, Net, Node, Op};

/// Recognises all patterns.
pub(super) fn recognise(net: &mut Net) {
    activations::recognise(net);
    layer_norm::recognise(net);
    net.sweep();
}

/// Look-ups of producers, for matching upwards from a node.
struct Matcher<'n> {
    net: &'n Net,
    producers: Vec<Option<usize>>,
}

impl<'n> Matcher<'n> {
    fn new(net: &'n Net) -> Self {
        Self { net, producers: net.producers() }
    }

    fn producer(&self, id: Id) -> Option<&'n Node> {
        self.producers[id].map(|n| &self.net.nodes[n])
    }

    /// The operands if the value is this binary operation with nothing fused.
    fn binary(&self, id: Id, op: Binary) -> Option<(Id, Id)> {
        let node = self.producer(id)?;
        match &node.op {
            Op::Binary(found, fathom_core::ops::nn::Activation::None) if *found == op => Some((node.inputs[0], node.inputs[1])),
            _ => None,
        }
    }

    /// The variable operand and the constant if the value is `op` of a value and one number, in either order.
    fn with_scalar(&self, id: Id, op: Binary) -> Option<(Id, f32)> {
        let (a, b) = self.binary(id, op)?;
        match (self.net.scalar(a), self.net.scalar(b)) {
            (None, Some(c)) => Some((a, c)),
            (Some(c), None) => Some((b, c)),
            _ => None,
        }
    }

    /// `x` and `c` if the value is `c x`, written as a product or as a quotient.
    fn scaled(&self, id: Id) -> Option<(Id, f32)> {
        self.with_scalar(id, Binary::Mul).or_else(|| {
            let (x, divisor) = self.binary(id, Binary::Div)?;
            Some((x, 1.0 / self.net.scalar(divisor)?))
        })
    }

    /// The operand if the value is this function of one.
    fn unary(&self, id: Id, matches: impl Fn(Unary) -> bool) -> Option<Id> {
        let node = self.producer(id)?;
        match &node.op {
            Op::Unary(found) if matches(*found) => Some(node.inputs[0]),
            _ => None,
        }
    }
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-4 * b.abs()
}
