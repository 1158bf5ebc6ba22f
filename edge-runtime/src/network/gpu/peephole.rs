//! Steps that one launch computes together: a dispatch costs more than the arithmetic of a few small steps.

use std::ops::Range;

use fathom_core::ops::nn::reduce::{Reduce, Reduction};
use fathom_core::tensor::{Element, Elements};
use fathom_gpu::nn::conv_bytes::ByteConv;
use fathom_gpu::nn::conv_separable::{self, Separable};
use fathom_gpu::nn::epilogue::Finish;
use fathom_gpu::nn::pooled_head::{self, Layer};

use super::tasks::{Bind, Task, lay, operand};
use crate::network::plan::{Arithmetic, ByteArithmetic, MatMulStep, Place, Plan, Step, StepOp, TensorId};

/// A launch for several steps.
pub(super) struct Fused {
    /// The step at whose place it runs: the first of them.
    pub(super) at: usize,
    /// The steps it replaces, in order.
    pub(super) steps: Vec<usize>,
    /// The launch.
    pub(super) task: Task,
}

/// Every launch for several steps. `floats`: whether byte products are best summed in floats.
pub(super) fn fused(plan: &Plan, floats: bool) -> Vec<Fused> {
    let ends = 0..plan.steps.len();
    ends.filter_map(|last| pooled_head(plan, last).or_else(|| separable(plan, last, floats))).collect()
}

/// A depthwise convolution and the pointwise one that reads it, where the map is small.
fn separable(plan: &Plan, last: usize, floats: bool) -> Option<Fused> {
    let pointwise = byte_conv(plan, last)?;
    let output = pointwise.conv.output();
    if output.height * output.width > SMALL_MAP {
        return None;
    }
    let middle = plan.steps[last].inputs[0];
    let first = sole_producer(plan, middle)?;
    let depthwise = byte_conv(plan, first)?;
    let (source, out) = (plan.steps[first].inputs[0], plan.steps[last].output);
    if !is_free(plan, out, first..last, &[middle]) {
        return None;
    }
    let prepared = conv_separable::prepare(&Separable { depthwise, pointwise }, floats)?;
    // Without a residual the output stands in for it.
    let residual = plan.steps[last].inputs.get(1).copied().unwrap_or(out);
    let task = Task { prepared, binds: [source, residual, out].map(Bind::Tensor).to_vec() };
    Some(Fused { at: first, steps: vec![first, last], task })
}

/// Pixels of a map that one launch computes in less time than it takes to launch another: 6 workgroups of it do not fill a GPU.
const SMALL_MAP: usize = 64;

/// The step as a convolution of bytes to bytes.
fn byte_conv(plan: &Plan, step: usize) -> Option<ByteConv<'_>> {
    let Step { op: StepOp::Conv { conv, weights, arithmetic }, inputs, output, .. } = &plan.steps[step] else { return None };
    let Arithmetic::Bytes { zero_a, result: ByteArithmetic::Byte(epilogue), .. } = arithmetic else { return None };
    let Elements::I8(weights) = &plan.weight(*weights).elements else { return None };
    let is_signed = |id: TensorId| plan.tensor(id).element == Element::I8;
    let finish = Finish::Byte { epilogue, signed: is_signed(*output) };
    let residual = if epilogue.residual.is_some() { *inputs.last()? } else { *output };
    let [source, residual, target] = [inputs[0], residual, *output].map(|id| lay(plan, id));
    let signed = is_signed(inputs[0]);
    finish.fits().then_some(ByteConv { conv: *conv, weights, signed, zero_point: *zero_a, finish, source, residual, target })
}

/// A pooled head: the mean over an image, read by one layer of one row, read by another.
fn pooled_head(plan: &Plan, last: usize) -> Option<Fused> {
    let second = layer(plan, last)?;
    let middle = sole_producer(plan, plan.steps[last].inputs[0])?;
    let first = layer(plan, middle)?;
    let start = sole_producer(plan, plan.steps[middle].inputs[0])?;
    let StepOp::Reduce(mean) = &plan.steps[start].op else { return None };
    let source = plan.steps[start].inputs[0];
    let [pixels, channels] = over_the_image(plan, mean, source)?;
    let (mean_tensor, out) = (plan.steps[start].output, plan.steps[last].output);
    if !is_free(plan, out, start..last, &[mean_tensor, plan.steps[middle].output]) || plan.tensor(plan.steps[middle].output).quant.is_some()
    {
        return None;
    }
    let operands = [source, mean_tensor, out].map(|id| operand(plan, id));
    let prepared = pooled_head::prepare(pixels, channels, &operands[0], &operands[1], [first, second], &operands[2])?;
    let task = Task { prepared, binds: vec![Bind::Tensor(source), Bind::Tensor(out)] };
    Some(Fused { at: start, steps: vec![start, middle, last], task })
}

/// The step as a fully connected layer of one row with constant weights.
fn layer(plan: &Plan, step: usize) -> Option<Layer<'_>> {
    let StepOp::MatMul(matmul) = &plan.steps[step].op else { return None };
    let MatMulStep { product, weights, alpha, arithmetic } = &**matmul;
    let one_row = product.batch == [1, 1] && product.rows == 1 && product.a.column == 1 && [product.a.offset, product.out.offset] == [0, 0];
    let (Arithmetic::Float(epilogue), Some(weights), true) = (arithmetic, weights, one_row) else { return None };
    let Elements::F32(weights) = &plan.weight(*weights).elements else { return None };
    Some(Layer { weights, epilogue, alpha: *alpha })
}

/// The one step that writes a tensor which one step reads and which is no output.
fn sole_producer(plan: &Plan, id: TensorId) -> Option<usize> {
    let readers = plan.steps.iter().flat_map(|step| &step.inputs).filter(|input| plan.whole(**input).0 == id).count();
    let is_output = plan.outputs.iter().any(|port| plan.whole(port.tensor).0 == id);
    let mut writers = (0..plan.steps.len()).filter(|&step| plan.whole(plan.steps[step].output).0 == id);
    let writer = writers.next()?;
    (readers == 1 && !is_output && writers.next().is_none() && plan.steps[writer].output == id).then_some(writer)
}

/// Pixels and channels, if the reduction is the mean over all pixels of a map.
fn over_the_image(plan: &Plan, reduce: &Reduce, source: TensorId) -> Option<[usize; 2]> {
    let tensor = plan.tensor(source);
    let [pixels, channels] = [tensor.rows(), tensor.channels()];
    // Pixels lie one pitch apart, so any walk over all of them with such strides is this one.
    let along = reduce.reduced.iter().zip(reduce.reduced_strides).filter(|(n, _)| **n > 1);
    let mut next = reduce.count() * tensor.pitch;
    let in_order = along.into_iter().all(|(n, stride)| {
        next /= n;
        stride == next
    });
    let per_channel = reduce.kept.iter().product::<usize>() == channels
        && reduce.kept.iter().zip(reduce.input).zip(reduce.out).all(|((n, from), to)| *n == 1 || [from, to] == [1, 1]);
    (reduce.reduction == Reduction::Mean && reduce.count() == pixels && in_order && per_channel).then_some([pixels, channels])
}

/// Whether nothing else uses a tensor's memory during `steps`, those that are no longer written aside.
fn is_free(plan: &Plan, id: TensorId, steps: Range<usize>, gone: &[TensorId]) -> bool {
    let Some(own) = plan.arena_range(id) else { return false };
    let owns_memory = matches!(plan.tensor(id).place, Place::Arena { .. });
    owns_memory
        && (0..plan.tensors.len()).map(TensorId).filter(|other| *other != id && !gone.contains(other)).all(|other| {
            let live = &plan.tensor(other).live;
            let apart = plan.arena_range(other).is_none_or(|range| range.end <= own.start || own.end <= range.start);
            apart || live.end <= steps.start || steps.end < live.start
        })
}
