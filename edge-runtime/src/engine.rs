//! Frame to depth, in one sequence: preprocess, network, postprocess.

use std::sync::Arc;

use fathom_core::depth::RelativeDepth;
use fathom_core::frame::Frame;
use fathom_core::model::{DepthModel, FovEstimate, ModelCard, Prediction};
use fathom_core::tensor::Tensor;

use crate::backend::{BackendReport, EngineConfig, Executor, Opened, Work};
use crate::network::import::{ImportOptions, Model, import};
use crate::network::lower::lower;
use crate::network::plan::Plan;
use crate::postprocess::{at_frame_size, prediction};
use crate::preprocess::preprocess;
use crate::trace::{Observer, Stage};
use crate::{Error, Result};

/// A frozen network, imported, planned and ready to run.
pub struct Engine {
    card: ModelCard,
    sha256: String,
    planned: Result<Arc<Plan>>,
    executor: Executor,
    report: BackendReport,
}

/// What the engine says of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// Network output at the frame's own size: unitless, up to an affine map.
    pub relative: RelativeDepth,
    /// Horizontal field of view of the frame, if the network estimates one.
    pub fov: Option<FovEstimate>,
    /// What ran.
    pub backend: BackendReport,
}

impl Engine {
    /// Imports an ONNX file, plans it and opens the executor that `config` asks for.
    ///
    /// # Errors
    /// [`Error`] names what of the file is not supported, which fact of its card is missing, or why the backend is not to be had.
    pub fn from_onnx(bytes: &[u8], options: ImportOptions<'_>, config: &EngineConfig) -> Result<Self> {
        Self::from_model(import(bytes, options)?, config)
    }

    /// As [`Engine::from_onnx`], for a network that was imported before.
    ///
    /// # Errors
    /// As [`Engine::from_onnx`], import aside.
    pub fn from_model(model: Model, config: &EngineConfig) -> Result<Self> {
        let Model { graph, card, sha256 } = model;
        // The plan has its own weights, so the graph's are given back before an executor asks for memory.
        let work = match lower(&graph) {
            Ok(plan) => {
                drop(graph);
                Work::Planned(Arc::new(plan))
            }
            Err(why) => Work::Unplanned { graph, why },
        };
        let Opened { executor, report, planned } = Executor::open(work, config)?;
        Ok(Self { card, sha256, planned, executor, report })
    }

    /// Depth of one frame, at the frame's own size.
    ///
    /// # Errors
    /// [`Error::BadOutput`] if the network's output is not finite; otherwise what the executor said.
    pub fn infer(&mut self, frame: &Frame<'_>) -> Result<Inference> {
        self.infer_observed(frame, &mut |_| {})
    }

    /// As [`Engine::infer`]; `observer` is told of each stage right after it ended, in order.
    ///
    /// # Errors
    /// As [`Engine::infer`].
    pub fn infer_observed(&mut self, frame: &Frame<'_>, observer: &mut Observer<'_>) -> Result<Inference> {
        let outputs = self.executor.infer(frame, &self.card, observer)?;
        answer(outputs, &self.card, self.report.clone(), frame, observer)
    }

    /// As [`Engine::infer_observed`], for the last frame: what the network holds is given back before the result is brought to the
    /// frame's size, so that the two never need memory together.
    ///
    /// # Errors
    /// As [`Engine::infer`].
    pub fn infer_last(self, frame: &Frame<'_>, observer: &mut Observer<'_>) -> Result<Inference> {
        let Self { card, executor, report, .. } = self;
        let outputs = executor.infer_last(frame, &card, observer)?;
        answer(outputs, &card, report, frame, observer)
    }

    /// Milliseconds of each step of the plan for one frame, in the plan's order: by `clock_ms` (which may start anywhere) on the CPU, by
    /// the device's timestamps on the GPU; `None` where there is no plan, or the device has no timestamps.
    ///
    /// # Errors
    /// As [`Engine::infer`].
    pub fn step_times_ms(&mut self, frame: &Frame<'_>, clock_ms: &mut dyn FnMut() -> f64) -> Result<Option<Vec<f64>>> {
        let image = preprocess(frame, &self.card)?;
        self.executor.step_times_ms(&image, clock_ms)
    }

    /// What the network needs to be known of it.
    #[must_use]
    pub const fn card(&self) -> &ModelCard {
        &self.card
    }

    /// SHA-256 of the ONNX file, lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The plan, or why this network has none and runs through tract. On the CPU its weights are gone: the executor has packed them.
    ///
    /// # Errors
    /// What could not be lowered.
    pub fn plan(&self) -> Result<&Arc<Plan>, &Error> {
        self.planned.as_ref()
    }

    /// Dispatches of one frame, preprocessing included, as of the last frame; `None` unless a GPU runs.
    #[must_use]
    pub fn dispatches(&self) -> Option<usize> {
        self.executor.dispatches()
    }

    /// What runs.
    #[must_use]
    pub const fn backend(&self) -> &BackendReport {
        &self.report
    }
}

impl DepthModel for Engine {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn predict(&mut self, image: &Frame<'_>) -> fathom_core::Result<Prediction> {
        let outputs = self.executor.infer(image, &self.card, &mut |_| {}).map_err(|error| failed(&self.card, &error))?;
        prediction(outputs, &self.card).map_err(|error| failed(&self.card, &error))
    }
}

/// The network's outputs at the frame's size, with what ran.
fn answer(
    outputs: Vec<Tensor>,
    card: &ModelCard,
    backend: BackendReport,
    frame: &Frame<'_>,
    observer: &mut Observer<'_>,
) -> Result<Inference> {
    let Prediction { relative, fov } = prediction(outputs, card)?;
    let relative = at_frame_size(&relative, frame.size())?;
    observer(Stage::Postprocess);
    Ok(Inference { relative, fov, backend })
}

fn failed(card: &ModelCard, error: &Error) -> fathom_core::Error {
    fathom_core::Error::Model { model: card.name.clone(), message: error.to_string() }
}
