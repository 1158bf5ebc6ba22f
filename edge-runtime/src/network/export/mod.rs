//! A [`Graph`] as an ONNX file: what the quantizer writes, and how tract is handed a network.
//!
//! The file is standard ONNX and reads back into an equal graph. Operator set 17; 20 where Gelu is used, which came with it.

mod attribute;
mod node;
pub mod qoperator;
mod tensor;

use std::collections::HashSet;

use fathom_core::ops::nn::Activation;
use fathom_core::tensor::Tensor;
use prost::Message as _;

use super::graph::{Graph, Op, Unary, Value};
use super::import::onnx::{
    DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use crate::Result;

/// Writes a graph, with `metadata` (key, text) such as a model card's.
///
/// # Errors
/// [`crate::Error::UnsupportedOp`] for an operation that only exists inside a plan (SiLU).
pub fn export(graph: &Graph, name: &str, metadata: &[(String, String)]) -> Result<Vec<u8>> {
    let gelu = |op: &Op| matches!(op, Op::Unary(Unary::Activation(Activation::Gelu)));
    let (opset, ir_version) = if graph.nodes.iter().any(|n| gelu(&n.op)) { (20, 9) } else { (17, 8) };
    let mut writer = Writer { graph, opset, names: graph.values.iter().map(|v| v.name.clone()).collect(), initializers: Vec::new() };
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for value in &graph.values {
        if let Some(constant) = &value.constant {
            writer.initializers.push(tensor::proto(&value.name, constant));
        }
    }
    for node in &graph.nodes {
        nodes.push(node::proto(&mut writer, node)?);
    }
    let file = GraphProto {
        node: nodes,
        name: name.to_owned(),
        initializer: writer.initializers,
        input: vec![info(graph.value(graph.input))],
        output: graph.outputs.iter().map(|&id| info(graph.value(id))).collect(),
    };
    let entry = |(key, value): &(String, String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    let model = ModelProto {
        ir_version: Some(ir_version),
        producer_name: Some("fathom".into()),
        graph: Some(file),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
        metadata_props: metadata.iter().map(entry).collect(),
    };
    Ok(model.encode_to_vec())
}

/// What is known while nodes are written.
struct Writer<'a> {
    graph: &'a Graph,
    opset: i64,
    names: HashSet<String>,
    initializers: Vec<TensorProto>,
}

impl Writer<'_> {
    /// Adds a constant operand that the graph keeps as an attribute; gives its name.
    fn operand(&mut self, node: &str, what: &str, tensor: &Tensor) -> String {
        let mut name = format!("{node}.{what}");
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        self.initializers.push(tensor::proto(&name, tensor));
        name
    }
}

fn info(value: &Value) -> ValueInfoProto {
    let dim = value.shape.iter().map(|&extent| DimensionProto { dim_value: Some(extent as i64) }).collect();
    let tensor_type = TensorTypeProto { elem_type: tensor::code(value.element), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: value.name.clone(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
