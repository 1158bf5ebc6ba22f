//! From the net to steps: every value gets a view of a planned tensor, every operation that cannot be a view a step.

mod conv;
mod elementwise;
mod matmul;
mod movement;
mod spatial;

use std::rc::Rc;

use fathom_core::ops::nn::pitch;
use fathom_core::tensor::{Element, Elements};

use super::constant::Constant;
use super::join::Joins;
use super::net::{Id, Net, Node, Number, Op};
use super::table::byte_of;
use super::view::View;
use crate::network::plan::{Cost, Place, PlanTensor, Port, Step, StepOp, TensorId, Weight, WeightId};
use crate::{Error, Result};

/// Graph axes of a feature map in memory order: rows, columns, channels.
const CHANNELS_LAST: [usize; 4] = [0, 2, 3, 1];

/// Steps and tensors, not yet placed.
pub(super) struct Emitted {
    pub(super) tensors: Vec<PlanTensor>,
    pub(super) weights: Vec<Weight>,
    pub(super) steps: Vec<Step>,
    pub(super) input: Port,
    pub(super) outputs: Vec<Port>,
}

/// Emits the steps of a net. `joins` says which values are born inside a concatenation.
pub(super) fn emit(net: &Net, joins: &Joins) -> Result<Emitted> {
    let mut emitter = Emitter {
        net,
        joins,
        users: net.users(),
        views: vec![None; net.values.len()],
        tensors: Vec::new(),
        weights: Vec::new(),
        steps: Vec::new(),
    };
    let order = natural_order(net.shape(net.input).len());
    let image = emitter.new_tensor(net.input, &order);
    let input = Port { tensor: image.tensor, shape: image.shape.clone(), axes: order };
    emitter.views[net.input] = Some(image);
    for node in &net.nodes {
        emitter.node(node)?;
    }
    let outputs = net.outputs.iter().map(|&id| emitter.output(id)).collect::<Result<_>>()?;
    Ok(Emitted { tensors: emitter.tensors, weights: emitter.weights, steps: emitter.steps, input, outputs })
}

/// Channels last for maps, the graph's own order for anything else.
fn natural_order(rank: usize) -> Vec<usize> {
    if rank == 4 { CHANNELS_LAST.to_vec() } else { (0..rank).collect() }
}

struct Emitter<'n> {
    net: &'n Net,
    joins: &'n Joins,
    users: Vec<Vec<usize>>,
    views: Vec<Option<View>>,
    tensors: Vec<PlanTensor>,
    weights: Vec<Weight>,
    steps: Vec<Step>,
}

impl Emitter<'_> {
    fn node(&mut self, node: &Node) -> Result<()> {
        match &node.op {
            Op::Conv(conv) => self.conv(node, conv),
            Op::MatMul(matmul) => self.matmul(node, matmul),
            Op::Table(table) => self.table(node, table),
            Op::Unary(unary) => self.unary(node, *unary),
            Op::Binary(binary, activation) => self.binary(node, *binary, *activation),
            Op::Pool { window, pooling } => self.pool(node, *window, *pooling),
            Op::Resize { mode, coordinates, scales, then } => self.resize(node, *mode, *coordinates, *scales, then.as_ref()),
            Op::Reduce { reduction, axes } => self.reduce(node, *reduction, axes),
            Op::Softmax { axis } => self.softmax(node, *axis),
            Op::LayerNorm { epsilon, scale, bias } => self.layer_norm(node, *epsilon, scale, bias.as_ref()),
            Op::Concat { axis } => self.concat(node, *axis),
            Op::Pad { before, after, mode } => self.pad(node, before, after, *mode),
            Op::DepthToSpace { block, crd } => self.depth_to_space(node, *block, *crd),
            Op::Gather { axis, indices, keeps_axis } => self.gather(node, *axis, indices, *keeps_axis),
            Op::Reshape => self.reshape(node),
            Op::Slice { starts, steps } => {
                let view = self.view(node.inputs[0])?.sliced(starts, steps, self.net.shape(node.output));
                self.define(node, view)
            }
            Op::Transpose { perm } => {
                let view = self.view(node.inputs[0])?.transposed(perm);
                self.define(node, view)
            }
            Op::Expand => {
                let view = self.view(node.inputs[0])?;
                let shape = self.net.shape(node.output);
                let wide =
                    view.broadcast(shape).ok_or_else(|| shape_error(node, format!("{:?} does not expand to {shape:?}", view.shape)))?;
                self.define(node, wide)
            }
        }
    }

    fn define(&mut self, node: &Node, view: View) -> Result<()> {
        let number = self.net.number(node.output);
        self.views[node.output] = Some(View { number, ..view });
        Ok(())
    }

    /// A value's view. A constant becomes a tensor in the graph's own order.
    fn view(&mut self, id: Id) -> Result<View> {
        if let Some(view) = &self.views[id] {
            return Ok(view.clone());
        }
        let value = &self.net.values[id];
        let Some(constant) = &value.constant else {
            return Err(Error::BadGraph { place: format!("value {:?}", value.name), message: "read before it is computed".into() });
        };
        let order: Vec<usize> = (0..constant.shape.len()).collect();
        let view = self.constant_tensor(&value.name, constant, value.number, &order);
        self.views[id] = Some(view.clone());
        Ok(view)
    }

    /// An uninitialized tensor for a value, with its graph axes in memory order `order`; within a concatenation if so planned.
    fn new_tensor(&mut self, id: Id, order: &[usize]) -> View {
        let value = &self.net.values[id];
        if let Some((whole, channel)) = self.joins.place_of(id).filter(|_| order == CHANNELS_LAST) {
            let joined = self.joined(whole);
            return self.part(id, &joined, channel);
        }
        let shape: Vec<usize> = if order.is_empty() { vec![1] } else { order.iter().map(|&axis| value.shape[axis]).collect() };
        let tensor = PlanTensor {
            name: value.name.clone(),
            element: element(value.number),
            pitch: pitch(shape.last().copied().unwrap_or(1)),
            shape,
            quant: value.number.quant(),
            place: Place::Arena { offset_bytes: 0 },
            live: 0..0,
        };
        self.add_tensor(tensor, order, &value.shape, value.number)
    }

    /// The tensor of a concatenation, made when its first part or itself is.
    fn joined(&mut self, id: Id) -> View {
        if let Some(view) = &self.views[id] {
            return view.clone();
        }
        let view = self.new_tensor(id, &CHANNELS_LAST);
        self.views[id] = Some(view.clone());
        view
    }

    /// A value inside a concatenation over channels, from channel `channel` on.
    fn part(&mut self, id: Id, joined: &View, channel: usize) -> View {
        let value = &self.net.values[id];
        let shape: Vec<usize> = CHANNELS_LAST.iter().map(|&axis| value.shape[axis]).collect();
        let (of, first) = self.root(joined.tensor);
        let tensor = PlanTensor {
            name: value.name.clone(),
            element: element(value.number),
            pitch: self.tensors[joined.tensor.0].pitch,
            shape,
            quant: value.number.quant(),
            place: Place::Part { of, offset: first + channel },
            live: 0..0,
        };
        self.add_tensor(tensor, &CHANNELS_LAST, &value.shape, value.number)
    }

    fn add_tensor(&mut self, tensor: PlanTensor, order: &[usize], shape: &[usize], number: Number) -> View {
        let mut strides = vec![1; shape.len()];
        for (&axis, stride) in order.iter().zip(tensor.strides()) {
            strides[axis] = stride as isize;
        }
        self.tensors.push(tensor);
        View { tensor: TensorId(self.tensors.len() - 1), offset: 0, shape: shape.to_vec(), strides, number }
    }

    fn root(&self, id: TensorId) -> (TensorId, usize) {
        match self.tensors[id.0].place {
            Place::Part { of, offset } => (of, offset),
            Place::Arena { .. } | Place::Weight(_) => (id, 0),
        }
    }

    /// A constant as a tensor with its axes in memory order `order`, padded to its pitch.
    fn constant_tensor(&mut self, name: &str, constant: &Constant, number: Number, order: &[usize]) -> View {
        let shape: Vec<usize> = if order.is_empty() { vec![1] } else { order.iter().map(|&axis| constant.shape[axis]).collect() };
        let columns = shape.last().copied().unwrap_or(1);
        let values = permuted(constant, order);
        let padded = |zero: f32| -> Vec<f32> {
            let rows = values.chunks(columns.max(1));
            rows.flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(zero, pitch(columns) - columns))).collect()
        };
        let elements = match number {
            Number::Float => Elements::F32(padded(0.0)),
            Number::Bytes(quant) => {
                let bits = padded(quant.dequantize(0)).into_iter().map(|real| byte_of(quant, quant.quantize(real)));
                if quant.signed { Elements::I8(bits.map(u8::cast_signed).collect()) } else { Elements::U8(bits.collect()) }
            }
        };
        let weight = self.add_weight(name, elements);
        let tensor = PlanTensor {
            name: name.to_owned(),
            element: element(number),
            pitch: pitch(columns),
            shape,
            quant: number.quant(),
            place: Place::Weight(weight),
            live: 0..0,
        };
        self.add_tensor(tensor, order, &constant.shape, number)
    }

    fn add_weight(&mut self, name: &str, elements: Elements) -> WeightId {
        self.weights.push(Weight::new(name.to_owned(), elements));
        WeightId(self.weights.len() - 1)
    }

    fn add_floats(&mut self, node: &Node, what: &str, values: &Rc<Constant>) -> WeightId {
        self.add_weight(&format!("{}.{what}", node.name), Elements::F32(values.reals().into_owned()))
    }

    /// The view as a tensor whose axes lie in memory order `order`: itself, a part of what it views, or a copy.
    fn dense(&mut self, view: &View, order: &[usize], name: &str) -> Result<TensorId> {
        if let Some(tensor) = self.as_tensor(view, order) {
            return Ok(tensor);
        }
        let shape: Vec<usize> = order.iter().map(|&axis| view.shape[axis]).collect();
        let tensor = PlanTensor {
            name: name.to_owned(),
            element: element(view.number),
            pitch: pitch(shape.last().copied().unwrap_or(1)),
            shape,
            quant: view.number.quant(),
            place: Place::Arena { offset_bytes: 0 },
            live: 0..0,
        };
        let target = self.add_tensor(tensor, order, &view.shape, view.number);
        self.copy(name, view, &target, None)?;
        Ok(target.tensor)
    }

    /// A tensor that already lies as wanted.
    fn as_tensor(&mut self, view: &View, order: &[usize]) -> Option<TensorId> {
        let shape: Vec<usize> = order.iter().map(|&axis| view.shape[axis]).collect();
        let strides: Vec<isize> = order.iter().map(|&axis| view.strides[axis]).collect();
        let (&channels, outer) = shape.split_last()?;
        if channels > 1 && strides.last() != Some(&1) {
            return None;
        }
        // The pitch is the stride of the innermost outer axis that moves; every other must be a multiple by extents.
        let moving: Vec<usize> = (0..outer.len()).filter(|&i| outer[i] > 1).collect();
        let row_pitch = match moving.last() {
            Some(&i) => usize::try_from(strides[i]).ok().filter(|&p| p.is_multiple_of(4) && p >= channels)?,
            None => pitch(channels),
        };
        let mut expected = row_pitch;
        for i in (0..outer.len()).rev() {
            if outer[i] > 1 && strides[i] != expected as isize {
                return None;
            }
            expected *= outer[i];
        }
        let parent = &self.tensors[view.tensor.0];
        if view.offset == 0 && parent.shape == shape && parent.pitch == row_pitch && parent.quant == view.number.quant() {
            return Some(view.tensor);
        }
        // A foreign value must not stand in the padding lanes, and a constant is not renamed.
        let own_lanes = channels.is_multiple_of(4) || (row_pitch == pitch(channels) && parent.channels() == channels);
        if !view.offset.is_multiple_of(4) || !own_lanes || matches!(parent.place, Place::Weight(_)) {
            return None;
        }
        let (of, first) = self.root(view.tensor);
        let tensor = PlanTensor {
            name: parent.name.clone(),
            element: element(view.number),
            pitch: row_pitch,
            shape,
            quant: view.number.quant(),
            place: Place::Part { of, offset: first + view.offset },
            live: 0..0,
        };
        self.tensors.push(tensor);
        Some(TensorId(self.tensors.len() - 1))
    }

    /// The value as a channels-last map `[1, height, width, channels]`.
    fn map(&mut self, node: &Node, id: Id) -> Result<TensorId> {
        let view = self.view(id)?;
        if view.shape.len() != 4 || view.shape[0] != 1 {
            return Err(shape_error(node, format!("operand of shape {:?}, expected [1, channels, height, width]", view.shape)));
        }
        self.dense(&view, &CHANNELS_LAST, &node.name)
    }

    fn step(&mut self, node: &Node, op: StepOp, inputs: Vec<TensorId>, output: TensorId) {
        self.steps.push(Step { name: node.name.clone(), op, inputs, output, cost: Cost::default() });
    }

    fn output(&mut self, id: Id) -> Result<Port> {
        let view = self.view(id)?;
        let axes = view.order();
        let tensor = self.dense(&view, &axes, &self.net.values[id].name)?;
        Ok(Port { tensor, shape: view.shape, axes })
    }
}

/// Row-major values with axes in another order.
fn permuted(constant: &Constant, order: &[usize]) -> Vec<f32> {
    let rank = constant.shape.len();
    let mut strides = vec![1; rank];
    for axis in (0..rank.saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * constant.shape[axis + 1];
    }
    let mut indices = vec![0];
    for &axis in order {
        let steps = (0..constant.shape[axis]).map(|i| i * strides[axis]);
        indices = indices.iter().flat_map(|&base: &usize| steps.clone().map(move |step| base + step)).collect();
    }
    let reals = constant.reals();
    indices.into_iter().map(|i| reals[i]).collect()
}

fn element(number: Number) -> Element {
    match number {
        Number::Float => Element::F32,
        Number::Bytes(quant) if quant.signed => Element::I8,
        Number::Bytes(_) => Element::U8,
    }
}

fn shape_error(node: &Node, message: String) -> Error {
    Error::BadGraph { place: format!("node {:?}", node.name), message }
}
