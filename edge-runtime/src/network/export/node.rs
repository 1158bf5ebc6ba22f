//! Nodes as messages: what the graph resolved into attributes goes back to where ONNX keeps it.

use fathom_core::ops::nn::{Activation, Window};
use fathom_core::tensor::{Elements, Tensor};

use super::{Writer, attribute};
use crate::network::graph::{Coordinates, NearestRounding, Node, Op, PadMode, ResizeMode, Unary};
use crate::network::import::onnx::{AttributeProto, NodeProto};
use crate::{Error, Result};

/// Operator, attributes, and operands beyond the graph's own.
struct Form {
    op_type: &'static str,
    attributes: Vec<AttributeProto>,
    operands: Vec<String>,
}

impl Form {
    fn plain(op_type: &'static str) -> Self {
        Self { op_type, attributes: Vec::new(), operands: Vec::new() }
    }

    fn with(op_type: &'static str, attributes: Vec<AttributeProto>) -> Self {
        Self { op_type, attributes, operands: Vec::new() }
    }
}

pub(super) fn proto(writer: &mut Writer<'_>, node: &Node) -> Result<NodeProto> {
    let graph = writer.graph;
    let form = form(writer, node)?;
    let name = |id: &Option<_>| id.map_or_else(String::new, |id| graph.value(id).name.clone());
    let mut input: Vec<String> = node.inputs.iter().map(name).collect();
    input.extend(form.operands);
    Ok(NodeProto {
        input,
        output: vec![graph.value(node.output).name.clone()],
        name: node.name.clone(),
        op_type: form.op_type.to_owned(),
        attribute: form.attributes,
        domain: String::new(),
    })
}

fn form(writer: &mut Writer<'_>, node: &Node) -> Result<Form> {
    let graph = writer.graph;
    let shape = &graph.value(node.output).shape;
    let mut integers = |what: &str, values: Vec<i64>| -> Result<String> {
        let tensor = Tensor::new(vec![values.len()], Elements::I64(values))?;
        Ok(writer.operand(&node.name, what, &tensor))
    };
    Ok(match &node.op {
        Op::Conv { window, groups } => Form::with("Conv", convolution(window, *groups)),
        Op::QLinearConv { window, groups } => Form::with("QLinearConv", convolution(window, *groups)),
        Op::ConvTranspose { window, groups, output_padding } => {
            let mut attributes = convolution(window, *groups);
            attributes.push(attribute::ints("output_padding", output_padding));
            Form::with("ConvTranspose", attributes)
        }
        Op::MatMul => Form::plain("MatMul"),
        Op::QLinearMatMul => Form::plain("QLinearMatMul"),
        Op::Gemm { alpha, beta, trans_a, trans_b } => Form::with(
            "Gemm",
            vec![
                attribute::float("alpha", *alpha),
                attribute::float("beta", *beta),
                attribute::int("transA", usize::from(*trans_a)),
                attribute::int("transB", usize::from(*trans_b)),
            ],
        ),
        Op::QuantizeLinear { axis } => Form::with("QuantizeLinear", vec![attribute::int("axis", *axis)]),
        Op::DequantizeLinear { axis } => Form::with("DequantizeLinear", vec![attribute::int("axis", *axis)]),
        Op::Unary(unary) => return unary_form(writer, node, *unary),
        Op::Binary(_) => Form::plain(node.op.name()),
        Op::MaxPool(window) => Form::with("MaxPool", windowed(window)),
        Op::AveragePool { window, count_include_pad } => {
            let mut attributes = windowed(window);
            // Dilation came to AveragePool with operator set 19.
            attributes.retain(|a| a.name != "dilations");
            attributes.push(attribute::int("count_include_pad", usize::from(*count_include_pad)));
            Form::with("AveragePool", attributes)
        }
        Op::Reduce { axes, keep_dims, .. } => {
            let mut attributes = vec![attribute::int("keepdims", usize::from(*keep_dims))];
            let op_type = node.op.name();
            let mut operands = Vec::new();
            if op_type == "ReduceSum" || writer.opset >= 18 {
                let axes = Tensor::new(vec![axes.len()], Elements::I64(axes.iter().map(|&a| a as i64).collect()))?;
                operands.push(writer.operand(&node.name, "axes", &axes));
            } else {
                attributes.push(attribute::ints("axes", axes));
            }
            Form { op_type, attributes, operands }
        }
        Op::Resize { mode, coordinates, scales } => {
            let input = node.inputs.first().copied().flatten().map(|id| graph.value(id).shape.clone()).unwrap_or_default();
            return resize_form(writer, node, &input, *mode, *coordinates, *scales);
        }
        Op::Concat { axis } => Form::with("Concat", vec![attribute::int("axis", *axis)]),
        Op::Slice { starts, steps } => {
            let ends = starts.iter().zip(steps).zip(shape).map(|((&start, &step), &length)| end(start, step, length));
            let operands = vec![
                integers("starts", starts.iter().map(|&v| v as i64).collect())?,
                integers("ends", ends.collect())?,
                integers("axes", (0..shape.len() as i64).collect())?,
                integers("steps", steps.iter().map(|&v| v as i64).collect())?,
            ];
            Form { op_type: "Slice", attributes: Vec::new(), operands }
        }
        Op::Pad { before, after, mode } => {
            let pads = before.iter().chain(after).map(|&v| v as i64).collect();
            let mut operands = vec![integers("pads", pads)?];
            let name = match mode {
                PadMode::Constant(value) => {
                    operands.push(writer.operand(&node.name, "value", &Tensor::f32(vec![], vec![*value])?));
                    "constant"
                }
                PadMode::Reflect => "reflect",
                PadMode::Edge => "edge",
            };
            Form { op_type: "Pad", attributes: vec![attribute::text("mode", name)], operands }
        }
        Op::Transpose { perm } => Form::with("Transpose", vec![attribute::ints("perm", perm)]),
        Op::Reshape => Form { operands: vec![integers("shape", shape.iter().map(|&v| v as i64).collect())?], ..Form::plain("Reshape") },
        Op::Expand => Form { operands: vec![integers("shape", shape.iter().map(|&v| v as i64).collect())?], ..Form::plain("Expand") },
        Op::Gather { axis } => Form::with("Gather", vec![attribute::int("axis", *axis)]),
        Op::Softmax { axis } => Form::with("Softmax", vec![attribute::int("axis", *axis)]),
        Op::LayerNormalization { epsilon } => {
            let last = AttributeProto { i: Some(-1), ..attribute::int("axis", 0) };
            Form::with("LayerNormalization", vec![last, attribute::float("epsilon", *epsilon)])
        }
        Op::DepthToSpace { block, crd } => {
            let mode = attribute::text("mode", if *crd { "CRD" } else { "DCR" });
            Form::with("DepthToSpace", vec![attribute::int("blocksize", *block), mode])
        }
    })
}

/// The exclusive end of a slice that takes `length` elements; below the first one where it runs off the front.
fn end(start: usize, step: isize, length: usize) -> i64 {
    let last = start as i64 + step as i64 * (length as i64 - 1).max(0);
    match (step > 0, last) {
        (true, last) => last + 1,
        (false, 0) => i64::MIN,
        (false, last) => last - 1,
    }
}

fn windowed(window: &Window) -> Vec<AttributeProto> {
    let pads = [window.pad_before, window.pad_after].concat();
    vec![
        attribute::ints("kernel_shape", &window.kernel),
        attribute::ints("strides", &window.stride),
        attribute::ints("dilations", &window.dilation),
        attribute::ints("pads", &pads),
    ]
}

fn convolution(window: &Window, groups: usize) -> Vec<AttributeProto> {
    let mut attributes = windowed(window);
    attributes.push(attribute::int("group", groups));
    attributes
}

fn unary_form(writer: &mut Writer<'_>, node: &Node, unary: Unary) -> Result<Form> {
    let activation = match unary {
        Unary::Activation(activation) => activation,
        Unary::Neg => return Ok(Form::plain("Neg")),
        Unary::Abs => return Ok(Form::plain("Abs")),
        Unary::Reciprocal => return Ok(Form::plain("Reciprocal")),
        Unary::Log => return Ok(Form::plain("Log")),
        Unary::Ceil => return Ok(Form::plain("Ceil")),
        Unary::Floor => return Ok(Form::plain("Floor")),
        Unary::Round => return Ok(Form::plain("Round")),
        Unary::Softplus => return Ok(Form::plain("Softplus")),
        Unary::Identity => return Ok(Form::plain("Identity")),
    };
    Ok(match activation {
        Activation::None => Form::plain("Identity"),
        Activation::Relu => Form::plain("Relu"),
        Activation::Clip { low, high } => {
            let mut bound = |what, value| Ok::<_, Error>(writer.operand(&node.name, what, &Tensor::f32(vec![], vec![value])?));
            Form { operands: vec![bound("min", low)?, bound("max", high)?], ..Form::plain("Clip") }
        }
        Activation::LeakyRelu { slope } => Form::with("LeakyRelu", vec![attribute::float("alpha", slope)]),
        Activation::Elu { alpha } => Form::with("Elu", vec![attribute::float("alpha", alpha)]),
        Activation::Sigmoid => Form::plain("Sigmoid"),
        Activation::HardSwish => Form::plain("HardSwish"),
        Activation::HardSigmoid { alpha, beta } => {
            Form::with("HardSigmoid", vec![attribute::float("alpha", alpha), attribute::float("beta", beta)])
        }
        Activation::Gelu => Form::plain("Gelu"),
        Activation::Tanh => Form::plain("Tanh"),
        Activation::Erf => Form::plain("Erf"),
        Activation::Sqrt => Form::plain("Sqrt"),
        Activation::Exp => Form::plain("Exp"),
        Activation::Silu => {
            return Err(Error::UnsupportedOp { op: "SiLU".into(), node: node.name.clone(), detail: ": ONNX has no such operator".into() });
        }
    })
}

fn resize_form(
    writer: &mut Writer<'_>,
    node: &Node,
    input: &[usize],
    mode: ResizeMode,
    coordinates: Coordinates,
    scales: [f32; 2],
) -> Result<Form> {
    let shape = &writer.graph.value(node.output).shape;
    let (mut attributes, name) = match mode {
        ResizeMode::Nearest(rounding) => (vec![attribute::text("nearest_mode", rounding_name(rounding))], "nearest"),
        ResizeMode::Linear => (Vec::new(), "linear"),
        ResizeMode::Cubic { a } => (vec![attribute::float("cubic_coeff_a", a)], "cubic"),
    };
    let coordinates = match coordinates {
        Coordinates::HalfPixel => "half_pixel",
        Coordinates::PytorchHalfPixel => "pytorch_half_pixel",
        Coordinates::AlignCorners => "align_corners",
        Coordinates::Asymmetric => "asymmetric",
    };
    attributes.push(attribute::text("mode", name));
    attributes.push(attribute::text("coordinate_transformation_mode", coordinates));
    // Scales where they give the extents, so that they enter the coordinates as they did; else sizes.
    let by_scales = (0..2).all(|i| input.get(i + 2).is_some_and(|&extent| (extent as f32 * scales[i]).floor() as usize == shape[i + 2]));
    let mut operands = vec![String::new()];
    if by_scales {
        operands.push(writer.operand(&node.name, "scales", &Tensor::f32(vec![4], vec![1.0, 1.0, scales[0], scales[1]])?));
    } else {
        operands.push(String::new());
        let sizes = Elements::I64(shape.iter().map(|&v| v as i64).collect());
        operands.push(writer.operand(&node.name, "sizes", &Tensor::new(vec![shape.len()], sizes)?));
    }
    Ok(Form { op_type: "Resize", attributes, operands })
}

const fn rounding_name(rounding: NearestRounding) -> &'static str {
    match rounding {
        NearestRounding::RoundPreferFloor => "round_prefer_floor",
        NearestRounding::RoundPreferCeil => "round_prefer_ceil",
        NearestRounding::Floor => "floor",
        NearestRounding::Ceil => "ceil",
    }
}
