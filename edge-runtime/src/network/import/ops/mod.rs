//! Operators: one room per family. Each resolves a node's attributes, in the form of any supported version, to an
//! [`Op`](crate::network::graph::Op) and the shape of its result; what follows from constants alone is folded on the way.

mod constant;
mod convolution;
mod elementwise;
mod layout;
mod matmul;
mod normalize;
mod pool;
mod qlinear;
mod quantize;
mod reduce;
mod resize;
mod select;
mod window;

use super::builder::Builder;
use super::call::{Call, node_name};
use super::onnx::{ModelProto, NodeProto};
use crate::network::graph::ValueId;
use crate::{Error, Result};

/// Oldest and newest version of ONNX's operator set that is understood.
pub const OPSETS: std::ops::RangeInclusive<i64> = 9..=21;

/// Resolves one node.
type Resolver = fn(&mut Call<'_>) -> Result<ValueId>;

/// Operators of ONNX's own set, sorted.
const OPERATORS: &[(&str, Resolver)] = &[
    ("Abs", elementwise::unary),
    ("Add", elementwise::binary),
    ("And", constant::compare),
    ("AveragePool", pool::average),
    ("BatchNormalization", normalize::batch),
    ("Cast", constant::cast),
    ("Ceil", elementwise::unary),
    ("Clip", elementwise::clip),
    ("Concat", select::concat),
    ("Constant", constant::constant),
    ("ConstantOfShape", constant::constant_of_shape),
    ("Conv", convolution::conv),
    ("ConvTranspose", convolution::transpose),
    ("Cos", constant::trigonometry),
    ("CumSum", constant::cumulative_sum),
    ("DepthToSpace", layout::depth_to_space),
    ("DequantizeLinear", quantize::dequantize),
    ("Div", elementwise::binary),
    ("Dropout", layout::identity),
    ("Elu", elementwise::unary),
    ("Equal", constant::compare),
    ("Erf", elementwise::unary),
    ("Exp", elementwise::unary),
    ("Expand", layout::expand),
    ("Flatten", layout::flatten),
    ("Floor", elementwise::unary),
    ("Gather", select::gather),
    ("Gelu", elementwise::unary),
    ("Gemm", matmul::gemm),
    ("GlobalAveragePool", reduce::global_pool),
    ("GlobalMaxPool", reduce::global_pool),
    ("Greater", constant::compare),
    ("HardSigmoid", elementwise::unary),
    ("HardSwish", elementwise::unary),
    ("Identity", layout::identity),
    ("LayerNormalization", normalize::layer),
    ("LeakyRelu", elementwise::unary),
    ("Less", constant::compare),
    ("Log", elementwise::unary),
    ("MatMul", matmul::matmul),
    ("Max", elementwise::variadic),
    ("MaxPool", pool::max),
    ("Min", elementwise::variadic),
    ("Mul", elementwise::binary),
    ("Neg", elementwise::unary),
    ("Not", constant::not),
    ("Or", constant::compare),
    ("PRelu", elementwise::prelu),
    ("Pad", select::pad),
    ("Pow", elementwise::binary),
    ("QLinearConv", qlinear::conv),
    ("QLinearMatMul", qlinear::matmul),
    ("QuantizeLinear", quantize::quantize),
    ("Range", constant::range),
    ("Reciprocal", elementwise::unary),
    ("ReduceL2", reduce::reduce),
    ("ReduceMax", reduce::reduce),
    ("ReduceMean", reduce::reduce),
    ("ReduceSum", reduce::reduce),
    ("Relu", elementwise::unary),
    ("Reshape", layout::reshape),
    ("Resize", resize::resize),
    ("Round", elementwise::unary),
    ("Shape", constant::shape),
    ("Sigmoid", elementwise::unary),
    ("Sin", constant::trigonometry),
    ("Slice", select::slice),
    ("Softmax", normalize::softmax),
    ("Softplus", elementwise::unary),
    ("Split", select::split),
    ("Sqrt", elementwise::unary),
    ("Squeeze", layout::squeeze),
    ("Sub", elementwise::binary),
    ("Sum", elementwise::variadic),
    ("Tanh", elementwise::unary),
    ("Transpose", layout::transpose),
    ("Unsqueeze", layout::unsqueeze),
    ("Upsample", resize::upsample),
    ("Where", constant::select),
];

/// Operators that onnxruntime's tools write under `com.microsoft`, sorted.
const MICROSOFT: &[(&str, Resolver)] = &[
    ("DequantizeLinear", quantize::dequantize),
    ("Gelu", elementwise::unary),
    ("QLinearAdd", qlinear::binary),
    ("QLinearAveragePool", qlinear::average_pool),
    ("QLinearConcat", qlinear::concat),
    ("QLinearGlobalAveragePool", qlinear::global_average_pool),
    ("QLinearLeakyRelu", qlinear::unary),
    ("QLinearMul", qlinear::binary),
    ("QLinearSigmoid", qlinear::unary),
    ("QLinearSoftmax", qlinear::softmax),
    ("QuantizeLinear", quantize::quantize),
];

/// Names of all supported operators of ONNX's own set, sorted.
pub fn supported() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, _)| *name)
}

/// Which version of ONNX's operator set a file means.
pub(super) struct Opsets {
    onnx: i64,
}

impl Opsets {
    /// Reads the file's imports.
    ///
    /// # Errors
    /// [`Error::BadGraph`] for a version outside [`OPSETS`], or none.
    pub(super) fn of(model: &ModelProto) -> Result<Self> {
        let fail = |message: String| Error::BadGraph { place: "file".into(), message };
        let import = model.opset_import.iter().find(|import| matches!(import.domain.as_str(), "" | "ai.onnx"));
        let onnx = import.ok_or_else(|| fail("it does not say which version of ONNX's operators it uses".into()))?.version;
        if !OPSETS.contains(&onnx) {
            return Err(fail(format!("version {onnx} of ONNX's operators is not supported, only {} to {}", OPSETS.start(), OPSETS.end())));
        }
        Ok(Self { onnx })
    }
}

/// Adds one node of the file to the graph.
///
/// # Errors
/// [`Error::UnsupportedOp`], [`Error::BadGraph`] or [`Error::OverLimit`], naming the node.
pub(super) fn resolve(builder: &mut Builder, opsets: &Opsets, node: &NodeProto) -> Result<()> {
    let table = match node.domain.as_str() {
        "" | "ai.onnx" => OPERATORS,
        "com.microsoft" => MICROSOFT,
        _ => &[],
    };
    let Ok(found) = table.binary_search_by_key(&node.op_type.as_str(), |(name, _)| name) else {
        let detail = if node.domain.is_empty() { String::new() } else { format!(": it is of domain {:?}", node.domain) };
        return Err(Error::UnsupportedOp { op: node.op_type.clone(), node: node_name(node), detail });
    };
    let mut call = Call::new(builder, node, opsets.onnx)?;
    (table[found].1)(&mut call).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_as_the_search_needs() {
        for table in [OPERATORS, MICROSOFT] {
            assert!(table.is_sorted_by_key(|(name, _)| name));
        }
    }
}
