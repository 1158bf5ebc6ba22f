//! How kernels of two broadcast operands walk the last axis: four elements at a time where the result allows it, and operands as
//! whole quads, one element for all four, or elements apart.

use fathom_core::ops::nn::elementwise::{Broadcast, RANK};

/// An index space in such a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quads {
    /// The index space; a last axis of one element has strides that do not matter.
    pub(crate) axes: Broadcast,
    /// Elements of the last axis that an invocation handles, 4 or 1: the constant `EACH`.
    pub(crate) each: usize,
    /// How either operand is read: the constants `A_FORM` and `B_FORM`.
    pub(crate) forms: [Form; 2],
}

/// How the elements of an operand that one invocation handles lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a quad: one behind the other, from a multiple of four.
    Quad = 0,
    /// As one element.
    One = 1,
    /// Anywhere, one stride apart.
    Apart = 2,
}

impl Quads {
    /// The form of an index space whose tensors start at multiples of four; `None` if results of two invocations share a quad,
    /// which then neither could write.
    pub(crate) fn of(axes: &Broadcast) -> Option<Self> {
        let mut axes = *axes;
        if axes.shape[RANK - 1] == 1 {
            (axes.a[RANK - 1], axes.b[RANK - 1], axes.out[RANK - 1]) = (0, 0, 1);
        }
        let outer = |strides: &[usize; RANK]| (0..RANK - 1).all(|i| axes.shape[i] == 1 || strides[i].is_multiple_of(4));
        let each = match axes.out[RANK - 1] {
            _ if !outer(&axes.out) => return None,
            1 => 4,
            stride if stride.is_multiple_of(4) => 1,
            _ => return None,
        };
        let form = |strides: &[usize; RANK]| match strides[RANK - 1] {
            _ if each == 1 => Form::One,
            0 => Form::One,
            1 if outer(strides) => Form::Quad,
            _ => Form::Apart,
        };
        Some(Self { axes, each, forms: [form(&axes.a), form(&axes.b)] })
    }

    /// Invocations for all elements.
    pub(crate) fn invocations(&self) -> usize {
        self.axes.shape[..RANK - 1].iter().product::<usize>() * self.axes.shape[RANK - 1].div_ceil(self.each)
    }
}

impl Form {
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}
