//! Operations over the image plane: pooling, resampling, mirrored borders.

use fathom_core::ops::nn::Window;
use fathom_core::ops::nn::pad::Pad;
use fathom_core::ops::nn::pool::{Pool, Pooling};
use fathom_core::ops::nn::resize::{Coordinates, Resize, ResizeMode};
use fathom_core::quant::QuantParams;

use super::{CHANNELS_LAST, Emitter};
use crate::network::lower::net::Node;
use crate::network::lower::table::Table;
use crate::network::plan::StepOp;
use crate::{Error, Result};

impl Emitter<'_> {
    pub(super) fn pool(&mut self, node: &Node, window: Window, pooling: Pooling) -> Result<()> {
        let x = self.map(node, node.inputs[0])?;
        let shape = self.net.shape(node.output);
        let pool = Pool { input: self.extents(x), output: [shape[2], shape[3]], window, pooling };
        self.spatial(node, StepOp::Pool(pool), x)
    }

    pub(super) fn resize(
        &mut self,
        node: &Node,
        mode: ResizeMode,
        coordinates: Coordinates,
        scales: [f32; 2],
        then: Option<&(QuantParams, Table)>,
    ) -> Result<()> {
        let x = self.map(node, node.inputs[0])?;
        let shape = self.net.shape(node.output);
        let resize = Resize { input: self.extents(x), output: [shape[2], shape[3]], mode, coordinates, scales };
        let same_extents = [resize.input.height, resize.input.width] == resize.output;
        if same_extents && self.net.number(node.inputs[0]) == self.net.number(node.output) && then.is_none() {
            let view = self.view(node.inputs[0])?;
            return self.define(node, view);
        }
        let then = then.map(|(quant, table)| (*quant, table.bytes.clone()));
        self.spatial(node, StepOp::Resize { resize, then }, x)
    }

    pub(super) fn pad_border(&mut self, node: &Node, before: &[usize], after: &[usize], reflect: bool) -> Result<()> {
        let planar = |sides: &[usize]| sides.len() == 4 && sides[..2] == [0, 0];
        if !planar(before) || !planar(after) {
            let detail = ": a mirrored or repeated border other than of rows and columns".into();
            return Err(Error::UnsupportedOp { op: "Pad".into(), node: node.name.clone(), detail });
        }
        let x = self.map(node, node.inputs[0])?;
        let pad = Pad { input: self.extents(x), before: [before[2], before[3]], after: [after[2], after[3]], reflect };
        self.spatial(node, StepOp::Pad(pad), x)
    }

    fn spatial(&mut self, node: &Node, op: StepOp, x: crate::network::plan::TensorId) -> Result<()> {
        let out = self.new_tensor(node.output, &CHANNELS_LAST);
        self.step(node, op, vec![x], out.tensor);
        self.define(node, out)
    }
}
