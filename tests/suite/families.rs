//! The networks that users bring (`fixtures/networks/make.py`), fp32 and QDQ: imported, planned, run on the CPU and the GPU,
//! and held to onnxruntime. Ignored, visibly, where they have not been made; `FATHOM_FAMILY_TESTS=required` insists on those that are
//! made and run in a minute.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use fathom_core::tensor::Tensor;
use fathom_runtime::network::cpu::CpuExecutor;
use fathom_runtime::network::import::{ImportOptions, Model, import};
use fathom_runtime::network::lower::lower;
use fathom_runtime::network::plan::Plan;
use fathom_tests::cases::{self, Case};
use fathom_tests::fixtures;
use fathom_tests::onnxruntime::{self, Optimisation};
use fathom_tests::require::{self, Missing};

/// Each with whether it is small enough for every run of the suites.
const NETWORKS: [(&str, bool); 6] = [
    ("fastdepth", true),
    ("midas-v21-small", true),
    ("lite-mono", true),
    ("depth-anything-v2-small-252x252", true),
    ("leres-resnet50", false),
    ("depth-anything-v2-small-518x392", false),
];

fn main() -> ExitCode {
    let python = require::onnxruntime();
    #[cfg(feature = "gpu")]
    let gpu = fathom_tests::gpu::open();
    let mut cases = Vec::new();
    for (name, is_small) in NETWORKS {
        for (form, check) in [("fp32", floats as fn(&Answers)), ("qdq", bytes)] {
            let file = if form == "fp32" { format!("{name}.onnx") } else { format!("{name}.{form}.onnx") };
            let file = generated(&file, is_small && require::insisted("FATHOM_FAMILY_TESTS"));
            let path = file.clone().ok();
            let imported = move || drop(load(&path.expect("run without its file")));
            cases.push(Case::new(format!("{name}_in_{form}_imports_and_plans"), imported).needs(&file));
            let found = (file.clone().ok(), python.clone().ok());
            let run = move || {
                let (Some(path), Some(python)) = found else { panic!("run without what it needs") };
                check(&answers(&path, &python, on_cpu));
            };
            cases.push(Case::new(format!("{name}_in_{form}_agrees_with_onnxruntime"), run).needs(&file).needs(&python));
            #[cfg(feature = "gpu")]
            cases.push(on_gpu(&format!("{name}_in_{form}_agrees_with_onnxruntime_on_the_gpu"), check, [&file, &python], &gpu));
        }
    }
    cases::run(cases)
}

/// Largest difference in floats, as a share of the answer's range: other orders of summation, through up to 150 layers.
const FLOATS: f32 = 1e-4;

/// In bytes, a value that rounds the other way travels on through a network of random weights: onnxruntime's own answers,
/// optimised and not, lie this far apart (mean of the range): FastDepth 0, MiDaS 3.8e-2, Lite-Mono 4.1e-2, Depth Anything 1.3e-2.
/// Fathom must lie no farther from the optimised answer than the plain one does, nearly.
const SPREAD: f32 = 1.3;

/// What is left where onnxruntime agrees with itself: one byte in a hundred rounds the other way.
const ROUNDING: f32 = 5e-4;

fn generated(file: &str, required: bool) -> Result<PathBuf, Missing> {
    let path = require::fixture("networks/generated").join(file);
    if path.exists() { Ok(path) } else { Err(Missing { why: format!("{file} has not been made by fixtures/networks/make.py"), required }) }
}

fn load(path: &Path) -> (Model, Arc<Plan>) {
    let model = import(&std::fs::read(path).unwrap(), ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let plan = lower(&model.graph).unwrap_or_else(|e| panic!("{e}"));
    (model, Arc::new(plan))
}

fn on_cpu(plan: Arc<Plan>, image: &Tensor) -> Vec<Tensor> {
    CpuExecutor::new(plan, 2).unwrap().run(image).unwrap()
}

#[cfg(feature = "gpu")]
type Device = Result<Arc<fathom_gpu::Gpu>, Missing>;

/// A case that runs on the device, if there is one.
#[cfg(feature = "gpu")]
fn on_gpu(name: &str, check: fn(&Answers), [file, python]: [&Result<PathBuf, Missing>; 2], gpu: &Device) -> Case {
    let found = (file.clone().ok(), python.clone().ok(), gpu.clone().ok());
    let run = move || {
        let (Some(path), Some(python), Some(gpu)) = found else { panic!("run without what it needs") };
        let run = |plan, image: &Tensor| {
            let mut executor = fathom_runtime::network::gpu::GpuExecutor::new(plan, gpu).unwrap_or_else(|e| panic!("{e}"));
            executor.run(image).unwrap_or_else(|e| panic!("{e}"))
        };
        check(&answers(&path, &python, run));
    };
    Case::new(name, run).needs(file).needs(python).needs(gpu)
}

/// A picture with structure at every scale, about zero.
fn picture(shape: &[usize]) -> Tensor {
    let noise = fixtures::image(shape).unwrap();
    let width = shape[3];
    let smooth = |i: usize| ((i / width) as f32 * 0.05).sin() + ((i % width) as f32 * 0.03).cos();
    let values = noise.as_f32().unwrap().iter().enumerate().map(|(i, n)| smooth(i) + 0.3 * n).collect();
    Tensor::f32(shape.to_vec(), values).unwrap()
}

/// Answers to one picture.
struct Answers {
    name: String,
    ours: Vec<f32>,
    optimised: Vec<f32>,
    plain: Vec<f32>,
}

fn answers(path: &Path, python: &Path, run: impl FnOnce(Arc<Plan>, &Tensor) -> Vec<Tensor>) -> Answers {
    let (model, plan) = load(path);
    let images = [picture(&model.graph.value(model.graph.input).shape)];
    let ours = run(plan, &images[0])[0].as_f32().unwrap().to_vec();
    let theirs = |level| onnxruntime::first_outputs_at(level, python, path, &images).unwrap().remove(0);
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Answers { name, ours, optimised: theirs(Optimisation::All), plain: theirs(Optimisation::None) }
}

/// Mean and largest difference, as shares of the range of `b`.
fn difference(a: &[f32], b: &[f32]) -> (f32, f32) {
    assert_eq!(a.len(), b.len());
    let (low, high) = b.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    assert!(high > low, "a flat answer proves nothing");
    let all = || a.iter().zip(b).map(|(a, b)| (a - b).abs() / (high - low));
    (all().sum::<f32>() / a.len() as f32, all().fold(0.0, f32::max))
}

fn floats(answers: &Answers) {
    let (mean, largest) = difference(&answers.ours, &answers.optimised);
    eprintln!("{}: mean {mean:.2e}, largest {largest:.2e} of the range", answers.name);
    assert!(largest <= FLOATS, "largest {largest} of the range");
}

fn bytes(answers: &Answers) {
    let (mean, _) = difference(&answers.ours, &answers.optimised);
    let (to_plain, _) = difference(&answers.ours, &answers.plain);
    let (spread, _) = difference(&answers.plain, &answers.optimised);
    eprintln!("{}: mean {mean:.2e} from optimised, {to_plain:.2e} from plain, which are {spread:.2e} apart", answers.name);
    assert!(mean <= SPREAD * spread + ROUNDING, "mean {mean} of the range, onnxruntime's own spread is {spread}");
}
