//! Small graphs built by hand, with weights from a seeded generator.

use std::sync::Arc;

use fathom_core::ops::nn::Window;
use fathom_core::tensor::{Element, Elements, Tensor};
use fathom_runtime::network::graph::{Graph, Node, Op, Value, ValueId};

/// A graph under construction.
pub struct Builder {
    graph: Graph,
    state: u64,
}

impl Builder {
    /// A graph with an image input `[1, 3, height, width]`.
    pub fn new(height: usize, width: usize) -> (Self, ValueId) {
        let input = ValueId(0);
        let image = Value { name: "image".into(), element: Element::F32, shape: vec![1, 3, height, width], constant: None };
        let graph = Graph { values: vec![image], nodes: Vec::new(), input, outputs: Vec::new() };
        (Self { graph, state: 0x9e37_79b9_7f4a_7c15 }, input)
    }

    /// The graph with these outputs.
    #[must_use]
    pub fn finish(mut self, outputs: &[ValueId]) -> Graph {
        self.graph.outputs = outputs.to_vec();
        self.graph
    }

    /// Shape of a value.
    #[must_use]
    pub fn shape(&self, id: ValueId) -> Vec<usize> {
        self.graph.value(id).shape.clone()
    }

    /// The next number of the generator, -1..1.
    pub fn random(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A constant.
    pub fn constant(&mut self, tensor: Tensor) -> ValueId {
        let name = format!("c{}", self.graph.values.len());
        self.graph.values.push(Value { name, element: tensor.element(), shape: tensor.shape().to_vec(), constant: Some(Arc::new(tensor)) });
        ValueId(self.graph.values.len() - 1)
    }

    /// Random floats, `-size..size`.
    ///
    /// # Panics
    /// If the shape's product overflows.
    pub fn floats(&mut self, shape: &[usize], size: f32) -> ValueId {
        let values = (0..shape.iter().product()).map(|_| size * self.random()).collect();
        self.constant(Tensor::f32(shape.to_vec(), values).unwrap())
    }

    /// One float.
    pub fn scalar(&mut self, value: f32) -> ValueId {
        self.constant(Tensor::f32(vec![], vec![value]).unwrap())
    }

    /// A node with one result of the given element type and shape.
    pub fn node(&mut self, op: Op, inputs: &[ValueId], element: Element, shape: &[usize]) -> ValueId {
        let output = ValueId(self.graph.values.len());
        let name = format!("n{}", self.graph.nodes.len());
        self.graph.values.push(Value { name: format!("v{}", output.0), element, shape: shape.to_vec(), constant: None });
        self.graph.nodes.push(Node { name, op, inputs: inputs.iter().copied().map(Some).collect(), output });
        output
    }

    /// A float node.
    pub fn float(&mut self, op: Op, inputs: &[ValueId], shape: &[usize]) -> ValueId {
        self.node(op, inputs, Element::F32, shape)
    }

    /// `DequantizeLinear(QuantizeLinear(x))` with the given parameters.
    pub fn rounded(&mut self, x: ValueId, scale: f32, zero_point: i32, signed: bool) -> ValueId {
        let shape = self.shape(x);
        let (element, zero) =
            if signed { (Element::I8, Elements::I8(vec![zero_point as i8])) } else { (Element::U8, Elements::U8(vec![zero_point as u8])) };
        let scale = self.scalar(scale);
        let zero = self.constant(Tensor::new(vec![], zero).unwrap());
        let q = self.node(Op::QuantizeLinear { axis: 1 }, &[x, scale, zero], element, &shape);
        self.float(Op::DequantizeLinear { axis: 1 }, &[q, scale, zero], &shape)
    }

    /// A convolution with quantized per-channel weights and bias, or with float ones.
    pub fn conv(&mut self, x: ValueId, conv: ConvShape, x_scale: Option<f32>) -> ValueId {
        let [_, channels, height, width] = self.shape(x)[..] else { panic!("a map") };
        let shape = vec![conv.out_channels, channels / conv.groups, conv.window.kernel[0], conv.window.kernel[1]];
        let (w, b) = match x_scale {
            None => (self.floats(&shape, 0.3), self.floats(&[conv.out_channels], 0.5)),
            Some(x_scale) => self.quantized_weights(&shape, x_scale),
        };
        let [out_height, out_width] = conv.window.output([height, width]);
        self.float(Op::Conv { window: conv.window, groups: conv.groups }, &[x, w, b], &[1, conv.out_channels, out_height, out_width])
    }

    fn quantized_weights(&mut self, shape: &[usize], x_scale: f32) -> (ValueId, ValueId) {
        let out = shape[0];
        let bytes = (0..shape.iter().product()).map(|_| (self.random() * 127.0) as i8).collect();
        let scales: Vec<f32> = (0..out).map(|_| 0.004 + 0.003 * self.random().abs()).collect();
        let bias_scales = scales.iter().map(|s| s * x_scale).collect();
        let w = self.constant(Tensor::new(shape.to_vec(), Elements::I8(bytes)).unwrap());
        let w_scale = self.constant(Tensor::f32(vec![out], scales).unwrap());
        let w_zero = self.constant(Tensor::new(vec![out], Elements::I8(vec![0; out])).unwrap());
        let w = self.float(Op::DequantizeLinear { axis: 0 }, &[w, w_scale, w_zero], shape);
        let biases = (0..out).map(|_| (self.random() * 300.0) as i32).collect();
        let b = self.constant(Tensor::new(vec![out], Elements::I32(biases)).unwrap());
        let b_scale = self.constant(Tensor::f32(vec![out], bias_scales).unwrap());
        let b_zero = self.constant(Tensor::new(vec![out], Elements::I32(vec![0; out])).unwrap());
        (w, self.float(Op::DequantizeLinear { axis: 0 }, &[b, b_scale, b_zero], &[out]))
    }
}

/// What a test says of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvShape {
    /// Channels of the result.
    pub out_channels: usize,
    /// Taps.
    pub window: Window,
    /// Groups of channels.
    pub groups: usize,
}

impl ConvShape {
    /// Square taps with "same" padding.
    pub fn same(out_channels: usize, kernel: usize, stride: usize, dilation: usize, groups: usize) -> Self {
        let pad = dilation * (kernel - 1) / 2;
        let window =
            Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2], pad_before: [pad; 2], pad_after: [pad; 2] };
        Self { out_channels, window, groups }
    }
}

/// An image of a shape, about zero, the same every time.
pub fn image(shape: &[usize]) -> Tensor {
    let value = |i: usize| ((i * 37 + 11) % 256) as f32 / 256.0 - 0.5;
    Tensor::f32(shape.to_vec(), (0..shape.iter().product()).map(value).collect()).unwrap()
}
