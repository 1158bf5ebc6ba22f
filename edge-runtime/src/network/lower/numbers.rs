//! Operations that only move elements get one number on both sides; conversions stand apart from them.

use fathom_core::ops::nn::elementwise::Unary;

use super::net::{Id, Net, Node, Number, Op};

/// Rewrites moving operations so that operands and result have the same number.
///
/// Bytes stay bytes until a reader wants floats (readers take bytes as the reals they stand for), and floats are
/// quantized before they are moved, since bytes move at a quarter of the cost.
pub(super) fn settle(net: &mut Net) {
    for mut node in std::mem::take(&mut net.nodes) {
        if !node.op.moves() {
            net.nodes.push(node);
            continue;
        }
        let wanted = net.number(node.output);
        let kept = common_number(net, &node.inputs).unwrap_or(wanted);
        let number = if node.inputs.len() == 1 && kept != Number::Float { kept } else { wanted_for(kept, wanted) };
        for i in 0..node.inputs.len() {
            node.inputs[i] = converted(net, &node, node.inputs[i], number);
        }
        if number == wanted || wanted == Number::Float {
            net.values[node.output].number = number;
            net.nodes.push(node);
            continue;
        }
        let moved = net.add(format!("{}.moved", node.name), net.shape(node.output).to_vec(), number);
        let output = std::mem::replace(&mut node.output, moved);
        let name = node.name.clone();
        net.nodes.push(node);
        net.nodes.push(Node { name, op: Op::Unary(Unary::Identity), inputs: vec![moved], output });
    }
}

/// The number that all non-constant operands share.
fn common_number(net: &Net, inputs: &[Id]) -> Option<Number> {
    let mut numbers = inputs.iter().filter(|&&id| net.constant(id).is_none()).map(|&id| net.number(id));
    let first = numbers.next()?;
    numbers.all(|n| n == first).then_some(first)
}

/// What to move: the bytes that are wanted, else whatever the operands share.
const fn wanted_for(kept: Number, wanted: Number) -> Number {
    match (kept, wanted) {
        (_, Number::Bytes(_)) => wanted,
        _ => kept,
    }
}

/// The operand as `number`: itself, a constant given that number, or the result of a conversion put before the node.
fn converted(net: &mut Net, node: &Node, id: Id, number: Number) -> Id {
    if net.number(id) == number {
        return id;
    }
    let shape = net.shape(id).to_vec();
    let name = format!("{}.operand", net.values[id].name);
    if let Some(constant) = net.constant(id).cloned() {
        let copy = net.add_constant(name, constant);
        net.values[copy].number = number;
        return copy;
    }
    let new = net.add(name, shape, number);
    net.nodes.push(Node { name: node.name.clone(), op: Op::Unary(Unary::Identity), inputs: vec![id], output: new });
    new
}
