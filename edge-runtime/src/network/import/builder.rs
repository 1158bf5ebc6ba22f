//! The graph while it grows: values by name, nodes emitted, and the account of what the file has asked for.

use std::collections::HashMap;
use std::sync::Arc;

use fathom_core::tensor::{Element, Elements, Tensor};

use super::{Limits, fold};
use crate::network::graph::{Node, Op, Value, ValueId};
use crate::{Error, Result};

/// Largest product of a shape's extents, zeros aside: far below where index arithmetic overflows.
const SPAN: u64 = 1 << 40;

/// An error about a value.
pub(super) fn value_error(name: &str, message: impl Into<String>) -> Error {
    Error::BadGraph { place: value_place(name), message: message.into() }
}

fn value_place(name: &str) -> String {
    format!("value {name:?}")
}

/// Values and nodes so far.
pub(super) struct Builder {
    pub(super) limits: Limits,
    pub(super) values: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    names: HashMap<String, ValueId>,
    /// For each value, whether it is a constant that holds a NaN or an infinity.
    poisoned: Vec<bool>,
    /// What a DequantizeLinear of one constant byte amounts to: quantizers treat bounds and padding values so, too.
    numbers: HashMap<ValueId, f32>,
    folded: Account,
    elements: Account,
    work: Account,
}

/// A sum that must stay below a limit.
struct Account {
    what: &'static str,
    spent: u64,
    limit: u64,
}

impl Account {
    const fn new(what: &'static str, limit: u64) -> Self {
        Self { what, spent: 0, limit }
    }

    fn spend(&mut self, place: &str, amount: u64) -> Result<()> {
        self.spent = self.spent.saturating_add(amount);
        if self.spent > self.limit {
            return Err(Error::OverLimit { place: place.into(), what: self.what, got: self.spent, limit: self.limit });
        }
        Ok(())
    }
}

/// What an operator's room hands over: an operation whose operands and result are known.
pub(super) struct Resolved {
    pub(super) op: Op,
    pub(super) inputs: Vec<Option<ValueId>>,
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    /// Multiplications or window taps, beyond one per element of the result.
    pub(super) work: u64,
}

impl Builder {
    pub(super) fn new(limits: Limits, file_bytes: u64) -> Self {
        Self {
            limits,
            values: Vec::new(),
            nodes: Vec::new(),
            names: HashMap::new(),
            poisoned: Vec::new(),
            numbers: HashMap::new(),
            folded: Account::new("total of bytes made by constant folding", Limits::folded_bytes(file_bytes)),
            elements: Account::new("total of elements of all values", 0),
            work: Account::new("total of multiplications", 0),
        }
    }

    pub(super) fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The contents of a value that does not depend on the image.
    pub(super) fn constant_of(&self, id: ValueId) -> Option<&Tensor> {
        self.value(id).constant.as_deref()
    }

    /// The number behind a dequantized constant of one element.
    pub(super) fn dequantized_number(&self, id: ValueId) -> Option<f32> {
        self.numbers.get(&id).copied()
    }

    pub(super) fn find(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    /// Declares the image, and sets the limits that are proportional to it.
    pub(super) fn image(&mut self, name: &str, shape: Vec<usize>) -> Result<ValueId> {
        let elements = shape.iter().product::<usize>() as u64;
        self.elements.limit = self.limits.total_elements_per_input.saturating_mul(elements.max(1 << 10));
        self.work.limit = self.limits.macs_per_input.saturating_mul(elements);
        self.limits.elements = self.limits.elements.min(self.limits.elements_per_input.saturating_mul(elements).max(1 << 20));
        self.add(Value { name: name.to_owned(), element: Element::F32, shape, constant: None }, false)
    }

    /// Adds a constant.
    pub(super) fn constant(&mut self, name: &str, tensor: Tensor) -> Result<ValueId> {
        self.check_rank(name, tensor.shape())?;
        let poisoned = matches!(tensor.elements(), Elements::F32(values) if values.iter().any(|v| !v.is_finite()));
        self.add(
            Value { name: name.to_owned(), element: tensor.element(), shape: tensor.shape().to_vec(), constant: Some(Arc::new(tensor)) },
            poisoned,
        )
    }

    /// Adds a constant that folding made, against the account of folded bytes.
    pub(super) fn folded(
        &mut self,
        name: &str,
        element: Element,
        shape: &[usize],
        make: impl FnOnce(&Self) -> Result<Tensor>,
    ) -> Result<ValueId> {
        self.check_rank(name, shape)?;
        let bytes = count(shape).saturating_mul(element.bytes() as u64);
        self.folded.spend(&value_place(name), bytes)?;
        let tensor = make(self)?;
        self.constant(name, tensor)
    }

    /// Gives `id` another name as well.
    pub(super) fn alias(&mut self, name: &str, id: ValueId) -> Result<ValueId> {
        self.claim(name, id)?;
        Ok(id)
    }

    /// Adds an operation, or its result if that follows from constants.
    ///
    /// `output` names the result, `node` the operation in messages.
    pub(super) fn emit(&mut self, node: &str, output: &str, resolved: Resolved) -> Result<ValueId> {
        let Resolved { op, inputs, element, shape, work } = resolved;
        let constant = inputs.iter().flatten().all(|id| self.constant_of(*id).is_some());
        if constant && fold::folds(&op) {
            return self.folded(output, element, &shape, |b| {
                let operands: Vec<&Tensor> = inputs.iter().flatten().filter_map(|id| b.constant_of(*id)).collect();
                fold::evaluate(&op, &operands, element, &shape)
            });
        }
        self.check_rank(output, &shape)?;
        let elements = count(&shape);
        let place = format!("node {node:?}");
        if elements == 0 {
            return Err(Error::BadGraph { place, message: format!("its result {output:?} would be empty, shape {shape:?}") });
        }
        if elements > self.limits.elements {
            return Err(Error::OverLimit { place, what: "number of elements of its result", got: elements, limit: self.limits.elements });
        }
        self.elements.spend(&place, elements)?;
        self.work.spend(&place, work.saturating_add(elements))?;
        for &id in inputs.iter().flatten() {
            self.check_operand(&op, &place, id)?;
        }
        let number = if matches!(op, Op::DequantizeLinear { .. }) && elements == 1 { self.number(&inputs) } else { None };
        let output = self.add(Value { name: output.to_owned(), element, shape, constant: None }, false)?;
        self.numbers.extend(number.map(|number| (output, number)));
        self.nodes.push(Node { name: node.to_owned(), op, inputs, output });
        Ok(output)
    }

    /// `scale (q - zero_point)` of operands that hold one element each.
    fn number(&self, operands: &[Option<ValueId>]) -> Option<f32> {
        let integer = |id: ValueId| match self.constant_of(id)?.elements() {
            Elements::U8(v) => v.first().map(|&q| i64::from(q)),
            Elements::I8(v) => v.first().map(|&q| i64::from(q)),
            Elements::I32(v) => v.first().map(|&q| i64::from(q)),
            _ => None,
        };
        let (bytes, scale) = ((*operands.first()?)?, (*operands.get(1)?)?);
        let zero_point = operands.get(2).copied().flatten().and_then(integer).unwrap_or(0);
        let scale = *self.constant_of(scale)?.as_f32().ok()?.first()?;
        Some(scale * (integer(bytes)? - zero_point) as f32)
    }

    fn check_operand(&self, op: &Op, place: &str, id: ValueId) -> Result<()> {
        let value = self.value(id);
        if self.poisoned[id.0] {
            return Err(Error::BadGraph {
                place: place.into(),
                message: format!("its operand {:?} holds a NaN or an infinity", value.name),
            });
        }
        let index = matches!(op, Op::Gather { .. }) && value.constant.is_some();
        if matches!(value.element, Element::I64 | Element::Bool) && !index {
            return Err(Error::BadGraph {
                place: place.into(),
                message: format!("its operand {:?} is {}, which is supported in constants only", value.name, value.element.name()),
            });
        }
        Ok(())
    }

    fn check_rank(&self, name: &str, shape: &[usize]) -> Result<()> {
        if shape.len() as u64 > self.limits.rank {
            return Err(Error::OverLimit {
                place: value_place(name),
                what: "number of axes",
                got: shape.len() as u64,
                limit: self.limits.rank,
            });
        }
        // An extent of 0 empties a shape, yet strides multiply the others.
        let span = shape.iter().fold(1_u64, |n, &d| n.saturating_mul(d.max(1) as u64));
        if span > SPAN {
            return Err(Error::OverLimit { place: value_place(name), what: "product of its extents", got: span, limit: SPAN });
        }
        Ok(())
    }

    fn add(&mut self, value: Value, poisoned: bool) -> Result<ValueId> {
        let id = ValueId(self.values.len());
        self.claim(&value.name, id)?;
        self.values.push(value);
        self.poisoned.push(poisoned);
        Ok(id)
    }

    fn claim(&mut self, name: &str, id: ValueId) -> Result<()> {
        if self.names.insert(name.to_owned(), id).is_some() {
            return Err(value_error(name, "is defined twice"));
        }
        Ok(())
    }
}

/// Elements of a shape; saturates, so that a limit catches it.
pub(super) fn count(shape: &[usize]) -> u64 {
    if shape.contains(&0) { 0 } else { shape.iter().fold(1_u64, |n, &d| n.saturating_mul(d as u64)) }
}
