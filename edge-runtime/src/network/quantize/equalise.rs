//! Cross-layer equalisation: scales move between neighbouring layers until each channel uses its range.
//!
//! For `conv -> (ReLU or leaky ReLU) -> conv`, dividing channel `i` of the first by `s` and multiplying it in the second leaves
//! the function as it is, because the activation is positively homogeneous. `s = sqrt(r1 / r2)` makes the largest weights of
//! both equal. Source: Nagel et al., *Data-Free Quantization Through Weight Equalization and Bias Correction*, ICCV 2019,
//! section 4.1. A ReLU6 between them breaks the rule, so such pairs stay.

use std::sync::Arc;

use fathom_core::ops::nn::Activation;
use fathom_core::tensor::Tensor;

use crate::Result;
use crate::network::graph::{Graph, Op, Unary, ValueId};

/// Sweeps over all pairs; scales settle within a few.
const SWEEPS: usize = 8;

/// Largest factor moved in one sweep.
const LIMIT: f32 = 64.0;

/// Two convolutions, one behind the other.
struct Pair {
    first: Weights,
    second: Weights,
    groups: usize,
}

/// Constants of a convolution.
#[derive(Clone, Copy)]
struct Weights {
    weights: ValueId,
    bias: Option<ValueId>,
}

/// Equalises all pairs; gives their number.
pub(super) fn equalise(graph: &mut Graph) -> Result<usize> {
    let pairs = pairs(graph);
    for _ in 0..SWEEPS {
        for pair in &pairs {
            balance(graph, pair)?;
        }
    }
    Ok(pairs.len())
}

fn pairs(graph: &Graph) -> Vec<Pair> {
    let mut uses = vec![0_usize; graph.values.len()];
    for id in graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&graph.outputs) {
        uses[id.0] += 1;
    }
    let maker = |id: ValueId| graph.nodes.iter().find(|node| node.output == id);
    let weights = |node: &crate::network::graph::Node| -> Option<(Weights, usize)> {
        let Op::Conv { groups, .. } = node.op else { return None };
        let weights = node.inputs.get(1).copied().flatten()?;
        let bias = node.inputs.get(2).copied().flatten();
        let own = |id: ValueId| graph.value(id).constant.is_some() && uses[id.0] == 1;
        (own(weights) && bias.is_none_or(own)).then_some((Weights { weights, bias }, groups))
    };
    let mut found = Vec::new();
    for node in &graph.nodes {
        let Some((second, groups)) = weights(node) else { continue };
        let mut source = node.inputs[0];
        while let Some(id) = source.filter(|id| uses[id.0] == 1) {
            let Some(before) = maker(id) else { break };
            match before.op {
                Op::Unary(Unary::Activation(Activation::Relu | Activation::LeakyRelu { .. })) => source = before.inputs[0],
                Op::Conv { .. } => {
                    let channels = graph.value(node.inputs[0].unwrap_or(id)).shape[1];
                    let simple = groups == 1 || groups == channels;
                    found.extend(weights(before).filter(|_| simple).map(|(first, _)| Pair { first, second, groups }));
                    break;
                }
                _ => break,
            }
        }
    }
    found
}

/// Moves one factor per channel from the first convolution to the second.
fn balance(graph: &mut Graph, pair: &Pair) -> Result<()> {
    let (first, second) = (weights_of(graph, pair.first.weights)?, weights_of(graph, pair.second.weights)?);
    let channels = first.0[0];
    let depthwise = pair.groups > 1;
    let rows = first.1.len() / channels;
    let (outputs, across) = (second.0[0], second.1.len() / second.0[0]);
    let columns = across / second.0[1];
    // Weights of the second that a channel of the first meets.
    let consumed = |channel: usize| -> Vec<usize> {
        if depthwise {
            let each = outputs * across / channels;
            (channel * each..(channel + 1) * each).collect()
        } else {
            (0..outputs).flat_map(|out| (0..columns).map(move |k| out * across + channel * columns + k)).collect()
        }
    };
    let mut factors = Vec::with_capacity(channels);
    for channel in 0..channels {
        let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0_f32, |m, v| m.max(v.abs()));
        let r1 = largest(&mut first.1[channel * rows..(channel + 1) * rows].iter().copied());
        let r2 = largest(&mut consumed(channel).into_iter().map(|i| second.1[i]));
        let factor = (r1 / r2).sqrt();
        factors.push(if factor.is_normal() { factor.clamp(1.0 / LIMIT, LIMIT) } else { 1.0 });
    }
    let (mut w1, mut w2) = (first.1, second.1);
    for (channel, factor) in factors.iter().enumerate() {
        w1[channel * rows..(channel + 1) * rows].iter_mut().for_each(|w| *w /= factor);
        for i in consumed(channel) {
            w2[i] *= factor;
        }
    }
    if let Some(bias) = pair.first.bias {
        let (shape, mut values) = weights_of(graph, bias)?;
        values.iter_mut().zip(&factors).for_each(|(b, factor)| *b /= factor);
        graph.values[bias.0].constant = Some(Arc::new(Tensor::f32(shape, values)?));
    }
    graph.values[pair.first.weights.0].constant = Some(Arc::new(Tensor::f32(first.0, w1)?));
    graph.values[pair.second.weights.0].constant = Some(Arc::new(Tensor::f32(second.0, w2)?));
    Ok(())
}

fn weights_of(graph: &Graph, id: ValueId) -> Result<(Vec<usize>, Vec<f32>)> {
    match &graph.value(id).constant {
        Some(tensor) => Ok((tensor.shape().to_vec(), tensor.as_f32()?.to_vec())),
        None => Ok((Vec::new(), Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::graph::{Node, Value};
    use fathom_core::ops::nn::Window;
    use fathom_core::tensor::Element;

    /// `1x1 conv, 3 -> 2 channels, activation, 1x1 depthwise`, weights far apart.
    fn graph(activation: Activation) -> Graph {
        let constant = |name: &str, shape: &[usize], values: &[f32]| Value {
            name: name.into(),
            element: Element::F32,
            shape: shape.to_vec(),
            constant: Some(Arc::new(Tensor::f32(shape.to_vec(), values.to_vec()).unwrap())),
        };
        let made = |name: &str, channels: usize| Value {
            name: name.into(),
            element: Element::F32,
            shape: vec![1, channels, 1, 2],
            constant: None,
        };
        let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad_before: [0, 0], pad_after: [0, 0] };
        let node = |name: &str, op, inputs: &[usize], output| Node {
            name: name.into(),
            op,
            inputs: inputs.iter().map(|&i| Some(ValueId(i))).collect(),
            output: ValueId(output),
        };
        Graph {
            values: vec![
                made("image", 3),
                constant("w1", &[2, 3, 1, 1], &[8.0, -4.0, 2.0, 0.01, 0.02, -0.04]),
                constant("b1", &[2], &[1.0, 0.01]),
                made("a", 2),
                made("b", 2),
                constant("w2", &[2, 1, 1, 1], &[0.125, 4.0]),
                made("c", 2),
            ],
            nodes: vec![
                node("first", Op::Conv { window, groups: 1 }, &[0, 1, 2], 3),
                node("act", Op::Unary(Unary::Activation(activation)), &[3], 4),
                node("second", Op::Conv { window, groups: 2 }, &[4, 5], 6),
            ],
            input: ValueId(0),
            outputs: vec![ValueId(6)],
        }
    }

    fn floats(graph: &Graph, id: usize) -> Vec<f32> {
        weights_of(graph, ValueId(id)).unwrap().1
    }

    #[test]
    fn both_layers_end_with_the_same_largest_weights_and_the_same_function() {
        let mut equalised = graph(Activation::Relu);
        assert_eq!(equalise(&mut equalised).unwrap(), 1);
        let (w1, b1, w2) = (floats(&equalised, 1), floats(&equalised, 2), floats(&equalised, 5));
        for channel in 0..2 {
            let largest = w1[3 * channel..3 * channel + 3].iter().fold(0.0_f32, |m, w| m.max(w.abs()));
            assert!((largest - w2[channel].abs()).abs() < 1e-4 * largest, "{w1:?} {w2:?}");
            // The product along the path stays: 8 * 0.125 and -0.04 * 4, and so do the biases' shares.
            let (product, share) = [(1.0, 0.125), (0.16, 0.04)][channel];
            assert!((largest * w2[channel] - product).abs() < 1e-5 && (b1[channel] * w2[channel] - share).abs() < 1e-5);
        }
    }

    #[test]
    fn an_upper_bound_between_the_layers_keeps_them_apart() {
        let mut bounded = graph(Activation::Clip { low: 0.0, high: 6.0 });
        assert_eq!(equalise(&mut bounded).unwrap(), 0);
        assert_eq!(bounded, graph(Activation::Clip { low: 0.0, high: 6.0 }));
    }
}
