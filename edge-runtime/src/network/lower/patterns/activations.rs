//! GELU, SiLU, HardSwish and leaky ReLU written out as products, sums and maxima.

use std::f32::consts::FRAC_1_SQRT_2;

use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::elementwise::{Binary, Unary};

use super::{Matcher, near};
use crate::network::lower::net::{Id, Net, Number, Op};

/// Replaces the last node of each composition; what led to it dies if nobody else reads it.
pub(super) fn recognise(net: &mut Net) {
    let matcher = Matcher::new(net);
    let found: Vec<(usize, Id, Activation)> = net
        .nodes
        .iter()
        .enumerate()
        .filter_map(|(n, node)| {
            let (x, activation) = matcher.leaky_relu(node.output).or_else(|| matcher.gated(node.output))?;
            (net.number(x) == Number::Float && net.shape(x) == net.shape(node.output)).then_some((n, x, activation))
        })
        .collect();
    for (n, x, activation) in found {
        net.nodes[n].op = Op::Unary(Unary::Activation(activation));
        net.nodes[n].inputs = vec![x];
    }
}

impl Matcher<'_> {
    /// `max(x, c x)` with `0 <= c <= 1`.
    fn leaky_relu(&self, id: Id) -> Option<(Id, Activation)> {
        let (a, b) = self.binary(id, Binary::Max)?;
        let slope = |x: Id, scaled: Id| self.scaled(scaled).filter(|&(of, c)| of == x && (0.0..=1.0).contains(&c)).map(|(_, c)| c);
        let (x, slope) = slope(a, b).map(|c| (a, c)).or_else(|| slope(b, a).map(|c| (b, c)))?;
        Some((x, Activation::LeakyRelu { slope }))
    }

    /// `k x g(x)` with a gate `g`, whatever the order of the factors.
    fn gated(&self, id: Id) -> Option<(Id, Activation)> {
        let mut factor = 1.0;
        let mut factors = Vec::new();
        self.factors(id, &mut factor, &mut factors, 0);
        let &[a, b] = factors.as_slice() else { return None };
        self.gate(a, b, factor).map(|g| (a, g)).or_else(|| self.gate(b, a, factor).map(|g| (b, g)))
    }

    /// Takes a product of floats apart into its variable factors and its constant.
    fn factors(&self, id: Id, constant: &mut f32, factors: &mut Vec<Id>, depth: usize) {
        if self.net.number(id) != Number::Float && depth > 0 || factors.len() > 2 || depth > 3 {
            factors.push(id);
        } else if let Some((x, c)) = self.scaled(id) {
            *constant *= c;
            self.factors(x, constant, factors, depth + 1);
        } else if let Some((a, b)) = self.binary(id, Binary::Mul).filter(|_| depth < 2) {
            self.factors(a, constant, factors, depth + 1);
            self.factors(b, constant, factors, depth + 1);
        } else {
            factors.push(id);
        }
    }

    fn gate(&self, x: Id, gate: Id, factor: f32) -> Option<Activation> {
        let activation =
            |id: Id, wanted: fn(Activation) -> bool| self.unary(id, |unary| matches!(unary, Unary::Activation(a) if wanted(a)));
        if near(factor, 1.0) && activation(gate, |a| a == Activation::Sigmoid) == Some(x) {
            return Some(Activation::Silu);
        }
        let sixth = |a| matches!(a, Activation::HardSigmoid { alpha, beta } if near(alpha, 1.0 / 6.0) && near(beta, 0.5));
        if near(factor, 1.0) && activation(gate, sixth) == Some(x) {
            return Some(Activation::HardSwish);
        }
        let relu6 = |a| a == Activation::Clip { low: 0.0, high: 6.0 };
        let plus_three = |id| self.with_scalar(id, Binary::Add).filter(|&(_, c)| near(c, 3.0)).map(|(of, _)| of);
        if near(factor, 1.0 / 6.0) && activation(gate, relu6).and_then(plus_three) == Some(x) {
            return Some(Activation::HardSwish);
        }
        let erf =
            self.with_scalar(gate, Binary::Add).filter(|&(_, c)| near(c, 1.0)).and_then(|(e, _)| activation(e, |a| a == Activation::Erf));
        let scaled = erf.and_then(|e| self.scaled(e)).filter(|&(of, c)| of == x && near(c, FRAC_1_SQRT_2));
        (near(factor, 0.5) && scaled.is_some()).then_some(Activation::Gelu)
    }
}
