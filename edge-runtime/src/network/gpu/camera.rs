//! Camera frames straight to depth: upload, preprocessing, the network and the way out in one submission.
//!
//! Two slots take turns, so that a frame can be written while the one before it is computed. What a slot needs follows from the
//! frames' form (size, pixel format), the network's card and the affine map: other frames are given other slots.

use std::collections::VecDeque;

use fathom_core::frame;
use fathom_core::model::ModelCard;
use fathom_core::tensor::{Element, Tensor};
use fathom_gpu::Gpu;
use fathom_gpu::buffer::Buffer;
use fathom_gpu::cache::Pipelines;
use fathom_gpu::image::affine::{self, Affine};
use fathom_gpu::image::preprocess::{self, FrameForm};
use fathom_gpu::read_back::ReadBack;
use fathom_gpu::recorder::{self, Frame, Recorder};
use fathom_gpu::upload::Upload;

use super::border;
use super::memory::Memory;
use super::tasks::{lay, operand};
use crate::Result;
use crate::network::plan::{Plan, PlanTensor};

/// What slots are made for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) form: FrameForm,
    pub(super) card: ModelCard,
    pub(super) affine: Affine,
}

/// Slots for frames of one form.
pub(super) struct Camera {
    wanted: Wanted,
    slots: Vec<Slot>,
    /// Slot of the next frame.
    next: usize,
    /// Slots of frames that were begun and not finished, the oldest first.
    begun: VecDeque<usize>,
}

struct Slot {
    upload: Upload,
    before: Frame,
    after: Frame,
    outputs: ReadBack,
}

impl Wanted {
    /// Whether the device can take frames itself: the plan's input lies as an image does, and the frame fits a binding.
    pub(super) fn fits(&self, plan: &Plan, gpu: &Gpu) -> bool {
        let (port, limits) = (&plan.input, gpu.limits());
        let size = self.card.input;
        let as_image = port.axes == [0, 2, 3, 1] && port.shape == [1, 3, size.height as usize, size.width as usize];
        as_image && self.form.bytes() as u64 <= limits.binding_bytes.min(limits.buffer_bytes)
    }
}

impl Camera {
    /// Makes the slots around a network that lies in `memory`.
    pub(super) fn open(
        wanted: Wanted,
        plan: &Plan,
        gpu: &Gpu,
        pipelines: &mut Pipelines,
        memory: &Memory,
        work_per_dispatch: u64,
    ) -> Result<Self> {
        let input = plan.input.tensor;
        let tensor = plan.tensor(input);
        let prepared = preprocess::prepare(wanted.form, &wanted.card, tensor.quant, lay(plan, input), WORKGROUP);
        let constants = prepared.constants.iter().map(|contents| Buffer::constants(gpu, "preprocessing", contents));
        let constants = constants.collect::<fathom_gpu::Result<Vec<Buffer>>>()?;
        let [taps, thresholds] = [constants[0].whole(), constants[1].whole()];
        let depth = plan.outputs[0].tensor;
        let (rows, channels) = (plan.tensor(depth).rows(), plan.tensor(depth).channels());
        let leave = affine::prepare(wanted.affine, rows, channels, &operand(plan, depth));
        let others = plan.outputs[1..].iter().map(|port| memory.tensor(plan, port.tensor)).collect::<Result<Vec<_>>>()?;
        let slot = |_| {
            let upload = Upload::new(gpu, wanted.form.bytes() as u64)?;
            let outputs = ReadBack::with_landing(gpu, 4 * (rows * channels) as u64, &others)?;
            let [mut before, mut after] = [Recorder::default(), Recorder::default()];
            let bindings = [upload.whole(), taps, thresholds, memory.holder(plan, input)?];
            for part in prepared.launch.clone().split(work_per_dispatch) {
                before.launch(gpu, pipelines, &part, &bindings, 0)?;
            }
            for part in leave.clone().split(work_per_dispatch) {
                after.launch(gpu, pipelines, &part, &[memory.holder(plan, depth)?, outputs.landing()?], 0)?;
            }
            let (before, after) = (before.finish(gpu)?, after.finish(gpu)?);
            Ok(Slot { upload, before, after, outputs })
        };
        let slots = (0..SLOTS).map(slot).collect::<Result<Vec<Slot>>>()?;
        Ok(Self { wanted, slots, next: 0, begun: VecDeque::new() })
    }

    /// Whether its slots are made for these frames.
    pub(super) fn serves(&self, wanted: &Wanted) -> bool {
        self.wanted == *wanted
    }

    /// Frames that were begun and not finished.
    pub(super) fn begun(&self) -> usize {
        self.begun.len()
    }

    /// Dispatches around the network's own.
    pub(super) fn dispatches(&self) -> usize {
        self.slots.first().map_or(0, |slot| slot.before.dispatches() + slot.after.dispatches())
    }

    /// Most work of one of those, single workgroups aside.
    pub(super) fn most_work(&self) -> u64 {
        self.slots.first().map_or(0, |slot| slot.before.most_work().max(slot.after.most_work()))
    }

    /// Submits a frame; there must be a slot free.
    pub(super) fn begin(&mut self, gpu: &Gpu, network: &Frame, frame: &frame::Frame<'_>) -> Result<()> {
        let slot = &mut self.slots[self.next];
        slot.upload.write(gpu, preprocess::pieces(frame))?;
        recorder::submit(gpu, &mut slot.upload, &[&slot.before, network, &slot.after], &mut slot.outputs)?;
        self.begun.push_back(self.next);
        self.next = (self.next + 1) % self.slots.len();
        Ok(())
    }

    /// Waits for the oldest frame; `None` if none was begun.
    pub(super) fn finish(&mut self, gpu: &Gpu, plan: &Plan) -> Result<Option<Vec<Tensor>>> {
        let Some(slot) = self.begun.pop_front() else { return Ok(None) };
        let outputs = &mut self.slots[slot].outputs;
        outputs.wait(gpu)?;
        let tensors = plan.outputs.iter().enumerate().map(|(i, port)| {
            let tensor = plan.tensor(port.tensor);
            // The first lands without padding, as floats.
            let dense = PlanTensor { pitch: tensor.channels(), element: Element::F32, quant: None, ..tensor.clone() };
            border::unpack(if i == 0 { &dense } else { tensor }, port, outputs.bytes(i))
        });
        tensors.collect::<Result<Vec<Tensor>>>().map(Some)
    }
}

/// Frames under way at a time: one computed, one written.
pub(super) const SLOTS: usize = 2;

/// Invocations of a workgroup along x and y.
const WORKGROUP: [u32; 2] = [8, 8];
