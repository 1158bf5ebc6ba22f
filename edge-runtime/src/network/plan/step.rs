//! One step of a plan: an operation of `fathom_core::ops::nn` with everything fused into it.

use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::conv::Conv2d;
use fathom_core::ops::nn::conv_transpose::ConvTranspose2d;
use fathom_core::ops::nn::copy::Copy;
use fathom_core::ops::nn::elementwise::{self, Binary, Broadcast, Unary};
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue, RealEpilogue};
use fathom_core::ops::nn::layer_norm::LayerNorm;
use fathom_core::ops::nn::matmul::MatMul;
use fathom_core::ops::nn::pad::Pad;
use fathom_core::ops::nn::pool::Pool;
use fathom_core::ops::nn::reduce::Reduce;
use fathom_core::ops::nn::resize::Resize;
use fathom_core::ops::nn::softmax::Softmax;
use fathom_core::quant::QuantParams;

use super::{Cost, TensorId, WeightId};

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Name of the graph's node it came from; of the last one fused.
    pub name: String,
    /// What it does.
    pub op: StepOp,
    /// Operands in the order that the operation says. The residual of an epilogue is the last.
    pub inputs: Vec<TensorId>,
    /// The one result.
    pub output: TensorId,
    /// Work and traffic.
    pub cost: Cost,
}

/// What a step does. Geometry is core's: extents there are those of the operands, pitches are the tensors' own.
#[derive(Debug, Clone, PartialEq)]
pub enum StepOp {
    /// `x, residual?`; weights `[out_channels, kernel_h, kernel_w, group_channels]`.
    Conv {
        /// Geometry.
        conv: Conv2d,
        /// Weights: i8 with byte arithmetic, else f32.
        weights: WeightId,
        /// Numbers and epilogue.
        arithmetic: Arithmetic,
    },
    /// `x, residual?`; weights as of a convolution.
    ConvTranspose {
        /// Geometry.
        conv: ConvTranspose2d,
        /// Weights: i8 with byte arithmetic, else f32.
        weights: WeightId,
        /// Numbers and epilogue.
        arithmetic: Arithmetic,
    },
    /// `a, residual?` with constant weights, or `a, b, residual?`.
    MatMul(Box<MatMulStep>),
    /// `x`. The mean of bytes is computed in floats, the largest as bytes.
    Pool(Pool),
    /// `x`. Interpolation of bytes is computed in floats, a nearest choice of equal quantization as bytes.
    Resize {
        /// Geometry.
        resize: Resize,
        /// What follows on the bytes written (one table for all channels): results are first rounded with this quantization.
        then: Option<(QuantParams, ByteTable)>,
    },
    /// `x`, floats on the inside: with [`Unary::Identity`] it quantizes or dequantizes.
    Unary(Unary),
    /// `x`: bytes to bytes by table.
    Table(ByteTable),
    /// `a, b`, floats on the inside: `activation(a op b)`.
    Binary {
        /// Which.
        op: Binary,
        /// Index space.
        axes: Broadcast,
        /// What follows.
        activation: Activation,
    },
    /// `a, b`, all bytes: their sum, then the table.
    ByteSum {
        /// The numbers.
        sum: elementwise::ByteSum,
        /// Index space.
        axes: Broadcast,
        /// What follows.
        then: Option<ByteTable>,
    },
    /// `a, b`, all bytes: their product, then the table.
    ByteProduct {
        /// The numbers.
        product: elementwise::ByteProduct,
        /// Index space.
        axes: Broadcast,
        /// What follows.
        then: Option<ByteTable>,
    },
    /// `x`: moves elements. Source and target have the same element type; several copies may fill one output.
    Copy {
        /// Strides.
        copy: Copy,
        /// What the whole output is set to first (constant Pad): bits of a float or of a byte.
        fill: Option<u32>,
        /// Bytes are mapped on the way (Concat of differently quantized parts); one table for all channels.
        table: Option<ByteTable>,
    },
    /// `x`: mirrored or repeated border. Same element type and quantization on both sides.
    Pad(Pad),
    /// `x`, over the last axis.
    Softmax(Softmax),
    /// `x`, over the last axis.
    LayerNorm {
        /// Extents.
        norm: LayerNorm,
        /// f32, one per column.
        scale: WeightId,
        /// f32, one per column.
        bias: Option<WeightId>,
    },
    /// `x`.
    Reduce(Reduce),
}

/// How a sum is formed and finished.
#[derive(Debug, Clone, PartialEq)]
pub enum Arithmetic {
    /// Float operands (bytes are read as their real values), float sums.
    Float(FloatEpilogue),
    /// Byte operands, integer sums.
    Bytes {
        /// Zero point of the first operand: `x - zero_a` enters the sum, and padding counts as `zero_a`.
        zero_a: i32,
        /// Zero point of the second operand; 0 for weights.
        zero_b: i32,
        /// What becomes of the sum.
        result: ByteArithmetic,
    },
}

/// What becomes of an integer sum.
#[derive(Debug, Clone, PartialEq)]
pub enum ByteArithmetic {
    /// A byte of the output's type.
    Byte(ByteEpilogue),
    /// A float.
    Real(RealEpilogue),
}

/// A matrix product.
#[derive(Debug, Clone, PartialEq)]
pub struct MatMulStep {
    /// Geometry. With constant weights, `b` describes them.
    pub product: MatMul,
    /// The second operand if it is constant: f32 or i8, laid out `[columns, inner]` without padding, one matrix for all batches.
    pub weights: Option<WeightId>,
    /// Factor of float sums before the epilogue (1 with byte arithmetic, whose multipliers hold it).
    pub alpha: f32,
    /// Numbers and epilogue; per-column values index the columns.
    pub arithmetic: Arithmetic,
}

impl StepOp {
    /// Lower-case name of the operation, as printed.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conv { conv, .. } => {
                if conv.groups > 1 && conv.groups == conv.input.channels && conv.groups == conv.out_channels {
                    "conv-depthwise"
                } else if conv.groups > 1 {
                    "conv-grouped"
                } else {
                    "conv"
                }
            }
            Self::ConvTranspose { .. } => "conv-transpose",
            Self::MatMul(_) => "matmul",
            Self::Pool(_) => "pool",
            Self::Resize { .. } => "resize",
            Self::Unary(_) => "unary",
            Self::Table(_) => "table",
            Self::Binary { .. } => "binary",
            Self::ByteSum { .. } => "byte-sum",
            Self::ByteProduct { .. } => "byte-product",
            Self::Copy { .. } => "copy",
            Self::Pad(_) => "pad",
            Self::Softmax(_) => "softmax",
            Self::LayerNorm { .. } => "layer-norm",
            Self::Reduce(_) => "reduce",
        }
    }

    /// How sums are formed, for the operations that have any.
    #[must_use]
    pub const fn arithmetic(&self) -> Option<&Arithmetic> {
        match self {
            Self::Conv { arithmetic, .. } | Self::ConvTranspose { arithmetic, .. } => Some(arithmetic),
            Self::MatMul(step) => Some(&step.arithmetic),
            _ => None,
        }
    }

    /// The constant of [`super::Plan::weights`] that the operation multiplies with.
    #[must_use]
    pub const fn weights(&self) -> Option<WeightId> {
        match self {
            Self::Conv { weights, .. } | Self::ConvTranspose { weights, .. } => Some(*weights),
            Self::MatMul(step) => step.weights,
            _ => None,
        }
    }

    /// Bytes of the constants held in the step itself: biases, multipliers, tables.
    #[must_use]
    pub fn constant_bytes(&self) -> usize {
        let table = |t: &Option<ByteTable>| t.as_ref().map_or(0, |t| t.entries().len());
        match self {
            Self::Table(t) => t.entries().len(),
            Self::ByteSum { then, .. } | Self::ByteProduct { then, .. } => table(then),
            Self::Copy { table: t, .. } => table(t),
            Self::Resize { then: Some((_, t)), .. } => t.entries().len(),
            op => op.arithmetic().map_or(0, Arithmetic::constant_bytes),
        }
    }
}

impl Arithmetic {
    /// Whether the epilogue adds a further operand.
    #[must_use]
    pub const fn has_residual(&self) -> bool {
        match self {
            Self::Float(float) => float.residual,
            Self::Bytes { result: ByteArithmetic::Byte(byte), .. } => byte.residual.is_some(),
            Self::Bytes { result: ByteArithmetic::Real(real), .. } => real.float.residual,
        }
    }

    /// The first operand's zero point and the epilogue, if bytes become bytes.
    #[must_use]
    pub const fn bytes_to_bytes(&self) -> Option<(i32, &ByteEpilogue)> {
        match self {
            Self::Bytes { zero_a, result: ByteArithmetic::Byte(epilogue), .. } => Some((*zero_a, epilogue)),
            _ => None,
        }
    }

    fn constant_bytes(&self) -> usize {
        let table = |t: &Option<ByteTable>| t.as_ref().map_or(0, |t| t.entries().len());
        match self {
            Self::Float(float) => 4 * float.bias.len(),
            Self::Bytes { result: ByteArithmetic::Byte(byte), .. } => {
                4 * (byte.bias.len() + byte.multiplier.len()) + table(&byte.table) + table(&byte.then)
            }
            Self::Bytes { result: ByteArithmetic::Real(real), .. } => 4 * (real.bias.len() + real.multiplier.len() + real.float.bias.len()),
        }
    }
}
