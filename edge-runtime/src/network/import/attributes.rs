//! Attributes of a node, read by name and kind.

use super::onnx::{AttributeProto, NodeProto, TensorProto, attribute_type};

/// Why an attribute could not be read; the caller adds the node's name.
pub(super) type AttributeResult<T> = std::result::Result<T, String>;

/// The attributes of one node.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [AttributeProto]);

impl<'a> Attributes<'a> {
    /// Checks that no name occurs twice and that none holds a subgraph or a sparse tensor.
    pub(super) fn of(node: &'a NodeProto) -> AttributeResult<Self> {
        let attributes = &node.attribute;
        if attributes.len() > 64 {
            return Err(format!("has {} attributes, the limit is 64", attributes.len()));
        }
        for (index, attribute) in attributes.iter().enumerate() {
            if attributes[..index].iter().any(|earlier| earlier.name == attribute.name) {
                return Err(format!("attribute {:?} is given twice", attribute.name));
            }
            if attribute.g.is_some() || !attribute.graphs.is_empty() {
                return Err(format!("attribute {:?} holds a subgraph; subgraphs are not supported", attribute.name));
            }
            if attribute.sparse_tensor.is_some() {
                return Err(format!("attribute {:?} holds a sparse tensor; only dense ones are supported", attribute.name));
            }
        }
        Ok(Self(attributes))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn int(&self, name: &str) -> AttributeResult<Option<i64>> {
        self.read(name, attribute_type::INT, "an integer", |a| Some(a.i.unwrap_or(0)))
    }

    pub(super) fn float(&self, name: &str) -> AttributeResult<Option<f32>> {
        let value = self.read(name, attribute_type::FLOAT, "a float", |a| Some(a.f.unwrap_or(0.0)))?;
        match value {
            Some(v) if v.is_nan() => Err(format!("attribute {name:?} is NaN")),
            other => Ok(other),
        }
    }

    pub(super) fn ints(&self, name: &str) -> AttributeResult<Option<&'a [i64]>> {
        self.read(name, attribute_type::INTS, "integers", |a| Some(a.ints.as_slice()))
    }

    pub(super) fn floats(&self, name: &str) -> AttributeResult<Option<&'a [f32]>> {
        self.read(name, attribute_type::FLOATS, "floats", |a| Some(a.floats.as_slice()))
    }

    pub(super) fn text(&self, name: &str) -> AttributeResult<Option<&'a str>> {
        self.read(name, attribute_type::STRING, "a text", |a| std::str::from_utf8(a.s.as_deref().unwrap_or_default()).ok())
    }

    pub(super) fn tensor(&self, name: &str) -> AttributeResult<Option<&'a TensorProto>> {
        self.read(name, attribute_type::TENSOR, "a tensor", |a| a.t.as_deref())
    }

    /// Reads an attribute that must say it is of `kind` (writers before IR version 2 left the kind out: 0).
    fn read<T>(
        &self,
        name: &str,
        kind: i32,
        expected: &str,
        get: impl FnOnce(&'a AttributeProto) -> Option<T>,
    ) -> AttributeResult<Option<T>> {
        let Some(attribute) = self.find(name) else { return Ok(None) };
        let value = if matches!(attribute.r#type, 0) || attribute.r#type == kind { get(attribute) } else { None };
        value.map(Some).ok_or_else(|| format!("attribute {name:?} is not {expected}"))
    }

    fn find(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.iter().find(|attribute| attribute.name == name)
    }
}
