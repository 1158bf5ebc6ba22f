//! What must hold of every plan's memory, over the fixtures and the embedded network.

use std::collections::HashSet;
use std::path::PathBuf;

use fathom_runtime::network::import::{ImportOptions, import};
use fathom_runtime::network::lower::lower;
use fathom_runtime::network::plan::{ALIGNMENT_BYTES, Place, Plan, TensorId};
use fathom_tests::{fixtures, require};

#[test]
fn tensors_alive_at_the_same_time_never_share_bytes() {
    for (name, plan) in plans() {
        let owners: Vec<TensorId> =
            (0..plan.tensors.len()).map(TensorId).filter(|&id| matches!(plan.tensor(id).place, Place::Arena { .. })).collect();
        for (i, &a) in owners.iter().enumerate() {
            let (x, range) = (plan.tensor(a), plan.arena_range(a).unwrap());
            assert!(range.start.is_multiple_of(ALIGNMENT_BYTES) && range.end <= plan.arena_bytes, "{name}: {}", plan.describe(a));
            for &b in &owners[i + 1..] {
                let (y, other) = (plan.tensor(b), plan.arena_range(b).unwrap());
                let together = x.live.start < y.live.end && y.live.start < x.live.end;
                let overlap = range.start < other.end && other.start < range.end;
                assert!(!(together && overlap), "{name}: {} and {}", plan.describe(a), plan.describe(b));
            }
        }
    }
}

#[test]
fn every_operand_was_written_before_and_is_alive() {
    for (name, plan) in plans() {
        let mut written: HashSet<TensorId> = HashSet::from([plan.whole(plan.input.tensor).0]);
        for (n, step) in plan.steps.iter().enumerate() {
            for &id in &step.inputs {
                let (whole, _) = plan.whole(id);
                if matches!(plan.tensor(whole).place, Place::Weight(_)) {
                    continue;
                }
                assert!(written.contains(&whole), "{name}, step {n}: {} is read before it is written", plan.describe(id));
                assert!(plan.tensor(whole).live.contains(&n), "{name}, step {n}: {} is dead", plan.describe(id));
            }
            written.insert(plan.whole(step.output).0);
        }
        for port in &plan.outputs {
            assert!(written.contains(&plan.whole(port.tensor).0), "{name}: an output is never written");
        }
    }
}

#[test]
fn parts_lie_within_their_wholes_and_do_not_overlap_one_another_in_a_row() {
    for (name, plan) in plans() {
        for id in (0..plan.tensors.len()).map(TensorId) {
            let Place::Part { of, offset } = plan.tensor(id).place else { continue };
            assert!(!matches!(plan.tensor(of).place, Place::Part { .. }), "{name}: a part of a part");
            assert!(offset.is_multiple_of(4), "{name}: {}", plan.describe(id));
            let (part, whole) = (plan.arena_range(id).unwrap(), plan.arena_range(of).unwrap());
            assert!(whole.start <= part.start && part.end <= whole.end, "{name}: {} in {}", plan.describe(id), plan.describe(of));
        }
    }
}

#[test]
fn the_arena_is_at_most_15_percent_above_its_lower_bound() {
    for (name, plan) in plans() {
        assert!(plan.arena_bytes >= plan.arena_lower_bound_bytes, "{name}: a bound above the arena");
        // Tiny fixtures are dominated by rounding to the alignment.
        if plan.arena_bytes > 100 * ALIGNMENT_BYTES {
            let share = plan.arena_bytes as f64 / plan.arena_lower_bound_bytes as f64;
            assert!(share <= 1.15, "{name}: {} bytes, bound {}", plan.arena_bytes, plan.arena_lower_bound_bytes);
        }
    }
}

/// Every importable fixture, and the embedded network.
fn plans() -> Vec<(String, Plan)> {
    let mut files = fixtures::networks("valid").unwrap();
    files.push(("embedded".into(), require::fixture("models").join("fathom-small.int8.onnx")));
    files.into_iter().map(|(name, path)| (name, plan(&path))).collect()
}

fn plan(path: &PathBuf) -> Plan {
    let model = import(&std::fs::read(path).unwrap(), ImportOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    lower(&model.graph).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
