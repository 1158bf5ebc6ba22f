//! One node of the file while it is being resolved: its operands, attributes and operator version.

use fathom_core::tensor::{Element, Elements, Tensor};

use super::attributes::{AttributeResult, Attributes};
use super::builder::{Builder, Resolved};
use super::onnx::NodeProto;
use crate::network::graph::{Op, ValueId};
use crate::{Error, Result};

/// A node of the file and the graph it goes into.
pub(super) struct Call<'a> {
    pub(super) builder: &'a mut Builder,
    pub(super) node: &'a NodeProto,
    /// The node's name, or one made from its operator and first result.
    pub(super) name: String,
    /// Version of the operator set.
    pub(super) opset: i64,
    pub(super) attributes: Attributes<'a>,
    /// Operands; `None` where the file leaves one out.
    pub(super) inputs: Vec<Option<ValueId>>,
}

impl<'a> Call<'a> {
    pub(super) fn new(builder: &'a mut Builder, node: &'a NodeProto, opset: i64) -> Result<Self> {
        let name = node_name(node);
        let fail = |message: String| Error::BadGraph { place: place(&name, &node.op_type), message };
        let attributes = Attributes::of(node).map_err(&fail)?;
        let mut inputs = Vec::with_capacity(node.input.len());
        for operand in &node.input {
            inputs.push(match operand.as_str() {
                "" => None,
                known => Some(builder.find(known).ok_or_else(|| fail(format!("its operand {known:?} is not known here")))?),
            });
        }
        Ok(Self { builder, node, name, opset, attributes, inputs })
    }

    /// An error about this node.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::BadGraph { place: place(&self.name, &self.node.op_type), message: message.into() }
    }

    /// An error that this use of the operator is not supported.
    pub(super) fn unsupported(&self, detail: impl std::fmt::Display) -> Error {
        Error::UnsupportedOp { op: self.node.op_type.clone(), node: self.name.clone(), detail: format!(": {detail}") }
    }

    /// Adds the node's name to what an attribute lacks.
    pub(super) fn attribute<T>(&self, value: AttributeResult<T>) -> Result<T> {
        value.map_err(|message| self.error(message))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.attribute(self.attributes.int(name))?.unwrap_or(default))
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.error(format!("attribute {name:?} is {other}, expected 0 or 1"))),
        }
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32> {
        Ok(self.attribute(self.attributes.float(name))?.unwrap_or(default))
    }

    pub(super) fn text(&self, name: &str, default: &'a str) -> Result<&'a str> {
        Ok(self.attribute(self.attributes.text(name))?.unwrap_or(default))
    }

    /// An operand that must be there.
    pub(super) fn input(&self, index: usize) -> Result<ValueId> {
        self.optional(index).ok_or_else(|| self.error(format!("operand {index} is missing")))
    }

    pub(super) fn optional(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    pub(super) fn shape(&self, id: ValueId) -> &[usize] {
        &self.builder.value(id).shape
    }

    pub(super) fn element(&self, id: ValueId) -> Element {
        self.builder.value(id).element
    }

    pub(super) fn value_name(&self, id: ValueId) -> &str {
        &self.builder.value(id).name
    }

    /// The contents of an operand that must not depend on the image.
    pub(super) fn constant(&self, id: ValueId) -> Result<&Tensor> {
        let depends = || self.error(format!("its operand {:?} must be a constant of the file, but is computed", self.value_name(id)));
        self.builder.constant_of(id).ok_or_else(depends)
    }

    /// A constant operand as integers (extents, axes, indices).
    pub(super) fn integers(&self, id: ValueId) -> Result<Vec<i64>> {
        match self.constant(id)?.elements() {
            Elements::I64(values) => Ok(values.clone()),
            Elements::I32(values) => Ok(values.iter().map(|&v| v.into()).collect()),
            other => Err(self.error(format!("its operand {:?} is {}, expected integers", self.value_name(id), other.element().name()))),
        }
    }

    /// A constant operand as floats.
    pub(super) fn floats(&self, id: ValueId) -> Result<&[f32]> {
        let wrong = |_| self.error(format!("its operand {:?} is {}, expected f32", self.value_name(id), self.element(id).name()));
        self.constant(id)?.as_f32().map_err(wrong)
    }

    /// A constant operand of one float, or of one byte dequantized.
    pub(super) fn scalar(&self, id: ValueId) -> Result<f32> {
        if let Some(number) = self.builder.dequantized_number(id) {
            return Ok(number);
        }
        match self.floats(id)? {
            [value] if !value.is_nan() => Ok(*value),
            [_] => Err(self.error(format!("its operand {:?} is NaN", self.value_name(id)))),
            values => Err(self.error(format!("its operand {:?} has {} elements, expected 1", self.value_name(id), values.len()))),
        }
    }

    /// Integers from an attribute (old operator versions) or else from a constant operand (new ones).
    pub(super) fn attribute_or_input(&self, attribute: &str, input: usize) -> Result<Option<Vec<i64>>> {
        match self.attribute(self.attributes.ints(attribute))? {
            Some(values) => Ok(Some(values.to_vec())),
            None => self.optional(input).map(|id| self.integers(id)).transpose(),
        }
    }

    /// A float operand that must have `rank` axes.
    pub(super) fn ranked(&self, index: usize, rank: usize) -> Result<ValueId> {
        let id = self.float_input(index)?;
        if self.shape(id).len() != rank {
            return Err(self.error(format!("operand {:?} has shape {:?}, expected {rank} axes", self.value_name(id), self.shape(id))));
        }
        Ok(id)
    }

    /// An operand that must be f32.
    pub(super) fn float_input(&self, index: usize) -> Result<ValueId> {
        let id = self.input(index)?;
        self.expect_element(id, &[Element::F32])?;
        Ok(id)
    }

    pub(super) fn expect_element(&self, id: ValueId, allowed: &[Element]) -> Result<()> {
        let got = self.element(id);
        if allowed.contains(&got) {
            return Ok(());
        }
        let names: Vec<_> = allowed.iter().map(|e| e.name()).collect();
        Err(self.error(format!("operand {:?} is {}, expected {}", self.value_name(id), got.name(), names.join(" or "))))
    }

    /// Resolves a possibly negative axis of a value with `rank` axes.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let signed = rank as i64;
        let resolved = if axis < 0 { axis.checked_add(signed) } else { Some(axis) };
        match resolved {
            Some(a) if (0..signed).contains(&a) => Ok(a as usize),
            _ => Err(self.error(format!("axis {axis} is outside a value of {rank} axes"))),
        }
    }

    /// Resolves axes: ascending, each at most once.
    pub(super) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let mut resolved = axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?;
        resolved.sort_unstable();
        if resolved.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(self.error(format!("axes {axes:?} name one axis twice")));
        }
        Ok(resolved)
    }

    /// Name of a result; made up where the file leaves it out.
    pub(super) fn output(&self, index: usize) -> String {
        match self.node.output.get(index) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("{}:{index}", self.name),
        }
    }

    /// Adds the node's first result as an operation.
    pub(super) fn emit(&mut self, op: Op, inputs: &[ValueId], shape: Vec<usize>) -> Result<ValueId> {
        self.emit_worth(op, inputs, shape, 0)
    }

    /// As [`Call::emit`], for an operation of `work` multiplications.
    pub(super) fn emit_worth(&mut self, op: Op, inputs: &[ValueId], shape: Vec<usize>, work: u64) -> Result<ValueId> {
        let element = inputs.first().map_or(Element::F32, |&id| self.element(id));
        let inputs = inputs.iter().copied().map(Some).collect();
        let output = self.output(0);
        self.builder.emit(&self.name, &output, Resolved { op, inputs, element, shape, work })
    }

    /// Adds a step on the way to the first result: its name is the node's with `step` behind it.
    pub(super) fn intermediate(&mut self, step: &str, op: Op, inputs: &[ValueId], element: Element, shape: Vec<usize>) -> Result<ValueId> {
        let name = format!("{}/{step}", self.name);
        let inputs = inputs.iter().copied().map(Some).collect();
        self.builder.emit(&name, &format!("{}/{step}", self.output(0)), Resolved { op, inputs, element, shape, work: 0 })
    }

    /// Adds a constant that this node brings along.
    pub(super) fn bring(&mut self, what: &str, tensor: Tensor) -> Result<ValueId> {
        let name = format!("{}/{what}", self.output(0));
        let (element, shape) = (tensor.element(), tensor.shape().to_vec());
        self.builder.folded(&name, element, &shape, |_| Ok(tensor))
    }

    /// Adds the node's first result as a constant made here.
    pub(super) fn fold(&mut self, element: Element, shape: &[usize], make: impl FnOnce(&Builder) -> Result<Tensor>) -> Result<ValueId> {
        let output = self.output(0);
        self.builder.folded(&output, element, shape, make)
    }

    /// Lets the node's first result be one of its operands.
    pub(super) fn pass(&mut self, id: ValueId) -> Result<ValueId> {
        let output = self.output(0);
        self.builder.alias(&output, id)
    }
}

/// `node "name" (Op)`.
fn place(name: &str, op: &str) -> String {
    format!("node {name:?} ({op})")
}

/// The node's name in the file, or one made from its operator and first result.
pub(super) fn node_name(node: &NodeProto) -> String {
    if node.name.is_empty() { format!("{}:{}", node.op_type, node.output.first().map_or("", |o| o)) } else { node.name.clone() }
}
