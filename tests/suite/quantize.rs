//! The quantizer on small networks: standard QDQ that imports, that onnxruntime runs alike, and whose cost is told.

use std::process::ExitCode;

use fathom_core::tensor::{Element, Tensor};
use fathom_runtime::network::graph::{Graph, Op};
use fathom_runtime::network::import::{ImportOptions, Model, import};
use fathom_runtime::network::quantize::{QuantizeOptions, Quantized, RangeMethod, quantize};
use fathom_tests::cases::{self, Case};
use fathom_tests::photographs::{FRAMES, PYDNETPP_CARD, rgb};
use fathom_tests::{fixtures, onnxruntime, require};

/// fp32 fixtures with convolutions of every kind; an attention block; two outputs.
const NETWORKS: [&str; 5] = ["opset9", "opset10", "opset11", "attention17", "opset18"];

const OPTIONS: QuantizeOptions = QuantizeOptions { ranges: RangeMethod::MinMax, equalise: false, threads: 1 };

fn main() -> ExitCode {
    let python = require::onnxruntime();
    let mut cases = vec![
        Case::new("a_quantized_network_imports_with_byte_weights_and_its_card", imports),
        Case::new("each_way_of_choosing_ranges_keeps_the_answer", methods),
        Case::new("a_network_that_is_quantized_already_is_refused", refused),
        Case::new("progress_is_told_run_by_run", progress),
    ];
    // The last holds a node that onnxruntime cannot run and nothing needs.
    for name in &NETWORKS[..4] {
        let found = python.clone().ok();
        let run = move || against_onnxruntime(name, &found.expect("run without python"));
        cases.push(Case::new(format!("{name}_quantized_gives_the_same_in_onnxruntime"), run).needs(&python));
    }
    let (data, model) = (require::shared("data/eval-dev"), require::shared("models/pydnetpp.onnx"));
    let found = (data.clone().ok(), model.clone().ok());
    let run = move || {
        let (Some(data), Some(model)) = found else { panic!("run without what it needs") };
        real_network(&data, &model);
    };
    cases.push(Case::new("pydnetpp_quantized_on_photographs_keeps_its_depth", run).needs(&data).needs(&model));
    cases::run(cases)
}

/// onnxruntime's own quantization of this network (`pydnetpp.qdq.onnx`) correlates with fp32 by 0.987 over these five frames, and lies
/// 0.58 % of the range away in the mean.
fn real_network(data: &std::path::Path, model: &std::path::Path) {
    let options = ImportOptions { card_toml: Some(PYDNETPP_CARD), ..ImportOptions::default() };
    let model = import(&std::fs::read(model).unwrap(), options).unwrap();
    let images: Vec<Tensor> = FRAMES.iter().map(|frame| rgb(&data.join(frame), 640, 448).unwrap()).collect();
    for ranges in [RangeMethod::MinMax, RangeMethod::Percentile(99.99), RangeMethod::LeastError] {
        let report = quantize(&model, &images, &QuantizeOptions { ranges, equalise: false, threads: 2 }, &mut |_, _| {}).unwrap().report;
        let worst = report.layers.iter().min_by(|a, b| a.snr_db.total_cmp(&b.snr_db)).unwrap();
        eprintln!(
            "{ranges:?}: {:?}; noisiest of {} layers: {} with {:.1} dB",
            report.output,
            report.layers.len(),
            worst.name,
            worst.snr_db
        );
        assert!(report.output.correlation >= 0.97 && report.output.mean_of_range <= 0.01, "{ranges:?}: {:?}", report.output);
    }
}

fn load(name: &str) -> Model {
    import(&std::fs::read(require::fixture("onnx/valid").join(format!("{name}.onnx"))).unwrap(), ImportOptions::default()).unwrap()
}

/// Four pictures of different brightness.
fn images() -> Vec<Tensor> {
    let base = fixtures::image(&[1, 3, 8, 12]).unwrap();
    let scaled = |gain: f32| base.as_f32().unwrap().iter().map(|v| v * gain).collect();
    [1.0, 0.6, -0.8, 0.3].into_iter().map(|gain| Tensor::f32(vec![1, 3, 8, 12], scaled(gain)).unwrap()).collect()
}

fn run(name: &str, options: QuantizeOptions) -> Quantized {
    quantize(&load(name), &images(), &options, &mut |_, _| {}).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn imports() {
    for name in NETWORKS {
        let original = load(name);
        let quantized = run(name, OPTIONS);
        let again = import(&quantized.onnx, ImportOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(again.card.output_kind, original.card.output_kind);
        assert_eq!((again.card.mean, again.card.licence), (original.card.mean, original.card.licence));
        let maker = |graph: &Graph, id| graph.nodes.iter().find(|n| n.output == id).cloned();
        for conv in again.graph.nodes.iter().filter(|n| matches!(n.op, Op::Conv { .. })) {
            let weights = maker(&again.graph, conv.inputs[1].unwrap()).unwrap();
            let bytes = again.graph.value(weights.inputs[0].unwrap());
            assert_eq!((bytes.element, bytes.constant.is_some()), (Element::I8, true), "{name}: {}", conv.name);
            assert_eq!(again.graph.value(weights.inputs[1].unwrap()).shape, [bytes.shape[0]], "{name}: one scale a channel");
            if let Some(bias) = conv.inputs.get(2).copied().flatten() {
                let bias = maker(&again.graph, bias).unwrap();
                assert_eq!(again.graph.value(bias.inputs[0].unwrap()).element, Element::I32, "{name}: {}", conv.name);
            }
        }
        for output in &again.graph.outputs {
            let last = maker(&again.graph, *output).unwrap();
            assert!(!matches!(last.op, Op::DequantizeLinear { .. }), "{name}: {} comes in 256 levels", again.graph.value(*output).name);
        }
        let floats = |graph: &Graph| {
            graph.values.iter().filter(|v| v.element == Element::F32 && v.constant.as_ref().is_some_and(|t| t.len() > 64)).count()
        };
        assert!(floats(&again.graph) <= floats(&original.graph) / 4, "{name}: weights stayed floats");
    }
}

fn methods() {
    for ranges in [RangeMethod::MinMax, RangeMethod::Percentile(99.99), RangeMethod::LeastError] {
        for equalise in [false, true] {
            for name in NETWORKS {
                let report = run(name, QuantizeOptions { ranges, equalise, threads: 1 }).report;
                assert!(report.output.correlation > 0.98, "{name} by {ranges:?}: {:?}", report.output);
                assert!(report.layers.len() > 3, "{name}: {} layers", report.layers.len());
                assert!(equalise || report.equalised_pairs == 0);
            }
        }
    }
}

fn refused() {
    let error = quantize(&load("qdq_axis_u8"), &images(), &OPTIONS, &mut |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "graph: is quantized already; give the fp32 network");
    let error = quantize(&load("opset10"), &[], &OPTIONS, &mut |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "graph: cannot be quantized without an image to take ranges from");
}

fn progress() {
    let mut told = Vec::new();
    quantize(&load("opset10"), &images(), &QuantizeOptions { ranges: RangeMethod::LeastError, ..OPTIONS }, &mut |done, of| {
        told.push((done, of))
    })
    .unwrap();
    assert_eq!(told, (1..=16).map(|i| (i, 16)).collect::<Vec<_>>());
}

/// The report's own figures come from Fathom's executor; onnxruntime must see the same network.
fn against_onnxruntime(name: &str, python: &std::path::Path) {
    let quantized = run(name, OPTIONS);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quantized.onnx");
    std::fs::write(&path, &quantized.onnx).unwrap();
    let exact = onnxruntime::first_outputs(python, &require::fixture("onnx/valid").join(format!("{name}.onnx")), &images()).unwrap();
    let bytes = onnxruntime::first_outputs(python, &path, &images()).unwrap();
    let (low, high) = exact.iter().flatten().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let pairs = || exact.iter().flatten().zip(bytes.iter().flatten());
    let mean = pairs().map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / pairs().count() as f64 / f64::from(high - low);
    let told = quantized.report.output.mean_of_range;
    eprintln!("{name}: mean difference {mean:.2e} of the range in onnxruntime, {told:.2e} told");
    assert!((mean - told).abs() <= 0.2 * told + 1e-3, "{name}: onnxruntime differs by {mean} from fp32, the report says {told}");
}
