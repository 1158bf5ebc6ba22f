//! Import of the ONNX fixtures: each form of each operator gives the graph that onnxruntime's answers belong to.

use fathom_core::tensor::{Element, Tensor};
use fathom_runtime::network::export::export;
use fathom_runtime::network::graph::{Graph, Op};
use fathom_runtime::network::import::{ExternalRange, ImportOptions, Model, import};
use fathom_tests::{fixtures, require};

fn load(name: &str) -> Model {
    let bytes = std::fs::read(require::fixture("onnx/valid").join(format!("{name}.onnx"))).unwrap();
    import(&bytes, ImportOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn count(graph: &Graph, wanted: impl Fn(&Op) -> bool) -> usize {
    graph.nodes.iter().filter(|node| wanted(&node.op)).count()
}

/// Every operand is a constant, the image, or made by an earlier node; every result is made once; every shape is filled.
fn check_order(name: &str, graph: &Graph) {
    let mut known: Vec<bool> = graph.values.iter().map(|v| v.constant.is_some()).collect();
    known[graph.input.0] = true;
    for node in &graph.nodes {
        assert!(node.inputs.iter().flatten().all(|id| known[id.0]), "{name}: {} reads what is not there yet", node.name);
        assert!(!known[node.output.0], "{name}: {} makes what is there already", node.name);
        known[node.output.0] = true;
    }
    assert!(known.iter().all(|k| *k), "{name}: a value is made by nothing");
    let mut names: Vec<&str> = graph.values.iter().map(|v| v.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{name}: two values share a name");
}

#[test]
fn every_valid_fixture_imports_in_execution_order() {
    for (name, _) in fixtures::networks("valid").unwrap() {
        let graph = load(&name).graph;
        check_order(&name, &graph);
        assert_eq!(graph.value(graph.input).shape, [1, 3, 8, 12], "{name}");
    }
}

#[test]
fn an_exported_graph_imports_as_itself() {
    for (name, _) in fixtures::networks("valid").unwrap() {
        let model = load(&name);
        let card = [("channel_order", "rgb"), ("mean", "0,0,0"), ("std", "1,1,1"), ("output_kind", "depth")];
        let mut metadata: Vec<_> = card.iter().map(|(k, v)| (format!("fathom.{k}"), (*v).to_owned())).collect();
        if let [_, fov] = model.graph.outputs[..] {
            metadata.push(("fathom.fov_output".into(), model.graph.value(fov).name.clone()));
        }
        let again = import(&export(&model.graph, "again", &metadata).unwrap(), ImportOptions::default());
        let again = again.unwrap_or_else(|e| panic!("{name}: {e}")).graph;
        let describe = |graph: &Graph| -> Vec<String> {
            let shape = |id: &Option<_>| id.map(|id| &graph.value(id).shape);
            graph
                .nodes
                .iter()
                .map(|n| format!("{:?} {:?} -> {:?}", n.op, n.inputs.iter().map(shape).collect::<Vec<_>>(), graph.value(n.output).shape))
                .collect()
        };
        assert_eq!(describe(&again), describe(&model.graph), "{name}");
    }
}

#[test]
fn shape_arithmetic_and_position_embeddings_fold_away() {
    let graph = load("folding13").graph;
    let left: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    // Two convolutions, two Reshapes, two Transposes, two Adds of embeddings, one Mul.
    assert_eq!(left.len(), 9, "{left:?}");
    assert_eq!(count(&graph, |op| matches!(op, Op::Resize { .. } | Op::Gather { .. } | Op::Concat { .. } | Op::Expand)), 0);
}

#[test]
fn quantized_constants_keep_their_bytes() {
    for (name, element, scales) in
        [("qdq_axis_u8", Element::I8, 8), ("qdq_tensor_u8", Element::U8, 1), ("qdq_float_weights", Element::I8, 4)]
    {
        let graph = load(name).graph;
        let first = graph.nodes.iter().find(|n| matches!(n.op, Op::Conv { .. })).unwrap();
        let weights = graph.nodes.iter().find(|n| Some(n.output) == first.inputs[1]).unwrap();
        let Op::DequantizeLinear { axis } = weights.op else { panic!("{name}: {:?}", weights.op) };
        assert!(scales == 1 || axis == 0, "{name}: axis {axis}");
        let bytes = graph.value(weights.inputs[0].unwrap());
        assert_eq!((bytes.element, bytes.constant.is_some()), (element, true), "{name}");
        assert_eq!(graph.value(weights.inputs[1].unwrap()).constant.as_deref().map(Tensor::len), Some(scales), "{name}");
    }
}

#[test]
fn the_qoperator_form_keeps_integer_convolutions_and_spells_out_the_rest() {
    let graph = load("qoperator").graph;
    assert_eq!(count(&graph, |op| matches!(op, Op::QLinearConv { .. })), 1);
    assert_eq!(count(&graph, |op| matches!(op, Op::QLinearMatMul)), 1);
    assert_eq!(count(&graph, |op| matches!(op, Op::QuantizeLinear { .. })), 7);
}

#[test]
fn nodes_that_nothing_needs_are_never_looked_at() {
    // The file holds a NonMaxSuppression, which is not supported.
    let model = load("opset18");
    assert_eq!(model.graph.outputs.len(), 2);
    assert_eq!(model.graph.value(model.graph.outputs[1]).shape, [1, 2]);
}

#[test]
fn weights_beside_the_file_come_through_the_reader_that_is_given() {
    let bytes = std::fs::read(require::fixture("onnx/hostile/external_absent.onnx")).unwrap();
    let reader = |range: &ExternalRange| -> std::io::Result<Vec<u8>> {
        assert_eq!(*range, ExternalRange { location: "w.bin".into(), offset: 4, length: 12 });
        Ok([0.5_f32, 1.0, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect())
    };
    let model = import(&bytes, ImportOptions { external: Some(&reader), ..ImportOptions::default() }).unwrap();
    let weights = model.graph.values.iter().find(|v| v.name == "w").unwrap().constant.clone().unwrap();
    assert_eq!(weights.as_f32().unwrap(), [0.5, 1.0, 2.0]);
    let short = |_: &ExternalRange| -> std::io::Result<Vec<u8>> { Ok(vec![0; 11]) };
    let error = import(&bytes, ImportOptions { external: Some(&short), ..ImportOptions::default() }).unwrap_err();
    assert_eq!(error.to_string(), "value \"w\": \"w.bin\" gave 11 bytes at 4, expected 12");
}

#[test]
fn a_card_beside_the_file_and_one_by_hand_fill_what_the_file_lacks() {
    let bytes = std::fs::read(require::fixture("onnx/hostile/card_absent.onnx")).unwrap();
    let toml = "channel_order = \"bgr\"\nmean = [0.1, 0.2, 0.3]\nstd = [1, 1, 1]\noutput_kind = \"inverse-depth\"\n";
    let given = fathom_runtime::network::card::CardFacts { name: Some("mine".into()), ..Default::default() };
    let model = import(&bytes, ImportOptions { card_toml: Some(toml), card: Some(&given), ..ImportOptions::default() }).unwrap();
    assert_eq!((model.card.name.as_str(), model.card.mean), ("mine", [0.1, 0.2, 0.3]));
    assert_eq!((model.card.input.width, model.card.input.height), (12, 8));
    assert_eq!(model.sha256.len(), 64);
}

#[cfg(feature = "tract")]
mod answers {
    use super::*;
    use fathom_runtime::network::tract::TractExecutor;

    /// Largest difference from onnxruntime, over the range of the answer. Floats differ by the order of sums; bytes by one
    /// step where a float operator between two quantizations (Add, Resize) rounds the other way. The coarsest answer, that
    /// of `qoperator`, spans 40 steps.
    fn allowed(name: &str) -> f32 {
        if name.starts_with('q') { 1.001 / 40.0 } else { 1e-4 }
    }

    #[test]
    fn tract_gives_onnxruntimes_answers_on_every_valid_fixture() {
        for (name, path) in fixtures::networks("valid").unwrap() {
            let model = load(&name);
            let expected = fixtures::floats(&path.with_extension("f32")).unwrap();
            let outputs =
                TractExecutor::new(&model.graph).unwrap_or_else(|e| panic!("{name}: {e}")).run(&fixtures::image(&[1, 3, 8, 12]).unwrap());
            let got: Vec<f32> =
                outputs.unwrap_or_else(|e| panic!("{name}: {e}")).iter().flat_map(|t| t.as_f32().unwrap().to_vec()).collect();
            assert_eq!(got.len(), expected.len(), "{name}");
            let (low, high) = expected.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            assert!(high > low, "{name}: a flat answer proves nothing");
            let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / (high - low);
            assert!(worst <= allowed(&name), "{name}: differs by {worst} of the range");
        }
    }
}
