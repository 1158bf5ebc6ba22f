//! Constants as messages: little-endian bytes.

use fathom_core::tensor::{Element, Elements, Tensor};

use crate::network::import::onnx::{TensorProto, data_type};

/// ONNX's code of an element type.
pub(super) const fn code(element: Element) -> i32 {
    match element {
        Element::F32 => data_type::FLOAT,
        Element::I8 => data_type::INT8,
        Element::U8 => data_type::UINT8,
        Element::I32 => data_type::INT32,
        Element::I64 => data_type::INT64,
        Element::Bool => data_type::BOOL,
    }
}

pub(super) fn proto(name: &str, tensor: &Tensor) -> TensorProto {
    let raw = match tensor.elements() {
        Elements::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Elements::I8(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Elements::U8(values) => values.clone(),
        Elements::I32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Elements::I64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Elements::Bool(values) => values.iter().map(|&v| v.into()).collect(),
    };
    TensorProto {
        dims: tensor.shape().iter().map(|&extent| extent as i64).collect(),
        data_type: code(tensor.element()),
        name: name.to_owned(),
        raw_data: Some(raw),
        ..TensorProto::default()
    }
}
