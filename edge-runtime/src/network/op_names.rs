//! Operators as ONNX spells them, for what people read.

use fathom_core::ops::nn::activation::Activation;

use super::graph::{Binary, Op, Reduce, Unary};

impl Op {
    /// The operator's name in ONNX. Those that import resolved to a common form carry that form's name: Squeeze, Unsqueeze and
    /// Flatten are `Reshape`, GlobalAveragePool is `ReduceMean`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "Conv",
            Self::ConvTranspose { .. } => "ConvTranspose",
            Self::MatMul => "MatMul",
            Self::Gemm { .. } => "Gemm",
            Self::QLinearConv { .. } => "QLinearConv",
            Self::QLinearMatMul => "QLinearMatMul",
            Self::QuantizeLinear { .. } => "QuantizeLinear",
            Self::DequantizeLinear { .. } => "DequantizeLinear",
            Self::Unary(unary) => of_unary(unary),
            Self::Binary(binary) => of_binary(*binary),
            Self::MaxPool(_) => "MaxPool",
            Self::AveragePool { .. } => "AveragePool",
            Self::Reduce { kind, .. } => of_reduction(*kind),
            Self::Resize { .. } => "Resize",
            Self::Concat { .. } => "Concat",
            Self::Slice { .. } => "Slice",
            Self::Pad { .. } => "Pad",
            Self::Transpose { .. } => "Transpose",
            Self::Reshape => "Reshape",
            Self::Expand => "Expand",
            Self::Gather { .. } => "Gather",
            Self::Softmax { .. } => "Softmax",
            Self::LayerNormalization { .. } => "LayerNormalization",
            Self::DepthToSpace { .. } => "DepthToSpace",
        }
    }
}

const fn of_unary(unary: &Unary) -> &'static str {
    match unary {
        Unary::Activation(activation) => of_activation(activation),
        Unary::Neg => "Neg",
        Unary::Abs => "Abs",
        Unary::Reciprocal => "Reciprocal",
        Unary::Log => "Log",
        Unary::Ceil => "Ceil",
        Unary::Floor => "Floor",
        Unary::Round => "Round",
        Unary::Softplus => "Softplus",
        Unary::Identity => "Identity",
    }
}

const fn of_activation(activation: &Activation) -> &'static str {
    match activation {
        Activation::None => "Identity",
        Activation::Relu => "Relu",
        Activation::Clip { .. } => "Clip",
        Activation::LeakyRelu { .. } => "LeakyRelu",
        Activation::Elu { .. } => "Elu",
        Activation::Sigmoid => "Sigmoid",
        Activation::Silu => "Swish",
        Activation::HardSwish => "HardSwish",
        Activation::HardSigmoid { .. } => "HardSigmoid",
        Activation::Gelu => "Gelu",
        Activation::Tanh => "Tanh",
        Activation::Erf => "Erf",
        Activation::Sqrt => "Sqrt",
        Activation::Exp => "Exp",
    }
}

const fn of_binary(binary: Binary) -> &'static str {
    match binary {
        Binary::Add => "Add",
        Binary::Sub => "Sub",
        Binary::Mul => "Mul",
        Binary::Div => "Div",
        Binary::Max => "Max",
        Binary::Min => "Min",
        Binary::Pow => "Pow",
        Binary::PRelu => "PRelu",
    }
}

const fn of_reduction(reduction: Reduce) -> &'static str {
    match reduction {
        Reduce::Mean => "ReduceMean",
        Reduce::Sum => "ReduceSum",
        Reduce::Max => "ReduceMax",
        Reduce::L2 => "ReduceL2",
    }
}
