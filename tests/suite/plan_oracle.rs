//! Whole networks through plan and CPU executor against onnxruntime: `../shared/models/pydnetpp*.onnx` on photographs, and the
//! embedded network.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use fathom_core::tensor::Tensor;
use fathom_runtime::network::cpu::CpuExecutor;
use fathom_runtime::network::import::{ImportOptions, import};
use fathom_runtime::network::lower::lower;
use fathom_tests::cases::{self, Case};
use fathom_tests::{onnxruntime, require};

/// What the README of the models says of them.
const CARD: &str = "channel_order = \"rgb\"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\noutput_kind = \"depth\"\n";

/// One from each of five cameras.
const FRAMES: [&str; 5] = [
    "kitti_sfnd/0000000000.png",
    "metric3d_nyu/data_nyu_demo_rgb_rgb_00000.jpg",
    "middlebury2014Q/Adirondack_im0.png",
    "nuscenes/CAM_FRONT.jpg",
    "nvblox_3dmatch/nvblox_tests_data_3dmatch_seq-01_frame-000000.color.png",
];

fn main() -> ExitCode {
    let (data, models, python) = (require::shared("data/eval-dev"), require::shared("models"), require::onnxruntime());
    let pydnet = |name: &str, file: &'static str, check: fn(&[f32], &[f32])| {
        let found = (data.clone().ok(), models.clone().ok(), python.clone().ok());
        let run = move || {
            let (Some(data), Some(models), Some(python)) = found else { panic!("run without what it needs") };
            let images = FRAMES.map(|frame| photograph(&data.join(frame), 640, 448));
            compare(&models.join(file), Some(CARD), &images, &python, check);
        };
        Case::new(name, run).needs(&data).needs(&models).needs(&python)
    };
    let embedded = {
        let python = python.clone();
        let needs = python.clone();
        let run = move || {
            let path: PathBuf = require::fixture("models").join("fathom-small.int8.onnx");
            let Ok(python) = python else { panic!("run without what it needs") };
            compare(&path, None, &[pattern(192, 256)], &python, follows);
        };
        Case::new("the_embedded_network_follows_onnxruntimes_own_bytes", run).needs(&needs)
    };
    cases::run(vec![
        pydnet("pydnetpp_in_floats_is_within_1e_4_of_the_range", "pydnetpp.onnx", |ours, theirs| {
            let worst = differences(ours, theirs).fold(0.0, f64::max);
            assert!(worst <= 1e-4, "largest difference {worst:.2e} of the range");
        }),
        // Integer convolutions, tables and joins throughout; only the last resize is in floats (measured: 2e-8 of the range).
        pydnet("pydnetpp_in_bytes_is_onnxruntimes_answer_to_float_rounding", "pydnetpp.qdq.onnx", |ours, theirs| {
            let worst = differences(ours, theirs).fold(0.0, f64::max);
            assert!(worst <= 1e-6, "largest difference {worst:.2e} of the range");
        }),
        embedded,
    ])
}

fn compare(model: &Path, card: Option<&str>, images: &[Tensor], python: &Path, check: fn(&[f32], &[f32])) {
    let theirs = onnxruntime::first_outputs(python, model, images).unwrap();
    let imported = import(&std::fs::read(model).unwrap(), ImportOptions { card_toml: card, ..ImportOptions::default() }).unwrap();
    let mut executor = CpuExecutor::new(Arc::new(lower(&imported.graph).unwrap()), 2).unwrap();
    for (image, theirs) in images.iter().zip(theirs) {
        check(executor.run(image).unwrap()[0].as_f32().unwrap(), &theirs);
    }
}

fn follows(ours: &[f32], theirs: &[f32]) {
    let mean = differences(ours, theirs).sum::<f64>() / ours.len() as f64;
    let correlation = correlation(ours, theirs);
    assert!(correlation >= 0.9999 && mean <= 0.005, "correlation {correlation}, mean difference {mean:.2e} of the range");
}

/// A photograph as the network wants it: `[1, 3, height, width]`, 0..1.
fn photograph(path: &Path, width: u32, height: u32) -> Tensor {
    let picture = image::open(path).unwrap().resize_exact(width, height, image::imageops::FilterType::Triangle).to_rgb8();
    let plane = |channel: usize| picture.pixels().map(move |p| f32::from(p[channel]) / 255.0).collect::<Vec<_>>();
    Tensor::f32(vec![1, 3, height as usize, width as usize], [plane(0), plane(1), plane(2)].concat()).unwrap()
}

/// Waves about zero.
fn pattern(height: usize, width: usize) -> Tensor {
    let value = |i: usize| ((i / width) as f32 * 0.05).sin() + ((i % width) as f32 * 0.031).cos();
    Tensor::f32(vec![1, 3, height, width], (0..3 * height * width).map(value).collect()).unwrap()
}

/// Absolute differences as shares of the range of `theirs`.
fn differences<'a>(ours: &'a [f32], theirs: &'a [f32]) -> impl Iterator<Item = f64> {
    assert_eq!(ours.len(), theirs.len());
    let (low, high) = theirs.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    assert!(high > low, "a flat answer proves nothing");
    ours.iter().zip(theirs).map(move |(a, b)| f64::from((a - b).abs()) / f64::from(high - low))
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |v: &[f32]| v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let products = a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - ma, f64::from(y) - mb));
    let [ab, aa, bb] = products.fold([0.0; 3], |[ab, aa, bb], (x, y)| [ab + x * y, aa + x * x, bb + y * y]);
    ab / (aa * bb).sqrt()
}
