//! Concatenations over channels whose operands are computed in place: their producers write into the result's memory.

use super::net::{Id, Net, Op};

/// For each value, the concatenation it is a part of and its first channel there.
#[derive(Debug, Default)]
pub(super) struct Joins {
    places: Vec<Option<(Id, usize)>>,
}

impl Joins {
    /// Decides for every channel concatenation of feature maps which operands are born inside it.
    pub(super) fn plan(net: &Net) -> Self {
        let mut joins = Self { places: vec![None; net.values.len()] };
        let producers = net.producers();
        for node in &net.nodes {
            let Op::Concat { axis: 1 } = node.op else { continue };
            if net.shape(node.output).len() != 4 {
                continue;
            }
            let mut channel: usize = 0;
            for &id in &node.inputs {
                let channels = net.shape(id)[1];
                let made = producers[id].is_some_and(|n| makes_a_map(&net.nodes[n].op));
                let aligned = channel.is_multiple_of(4) && channels.is_multiple_of(4);
                let same = net.number(id) == net.number(node.output);
                if made && aligned && same && joins.places[id].is_none() && !net.outputs.contains(&id) {
                    joins.places[id] = Some((node.output, channel));
                }
                channel += channels;
            }
        }
        joins
    }

    /// The concatenation and the channel at which the value starts in it.
    pub(super) fn place_of(&self, id: Id) -> Option<(Id, usize)> {
        self.places[id]
    }
}

/// Operations that write a feature map of their own.
const fn makes_a_map(op: &Op) -> bool {
    matches!(op, Op::Conv(_) | Op::Table(_) | Op::Unary(_) | Op::Binary(..) | Op::Pool { .. } | Op::Resize { .. } | Op::Concat { .. })
}
