//! Dense row-major tensors of the element types that depth networks use.

use crate::{Error, Result};

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// Signed byte.
    I8,
    /// Unsigned byte.
    U8,
    /// 32-bit integer: biases and accumulators.
    I32,
    /// 64-bit integer: shape arithmetic of ONNX files.
    I64,
    /// Truth value: shape arithmetic of ONNX files.
    Bool,
}

impl Element {
    /// Bytes of one element in memory.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// Lower-case name, as in `f32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Bool => "bool",
        }
    }
}

/// The elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// [`Element::F32`].
    F32(Vec<f32>),
    /// [`Element::I8`].
    I8(Vec<i8>),
    /// [`Element::U8`].
    U8(Vec<u8>),
    /// [`Element::I32`].
    I32(Vec<i32>),
    /// [`Element::I64`].
    I64(Vec<i64>),
    /// [`Element::Bool`].
    Bool(Vec<bool>),
}

impl Elements {
    /// Their type.
    #[must_use]
    pub const fn element(&self) -> Element {
        match self {
            Self::F32(_) => Element::F32,
            Self::I8(_) => Element::I8,
            Self::U8(_) => Element::U8,
            Self::I32(_) => Element::I32,
            Self::I64(_) => Element::I64,
            Self::Bool(_) => Element::Bool,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A dense tensor, row-major: the last axis is contiguous. A scalar has the empty shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    elements: Elements,
}

impl Tensor {
    /// Joins a shape and its elements.
    ///
    /// # Errors
    /// [`Error::Length`] if the shape's product (which must not overflow) is not the number of elements.
    pub fn new(shape: Vec<usize>, elements: Elements) -> Result<Self> {
        let expected = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
        if elements.len() != expected {
            return Err(Error::Length { what: "tensor elements", got: elements.len(), expected });
        }
        Ok(Self { shape, elements })
    }

    /// A float tensor.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn f32(shape: Vec<usize>, values: Vec<f32>) -> Result<Self> {
        Self::new(shape, Elements::F32(values))
    }

    /// Extents, outermost axis first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    #[must_use]
    pub const fn element(&self) -> Element {
        self.elements.element()
    }

    /// All elements.
    #[must_use]
    pub const fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Takes the elements out.
    #[must_use]
    pub fn into_elements(self) -> Elements {
        self.elements
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are no elements (an extent is zero).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The values, if they are floats.
    ///
    /// # Errors
    /// [`Error::ElementType`] if they are not.
    pub fn as_f32(&self) -> Result<&[f32]> {
        match &self.elements {
            Elements::F32(values) => Ok(values),
            other => Err(Error::ElementType { what: "tensor", got: other.element().name(), expected: "f32" }),
        }
    }

    /// Takes the values out, if they are floats.
    ///
    /// # Errors
    /// As [`Tensor::as_f32`].
    pub fn into_f32(self) -> Result<Vec<f32>> {
        match self.elements {
            Elements::F32(values) => Ok(values),
            other => Err(Error::ElementType { what: "tensor", got: other.element().name(), expected: "f32" }),
        }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn reshape(self, shape: Vec<usize>) -> Result<Self> {
        Self::new(shape, self.elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_whose_product_overflows_is_a_length_error() {
        let error = Tensor::f32(vec![usize::MAX, 2], vec![0.0; 2]).unwrap_err();
        assert!(matches!(error, Error::Length { got: 2, .. }));
    }

    #[test]
    fn a_scalar_has_one_element() {
        assert_eq!(Tensor::f32(vec![], vec![1.5]).unwrap().as_f32().unwrap(), [1.5]);
    }
}
