//! Which nodes the outputs need, in an order in which each finds its operands made. What nothing needs is never looked at.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::builder::value_error;
use super::call::node_name;
use super::onnx::GraphProto;
use crate::{Error, Result};

/// What the outputs need.
pub(super) struct Needed {
    /// Indices of nodes, in execution order.
    pub(super) nodes: Vec<usize>,
    /// Names of the values they read, and of the outputs.
    pub(super) values: HashSet<String>,
}

/// Walks back from the outputs, then sorts; the file's own order is kept where it is valid.
///
/// # Errors
/// [`Error::BadGraph`] naming a value that is made twice or by nothing, or a node in a cycle.
pub(super) fn needed(file: &GraphProto, outputs: &[String]) -> Result<Needed> {
    let makers = makers(file)?;
    let given: HashSet<&str> = file.initializer.iter().map(|t| t.name.as_str()).chain(file.input.iter().map(|i| i.name.as_str())).collect();
    let mut values: HashSet<&str> = outputs.iter().map(String::as_str).collect();
    let mut open: Vec<&str> = values.iter().copied().collect();
    let mut wanted = HashSet::new();
    while let Some(name) = open.pop() {
        let Some(&maker) = makers.get(name) else {
            if given.contains(name) {
                continue;
            }
            return Err(value_error(name, "is needed, but nothing in the file makes it"));
        };
        if wanted.insert(maker) {
            for operand in file.node[maker].input.iter().filter(|n| !n.is_empty()) {
                if values.insert(operand) {
                    open.push(operand);
                }
            }
        }
    }
    let nodes = sorted(file, &makers, &wanted)?;
    Ok(Needed { nodes, values: values.into_iter().map(str::to_owned).collect() })
}

/// The node that makes each value.
fn makers(file: &GraphProto) -> Result<HashMap<&str, usize>> {
    let mut makers = HashMap::new();
    for (index, node) in file.node.iter().enumerate() {
        for output in node.output.iter().filter(|n| !n.is_empty()) {
            if makers.insert(output.as_str(), index).is_some() {
                return Err(value_error(output, "is defined twice"));
            }
        }
    }
    Ok(makers)
}

/// Kahn's algorithm, lowest index in the file first.
fn sorted(file: &GraphProto, makers: &HashMap<&str, usize>, wanted: &HashSet<usize>) -> Result<Vec<usize>> {
    let mut waiting: HashMap<usize, usize> = HashMap::new();
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut ready = BinaryHeap::new();
    for &index in wanted {
        let sources: Vec<usize> = file.node[index].input.iter().filter_map(|name| makers.get(name.as_str()).copied()).collect();
        for &source in &sources {
            readers.entry(source).or_default().push(index);
        }
        if sources.is_empty() {
            ready.push(Reverse(index));
        }
        waiting.insert(index, sources.len());
    }
    let mut order = Vec::with_capacity(wanted.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for reader in readers.remove(&index).unwrap_or_default() {
            if let Some(left) = waiting.get_mut(&reader) {
                *left -= 1;
                if *left == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
    }
    if order.len() < wanted.len() {
        let stuck = waiting.iter().filter(|(_, left)| **left > 0).map(|(index, _)| *index).min();
        let name = stuck.map_or_else(String::new, |index| node_name(&file.node[index]));
        let message = format!("is part of a cycle, or waits for one ({} of {} nodes)", wanted.len() - order.len(), wanted.len());
        return Err(Error::BadGraph { place: format!("node {name:?}"), message });
    }
    Ok(order)
}
