//! Step by step: bytes that follow from integer sums are the reference's bit for bit; floats stay close.

use std::collections::HashMap;
use std::sync::Arc;

use fathom_core::tensor::{Element, Elements};
use fathom_gpu::Gpu;
use fathom_runtime::network::cpu::ReferenceExecutor;
use fathom_runtime::network::gpu::{GpuExecutor, Tactic, Tactics};
use fathom_runtime::network::plan::{Arithmetic, Plan, PlanTensor, Step, StepOp};
use fathom_tests::cases::Case;
use fathom_tests::require::{Missing, shared};

use crate::{embedded, on, picture, planned};

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    let pydnet = shared("models/pydnetpp.qdq.onnx");
    let path = pydnet.clone().unwrap_or_default();
    vec![
        on(gpu, "the embedded network is the reference's step by step", |gpu| {
            check(&embedded(), &gpu, None);
        }),
        on(gpu, "the embedded network is the reference's with plain kernels alone", |gpu| {
            check(&embedded(), &gpu, Some(Tactic::Plain));
        }),
        on(gpu, "PyDNet++ is the reference's step by step", move |gpu| check(&planned(&path), &gpu, None)).needs(&pydnet),
    ]
}

/// Holds every step of a plan to the reference's.
pub(crate) fn check(plan: &Arc<Plan>, gpu: &Arc<Gpu>, tactic: Option<Tactic>) {
    let mut executor = GpuExecutor::new(Arc::clone(plan), Arc::clone(gpu)).unwrap();
    if let Some(tactic) = tactic {
        executor.use_tactics(Tactics::new(vec![tactic; plan.steps.len()])).unwrap();
    }
    let image = picture(plan, 1);
    let mut observed: HashMap<usize, Vec<u8>> = HashMap::new();
    executor.run_observed(&image, &mut |step, bytes| drop(observed.insert(step, bytes.to_vec()))).unwrap();
    // A pooled head is three steps in one launch, and small maps are computed in pairs.
    assert!(observed.len() + 10 >= plan.steps.len(), "{} of {} steps observed", observed.len(), plan.steps.len());
    let mut reference = ReferenceExecutor::new(Arc::clone(plan));
    let outputs = reference.run_observed(&image, &mut |index, memory| {
        let Some(bytes) = observed.get(&index) else { return };
        let step = &plan.steps[index];
        let expected = memory.tensor(plan, step.output).unwrap();
        compare(plan.tensor(step.output), step, index, bytes, expected.elements());
    });
    let got = executor.run(&image).unwrap();
    for (got, want) in got.iter().zip(outputs.unwrap()) {
        assert_eq!(got.shape(), want.shape());
        let largest = want.as_f32().unwrap().iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        for (got, want) in got.as_f32().unwrap().iter().zip(want.as_f32().unwrap()) {
            assert!((got - want).abs() <= FLOAT_SHARE * largest, "{got} instead of {want}");
        }
    }
}

/// Share of the largest value by which float steps may differ: sums in another order through a whole network.
const FLOAT_SHARE: f32 = 1e-5;

fn compare(tensor: &PlanTensor, step: &Step, index: usize, bytes: &[u8], expected: &Elements) {
    let at = |i: usize| i / tensor.channels() * tensor.pitch + i % tensor.channels();
    let name = format!("step {index} ({} {:?})", step.op.name(), step.name);
    if let Elements::F32(expected) = expected {
        let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        for (i, want) in expected.iter().enumerate() {
            let got = f32::from_le_bytes(bytes[4 * at(i)..4 * at(i) + 4].try_into().unwrap());
            assert!((got - want).abs() <= FLOAT_SHARE * largest, "{name}: element {i} is {got} instead of {want}");
        }
        return;
    }
    // Quotients and interpolation round in floats before they become bytes.
    let steps = if is_integer(step) { 0 } else { 1 };
    let number = |bits: u8| if tensor.element == Element::I8 { i32::from(bits.cast_signed()) } else { i32::from(bits) };
    let expected: Vec<i32> = match expected {
        Elements::U8(v) => v.iter().map(|&b| i32::from(b)).collect(),
        Elements::I8(v) => v.iter().map(|&b| i32::from(b)).collect(),
        other => panic!("{name} yields {}", other.element().name()),
    };
    for (i, want) in expected.iter().enumerate() {
        let got = number(bytes[at(i)]);
        assert!((got - want).abs() <= steps, "{name}: element {i} is {got} instead of {want}");
    }
}

fn is_integer(step: &Step) -> bool {
    match (&step.op, step.op.arithmetic()) {
        (_, Some(arithmetic)) => matches!(arithmetic, Arithmetic::Bytes { .. }),
        (StepOp::Table(_) | StepOp::ByteSum { .. } | StepOp::ByteProduct { .. } | StepOp::Copy { .. } | StepOp::Pad(_), None) => true,
        _ => false,
    }
}
