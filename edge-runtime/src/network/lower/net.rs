//! The network while it is lowered: nodes over values whose numbers are floats or bytes, quantization nodes gone.

use std::rc::Rc;

use fathom_core::ops::nn::Window;
use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::elementwise::{Binary, Unary};
use fathom_core::ops::nn::pad::PadMode;
use fathom_core::ops::nn::pool::Pooling;
use fathom_core::ops::nn::reduce::Reduction;
use fathom_core::ops::nn::resize::{Coordinates, ResizeMode};
use fathom_core::quant::QuantParams;

use super::constant::Constant;
use super::finish::Finish;
use super::table::Table;

/// Index of a value in [`Net::values`].
pub(super) type Id = usize;

/// What a value's elements are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Floats.
    Float,
    /// Bytes with this meaning.
    Bytes(QuantParams),
}

/// One tensor, in the graph's own layout.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) number: Number,
    pub(super) constant: Option<Rc<Constant>>,
}

/// One operation. It reads bytes as the reals they stand for and rounds its result to the output's number.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) op: Op,
    pub(super) inputs: Vec<Id>,
    pub(super) output: Id,
}

/// Operations; axes and shapes are the graph's.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// `x, residual?`.
    Conv(Box<Conv>),
    /// `a, b?, residual?`.
    MatMul(Box<MatMul>),
    /// `x`: bytes to bytes.
    Table(Table),
    Unary(Unary),
    Binary(Binary, Activation),
    Pool {
        window: Window,
        pooling: Pooling,
    },
    Reduce {
        reduction: Reduction,
        axes: Vec<usize>,
    },
    Resize {
        mode: ResizeMode,
        coordinates: Coordinates,
        scales: [f32; 2],
        /// A table after rounding with these parameters.
        then: Option<(QuantParams, Table)>,
    },
    Concat {
        axis: usize,
    },
    Slice {
        starts: Vec<usize>,
        steps: Vec<isize>,
    },
    Pad {
        before: Vec<usize>,
        after: Vec<usize>,
        mode: PadMode,
    },
    Transpose {
        perm: Vec<usize>,
    },
    Reshape,
    Expand,
    Gather {
        axis: usize,
        indices: Vec<usize>,
        keeps_axis: bool,
    },
    Softmax {
        axis: usize,
    },
    LayerNorm {
        epsilon: f32,
        scale: Rc<Constant>,
        bias: Option<Rc<Constant>>,
    },
    DepthToSpace {
        block: usize,
        crd: bool,
    },
}

/// A convolution or transposed convolution with what was fused into it.
#[derive(Debug, Clone)]
pub(super) struct Conv {
    /// The output padding, if transposed.
    pub(super) transposed: Option<[usize; 2]>,
    pub(super) window: Window,
    pub(super) groups: usize,
    /// ONNX's layout: `[O, C/g, kh, kw]`, transposed `[C, O/g, kh, kw]`.
    pub(super) weights: Rc<Constant>,
    pub(super) finish: Finish,
}

/// A matrix product with what was fused into it.
#[derive(Debug, Clone)]
pub(super) struct MatMul {
    pub(super) trans_a: bool,
    pub(super) trans_b: bool,
    /// The second operand if it is constant and two-dimensional; then the node has no input for it.
    pub(super) weights: Option<Rc<Constant>>,
    pub(super) alpha: f32,
    pub(super) finish: Finish,
}

/// The network.
#[derive(Debug, Clone)]
pub(super) struct Net {
    pub(super) values: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    pub(super) input: Id,
    pub(super) outputs: Vec<Id>,
}

impl Number {
    pub(super) const fn quant(self) -> Option<QuantParams> {
        match self {
            Self::Float => None,
            Self::Bytes(quant) => Some(quant),
        }
    }
}

impl Op {
    /// Whether the result consists of operand elements, unchanged: such an operation has one number on both sides.
    pub(super) const fn moves(&self) -> bool {
        match self {
            Self::Concat { .. }
            | Self::Slice { .. }
            | Self::Pad { .. }
            | Self::Transpose { .. }
            | Self::Reshape
            | Self::Expand
            | Self::Gather { .. }
            | Self::DepthToSpace { .. } => true,
            Self::Pool { pooling, .. } => matches!(pooling, Pooling::Max),
            Self::Resize { mode, .. } => matches!(mode, ResizeMode::Nearest(_)),
            _ => false,
        }
    }

    /// The epilogue, for operations that have one.
    pub(super) fn finish_mut(&mut self) -> Option<&mut Finish> {
        match self {
            Self::Conv(conv) => Some(&mut conv.finish),
            Self::MatMul(matmul) => Some(&mut matmul.finish),
            _ => None,
        }
    }
}

impl Net {
    /// Adds a value.
    pub(super) fn add(&mut self, name: String, shape: Vec<usize>, number: Number) -> Id {
        self.values.push(Value { name, shape, number, constant: None });
        self.values.len() - 1
    }

    /// Adds a constant of floats.
    pub(super) fn add_constant(&mut self, name: String, constant: Rc<Constant>) -> Id {
        self.values.push(Value { name, shape: constant.shape.clone(), number: Number::Float, constant: Some(constant) });
        self.values.len() - 1
    }

    pub(super) fn number(&self, id: Id) -> Number {
        self.values[id].number
    }

    pub(super) fn shape(&self, id: Id) -> &[usize] {
        &self.values[id].shape
    }

    pub(super) fn constant(&self, id: Id) -> Option<&Rc<Constant>> {
        self.values[id].constant.as_ref()
    }

    /// The one value of a constant, if it holds but one.
    pub(super) fn scalar(&self, id: Id) -> Option<f32> {
        self.constant(id).and_then(|c| if c.len() == 1 { Some(c.reals()[0]) } else { None })
    }

    /// For each value, the nodes that read it (twice if twice).
    pub(super) fn users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.values.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&id| users[id].push(n));
        }
        users
    }

    /// For each value, the node that computes it.
    pub(super) fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            producers[node.output] = Some(n);
        }
        producers
    }

    /// Whether exactly one node reads the value and it is no output of the network.
    pub(super) fn has_one_user(&self, users: &[Vec<usize>], id: Id) -> bool {
        users[id].len() == 1 && !self.outputs.contains(&id)
    }

    /// Drops nodes whose result nobody reads.
    pub(super) fn sweep(&mut self) {
        let mut wanted = vec![false; self.values.len()];
        self.outputs.iter().for_each(|&id| wanted[id] = true);
        let mut kept = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.drain(..).rev() {
            if wanted[node.output] {
                node.inputs.iter().for_each(|&id| wanted[id] = true);
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
    }
}
