//! The networks that users bring (`fixtures/networks/make.py`), fp32 and QDQ: imported, planned, run on the CPU, and held to
//! onnxruntime. Ignored, visibly, where they have not been made.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use fathom_core::tensor::Tensor;
use fathom_runtime::network::cpu::CpuExecutor;
use fathom_runtime::network::import::{ImportOptions, Model, import};
use fathom_runtime::network::lower::lower;
use fathom_tests::cases::{self, Case};
use fathom_tests::require::{self, Missing};
use fathom_tests::{fixtures, onnxruntime};

const NETWORKS: [&str; 6] =
    ["fastdepth", "midas-v21-small", "lite-mono", "leres-resnet50", "depth-anything-v2-small-252x252", "depth-anything-v2-small-518x392"];

fn main() -> ExitCode {
    let python = require::onnxruntime();
    let mut cases = Vec::new();
    for name in NETWORKS {
        for (form, bound) in [("fp32", FLOATS), ("qdq", BYTES)] {
            let file = generated(&if form == "fp32" { format!("{name}.onnx") } else { format!("{name}.{form}.onnx") });
            let path = file.clone().ok();
            let imported = move || drop(load(&path.expect("run without its file")));
            cases.push(Case::new(format!("{name}_in_{form}_imports_and_plans"), imported).needs(&file));
            let found = (file.clone().ok(), python.clone().ok());
            let run = move || {
                let (Some(path), Some(python)) = found else { panic!("run without what it needs") };
                compare(&path, &python, bound);
            };
            cases.push(Case::new(format!("{name}_in_{form}_agrees_with_onnxruntime"), run).needs(&file).needs(&python));
        }
    }
    cases::run(cases)
}

/// Bounds on the mean and the largest difference, as shares of the answer's range.
#[derive(Clone, Copy)]
struct Bound {
    mean: f32,
    largest: f32,
}

/// Floats in another order of summation, through up to 150 layers.
const FLOATS: Bound = Bound { mean: 1e-4, largest: 1e-3 };
/// Bytes: onnxruntime computes what it cannot fuse in floats between bytes, and a byte that rounds the other way travels on.
const BYTES: Bound = Bound { mean: 0.01, largest: 0.15 };

fn generated(file: &str) -> Result<PathBuf, Missing> {
    let path = require::fixture("networks/generated").join(file);
    if path.exists() {
        Ok(path)
    } else {
        Err(Missing { why: format!("{file} has not been made by fixtures/networks/make.py"), required: false })
    }
}

fn load(path: &Path) -> (Model, CpuExecutor) {
    let model = import(&std::fs::read(path).unwrap(), ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let plan = lower(&model.graph).unwrap_or_else(|e| panic!("{e}"));
    (model, CpuExecutor::new(Arc::new(plan), 2).unwrap())
}

/// A picture with structure at every scale, about zero.
fn picture(shape: &[usize]) -> Tensor {
    let noise = fixtures::image(shape).unwrap();
    let width = shape[3];
    let smooth = |i: usize| ((i / width) as f32 * 0.05).sin() + ((i % width) as f32 * 0.03).cos();
    let values = noise.as_f32().unwrap().iter().enumerate().map(|(i, n)| smooth(i) + 0.3 * n).collect();
    Tensor::f32(shape.to_vec(), values).unwrap()
}

fn compare(path: &Path, python: &Path, bound: Bound) {
    let (model, mut executor) = load(path);
    let image = picture(&model.graph.value(model.graph.input).shape);
    let ours = executor.run(&image).unwrap();
    let ours = ours[0].as_f32().unwrap();
    let theirs = &onnxruntime::first_outputs(python, path, &[image]).unwrap()[0];
    assert_eq!(ours.len(), theirs.len());
    let (low, high) = theirs.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    assert!(high > low, "a flat answer proves nothing");
    let differences = || ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / (high - low));
    let mean = differences().sum::<f32>() / ours.len() as f32;
    let largest = differences().fold(0.0, f32::max);
    eprintln!("{}: mean {mean:.2e}, largest {largest:.2e} of the range", path.file_stem().unwrap_or_default().to_string_lossy());
    assert!(mean <= bound.mean && largest <= bound.largest, "mean {mean}, largest {largest} of the range");
}
