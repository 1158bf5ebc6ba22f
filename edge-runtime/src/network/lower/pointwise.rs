//! Element-wise chains between two byte tensors become tables.
//!
//! A value is *pointwise* over a byte tensor `s` if each of its elements depends on the one element of `s` at the same
//! place (and on constants that are the same everywhere, or along one axis). Its 256 possible values are then known now.
//! GELU cut by quantizations, `x sigmoid(x)`, leaky ReLU as `max(x, 0.2 x)` and requantization all fall to this one rule.

use fathom_core::ops::nn::activation::Activation;
use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::elementwise::{Binary, ByteProduct, ByteSum};
use fathom_core::quant::QuantParams;

use super::constant::Levels;
use super::net::{Id, Net, Node, Number, Op};
use super::table::{Table, byte_of, value_of};

/// Most tables of one step; beyond, a table per channel costs more memory than the step it saves.
const MAX_TABLES: usize = 64;

/// A value's reals over the bytes of its source.
#[derive(Clone)]
struct Image {
    source: Id,
    /// `256 tables` values, indexed by bit pattern.
    reals: Vec<f32>,
    /// The axis that several tables run along, counted from the last.
    axis_from_end: Option<usize>,
}

/// Replaces every element-wise node whose result is bytes and pointwise over bytes by a table; the chain behind it dies if unused.
pub(super) fn tabulate(net: &mut Net) {
    let mut images: Vec<Option<Image>> = vec![None; net.values.len()];
    for n in 0..net.nodes.len() {
        let node = net.nodes[n].clone();
        let Some(image) = image_of(net, &images, &node) else { continue };
        if let Number::Bytes(quant) = net.number(node.output) {
            let entries = image.reals.iter().map(|&real| byte_of(quant, quant.quantize(real))).collect();
            // The length is a positive multiple of 256 by construction of `Image`.
            let Ok(bytes) = ByteTable::new(entries) else { continue };
            net.nodes[n].op = Op::Table(Table { bytes, axis_from_end: image.axis_from_end });
            net.nodes[n].inputs = vec![image.source];
        }
        images[node.output] = Some(rounded(net, image, node.output));
    }
    net.sweep();
}

/// What readers of a byte result see: its reals after rounding.
fn rounded(net: &Net, mut image: Image, output: Id) -> Image {
    if let Number::Bytes(quant) = net.number(output) {
        image.reals.iter_mut().for_each(|real| *real = quant.dequantize(quant.quantize(*real)));
    }
    image
}

fn image_of(net: &Net, images: &[Option<Image>], node: &Node) -> Option<Image> {
    let shape = net.shape(node.output);
    match &node.op {
        Op::Unary(unary) => {
            let mut image = nearest(net, images, node.inputs[0])?;
            image.reals.iter_mut().for_each(|real| *real = unary.apply(*real));
            Some(image)
        }
        Op::Binary(binary, activation) => {
            let (a, b) = (node.inputs[0], node.inputs[1]);
            let whole = |id: Id| net.shape(id).iter().product::<usize>() == shape.iter().product::<usize>();
            let (image, other) = match (net.constant(a), net.constant(b)) {
                (Some(_), None) if whole(b) => (nearest(net, images, b)?, Operand::constant(net, a, shape)?),
                (None, Some(_)) if whole(a) => (nearest(net, images, a)?, Operand::constant(net, b, shape)?),
                (None, None) if whole(a) && whole(b) => {
                    let (image, other) = common(net, images, a, b)?;
                    (image, Operand::pointwise(other))
                }
                _ => return None,
            };
            combine(net, node, *binary, *activation, image, &other, net.constant(a).is_some())
        }
        _ => None,
    }
}

/// The other operand of a binary operation: values per table.
struct Operand {
    /// One value, one per index of an axis, or `256 tables` values over the source's bytes.
    reals: Vec<f32>,
    axis_from_end: Option<usize>,
    over_bytes: bool,
    /// Its quantization, if it was quantized per tensor.
    constant_quant: Option<QuantParams>,
}

impl Operand {
    /// A constant of one value, or of one value per index of one axis.
    fn constant(net: &Net, id: Id, out: &[usize]) -> Option<Self> {
        let constant = net.constant(id)?;
        let long: Vec<usize> = (0..constant.shape.len()).filter(|&axis| constant.shape[axis] != 1).collect();
        let axis_from_end = match long[..] {
            [] => None,
            [axis] if constant.shape[axis] <= MAX_TABLES => Some(constant.shape.len() - 1 - axis),
            _ => return None,
        };
        if axis_from_end.is_some_and(|axis| axis >= out.len()) {
            return None;
        }
        let constant_quant = constant.levels().and_then(Levels::per_tensor);
        Some(Self { reals: constant.reals().into_owned(), axis_from_end, over_bytes: false, constant_quant })
    }

    fn pointwise(image: Image) -> Self {
        Self { reals: image.reals, axis_from_end: image.axis_from_end, over_bytes: true, constant_quant: None }
    }

    fn tables(&self) -> usize {
        if self.over_bytes { self.reals.len() / 256 } else { self.reals.len() }
    }

    fn at(&self, table: usize, bits: usize) -> f32 {
        let table = if self.tables() == 1 { 0 } else { table };
        if self.over_bytes { self.reals[table * 256 + bits] } else { self.reals[table] }
    }
}

fn combine(net: &Net, node: &Node, op: Binary, activation: Activation, image: Image, other: &Operand, other_first: bool) -> Option<Image> {
    let axis_from_end = match (image.axis_from_end, other.axis_from_end) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b),
    };
    let tables = (image.reals.len() / 256).max(other.tables());
    let exact = exact_rounding(net, node, op, &image, other, other_first);
    let mut reals = Vec::with_capacity(tables * 256);
    for table in 0..tables {
        for bits in 0..256 {
            let x = image.reals[if image.reals.len() == 256 { bits } else { table * 256 + bits }];
            let y = other.at(table, bits);
            let (a, b) = if other_first { (y, x) } else { (x, y) };
            reals.push(exact.as_ref().map_or_else(|| activation.apply(op.apply(a, b)), |f| f(a, b)));
        }
    }
    Some(Image { source: image.source, reals, axis_from_end })
}

/// Sums and products of bytes with quantized constants round as onnxruntime's QLinearAdd and QLinearMul do.
fn exact_rounding(
    net: &Net,
    node: &Node,
    op: Binary,
    image: &Image,
    other: &Operand,
    other_first: bool,
) -> Option<Box<dyn Fn(f32, f32) -> f32>> {
    let x = node.inputs[usize::from(other_first)];
    let (Number::Bytes(x_quant), Number::Bytes(out)) = (net.number(x), net.number(node.output)) else { return None };
    if image.source != x || !matches!(op, Binary::Add | Binary::Mul) {
        return None;
    }
    let other_quant = other.constant_quant?;
    let (a, b) = if other_first { (other_quant, x_quant) } else { (x_quant, other_quant) };
    let levels = move |x: f32, y: f32| (a.quantize(x), b.quantize(y));
    Some(match op {
        Binary::Add => {
            let sum = ByteSum::new(a, b, out);
            Box::new(move |x, y| out.dequantize(sum.value(levels(x, y).0, levels(x, y).1)))
        }
        _ => {
            let product = ByteProduct::new(a, b, out);
            Box::new(move |x, y| out.dequantize(product.value(levels(x, y).0, levels(x, y).1)))
        }
    })
}

/// The value over its nearest bytes: itself if it is bytes.
fn nearest(net: &Net, images: &[Option<Image>], id: Id) -> Option<Image> {
    if net.constant(id).is_some() {
        return None;
    }
    match net.number(id) {
        Number::Bytes(quant) => {
            let reals = (0..=255).map(|bits| quant.dequantize(value_of(quant, bits))).collect();
            Some(Image { source: id, reals, axis_from_end: None })
        }
        Number::Float => images[id].clone(),
    }
}

/// Both values over the nearest bytes that they share.
fn common(net: &Net, images: &[Option<Image>], a: Id, b: Id) -> Option<(Image, Image)> {
    let a_chain = chain(net, images, a);
    let b_chain = chain(net, images, b);
    a_chain.iter().find_map(|x| b_chain.iter().find(|y| y.source == x.source).map(|y| (x.clone(), y.clone())))
}

/// The value over its nearest bytes, then over what those were made of, and so on.
fn chain(net: &Net, images: &[Option<Image>], id: Id) -> Vec<Image> {
    let mut links: Vec<Image> = nearest(net, images, id).into_iter().collect();
    while let Some(last) = links.last() {
        let (Some(inner), Number::Bytes(quant)) = (&images[last.source], net.number(last.source)) else { break };
        let Some(composed) = compose(last, inner, quant) else { break };
        links.push(composed);
    }
    links
}

/// `outer` over the bytes of its source, `inner` the reals of that source over earlier bytes.
fn compose(outer: &Image, inner: &Image, quant: QuantParams) -> Option<Image> {
    let axis_from_end = match (outer.axis_from_end, inner.axis_from_end) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b),
    };
    let tables = (outer.reals.len() / 256).max(inner.reals.len() / 256);
    let pick = |reals: &[f32], table: usize, bits: usize| reals[if reals.len() == 256 { bits } else { table * 256 + bits }];
    let reals = (0..tables * 256)
        .map(|i| {
            let middle = byte_of(quant, quant.quantize(pick(&inner.reals, i / 256, i % 256)));
            pick(&outer.reals, i / 256, middle.into())
        })
        .collect();
    Some(Image { source: inner.source, reals, axis_from_end })
}
