//! One plan on two executors, step by step: where does the GPU first say something else than the CPU?
//!
//! Both run the whole plan on their own arenas, so a difference is carried on; the first step that differs is the culprit.

use std::collections::BTreeMap;

use fathom_core::tensor::{Element, Elements, Tensor};

use super::cpu::CpuExecutor;
use super::gpu::GpuExecutor;
use super::plan::{Plan, PlanTensor};
use crate::Result;

/// Share of a step's range by which floats of two executors may differ: sums of a few thousand terms in another order.
pub const FLOAT_TOLERANCE: f64 = 1e-4;

/// What two executors made of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepDifference {
    /// Index in the plan.
    pub index: usize,
    /// Name of the step.
    pub name: String,
    /// Its operation.
    pub op: &'static str,
    /// Element type of its output.
    pub element: &'static str,
    /// Elements of its output.
    pub elements: usize,
    /// How many of them are not equal.
    pub differing: usize,
    /// Largest difference, in the output's own numbers: steps of a byte, or reals.
    pub largest: f64,
    /// Largest minus smallest value on the CPU.
    pub range: f64,
}

impl StepDifference {
    /// Whether the difference is more than the order of float sums explains; bytes must be equal.
    #[must_use]
    pub fn matters(&self) -> bool {
        if self.element == Element::F32.name() { self.largest > FLOAT_TOLERANCE * self.range } else { self.differing > 0 }
    }
}

/// Runs both executors on one normalised image. Steps that the GPU computes within another's launch are left out.
///
/// # Errors
/// What either executor says; [`crate::Error::Core`] if `image` is not the plan's input.
pub fn compare(plan: &Plan, image: &Tensor, cpu: &mut CpuExecutor, gpu: &mut GpuExecutor) -> Result<Vec<StepDifference>> {
    let mut seen: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    gpu.run_observed(image, &mut |index, bytes| {
        seen.insert(index, unpadded(bytes, plan.tensor(plan.steps[index].output)));
    })?;
    let mut differences = Vec::new();
    let mut failure = None;
    cpu.run_observed(image, &mut |index, memory| {
        let Some(on_gpu) = seen.remove(&index) else { return };
        let step = &plan.steps[index];
        match memory.tensor(plan, step.output) {
            Ok(tensor) => differences.push(StepDifference {
                index,
                name: step.name.clone(),
                op: step.op.name(),
                element: tensor.element().name(),
                ..difference(&reals(tensor.elements()), &on_gpu)
            }),
            Err(error) => failure = Some(error),
        }
    })?;
    failure.map_or(Ok(differences), Err)
}

fn difference(on_cpu: &[f64], on_gpu: &[f64]) -> StepDifference {
    let (mut differing, mut largest) = (on_cpu.len().abs_diff(on_gpu.len()), 0.0_f64);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (a, b) in on_cpu.iter().zip(on_gpu) {
        (low, high) = (low.min(*a), high.max(*a));
        if a != b {
            differing += 1;
            // A NaN on one side must not hide: `max` would drop it.
            largest = if (a - b).is_nan() { f64::INFINITY } else { largest.max((a - b).abs()) };
        }
    }
    StepDifference {
        index: 0,
        name: String::new(),
        op: "",
        element: "",
        elements: on_cpu.len(),
        differing,
        largest,
        range: if high >= low { high - low } else { 0.0 },
    }
}

/// The elements of a tensor as the GPU holds it, its rows' padding left out.
fn unpadded(bytes: &[u8], tensor: &PlanTensor) -> Vec<f64> {
    let rows = bytes.chunks(tensor.pitch * tensor.element.bytes());
    let row = |row: &[u8]| -> Vec<f64> {
        match tensor.element {
            Element::F32 => row.as_chunks().0.iter().map(|&word| f64::from(f32::from_le_bytes(word))).collect(),
            Element::I8 => row.iter().map(|byte| f64::from(byte.cast_signed())).collect(),
            _ => row.iter().map(|&byte| f64::from(byte)).collect(),
        }
    };
    rows.take(tensor.rows()).flat_map(|bytes| row(bytes).into_iter().take(tensor.channels())).collect()
}

fn reals(elements: &Elements) -> Vec<f64> {
    match elements {
        Elements::F32(values) => values.iter().map(|&v| v.into()).collect(),
        Elements::I8(values) => values.iter().map(|&v| v.into()).collect(),
        Elements::U8(values) => values.iter().map(|&v| v.into()).collect(),
        Elements::I32(values) => values.iter().map(|&v| v.into()).collect(),
        Elements::I64(values) => values.iter().map(|&v| v as f64).collect(),
        Elements::Bool(values) => values.iter().map(|&v| f64::from(u8::from(v))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::plan::{Place, TensorId};

    #[test]
    fn padding_of_rows_is_not_compared() {
        let place = Place::Part { of: TensorId(0), offset: 0 };
        let tensor = PlanTensor { name: String::new(), element: Element::I8, shape: vec![2, 3], pitch: 4, quant: None, place, live: 0..1 };
        assert_eq!(unpadded(&[1, 2, 3, 99, 255, 5, 6, 99], &tensor), [1.0, 2.0, 3.0, -1.0, 5.0, 6.0]);
    }

    #[test]
    fn a_nan_on_one_side_is_an_infinite_difference() {
        let found = difference(&[1.0, 2.0], &[1.0, f64::NAN]);
        assert_eq!((found.differing, found.largest), (1, f64::INFINITY));
        let found = StepDifference { element: "f32", ..difference(&[0.0, 1000.0], &[0.01, 1000.0]) };
        assert!(!found.matters(), "0.01 of a range of 1000 is a rounding");
        assert!(StepDifference { element: "u8", ..found }.matters(), "bytes must be equal");
    }
}
