//! The outputs, and the graph without what nothing needs.

use fathom_core::frame::Size;
use fathom_core::model::ModelCard;
use fathom_core::tensor::Element;

use super::builder::{Builder, value_error};
use super::onnx::GraphProto;
use crate::network::graph::{Graph, Node, ValueId};
use crate::{Error, Result};

/// Most elements of a field-of-view output: a value, its sigma, and room for a head per axis.
const FOV_ELEMENTS: usize = 16;

/// Names of the outputs that the card asks for: depth, then field of view.
///
/// # Errors
/// [`Error::BadGraph`] if the file has no such output.
pub(super) fn wanted(file: &GraphProto, card: &ModelCard) -> Result<Vec<String>> {
    let names: Vec<&str> = file.output.iter().map(|o| o.name.as_str()).collect();
    let fail = |message: String| Error::BadGraph { place: "graph".into(), message };
    let find = |name: &String| {
        let listed: Vec<_> = names.iter().take(8).collect();
        if names.contains(&name.as_str()) {
            Ok(name.clone())
        } else {
            Err(fail(format!("the card names output {name:?}, the file has {listed:?}")))
        }
    };
    let first = names.first().filter(|n| !n.is_empty()).ok_or_else(|| fail("has no output".into()))?;
    let mut wanted = vec![card.output.as_ref().map_or_else(|| Ok((*first).to_owned()), find)?];
    if let Some(fov) = &card.fov_output {
        wanted.push(find(fov)?);
    }
    Ok(wanted)
}

/// Checks the outputs and leaves out what they do not need.
///
/// # Errors
/// [`Error::BadGraph`] naming an output of another type or shape than depth or field of view.
pub(super) fn graph(builder: Builder, input: ValueId, outputs: &[String], size: Size) -> Result<Graph> {
    let mut ids = Vec::with_capacity(outputs.len());
    for (index, name) in outputs.iter().enumerate() {
        let id = builder.find(name).ok_or_else(|| value_error(name, "is needed, but nothing in the file makes it"))?;
        let value = builder.value(id);
        let fail = |message: String| Err(value_error(name, message));
        if value.constant.is_some() || id == input {
            return fail("is an output, but does not depend on what the network computes".into());
        }
        if value.element != Element::F32 {
            return fail(format!("is an output of type {}, expected f32", value.element.name()));
        }
        if index == 0 && !matches!(value.shape.as_slice(), [1, h, w] | [1, 1, h, w] if h * w <= size.area() * 16) {
            return fail(format!("is the depth output with shape {:?}, expected [1, height, width] or [1, 1, height, width]", value.shape));
        }
        if index == 1 && value.shape.iter().product::<usize>() > FOV_ELEMENTS {
            return fail(format!("is the field-of-view output with shape {:?}, expected at most {FOV_ELEMENTS} elements", value.shape));
        }
        ids.push(id);
    }
    let mut graph = pruned(builder, input, &ids);
    // An output may be another name of a value (Identity); the file's readers know it by the output's.
    for (name, &id) in outputs.iter().zip(&graph.outputs).rev() {
        graph.values[id.0].name.clone_from(name);
    }
    Ok(graph)
}

/// Keeps the nodes and values that the outputs need, in their order.
fn pruned(builder: Builder, input: ValueId, outputs: &[ValueId]) -> Graph {
    let mut used = vec![false; builder.values.len()];
    used[input.0] = true;
    for id in outputs {
        used[id.0] = true;
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(builder.nodes.len());
    // Nodes are in execution order, so one walk back sees each reader before its operands' makers.
    for node in builder.nodes.into_iter().rev() {
        if used[node.output.0] {
            for id in node.inputs.iter().flatten() {
                used[id.0] = true;
            }
            nodes.push(node);
        }
    }
    nodes.reverse();

    let mut renamed = vec![ValueId(0); used.len()];
    let mut values = Vec::new();
    for (index, value) in builder.values.into_iter().enumerate().filter(|(index, _)| used[*index]) {
        renamed[index] = ValueId(values.len());
        values.push(value);
    }
    for node in &mut nodes {
        node.output = renamed[node.output.0];
        for id in node.inputs.iter_mut().flatten() {
            *id = renamed[id.0];
        }
    }
    Graph { values, nodes, input: renamed[input.0], outputs: outputs.iter().map(|id| renamed[id.0]).collect() }
}
