//! The plan on a GPU: every frame is one submission over one arena.
//!
//! `tasks` turns each step into launches; `memory` places constants and the arena; `border` crosses between the graph's
//! layout and the plan's. What is left here is the sequence.

mod border;
mod camera;
mod memory;
mod peephole;
mod probe;
mod recovery;
mod tactic;
mod tasks;
mod tune;

use std::collections::HashMap;
use std::sync::Arc;

use fathom_core::frame;
use fathom_core::model::ModelCard;
use fathom_core::ops::image::affine::affine;
use fathom_core::tensor::Tensor;
use fathom_gpu::Gpu;
use fathom_gpu::cache::{Pipelines, Start};
pub use fathom_gpu::image::affine::Affine;
use fathom_gpu::image::preprocess::FrameForm;
use fathom_gpu::read_back::ReadBack;
use fathom_gpu::recorder::{Frame, Recorder};

use crate::network::plan::Plan;
use crate::preprocess::preprocess;
use crate::{Error, Result};
use camera::{Camera, SLOTS, Wanted};
use memory::Memory;
pub use tactic::{Tactic, Tactics};
use tasks::Task;
pub use tune::{Refused, Times, Tuning};

/// How a plan is put on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuOptions {
    /// Most work of one dispatch, multiply-accumulates or elements: small boards lose a device that is held for long.
    pub work_per_dispatch: u64,
    /// How floats are computed; integer sums are exact in any case.
    pub precision: Precision,
    /// An earlier [`GpuExecutor::store`]: compiled pipelines and chosen tactics. Untrusted; rebuilt if it does not fit.
    pub stored: Option<Vec<u8>>,
}

/// How floats are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// In single precision.
    Single,
    /// Convolutions may multiply in half precision, where the device has it and tuning finds it faster: relative errors of some
    /// 2^-10 a layer.
    Half,
}

impl Default for GpuOptions {
    /// A quarter of a billion multiplications a dispatch: 20 ms on the slowest board (Jetson Nano), 1 s being its limit.
    /// Single precision.
    fn default() -> Self {
        Self { work_per_dispatch: 1 << 28, precision: Precision::Single, stored: None }
    }
}

/// A plan on a device, ready to run frame after frame.
pub struct GpuExecutor {
    plan: Arc<Plan>,
    options: GpuOptions,
    gpu: Arc<Gpu>,
    loaded: Loaded,
    tactics: Tactics,
    affine: Affine,
}

/// What is lost with the device.
struct Loaded {
    pipelines: Pipelines,
    memory: Memory,
    frame: Frame,
    outputs: ReadBack,
    /// Steps that others compute with their own.
    absorbed: Vec<bool>,
    /// Steps whose launch yields the output of a later one.
    shown: HashMap<usize, usize>,
    /// For frames of the form that came last.
    camera: Option<Camera>,
}

impl GpuExecutor {
    /// Compiles the kernels and uploads the constants, with default options.
    ///
    /// # Errors
    /// [`Error::UnsupportedOp`] naming a step that has no kernel, or the device's complaint.
    pub fn new(plan: Arc<Plan>, gpu: Arc<Gpu>) -> Result<Self> {
        Self::with_options(plan, gpu, GpuOptions::default())
    }

    /// As [`GpuExecutor::new`].
    ///
    /// # Errors
    /// As [`GpuExecutor::new`].
    pub fn with_options(plan: Arc<Plan>, gpu: Arc<Gpu>, options: GpuOptions) -> Result<Self> {
        let pipelines = Pipelines::open(&gpu, fathom_gpu::ALL, options.stored.as_deref());
        let stored = Tactics::from_notes(pipelines.notes(), &plan);
        let allowed = stored.filter(|tactics| options.precision == Precision::Half || !tactics.are_halved());
        let tactics = allowed.unwrap_or_else(|| Tactics::default_for(&plan, &gpu));
        let loaded = load(&plan, &gpu, pipelines, &tactics, options.work_per_dispatch)?;
        Ok(Self { plan, options, gpu, loaded, tactics, affine: Affine::IDENTITY })
    }

    /// Runs the network on one normalised image.
    ///
    /// * `image`: f32, the shape of the graph's input, `[1, 3, height, width]`.
    /// * Returns the graph's outputs in its own layout, f32.
    ///
    /// A device that was lost is set up once more; if it is lost again, that is the error.
    ///
    /// # Errors
    /// [`fathom_core::Error::Shape`] if the image is not the graph's input; [`fathom_gpu::Error`] if the device fails.
    pub fn run(&mut self, image: &Tensor) -> Result<Vec<Tensor>> {
        let input = border::pack(&self.plan, image)?;
        recovery::once_more(self, Self::rebuild, |executor| executor.submit(&input))?;
        let outputs = self.plan.outputs.iter().enumerate();
        outputs.map(|(i, port)| border::unpack(self.plan.tensor(port.tensor), port, self.loaded.outputs.bytes(i))).collect()
    }

    /// Runs the network on one frame of any size and format, as one submission: [`preprocess`], the network, the affine map.
    ///
    /// * Returns what [`GpuExecutor::run`] would for the preprocessed frame, the affine map laid on the first output; byte inputs
    ///   of the network are the same to the bit.
    /// * `begun` is called when the frame was submitted.
    ///
    /// Networks whose input the device cannot fill itself (not an image as it lies) and frames larger than its bindings are
    /// preprocessed on the CPU. A device that was lost is set up once more; if it is lost again, that is the error.
    ///
    /// # Errors
    /// [`fathom_core::Error::Shape`] if the card's input size is not the graph's; [`fathom_gpu::Error`] if the device fails.
    pub fn run_frame(&mut self, frame: &frame::Frame<'_>, card: &ModelCard, begun: &mut dyn FnMut()) -> Result<Vec<Tensor>> {
        while self.in_flight() > 0 {
            self.finish()?;
        }
        if !self.wanted(frame, card).fits(&self.plan, &self.gpu) {
            let image = preprocess(frame, card)?;
            begun();
            let mut outputs = self.run(&image)?;
            let Affine { scale, shift } = self.affine;
            outputs[0] = Tensor::f32(outputs[0].shape().to_vec(), affine(outputs[0].as_f32()?, scale, shift))?;
            return Ok(outputs);
        }
        recovery::once_more(self, Self::rebuild, |executor| {
            executor.begin(frame, card)?;
            begun();
            executor.finish()
        })
    }

    /// Submits a frame without waiting for it, so that the next can be prepared meanwhile: two may be under way.
    ///
    /// # Errors
    /// [`Error::Backend`] if two are, if frames of another form are, or if [`GpuExecutor::run_frame`] would preprocess on the CPU;
    /// [`fathom_gpu::Error`] if the device fails.
    pub fn begin(&mut self, frame: &frame::Frame<'_>, card: &ModelCard) -> Result<()> {
        let refused = |message: &str| Err(Error::Backend { wanted: "gpu", message: message.to_owned() });
        let wanted = self.wanted(frame, card);
        if !wanted.fits(&self.plan, &self.gpu) {
            return refused("the device cannot preprocess for this network or frame; run it whole");
        }
        let in_flight = self.in_flight();
        let Loaded { camera, pipelines, memory, frame: network, .. } = &mut self.loaded;
        let camera = match camera {
            Some(camera) if camera.serves(&wanted) => camera,
            Some(_) if in_flight > 0 => return refused("a frame of another form, card or affine map is still under way"),
            _ => camera.insert(Camera::open(wanted, &self.plan, &self.gpu, pipelines, memory, self.options.work_per_dispatch)?),
        };
        if in_flight == SLOTS {
            return refused("two frames are under way; finish one first");
        }
        camera.begin(&self.gpu, network, frame)
    }

    /// Waits for the oldest frame that was begun and returns the network's outputs, as [`GpuExecutor::run_frame`].
    ///
    /// # Errors
    /// [`Error::Backend`] if none was begun; [`fathom_gpu::Error`] if the device fails, a lost one at once.
    pub fn finish(&mut self) -> Result<Vec<Tensor>> {
        let outputs = match &mut self.loaded.camera {
            Some(camera) => camera.finish(&self.gpu, &self.plan)?,
            None => None,
        };
        outputs.ok_or_else(|| Error::Backend { wanted: "gpu", message: "no frame was begun".to_owned() })
    }

    /// Frames that were begun and not finished.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.loaded.camera.as_ref().map_or(0, Camera::begun)
    }

    /// The map laid on the first output of frames to come, [`Affine::IDENTITY`] at first.
    pub const fn set_affine(&mut self, affine: Affine) {
        self.affine = affine;
    }

    fn wanted(&self, frame: &frame::Frame<'_>, card: &ModelCard) -> Wanted {
        Wanted { form: FrameForm::of(frame), card: card.clone(), affine: self.affine }
    }

    /// As [`GpuExecutor::run`], one submission a step; `observe` is called after each with its index and the bytes of its
    /// output, from the first row of channels to the end of the last, as `PlanTensor` lays them out. Steps that are computed
    /// within another's launch are left out; where the last of them runs with the first, its output is observed there.
    ///
    /// # Errors
    /// As [`GpuExecutor::run`], but a lost device is an error at once.
    pub fn run_observed(&mut self, image: &Tensor, observe: &mut dyn FnMut(usize, &[u8])) -> Result<()> {
        self.loaded.memory.write_input(&self.gpu, &self.plan, &border::pack(&self.plan, image)?)?;
        for index in 0..self.plan.steps.len() {
            if self.loaded.absorbed[index] {
                continue;
            }
            let shown = self.loaded.shown.get(&index).copied().unwrap_or(index);
            let output = self.plan.steps[shown].output;
            let mut read_back = ReadBack::new(&self.gpu, &[self.loaded.memory.tensor(&self.plan, output)?])?;
            self.loaded.frame.run_marks(&self.gpu, index..index + 1, &mut read_back)?;
            observe(shown, read_back.bytes(0));
        }
        Ok(())
    }

    /// Dispatches of the network.
    #[must_use]
    pub const fn dispatches(&self) -> usize {
        self.loaded.frame.dispatches()
    }

    /// Dispatches of a camera frame, those of the network included; without any such frame yet, the network's.
    #[must_use]
    pub fn frame_dispatches(&self) -> usize {
        self.dispatches() + self.loaded.camera.as_ref().map_or(0, Camera::dispatches)
    }

    /// Most work of one dispatch, those around a camera frame included: multiply-accumulates or elements. Never above
    /// [`GpuOptions::work_per_dispatch`]; a dispatch of a single workgroup, which nothing splits, does not count.
    #[must_use]
    pub fn most_work(&self) -> u64 {
        self.loaded.frame.most_work().max(self.loaded.camera.as_ref().map_or(0, Camera::most_work))
    }

    /// Bytes on the device: arena and constants.
    #[must_use]
    pub const fn device_bytes(&self) -> u64 {
        self.loaded.memory.bytes()
    }

    /// The device.
    #[must_use]
    pub const fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The tactic of each step, for the report.
    #[must_use]
    pub const fn tactics(&self) -> &Tactics {
        &self.tactics
    }

    /// How the stored pipelines were received.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.loaded.pipelines.start()
    }

    /// Nanoseconds that each step took on the device in one run of the last image.
    ///
    /// # Errors
    /// [`fathom_gpu::Error::Feature`] if the device has no timestamps.
    pub fn step_times_ns(&self) -> Result<Vec<f64>> {
        Ok(self.loaded.frame.time(&self.gpu)?)
    }

    /// Compiled pipelines and chosen tactics, to be given to a later [`GpuOptions::stored`].
    #[must_use]
    pub fn store(&mut self) -> Vec<u8> {
        self.loaded.pipelines.set_notes(self.tactics.to_notes());
        self.loaded.pipelines.store(&self.gpu, fathom_gpu::ALL)
    }

    fn submit(&mut self, input: &[u8]) -> Result<()> {
        self.gpu.check()?;
        self.loaded.memory.write_input(&self.gpu, &self.plan, input)?;
        Ok(self.loaded.frame.run(&self.gpu, &mut self.loaded.outputs)?)
    }

    fn rebuild(&mut self) -> Result<()> {
        let name = self.gpu.report().name.clone();
        self.gpu = Arc::new(Gpu::open(&fathom_gpu::AdapterPolicy::Named(name))?);
        let pipelines = Pipelines::open(&self.gpu, fathom_gpu::ALL, self.options.stored.as_deref());
        self.loaded = load(&self.plan, &self.gpu, pipelines, &self.tactics, self.options.work_per_dispatch)?;
        Ok(())
    }
}

/// Records all steps' launches over freshly placed memory.
fn load(plan: &Plan, gpu: &Gpu, mut pipelines: Pipelines, tactics: &Tactics, work_per_dispatch: u64) -> Result<Loaded> {
    let steps = plan.steps.iter().enumerate().map(|(i, step)| tasks::of_step(plan, step, tactics.of(i), gpu.lanes()));
    let mut tasks = steps.collect::<Result<Vec<Vec<Task>>>>()?;
    let mut shown = HashMap::new();
    for fused in peephole::fused(plan, gpu.report().software) {
        fused.steps.iter().for_each(|&step| tasks[step].clear());
        shown.extend(fused.steps.last().map(|last| (fused.at, *last)));
        tasks[fused.at].push(fused.task);
    }
    let absorbed = tasks.iter().map(Vec::is_empty).collect();
    let memory = Memory::place(plan, gpu, &tasks)?;
    let mut recorder = Recorder::default();
    for (mark, task) in tasks.iter().enumerate().flat_map(|(i, tasks)| tasks.iter().map(move |task| (i, task))) {
        let bindings = memory.bindings(plan, task)?;
        for part in task.prepared.launch.clone().split(work_per_dispatch) {
            recorder.launch(gpu, &mut pipelines, &part, &bindings, mark)?;
        }
    }
    let frame = recorder.finish(gpu)?;
    let sources = plan.outputs.iter().map(|port| memory.tensor(plan, port.tensor)).collect::<Result<Vec<_>>>()?;
    let outputs = ReadBack::new(gpu, &sources)?;
    Ok(Loaded { pipelines, memory, frame, outputs, absorbed, shown, camera: None })
}
