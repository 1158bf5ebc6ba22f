//! The last pass: lifetimes, places in the arena, costs.

use fathom_core::ops::nn::pitch;

use super::emit::Emitted;
use crate::network::plan::{Cost, Place, Plan, PlanTensor, Step, StepOp, Weight, place};

/// Places the emitted tensors and makes the plan.
pub(super) fn settle(mut emitted: Emitted) -> Plan {
    lifetimes(&mut emitted);
    let owners: Vec<usize> = (0..emitted.tensors.len()).filter(|&i| matches!(emitted.tensors[i].place, Place::Arena { .. })).collect();
    let items: Vec<_> = owners.iter().map(|&i| (emitted.tensors[i].bytes(), emitted.tensors[i].live.clone())).collect();
    let arena = place(&items);
    for (&i, &offset_bytes) in owners.iter().zip(&arena.offsets_bytes) {
        emitted.tensors[i].place = Place::Arena { offset_bytes };
    }
    for step in &mut emitted.steps {
        step.cost = cost(step, &emitted.tensors, &emitted.weights);
    }
    Plan {
        tensors: emitted.tensors,
        weights: emitted.weights,
        steps: emitted.steps,
        input: emitted.input,
        outputs: emitted.outputs,
        arena_bytes: arena.bytes,
        arena_lower_bound_bytes: arena.lower_bound_bytes,
    }
}

/// From a tensor's first writer (0 for the image) to one past its last reader; outputs live to the end.
fn lifetimes(emitted: &mut Emitted) {
    let Emitted { tensors, steps, input, outputs, .. } = emitted;
    let root = |tensors: &[PlanTensor], i: usize| match tensors[i].place {
        Place::Part { of, .. } => of.0,
        Place::Arena { .. } | Place::Weight(_) => i,
    };
    let end = steps.len() + 1;
    let mut touch = |i: usize, from: usize, to: usize| {
        let i = root(tensors, i);
        if matches!(tensors[i].place, Place::Arena { .. }) {
            let live = &mut tensors[i].live;
            *live = if live.start == live.end { from..to } else { live.start.min(from)..live.end.max(to) };
        }
    };
    touch(input.tensor.0, 0, 1);
    for (n, step) in steps.iter().enumerate() {
        step.inputs.iter().chain([&step.output]).for_each(|id| touch(id.0, n, n + 1));
    }
    outputs.iter().for_each(|port| touch(port.tensor.0, end - 2, end - 1));
}

fn cost(step: &Step, tensors: &[PlanTensor], weights: &[Weight]) -> Cost {
    let tensor_bytes = |i: usize| {
        let tensor = &tensors[i];
        (tensor.rows() * pitch(tensor.channels()) * tensor.element.bytes()) as u64
    };
    let elements = |i: usize| tensors[i].shape.iter().product::<usize>() as u64;
    let constant = step.op.weights().map_or(0, |id| {
        let elements = &weights[id.0].elements;
        (elements.len() * elements.element().bytes()) as u64
    });
    let macs = match &step.op {
        StepOp::Conv { conv, .. } => conv.macs(),
        StepOp::ConvTranspose { conv, .. } => conv.macs(),
        StepOp::MatMul(step) => step.product.macs(),
        StepOp::Pool(pool) => elements(step.output.0) * (pool.window.kernel[0] * pool.window.kernel[1]) as u64,
        StepOp::Resize { resize, .. } => elements(step.output.0) * (resize.tap_count() * resize.tap_count()) as u64,
        StepOp::Reduce(_) => elements(step.inputs[0].0),
        _ => elements(step.output.0),
    };
    let integer = matches!(step.op.arithmetic(), Some(crate::network::plan::Arithmetic::Bytes { .. }));
    let read = step.inputs.iter().map(|id| tensor_bytes(id.0)).sum::<u64>() + constant + step.op.constant_bytes() as u64;
    Cost { macs, integer, read_bytes: read, written_bytes: tensor_bytes(step.output.0) }
}
