//! From a step of the plan to launches: one, or a few where no single kernel does all of the step.

use fathom_core::ops::nn::Activation;
use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::elementwise::{Binary, Broadcast, Unary};
use fathom_core::tensor::{Element, Elements};
use fathom_gpu::kernel::Launch;
use fathom_gpu::nn::{Lay, Operand, Prepared, binary, byte_pair, copy, epilogue, pad, pool, reduce, resize, rows, table, unary};

use super::tactic::Tactic;
use crate::network::plan::{Plan, Step, StepOp, TensorId, WeightId};
use crate::{Error, Result};

mod sums;

/// A launch and the memory that its read-write bindings take.
pub(super) struct Task {
    /// Launch and constants.
    pub(super) prepared: Prepared,
    /// One for each read-write binding, in order.
    pub(super) binds: Vec<Bind>,
}

/// Memory of a read-write binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bind {
    /// The memory that holds a tensor.
    Tensor(TensorId),
    /// A constant of the plan, as it is there.
    Weight(WeightId),
    /// Space behind the arena, for the length of one step.
    Scratch {
        /// From the start of the scratch space.
        offset: u64,
        /// Length.
        bytes: u64,
    },
}

impl Bind {
    /// How much scratch space this needs.
    pub(super) const fn scratch_end(&self) -> u64 {
        match self {
            Self::Tensor(_) | Self::Weight(_) => 0,
            Self::Scratch { offset, bytes } => *offset + *bytes,
        }
    }
}

impl Task {
    fn new(prepared: Prepared, binds: impl IntoIterator<Item = TensorId>) -> Self {
        Self { prepared, binds: binds.into_iter().map(Bind::Tensor).collect() }
    }

    fn plain(launch: Launch, binds: impl IntoIterator<Item = TensorId>) -> Self {
        Self::new(Prepared { launch, constants: Vec::new() }, binds)
    }
}

/// The launches of a step; `lanes` as [`fathom_gpu::Gpu::lanes`].
///
/// # Errors
/// [`Error::UnsupportedOp`] naming what of the step has no kernel.
pub(super) fn of_step(plan: &Plan, step: &Step, tactic: Tactic, lanes: u32) -> Result<Vec<Task>> {
    let view = View { plan, step, lanes };
    let out = step.output;
    match &step.op {
        StepOp::Conv { conv, weights, arithmetic } => sums::conv(&view, conv, *weights, arithmetic, tactic),
        StepOp::ConvTranspose { conv, weights, arithmetic } => sums::conv_transpose(&view, conv, *weights, arithmetic),
        StepOp::MatMul(matmul) => sums::matmul(&view, matmul, tactic),
        StepOp::Pool(op) => one(Task::plain(pool::prepare(op, &view.input(0)?, &view.output()), [view.id(0)?, out])),
        StepOp::Resize { resize: op, then } => {
            let target = Operand { quant: then.as_ref().map_or(view.output().quant, |(quant, _)| Some(*quant)), ..view.output() };
            let table = view.shared_table(then.as_ref().map(|(_, table)| table))?;
            one(Task::new(resize::prepare(op, &view.input(0)?, &target, table), [view.id(0)?, out]))
        }
        StepOp::Unary(function) => {
            let tensor = plan.tensor(out);
            let launch = unary::prepare(*function, tensor.rows(), tensor.channels(), &view.input(0)?, &view.output());
            one(Task::plain(launch, [view.id(0)?, out]))
        }
        StepOp::Table(op) => {
            let tensor = plan.tensor(out);
            let prepared = table::prepare(op, tensor.rows(), tensor.channels(), view.lay(view.id(0)?), view.lay(out));
            one(Task::new(prepared, [view.id(0)?, out]))
        }
        StepOp::Binary { op, axes, activation } => {
            let clamps = matches!(activation, Activation::None | Activation::Relu | Activation::Clip { .. });
            let range = if clamps { epilogue::range(*activation) } else { epilogue::range(Activation::None) };
            let launch = binary::prepare(*op, axes, range, &view.input(0)?, &view.input(1)?, &view.output());
            let launch = launch.ok_or_else(|| view.unsupported("strides of the last axis"))?;
            let mut tasks = vec![Task::plain(launch, [view.id(0)?, view.id(1)?, out])];
            if !clamps {
                tasks.push(view.then(*activation, view.result())?);
            }
            Ok(tasks)
        }
        StepOp::ByteSum { sum, axes, then } => {
            let pairs = epilogue::pairs(view.signs()?, |a, b| sum.value(a, b), view.shared_table(then.as_ref())?);
            let prepared = byte_pair::prepare(axes, view.starts()?, pairs).ok_or_else(|| view.unsupported("strides of the last axis"))?;
            one(Task::new(prepared, [view.id(0)?, view.id(1)?, out]))
        }
        StepOp::ByteProduct { product, axes, then } => {
            let pairs = epilogue::pairs(view.signs()?, |a, b| product.value(a, b), view.shared_table(then.as_ref())?);
            let prepared = byte_pair::prepare(axes, view.starts()?, pairs).ok_or_else(|| view.unsupported("strides of the last axis"))?;
            one(Task::new(prepared, [view.id(0)?, view.id(1)?, out]))
        }
        StepOp::Copy { copy: op, fill, table } => {
            let bytes = plan.tensor(out).element != Element::F32;
            let tensor = plan.tensor(out);
            let mut tasks = Vec::new();
            if let Some(bits) = fill {
                tasks.push(Task::plain(copy::fill(*bits, bytes, tensor.rows(), tensor.channels(), view.lay(out)), [out]));
            }
            let starts = [view.start(view.id(0)?), view.start(out)];
            tasks.push(Task::new(copy::prepare(op, starts, bytes, table.as_ref()), [view.id(0)?, out]));
            Ok(tasks)
        }
        StepOp::Pad(op) => {
            let tensor = plan.tensor(out);
            let words = tensor.channels().next_multiple_of(4) * tensor.element.bytes() / 4;
            one(Task::plain(pad::prepare(op, words, view.lay(view.id(0)?), view.lay(out)), [view.id(0)?, out]))
        }
        StepOp::Softmax(op) => one(Task::plain(rows::softmax(op, &view.input(0)?, &view.output()), [view.id(0)?, out])),
        StepOp::LayerNorm { norm, scale, bias } => {
            let bias = bias.map_or(Ok(&[][..]), |id| view.weights_f32(id))?;
            let prepared = rows::layer_norm(norm, view.weights_f32(*scale)?, bias, &view.input(0)?, &view.output());
            one(Task::new(prepared, [view.id(0)?, out]))
        }
        StepOp::Reduce(op) => one(Task::plain(reduce::prepare(op, &view.input(0)?, &view.output()), [view.id(0)?, out])),
    }
}

/// A tensor within the memory that holds it.
pub(super) fn operand(plan: &Plan, id: TensorId) -> Operand {
    let tensor = plan.tensor(id);
    Operand { start: plan.whole(id).1, pitch: tensor.pitch, quant: tensor.quant }
}

/// A tensor's place within the memory that holds it, in words.
pub(super) fn lay(plan: &Plan, id: TensorId) -> Lay {
    let tensor = plan.tensor(id);
    let words = |elements: usize| (elements * tensor.element.bytes() / 4) as u32;
    Lay { start: words(plan.whole(id).1), pitch: words(tensor.pitch) }
}

fn one(task: Task) -> Result<Vec<Task>> {
    Ok(vec![task])
}

/// Memory to compute in: what lies there, and which memory it is.
#[derive(Clone, Copy)]
struct Spot {
    operand: Operand,
    bind: Bind,
}

/// A step with its plan: where operands lie and what they mean.
struct View<'a> {
    plan: &'a Plan,
    step: &'a Step,
    /// Invocations of the device's narrowest subgroup.
    lanes: u32,
}

impl View<'_> {
    fn id(&self, input: usize) -> Result<TensorId> {
        self.step.inputs.get(input).copied().ok_or_else(|| self.unsupported("an operand is missing"))
    }

    /// The residual, which is the last operand; the output's own memory where there is none.
    fn residual(&self, has: bool) -> TensorId {
        if has { self.step.inputs.last().copied().unwrap_or(self.step.output) } else { self.step.output }
    }

    /// First element within the memory that holds the tensor.
    fn start(&self, id: TensorId) -> usize {
        self.plan.whole(id).1
    }

    fn starts(&self) -> Result<[usize; 3]> {
        Ok([self.start(self.id(0)?), self.start(self.id(1)?), self.start(self.step.output)])
    }

    fn operand(&self, id: TensorId) -> Operand {
        operand(self.plan, id)
    }

    fn input(&self, input: usize) -> Result<Operand> {
        Ok(self.operand(self.id(input)?))
    }

    fn output(&self) -> Operand {
        self.operand(self.step.output)
    }

    /// Place in words.
    fn lay(&self, id: TensorId) -> Lay {
        lay(self.plan, id)
    }

    fn is_signed(&self, id: TensorId) -> bool {
        self.plan.tensor(id).element == Element::I8
    }

    /// Signedness of both operands and the result.
    fn signs(&self) -> Result<[bool; 3]> {
        Ok([self.is_signed(self.id(0)?), self.is_signed(self.id(1)?), self.is_signed(self.step.output)])
    }

    /// A table that serves all channels.
    fn shared_table<'t>(&self, table: Option<&'t ByteTable>) -> Result<Option<&'t ByteTable>> {
        match table {
            Some(table) if table.tables() > 1 => Err(self.unsupported("a table per channel behind a sum of bytes")),
            table => Ok(table),
        }
    }

    /// The output as a place to write to.
    fn result(&self) -> Spot {
        Spot { operand: self.output(), bind: Bind::Tensor(self.step.output) }
    }

    /// Floats behind the arena, in the shape of the output.
    fn scratch(&self) -> Spot {
        let tensor = self.plan.tensor(self.step.output);
        let pitch = tensor.channels().next_multiple_of(4);
        let bind = Bind::Scratch { offset: 0, bytes: (4 * tensor.rows() * pitch) as u64 };
        Spot { operand: Operand { start: 0, pitch, quant: None }, bind }
    }

    /// A function applied in place.
    fn then(&self, activation: Activation, spot: Spot) -> Result<Task> {
        if spot.operand.quant.is_some() {
            return Err(self.unsupported("an activation on rounded bytes"));
        }
        Ok(self.unary(Unary::Activation(activation), spot, spot))
    }

    fn unary(&self, function: Unary, source: Spot, target: Spot) -> Task {
        let tensor = self.plan.tensor(self.step.output);
        let launch = unary::prepare(function, tensor.rows(), tensor.channels(), &source.operand, &target.operand);
        Task { prepared: Prepared { launch, constants: Vec::new() }, binds: vec![source.bind, target.bind] }
    }

    /// The residual added in place, then clamped to a range.
    fn add_residual(&self, spot: Spot, range: [f32; 2]) -> Result<Task> {
        let residual = self.residual(true);
        let tensor = self.plan.tensor(self.step.output);
        let operand = self.operand(residual);
        let strides = |pitch: usize| [0, 0, pitch, 1];
        let axes = Broadcast {
            shape: [1, 1, tensor.rows(), tensor.channels()],
            a: strides(spot.operand.pitch),
            b: strides(operand.pitch),
            out: strides(spot.operand.pitch),
        };
        let launch = binary::prepare(Binary::Add, &axes, range, &spot.operand, &operand, &spot.operand);
        let launch = launch.ok_or_else(|| self.unsupported("strides of the residual"))?;
        Ok(Task { prepared: Prepared { launch, constants: Vec::new() }, binds: vec![spot.bind, Bind::Tensor(residual), spot.bind] })
    }

    fn weights_f32(&self, id: WeightId) -> Result<&[f32]> {
        match &self.plan.weight(id).elements {
            Elements::F32(weights) => Ok(weights),
            other => Err(self.unsupported(&format!("weights of {}", other.element().name()))),
        }
    }

    fn weights_i8(&self, id: WeightId) -> Result<&[i8]> {
        match &self.plan.weight(id).elements {
            Elements::I8(weights) => Ok(weights),
            other => Err(self.unsupported(&format!("weights of {}", other.element().name()))),
        }
    }

    fn unsupported(&self, detail: &str) -> Error {
        let (op, node) = (self.step.op.name().to_owned(), self.step.name.clone());
        Error::UnsupportedOp { op, node, detail: format!(": {detail} (GPU)") }
    }
}
