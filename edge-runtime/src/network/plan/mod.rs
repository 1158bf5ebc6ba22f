//! The plan of a network: fused steps over tensors placed in one arena, as printable data that executors carry out.
//!
//! **Layout.** A tensor is row-major over [`PlanTensor::shape`]; its last axis is [`PlanTensor::pitch`] elements long in
//! memory. Feature maps are `[1, height, width, channels]`, whatever the file's layout was: transposes became
//! bookkeeping in `lower`. A tensor may be a part of another ([`Place::Part`]), which is how Concat and Reshape cost
//! nothing: then its pitch is that of the whole.
//!
//! **Numbers.** A tensor with [`PlanTensor::quant`] holds bytes. Steps that sum integers ([`StepOp::Conv`],
//! [`StepOp::ConvTranspose`], [`StepOp::MatMul`] with byte arithmetic, [`StepOp::Table`], [`StepOp::ByteSum`],
//! [`StepOp::ByteProduct`], [`StepOp::Copy`], largest and nearest) are exact to the bit. All others compute in floats: they read a
//! byte `q` as `scale (q - zero_point)` and write `x` as `QuantParams::quantize(x)`, so no separate step is needed to
//! cross between bytes and floats. Padding lanes are 0 after every step that writes a tensor whose pitch is its own.

mod arena;
mod cost;
mod print;
mod step;

use std::ops::Range;

use fathom_core::ops::nn::pitch;
use fathom_core::quant::QuantParams;
use fathom_core::tensor::{Element, Elements};

pub use arena::{Arena, place};
pub use cost::Cost;
pub use step::{Arithmetic, ByteArithmetic, MatMulStep, Step, StepOp};

/// Index of a tensor in [`Plan::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// Index of a constant in [`Plan::weights`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub usize);

/// A network ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Every tensor that a step reads or writes.
    pub tensors: Vec<PlanTensor>,
    /// Constants: weights of steps and constant operands. They never change and lie apart from the arena.
    pub weights: Vec<Weight>,
    /// In execution order.
    pub steps: Vec<Step>,
    /// The image.
    pub input: Port,
    /// What the graph yields, in its order.
    pub outputs: Vec<Port>,
    /// Bytes of the arena in which all non-constant tensors lie.
    pub arena_bytes: usize,
    /// Least arena any placement could have: the largest sum of bytes alive during one step.
    pub arena_lower_bound_bytes: usize,
}

/// A tensor of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanTensor {
    /// Name of the graph's value that it carries.
    pub name: String,
    /// F32, U8, I8 (or I32, for none of today's steps).
    pub element: Element,
    /// Extents, outermost first; at least one axis.
    pub shape: Vec<usize>,
    /// Elements from one row of the last axis to the next; a multiple of 4.
    pub pitch: usize,
    /// What its bytes mean; `None` for floats.
    pub quant: Option<QuantParams>,
    /// Where it lies.
    pub place: Place,
    /// From the first step that writes it (0 for the input) to the one behind the last that reads it. Empty for constants and parts.
    pub live: Range<usize>,
}

/// Where a tensor lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the arena.
    Arena {
        /// From the arena's start; a multiple of [`ALIGNMENT_BYTES`].
        offset_bytes: usize,
    },
    /// Within another tensor's memory: a reshaped view or a part of a concatenation.
    Part {
        /// The tensor, which is no part itself.
        of: TensorId,
        /// Elements from its start; a multiple of 4.
        offset: usize,
    },
    /// A constant in [`Plan::weights`], laid out with the tensor's pitch.
    Weight(WeightId),
}

/// Placement granularity in the arena: the largest storage-buffer offset alignment that Vulkan devices ask for.
pub const ALIGNMENT_BYTES: usize = 256;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Name in the file.
    pub name: String,
    /// Elements: for convolutions `[out_channels, kernel_h, kernel_w, group_channels]` without padding, for others as the step says.
    /// None are left once the only executor of the plan holds them in a form of its own.
    pub elements: Elements,
    /// Bytes of the elements, also when they are gone.
    pub bytes: usize,
}

/// A tensor at the plan's border.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// The tensor. If it is quantized, the executor quantizes (input) or dequantizes (output) at the border.
    pub tensor: TensorId,
    /// Extents in the graph's own layout, e.g. `[1, 3, height, width]`.
    pub shape: Vec<usize>,
    /// Axis `i` of the plan's tensor is axis `axes[i]` of the graph's: `[0, 2, 3, 1]` for a feature map.
    pub axes: Vec<usize>,
}

impl PlanTensor {
    /// Rows of the last axis.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// Extent of the last axis.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Elements from its first to one past its last row, padding included; a part's last row ends with its own channels' padding.
    #[must_use]
    pub fn span(&self) -> usize {
        match self.rows() {
            0 => 0,
            rows => (rows - 1) * self.pitch + pitch(self.channels()),
        }
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.span() * self.element.bytes()
    }

    /// Stride of each axis in elements.
    #[must_use]
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.shape.len()];
        let mut next = self.pitch;
        for axis in (0..self.shape.len().saturating_sub(1)).rev() {
            strides[axis] = next;
            next *= self.shape[axis];
        }
        strides
    }
}

impl Weight {
    /// A constant.
    #[must_use]
    pub fn new(name: String, elements: Elements) -> Self {
        let bytes = elements.len() * elements.element().bytes();
        Self { name, elements, bytes }
    }

    /// Gives the elements' memory back.
    pub(in crate::network) fn release(&mut self) {
        self.elements = match self.elements.element() {
            Element::I8 => Elements::I8(Vec::new()),
            Element::U8 => Elements::U8(Vec::new()),
            _ => Elements::F32(Vec::new()),
        };
    }
}

impl Plan {
    /// The tensor behind an id.
    ///
    /// # Panics
    /// If the id is of another plan.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> &PlanTensor {
        &self.tensors[id.0]
    }

    /// The constant behind an id.
    ///
    /// # Panics
    /// If the id is of another plan.
    #[must_use]
    pub fn weight(&self, id: WeightId) -> &Weight {
        &self.weights[id.0]
    }

    /// The tensor whose memory holds this one, and the element at which this one starts in it.
    #[must_use]
    pub fn whole(&self, id: TensorId) -> (TensorId, usize) {
        match self.tensor(id).place {
            Place::Part { of, offset } => (of, offset),
            Place::Arena { .. } | Place::Weight(_) => (id, 0),
        }
    }

    /// Byte range within the arena; `None` for constants.
    #[must_use]
    pub fn arena_range(&self, id: TensorId) -> Option<Range<usize>> {
        let (whole, first) = self.whole(id);
        let Place::Arena { offset_bytes } = self.tensor(whole).place else { return None };
        let start = offset_bytes + first * self.tensor(id).element.bytes();
        Some(start..start + self.tensor(id).bytes())
    }

    /// Bytes of all constants: weights, biases, multipliers and tables.
    #[must_use]
    pub fn weights_bytes(&self) -> usize {
        let weights: usize = self.weights.iter().map(|w| w.bytes).sum();
        weights + self.steps.iter().map(|step| step.op.constant_bytes()).sum::<usize>()
    }

    /// Bytes of the constants whose elements are gone from the plan.
    #[must_use]
    pub fn released_bytes(&self) -> usize {
        self.weights.iter().filter(|w| w.elements.is_empty()).map(|w| w.bytes).sum()
    }

    /// Multiplications of one run.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(|step| step.cost.macs).sum()
    }

    /// Dispatches of one run on a GPU: one a step.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }
}
