//! Values inside a network, by running it with them as outputs.

use std::sync::Arc;

use fathom_core::tensor::Tensor;

use crate::Result;
use crate::network::cpu::CpuExecutor;
use crate::network::graph::{Graph, ValueId};
use crate::network::lower::lower;

/// A network whose answer is what some of its values hold.
pub(super) struct Observed {
    executor: CpuExecutor,
    asks_for_input: Vec<bool>,
}

impl Observed {
    /// Prepares to observe `values` of `graph`; the image itself may be among them.
    pub(super) fn new(graph: &Graph, values: &[ValueId], threads: usize) -> Result<Self> {
        let mut graph = graph.clone();
        graph.outputs = values.iter().copied().filter(|id| *id != graph.input).collect();
        let executor = CpuExecutor::new(Arc::new(lower(&graph)?), threads)?;
        Ok(Self { executor, asks_for_input: values.iter().map(|id| *id == graph.input).collect() })
    }

    /// What the values hold for one image, in the order asked for.
    pub(super) fn run(&mut self, image: &Tensor) -> Result<Vec<Tensor>> {
        let mut made = self.executor.run(image)?.into_iter();
        let mut values = Vec::with_capacity(self.asks_for_input.len());
        for &input in &self.asks_for_input {
            values.extend(if input { Some(image.clone()) } else { made.next() });
        }
        Ok(values)
    }
}
