//! The text of plans, against `tests/goldens/plans/*.txt`.
//!
//! No test writes a golden. `cargo run --release -p fathom-runtime --example plan -- fixtures/onnx/valid/NAME.onnx` prints a plan; a
//! person reads it, says why it is right, and copies it.

use fathom_runtime::network::import::{ImportOptions, import};
use fathom_runtime::network::lower::lower;
use fathom_tests::require::fixture;

#[test]
fn a_quantized_network_becomes_integer_steps_and_tables() {
    assert_golden("qdq_axis_i8");
}

#[test]
fn a_qlinear_network_plans_as_its_qdq_twin_does() {
    assert_golden("qoperator");
}

#[test]
fn attention_becomes_strided_products_without_copies() {
    assert_golden("attention17");
}

fn assert_golden(name: &str) {
    let bytes = std::fs::read(fixture(&format!("onnx/valid/{name}.onnx"))).unwrap();
    let model = import(&bytes, ImportOptions::default()).unwrap();
    let printed = lower(&model.graph).unwrap().to_string();
    let path = format!("{}/goldens/plans/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    for (n, (ours, theirs)) in printed.lines().zip(golden.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {} of {path}", n + 1);
    }
    assert_eq!(printed.lines().count(), golden.lines().count(), "{path}");
}
