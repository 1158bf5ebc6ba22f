//! Device memory of a plan: one arena with scratch space behind it, and one buffer of constants.

use std::collections::HashMap;

use fathom_core::tensor::Elements;
use fathom_gpu::Gpu;
use fathom_gpu::buffer::{Buffer, Slice};
use fathom_gpu::kernel::Access;

use super::tasks::{Bind, Task};
use crate::Result;
use crate::network::plan::{ALIGNMENT_BYTES, Place, Plan, TensorId, WeightId};

/// The arena and the constants.
pub(super) struct Memory {
    arena: Buffer,
    constants: Buffer,
    /// Constants that steps take as operands: kernels bind those as they bind the arena, for reading and writing, which excludes
    /// binding the same buffer for reading alone.
    operands: Buffer,
    /// Start of each constant: of tasks in order of use, then of constant operands.
    of_tasks: HashMap<*const u8, (u64, u64)>,
    of_weights: HashMap<WeightId, (u64, u64)>,
    scratch_start: u64,
}

impl Memory {
    /// Uploads all constants of `tasks` and makes an arena for the plan and the tasks' scratch.
    pub(super) fn place(plan: &Plan, gpu: &Gpu, tasks: &[Vec<Task>]) -> Result<Self> {
        let (mut bytes, mut operand_bytes) = (Vec::new(), Vec::new());
        let append = |bytes: &mut Vec<u8>, contents: &[u8]| {
            let start = bytes.len() as u64;
            bytes.extend_from_slice(contents);
            bytes.resize(bytes.len().max(start as usize + 4).next_multiple_of(ALIGNMENT_BYTES), 0);
            (start, (contents.len() as u64).max(4).next_multiple_of(4))
        };
        let mut of_tasks = HashMap::new();
        for constant in tasks.iter().flatten().flat_map(|task| &task.prepared.constants) {
            of_tasks.insert(constant.as_ptr(), append(&mut bytes, constant));
        }
        let operands = plan.tensors.iter().filter_map(|tensor| match tensor.place {
            Place::Weight(id) => Some(id),
            Place::Arena { .. } | Place::Part { .. } => None,
        });
        let bound = tasks.iter().flatten().flat_map(|task| &task.binds).filter_map(|bind| match bind {
            Bind::Weight(id) => Some(*id),
            Bind::Tensor(_) | Bind::Scratch { .. } => None,
        });
        let of_weights = operands.chain(bound).map(|id| (id, append(&mut operand_bytes, &contents(&plan.weight(id).elements)))).collect();
        let scratch_start = (plan.arena_bytes as u64).next_multiple_of(ALIGNMENT_BYTES as u64);
        let scratch = tasks.iter().flatten().flat_map(|task| &task.binds).map(Bind::scratch_end).max().unwrap_or(0);
        Ok(Self {
            arena: Buffer::arena(gpu, "arena", scratch_start + scratch)?,
            constants: Buffer::constants(gpu, "constants", &bytes)?,
            operands: Buffer::constants(gpu, "operands", &operand_bytes)?,
            of_tasks,
            of_weights,
            scratch_start,
        })
    }

    /// Bytes on the device.
    pub(super) const fn bytes(&self) -> u64 {
        self.arena.bytes() + self.constants.bytes() + self.operands.bytes()
    }

    /// The memory that a tensor lies in: of parts, that of the whole.
    pub(super) fn holder(&self, plan: &Plan, id: TensorId) -> Result<Slice<'_>> {
        let (whole, _) = plan.whole(id);
        let tensor = plan.tensor(whole);
        match tensor.place {
            Place::Weight(weight) => self.weight(weight),
            Place::Arena { offset_bytes } => Ok(self.arena.slice(offset_bytes as u64, tensor.bytes() as u64)?),
            Place::Part { .. } => unreachable!("Plan::whole returns no part"),
        }
    }

    fn weight(&self, id: WeightId) -> Result<Slice<'_>> {
        let (start, bytes) = self.of_weights.get(&id).copied().unwrap_or((0, 4));
        Ok(self.operands.slice(start, bytes)?)
    }

    /// A tensor's own memory.
    pub(super) fn tensor(&self, plan: &Plan, id: TensorId) -> Result<Slice<'_>> {
        let holder = self.holder(plan, id)?;
        let (_, first) = plan.whole(id);
        let tensor = plan.tensor(id);
        let start = (first * tensor.element.bytes()) as u64;
        Ok(holder.part(start, tensor.bytes() as u64)?)
    }

    /// What a task binds, in the order of its kernel.
    pub(super) fn bindings(&self, plan: &Plan, task: &Task) -> Result<Vec<Slice<'_>>> {
        let (mut constants, mut binds) = (task.prepared.constants.iter(), task.binds.iter());
        let kernel = task.prepared.launch.kernel;
        let slices = kernel.bindings.iter().map(|access| match access {
            Access::Read => {
                let found = constants.next().and_then(|constant| self.of_tasks.get(&constant.as_ptr()));
                let (start, bytes) = found.copied().unwrap_or((0, 4));
                Ok(self.constants.slice(start, bytes)?)
            }
            Access::ReadWrite => match binds.next() {
                Some(Bind::Tensor(id)) => self.holder(plan, *id),
                Some(Bind::Weight(id)) => self.weight(*id),
                Some(Bind::Scratch { offset, bytes }) => Ok(self.arena.slice(self.scratch_start + offset, *bytes)?),
                None => Ok(self.arena.slice(0, 4)?),
            },
        });
        slices.collect()
    }

    /// Writes the packed input image.
    pub(super) fn write_input(&self, gpu: &Gpu, plan: &Plan, input: &[u8]) -> Result<()> {
        let slice = self.tensor(plan, plan.input.tensor)?;
        Ok(self.arena.write(gpu, slice.offset, input)?)
    }
}

fn contents(elements: &Elements) -> Vec<u8> {
    match elements {
        Elements::F32(v) => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        Elements::I32(v) => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        Elements::I64(v) => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        Elements::U8(v) => v.clone(),
        Elements::I8(v) => v.iter().map(|x| x.cast_unsigned()).collect(),
        Elements::Bool(v) => v.iter().map(|x| u8::from(*x)).collect(),
    }
}
