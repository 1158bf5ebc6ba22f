//! The network as imported: a flat list of nodes in execution order over values of fixed shape, quantization kept.
//!
//! Layout is ONNX's own (NCHW, row-major). Every shape is known: dynamic axes were specialised to the card's input
//! size, and shape arithmetic was folded away. `lower` turns this into a plan; nothing here knows of kernels.

use std::sync::Arc;

use fathom_core::ops::nn::Window;
pub use fathom_core::ops::nn::elementwise::{Binary, Unary};
pub use fathom_core::ops::nn::pad::PadMode;
pub use fathom_core::ops::nn::reduce::Reduction as Reduce;
pub use fathom_core::ops::nn::resize::{Coordinates, NearestRounding, ResizeMode};
use fathom_core::tensor::{Element, Tensor};

/// Index of a value in [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// A network of fixed shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Every tensor that exists: input, constants, results.
    pub values: Vec<Value>,
    /// In execution order: each node's inputs are constants, the graph's input, or results of earlier nodes.
    pub nodes: Vec<Node>,
    /// The image, `[1, 3, height, width]` f32.
    pub input: ValueId,
    /// What is asked of the network: depth first, then field of view where the card names one.
    pub outputs: Vec<ValueId>,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Name in the file; unique.
    pub name: String,
    /// Element type.
    pub element: Element,
    /// Extents.
    pub shape: Vec<usize>,
    /// Its contents, if they do not depend on the image; shared with what is made of the graph.
    pub constant: Option<Arc<Tensor>>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name in the file, or one made from its op and first output.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// Operands in ONNX's order. Optional inputs that are absent at the end are left out; in between they are `None`.
    pub inputs: Vec<Option<ValueId>>,
    /// The one result.
    pub output: ValueId,
}

/// Supported operations, with ONNX's meaning (opset 11 to 21) and attributes resolved (no `auto_pad`, no negative axes).
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// `x, w [O, C/g, kh, kw], bias?`.
    Conv {
        /// Window with explicit padding.
        window: Window,
        /// Groups.
        groups: usize,
    },
    /// `x, w [C, O/g, kh, kw], bias?`.
    ConvTranspose {
        /// Window; `pad_*` crop the output.
        window: Window,
        /// Groups.
        groups: usize,
        /// Rows and columns added behind the output.
        output_padding: [usize; 2],
    },
    /// `a, b`, batch axes broadcast.
    MatMul,
    /// `alpha A' B' + beta C`: `a, b, c?`.
    Gemm {
        /// Factor of the product.
        alpha: f32,
        /// Factor of C.
        beta: f32,
        /// Whether A is transposed.
        trans_a: bool,
        /// Whether B is transposed.
        trans_b: bool,
    },
    /// `x, x_scale, x_zp, w, w_scale, w_zp, y_scale, y_zp, bias?`.
    QLinearConv {
        /// Window with explicit padding.
        window: Window,
        /// Groups.
        groups: usize,
    },
    /// `a, a_scale, a_zp, b, b_scale, b_zp, y_scale, y_zp`.
    QLinearMatMul,
    /// `x, scale, zero_point?`; axis matters for a per-axis scale.
    QuantizeLinear {
        /// Axis of the scale's elements.
        axis: usize,
    },
    /// `x, scale, zero_point?`.
    DequantizeLinear {
        /// Axis of the scale's elements.
        axis: usize,
    },
    /// One operand, element by element.
    Unary(Unary),
    /// Two operands, element by element, broadcast.
    Binary(Binary),
    /// Maximum over windows.
    MaxPool(Window),
    /// Mean over windows.
    AveragePool {
        /// Window.
        window: Window,
        /// Whether padding counts in the divisor.
        count_include_pad: bool,
    },
    /// Reduction over axes.
    Reduce {
        /// Which.
        kind: Reduce,
        /// Axes, ascending.
        axes: Vec<usize>,
        /// Whether they stay with extent 1.
        keep_dims: bool,
    },
    /// Resampling of the last two axes to the output's extents; `x` only (sizes and scales are resolved).
    Resize {
        /// Interpolation.
        mode: ResizeMode,
        /// How an output position maps into the input.
        coordinates: Coordinates,
        /// Output / input per axis `[vertical, horizontal]`, as given or implied; enters the coordinate formula.
        scales: [f32; 2],
    },
    /// Joins operands.
    Concat {
        /// Axis.
        axis: usize,
    },
    /// `x` only: `start + i step` per axis; steps may be negative.
    Slice {
        /// First index per axis of `x`.
        starts: Vec<usize>,
        /// Step per axis of `x`.
        steps: Vec<isize>,
    },
    /// `x` only.
    Pad {
        /// Elements before, per axis.
        before: Vec<usize>,
        /// Elements behind, per axis.
        after: Vec<usize>,
        /// What they hold.
        mode: PadMode,
    },
    /// Axis `i` of the result is axis `perm[i]` of `x`.
    Transpose {
        /// Permutation.
        perm: Vec<usize>,
    },
    /// Same elements, the output's shape: also Squeeze, Unsqueeze, Flatten.
    Reshape,
    /// Broadcast to the output's shape.
    Expand,
    /// `x, indices (constant)`.
    Gather {
        /// Axis indexed.
        axis: usize,
    },
    /// Along one axis.
    Softmax {
        /// Axis.
        axis: usize,
    },
    /// `x, scale, bias?` over the last axis.
    LayerNormalization {
        /// Added to the variance.
        epsilon: f32,
    },
    /// Channels into space.
    DepthToSpace {
        /// Block edge.
        block: usize,
        /// `CRD` (column-row-depth) instead of `DCR`.
        crd: bool,
    },
}

impl Graph {
    /// The value behind an id.
    ///
    /// # Panics
    /// If the id is of another graph.
    #[must_use]
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }
}
