//! Whole networks on the GPU: step by step against the plain loops of core, and what surrounds them: caches, tactics, a lost
//! device, many frames in a row.

mod attention;
mod care;
mod frames;
mod soak;
mod steps;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use fathom_core::depth::OutputKind;
use fathom_core::frame::Size;
use fathom_core::model::{ChannelOrder, ModelCard};
use fathom_core::tensor::Tensor;
use fathom_gpu::Gpu;
use fathom_runtime::network::card::CardFacts;
use fathom_runtime::network::import::onnx::ModelProto;
use fathom_runtime::network::import::{ImportOptions, import};
use fathom_runtime::network::lower::lower;
use fathom_runtime::network::plan::Plan;
use fathom_tests::cases::Case;
use fathom_tests::require::{Missing, fixture};
use prost::Message as _;

fn main() -> ExitCode {
    let gpu = fathom_tests::gpu::open();
    let cases = [steps::cases(&gpu), attention::cases(&gpu), frames::cases(&gpu), care::cases(&gpu), soak::cases(&gpu)];
    fathom_tests::cases::run_in_turn(cases.into_iter().flatten().collect())
}

fn on(gpu: &Result<Arc<Gpu>, Missing>, name: &str, run: impl FnOnce(Arc<Gpu>) + Send + 'static) -> Case {
    let device = gpu.clone().ok();
    Case::new(name, move || run(device.expect("a case without its need does not run"))).needs(gpu)
}

fn embedded() -> Arc<Plan> {
    planned(&fixture("models/fathom-small.int8.onnx"))
}

/// The embedded network for images of another size, whose sides are multiples of 32.
fn embedded_at(size: Size) -> (Arc<Plan>, ModelCard) {
    let bytes = std::fs::read(fixture("models/fathom-small.int8.onnx")).unwrap();
    let mut file = ModelProto::decode(&bytes[..]).unwrap();
    let input = file.graph.as_mut().and_then(|graph| graph.input.first_mut()).unwrap();
    let shape = input.r#type.as_mut().and_then(|of| of.tensor_type.as_mut()).and_then(|tensor| tensor.shape.as_mut()).unwrap();
    shape.dim[2].dim_value = Some(size.height.into());
    shape.dim[3].dim_value = Some(size.width.into());
    let facts = CardFacts { input_width: Some(size.width), input_height: Some(size.height), ..CardFacts::default() };
    let model = import(&file.encode_to_vec(), ImportOptions { card: Some(&facts), ..ImportOptions::default() }).unwrap();
    (Arc::new(lower(&model.graph).unwrap()), model.card)
}

/// Plans a file whose card may be missing: numbers do not depend on it.
fn planned(path: &Path) -> Arc<Plan> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let facts = CardFacts {
        name: Some("test".into()),
        channel_order: Some(ChannelOrder::Rgb),
        mean: Some([0.0; 3]),
        std: Some([1.0; 3]),
        output_kind: Some(OutputKind::Depth),
        train_fov_deg: Some((30.0, 90.0)),
        licence: Some("none".into()),
        ..CardFacts::default()
    };
    let without = import(&bytes, ImportOptions::default());
    let model = without.or_else(|_| import(&bytes, ImportOptions { card: Some(&facts), ..ImportOptions::default() }));
    Arc::new(lower(&model.unwrap().graph).unwrap())
}

/// A smooth picture with some grain, the same on every machine.
fn picture(plan: &Plan, seed: u32) -> Tensor {
    let count: usize = plan.input.shape.iter().product();
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let values = (0..count).map(|i| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (state >> 8) as f32 / (1 << 24) as f32;
        ((i as f32 * 0.01).sin() + (i as f32 * 0.0007).cos()) * 0.6 + grain * 0.4
    });
    Tensor::f32(plan.input.shape.clone(), values.collect()).unwrap()
}
