//! The arena of a plan, and what steps see of it.

use std::borrow::Cow;
use std::ops::Range;

use fathom_core::ops::nn::byte::Byte;
use fathom_core::quant::QuantParams;
use fathom_core::tensor::{Element, Elements, Tensor};

use crate::network::plan::{Place, Plan, PlanTensor, Step, TensorId};
use crate::{Error, Result};

/// One arena.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Words, so that every aligned tensor may be read as floats.
    words: Vec<u64>,
}

/// An operand as it lies in memory: bytes of [`PlanTensor::span`] elements at the tensor's pitch.
pub(super) struct Operand<'m> {
    pub(super) bytes: Cow<'m, [u8]>,
    pub(super) tensor: &'m PlanTensor,
}

/// A result as it lies in memory.
pub(super) struct Output<'m> {
    pub(super) bytes: &'m mut [u8],
    pub(super) tensor: &'m PlanTensor,
}

impl Memory {
    /// A zeroed arena.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self { words: vec![0; plan.arena_bytes.div_ceil(8)] }
    }

    /// The operands and the result of a step. An operand that shares rows with the result is copied.
    pub(super) fn split<'m>(&'m mut self, plan: &'m Plan, step: &Step) -> Result<(Vec<Operand<'m>>, Output<'m>)> {
        let target = plan.arena_range(step.output).ok_or_else(|| misplaced(plan, step.output))?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
        if target.end > bytes.len() {
            return Err(misplaced(plan, step.output));
        }
        let copies: Vec<Option<Vec<u8>>> = step
            .inputs
            .iter()
            .map(|&id| plan.arena_range(id).filter(|r| r.start < target.end && target.start < r.end).map(|r| bytes[r].to_vec()))
            .collect();
        let (before, rest) = bytes.split_at_mut(target.start);
        let (output, after) = rest.split_at_mut(target.len());
        let (before, after): (&[u8], &[u8]) = (before, after);
        let inside = |range: Range<usize>| {
            if range.end <= before.len() {
                before.get(range)
            } else {
                after.get(range.start.checked_sub(target.end)?..range.end - target.end)
            }
        };
        let operands = step.inputs.iter().zip(copies).map(|(&id, copy)| {
            let bytes = match (copy, plan.arena_range(id)) {
                (Some(copy), _) => Cow::Owned(copy),
                (None, Some(range)) => Cow::Borrowed(inside(range).ok_or_else(|| misplaced(plan, id))?),
                (None, None) => Cow::Borrowed(constant_bytes(plan, id)?),
            };
            Ok(Operand { bytes, tensor: plan.tensor(id) })
        });
        let operands = operands.collect::<Result<_>>()?;
        Ok((operands, Output { bytes: output, tensor: plan.tensor(step.output) }))
    }

    /// A tensor's bytes, to be written.
    pub(super) fn bytes_mut(&mut self, plan: &Plan, id: TensorId) -> Result<&mut [u8]> {
        let range = plan.arena_range(id).ok_or_else(|| misplaced(plan, id))?;
        bytemuck::cast_slice_mut::<u64, u8>(&mut self.words).get_mut(range).ok_or_else(|| misplaced(plan, id))
    }

    /// A tensor's bytes.
    pub(super) fn bytes<'m>(&'m self, plan: &'m Plan, id: TensorId) -> Result<&'m [u8]> {
        match plan.arena_range(id) {
            Some(range) => bytemuck::cast_slice::<u64, u8>(&self.words).get(range).ok_or_else(|| misplaced(plan, id)),
            None => constant_bytes(plan, id),
        }
    }

    /// A tensor's elements without padding, in the plan's own axis order.
    ///
    /// # Errors
    /// [`Error::BadGraph`] if the tensor lies outside the arena: the plan is not this memory's.
    pub fn tensor(&self, plan: &Plan, id: TensorId) -> Result<Tensor> {
        let tensor = plan.tensor(id);
        let bytes = self.bytes(plan, id)?;
        let elements = match tensor.element {
            Element::F32 => Elements::F32(gathered(bytemuck::cast_slice(bytes), tensor)),
            Element::I8 => Elements::I8(gathered(bytemuck::cast_slice(bytes), tensor)),
            _ => Elements::U8(gathered(bytes, tensor)),
        };
        Ok(Tensor::new(tensor.shape.clone(), elements)?)
    }
}

impl Operand<'_> {
    pub(super) fn f32(&self) -> &[f32] {
        bytemuck::cast_slice(&self.bytes)
    }

    pub(super) fn quant(&self) -> Option<QuantParams> {
        self.tensor.quant
    }

    /// The rows as reals with padding to their own pitch, whatever they are stored as.
    pub(super) fn reals(&self) -> Vec<f32> {
        match self.quant() {
            None => padded(self.f32(), self.tensor, |x| x),
            Some(quant) if quant.signed => padded(&self.bytes, self.tensor, |b| quant.dequantize(b.cast_signed().into())),
            Some(quant) => padded(&self.bytes, self.tensor, |b| quant.dequantize(b.into())),
        }
    }

    /// All elements in memory order, padding included, as reals: for steps whose own strides say what they read.
    pub(super) fn span_reals(&self) -> Cow<'_, [f32]> {
        match self.quant() {
            None => Cow::Borrowed(self.f32()),
            Some(quant) if quant.signed => self.bytes.iter().map(|b| quant.dequantize(b.cast_signed().into())).collect(),
            Some(quant) => self.bytes.iter().map(|&b| quant.dequantize(b.into())).collect(),
        }
    }

    /// The rows as bytes with padding to their own pitch.
    pub(super) fn levels<B: Byte>(&self) -> Vec<B> {
        padded(&self.bytes, self.tensor, B::from_bits)
    }
}

impl Output<'_> {
    pub(super) fn f32(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.bytes)
    }

    /// Writes rows of reals with padding to their own pitch, quantizing if the tensor is bytes.
    pub(super) fn put_reals(&mut self, reals: &[f32]) {
        let tensor = self.tensor;
        match tensor.quant {
            None => put(self.f32(), tensor, reals, |x| x),
            Some(quant) => put(self.bytes, tensor, reals, |x| bits(quant, x)),
        }
    }

    /// Writes rows of bytes with padding to their own pitch.
    pub(super) fn put_levels<B: Byte>(&mut self, levels: &[B]) {
        put(self.bytes, self.tensor, levels, B::bits);
    }
}

/// The bits of a real's quantization.
pub(super) fn bits(quant: QuantParams, real: f32) -> u8 {
    let q = quant.quantize(real);
    if quant.signed { (q as i8).cast_unsigned() } else { q as u8 }
}

/// The rows of a tensor in memory, without padding.
pub(super) fn rows<'m, T>(span: &'m [T], tensor: &PlanTensor) -> impl Iterator<Item = &'m [T]> {
    let channels = tensor.channels();
    span.chunks(tensor.pitch).take(tensor.rows()).map(move |row| &row[..channels])
}

fn gathered<T: Copy>(span: &[T], tensor: &PlanTensor) -> Vec<T> {
    let mut out = Vec::with_capacity(tensor.rows() * tensor.channels());
    rows(span, tensor).for_each(|row| out.extend_from_slice(row));
    out
}

fn padded<T: Copy, U: Copy + Default>(span: &[T], tensor: &PlanTensor, f: impl Fn(T) -> U) -> Vec<U> {
    let pitch = fathom_core::ops::nn::pitch(tensor.channels());
    let mut out = Vec::with_capacity(tensor.rows() * pitch);
    for row in rows(span, tensor) {
        out.extend(row.iter().map(|&x| f(x)));
        out.resize(out.len().next_multiple_of(4), U::default());
    }
    out
}

fn put<T: Copy, U: Copy + Default>(span: &mut [U], tensor: &PlanTensor, values: &[T], f: impl Fn(T) -> U) {
    let channels = tensor.channels();
    let pitch = fathom_core::ops::nn::pitch(channels);
    for (row, from) in span.chunks_mut(tensor.pitch).zip(values.chunks(pitch)) {
        row[..channels].iter_mut().zip(from).for_each(|(to, &x)| *to = f(x));
        if tensor.pitch == pitch {
            row[channels..].fill(U::default());
        }
    }
}

fn constant_bytes(plan: &Plan, id: TensorId) -> Result<&[u8]> {
    let Place::Weight(weight) = plan.tensor(id).place else { return Err(misplaced(plan, id)) };
    match &plan.weight(weight).elements {
        Elements::F32(v) => Ok(bytemuck::cast_slice(v)),
        Elements::I8(v) => Ok(bytemuck::cast_slice(v)),
        Elements::U8(v) => Ok(v),
        Elements::I32(_) | Elements::I64(_) | Elements::Bool(_) => Err(misplaced(plan, id)),
    }
}

fn misplaced(plan: &Plan, id: TensorId) -> Error {
    let message = format!("lies at {:?}, which is outside its arena of {} bytes", plan.tensor(id).place, plan.arena_bytes);
    Error::BadGraph { place: format!("planned tensor {:?}", plan.tensor(id).name), message }
}
