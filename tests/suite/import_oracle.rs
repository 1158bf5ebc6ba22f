//! A real network against onnxruntime: `../shared/models/pydnetpp.onnx` on five photographs, through import and tract.
//!
//! In floats alone: of the same network with quantized numbers tract makes floats where onnxruntime keeps bytes (correlation
//! 0.9946), so there `plan_oracle` holds the plan, which is what the engine runs, to onnxruntime.

use std::path::Path;
use std::process::ExitCode;

use fathom_core::tensor::Tensor;
use fathom_runtime::network::import::{ImportOptions, import};
use fathom_runtime::network::tract::TractExecutor;
use fathom_tests::cases::{self, Case};
use fathom_tests::photographs::{FRAMES, PYDNETPP_CARD, rgb};
use fathom_tests::{onnxruntime, require};

fn main() -> ExitCode {
    let (data, models, python) = (require::shared("data/eval-dev"), require::shared("models"), require::onnxruntime());
    let case = |name: &str, file: &'static str, check: fn(&[f32], &[f32])| {
        let found = (data.clone().ok(), models.clone().ok(), python.clone().ok());
        let run = move || {
            let (Some(data), Some(models), Some(python)) = found else { panic!("run without what it needs") };
            compare(&data, &models.join(file), &python, check);
        };
        Case::new(name, run).needs(&data).needs(&models).needs(&python)
    };
    cases::run(vec![case("pydnetpp_in_floats_is_within_1e_4_of_the_range_of_onnxruntimes_answer", "pydnetpp.onnx", |ours, theirs| {
        let worst = differences(ours, theirs).fold(0.0, f64::max);
        eprintln!("largest difference {worst:.2e} of the range");
        assert!(worst <= 1e-4, "{worst}");
    })])
}

fn compare(data: &Path, model: &Path, python: &Path, check: fn(&[f32], &[f32])) {
    let images: Vec<Tensor> = FRAMES.iter().map(|frame| rgb(&data.join(frame), 640, 448).unwrap()).collect();
    let theirs = onnxruntime::first_outputs(python, model, &images).unwrap();
    let imported =
        import(&std::fs::read(model).unwrap(), ImportOptions { card_toml: Some(PYDNETPP_CARD), ..ImportOptions::default() }).unwrap();
    let mut executor = TractExecutor::new(&imported.graph).unwrap();
    for (image, theirs) in images.iter().zip(theirs) {
        check(executor.run(image).unwrap()[0].as_f32().unwrap(), &theirs);
    }
}

/// Absolute differences as shares of the range of `theirs`.
fn differences<'a>(ours: &'a [f32], theirs: &'a [f32]) -> impl Iterator<Item = f64> {
    assert_eq!(ours.len(), theirs.len());
    let (low, high) = theirs.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    assert!(high > low, "a flat answer proves nothing");
    ours.iter().zip(theirs).map(move |(a, b)| f64::from((a - b).abs()) / f64::from(high - low))
}
