//! Execution by tract on the CPU: the oracle of the tests, and the way to run what a plan does not cover.
//!
//! The graph is handed over as ONNX, convolutions in QOperator form first: tract runs QDQ in floats, yet its QLinearConv is
//! bit-exact with onnxruntime's. What lies between convolutions stays in floats there, so a whole QDQ network only follows
//! onnxruntime (PyDNet++: correlation 0.995); the plan's own executor is the exact one. This is the only file that names tract.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fathom_core::tensor::Tensor;
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, IntoTValue, TVec, TypedRunnableModel, tvec};
use tract_onnx::tract_core::internal::Tensor as TractTensor;

use super::export::{export, qoperator::qoperator};
use super::graph::Graph;
use crate::{Error, Result};

/// A network loaded by tract.
pub struct TractExecutor {
    plan: Arc<TypedRunnableModel>,
    input_shape: Vec<usize>,
    output_shapes: Vec<Vec<usize>>,
}

impl TractExecutor {
    /// Loads a graph.
    ///
    /// # Errors
    /// [`Error::Tract`] with what tract says; its panics, too, become that.
    pub fn new(graph: &Graph) -> Result<Self> {
        let bytes = export(&qoperator(graph)?, "fathom", &[])?;
        let plan = guarded(|| {
            let model = tract_onnx::onnx().model_for_read(&mut Cursor::new(bytes))?;
            model.into_optimized()?.into_runnable()
        })?;
        Ok(Self {
            plan,
            input_shape: graph.value(graph.input).shape.clone(),
            output_shapes: graph.outputs.iter().map(|&id| graph.value(id).shape.clone()).collect(),
        })
    }

    /// Runs the network on one image, f32 `[1, 3, height, width]`; gives the graph's outputs in their own shapes.
    ///
    /// # Errors
    /// Core's if the image has another shape or type, [`Error::Tract`] with what tract says.
    pub fn run(&mut self, image: &Tensor) -> Result<Vec<Tensor>> {
        if image.shape() != self.input_shape {
            let (got, expected) = (image.shape().to_vec(), self.input_shape.clone());
            return Err(fathom_core::Error::Shape { what: "network input", got, expected }.into());
        }
        let values = image.as_f32()?;
        let outputs: TVec<_> = guarded(|| {
            let input = TractTensor::from_shape(image.shape(), values)?;
            self.plan.run(tvec!(input.into_tvalue()))
        })?;
        let mut tensors = Vec::with_capacity(outputs.len());
        for (output, shape) in outputs.iter().zip(&self.output_shapes) {
            let values = guarded(|| Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()))?;
            tensors.push(Tensor::f32(shape.clone(), values)?);
        }
        Ok(tensors)
    }
}

/// Calls into tract. It checks shapes with assertions here and there; a panic must not pass through a library that
/// promises errors.
fn guarded<T>(call: impl FnOnce() -> tract_onnx::prelude::TractResult<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|e| Error::Tract(format!("{e:#}"))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Error::Tract(format!("panicked: {}", text.unwrap_or("without a message"))))
        }
    }
}
