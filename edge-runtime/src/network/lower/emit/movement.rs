//! Operations that move elements: views where strides can say it, copies where they cannot.

use fathom_core::ops::nn::copy::{Copy, RANK};
use fathom_core::ops::nn::pad::PadMode;

use super::{CHANNELS_LAST, Emitter, natural_order, shape_error};
use crate::network::lower::net::{Node, Number};
use crate::network::lower::table::byte_of;
use crate::network::lower::view::{View, refine, split};
use crate::network::plan::{Cost, Place, PlanTensor, Step, StepOp, TensorId};
use crate::{Error, Result};

impl Emitter<'_> {
    /// Copies a view onto another of the same shape. `fill` is what the whole target tensor is set to first.
    pub(super) fn copy(&mut self, name: &str, source: &View, target: &View, fill: Option<u32>) -> Result<()> {
        let axes = target.order();
        let axes = axes.iter().map(|&axis| (source.shape[axis], source.strides[axis], target.strides[axis].unsigned_abs())).collect();
        let copy = fold(axes, source.offset, target.offset).ok_or_else(|| Error::UnsupportedOp {
            op: "copy".into(),
            node: name.to_owned(),
            detail: format!(": shape {:?} does not fold to {RANK} axes", source.shape),
        })?;
        let op = StepOp::Copy { copy, fill, table: None };
        self.steps.push(Step { name: name.to_owned(), op, inputs: vec![source.tensor], output: target.tensor, cost: Cost::default() });
        Ok(())
    }

    /// A tensor whose first element is the view's first; `None` if that is not aligned to 4 elements.
    pub(super) fn starting_at(&mut self, view: &View) -> Option<TensorId> {
        if view.offset == 0 && self.tensors[view.tensor.0].quant == view.number.quant() {
            return Some(view.tensor);
        }
        let parent = &self.tensors[view.tensor.0];
        if !view.offset.is_multiple_of(4) || matches!(parent.place, Place::Weight(_)) {
            return None;
        }
        // One long row: the step's own strides say what is read of it.
        let reach: usize = view.shape.iter().zip(&view.strides).map(|(&n, &s)| n.saturating_sub(1) * s.unsigned_abs()).sum::<usize>() + 1;
        let (of, first) = self.root(view.tensor);
        let tensor = PlanTensor {
            name: parent.name.clone(),
            element: parent.element,
            shape: vec![reach],
            pitch: reach.next_multiple_of(4),
            quant: view.number.quant(),
            place: Place::Part { of, offset: first + view.offset },
            live: 0..0,
        };
        self.tensors.push(tensor);
        Some(TensorId(self.tensors.len() - 1))
    }

    /// The view itself if a step's own strides can say where its elements are: they run forwards, from a multiple of 4 on.
    /// Otherwise a copy.
    pub(super) fn addressable(&mut self, view: &View, name: &str) -> Result<View> {
        let whole = view.offset == 0 || !matches!(self.tensors[view.tensor.0].place, Place::Weight(_));
        if view.strides.iter().all(|&s| s >= 0) && view.offset.is_multiple_of(4) && whole {
            return Ok(view.clone());
        }
        let order: Vec<usize> = (0..view.shape.len()).collect();
        let tensor = self.dense(view, &order, name)?;
        let strides = self.tensors[tensor.0].strides().into_iter().map(|s| s as isize).collect();
        Ok(View { tensor, offset: 0, strides, ..view.clone() })
    }

    pub(super) fn concat(&mut self, node: &Node, axis: usize) -> Result<()> {
        if let [only] = node.inputs[..] {
            let view = self.view(only)?;
            return self.define(node, view);
        }
        let target = match &self.views[node.output] {
            Some(view) => view.clone(),
            None => self.new_tensor(node.output, &natural_order(self.net.shape(node.output).len())),
        };
        let mut start = 0;
        for &id in &node.inputs {
            let mut starts = vec![0; target.shape.len()];
            starts[axis] = start;
            let place = target.sliced(&starts, &vec![1; starts.len()], self.net.shape(id));
            let source = self.view(id)?;
            if !self.lies_at(&source, &place) {
                self.copy(&node.name, &source, &place, None)?;
            }
            start += self.net.shape(id)[axis];
        }
        self.define(node, target)
    }

    /// Whether a view already is what another names.
    fn lies_at(&self, view: &View, place: &View) -> bool {
        let ((a, first_a), (b, first_b)) = (self.root(view.tensor), self.root(place.tensor));
        let moving = |v: &View| v.shape.iter().zip(&v.strides).filter(|(n, _)| **n > 1).map(|(_, &s)| s).collect::<Vec<_>>();
        a == b && first_a + view.offset == first_b + place.offset && moving(view) == moving(place)
    }

    pub(super) fn pad(&mut self, node: &Node, before: &[usize], after: &[usize], mode: PadMode) -> Result<()> {
        let value = match mode {
            PadMode::Constant(value) => value,
            PadMode::Reflect | PadMode::Edge => return self.pad_border(node, before, after, mode == PadMode::Reflect),
        };
        let source = self.view(node.inputs[0])?;
        let out = self.new_tensor(node.output, &source.order());
        let fill = match out.number {
            Number::Float => value.to_bits(),
            Number::Bytes(quant) => byte_of(quant, quant.quantize(value)).into(),
        };
        let place = out.sliced(before, &vec![1; before.len()], &source.shape);
        self.copy(&node.name, &source, &place, Some(fill))?;
        self.define(node, out)
    }

    pub(super) fn gather(&mut self, node: &Node, axis: usize, indices: &[usize], keeps_axis: bool) -> Result<()> {
        let source = self.view(node.inputs[0])?;
        if let (&[index], false) = (indices, keeps_axis) {
            return self.define(node, source.indexed(axis, index));
        }
        let out_shape = self.net.shape(node.output).to_vec();
        if out_shape.len() != source.shape.len() || out_shape.get(axis) != Some(&indices.len()) {
            return Err(shape_error(node, format!("indices with more than one axis ({:?} to {out_shape:?})", source.shape)));
        }
        let runs = runs(indices);
        let part = |view: &View, start: usize, length: usize| {
            let mut starts = vec![0; view.shape.len()];
            starts[axis] = start;
            let mut shape = out_shape.clone();
            shape[axis] = length;
            view.sliced(&starts, &vec![1; starts.len()], &shape)
        };
        if let [(_, first, length)] = runs[..] {
            return self.define(node, part(&source, first, length));
        }
        let out = self.new_tensor(node.output, &source.order());
        for (to, from, length) in runs {
            self.copy(&node.name, &part(&source, from, length), &part(&out, to, length), None)?;
        }
        self.define(node, out)
    }

    pub(super) fn reshape(&mut self, node: &Node) -> Result<()> {
        let source = self.view(node.inputs[0])?;
        let shape = self.net.shape(node.output).to_vec();
        if let Some(view) = source.reshaped(&shape) {
            return self.define(node, view);
        }
        let order: Vec<usize> = (0..shape.len()).collect();
        let source = if refine(&source.shape, &shape).is_some() { source } else { self.flattened(node, &source)? };
        if let Some(view) = source.reshaped(&shape) {
            return self.define(node, view);
        }
        let out = self.new_tensor(node.output, &order);
        self.copy_reshaped(node, &source, &out)?;
        self.define(node, out)
    }

    /// Row-major without padding: any shape is then a view.
    fn flattened(&mut self, node: &Node, source: &View) -> Result<View> {
        let count: usize = source.shape.iter().product();
        let tensor = PlanTensor {
            name: node.name.clone(),
            element: super::element(source.number),
            shape: vec![count],
            pitch: fathom_core::ops::nn::pitch(count),
            quant: source.number.quant(),
            place: Place::Arena { offset_bytes: 0 },
            live: 0..0,
        };
        let flat = self.add_tensor(tensor, &[0], &[count], source.number);
        self.copy_reshaped(node, source, &flat)?;
        Ok(flat)
    }

    /// Copies row-major order onto row-major order between two shapes with a common refinement.
    fn copy_reshaped(&mut self, node: &Node, source: &View, target: &View) -> Result<()> {
        let parts = refine(&source.shape, &target.shape)
            .ok_or_else(|| shape_error(node, format!("{:?} cannot become {:?}", source.shape, target.shape)))?;
        let fine = |view: &View| View { strides: split(&view.shape, &view.strides, &parts), shape: parts.clone(), ..view.clone() };
        self.copy(&node.name, &fine(source), &fine(target), None)
    }

    pub(super) fn depth_to_space(&mut self, node: &Node, block: usize, crd: bool) -> Result<()> {
        let x = self.map(node, node.inputs[0])?;
        let input = self.extents(x);
        let row = self.tensors[x.0].pitch as isize;
        let out = self.new_tensor(node.output, &CHANNELS_LAST);
        let pixel = out.strides[3];
        let channels = input.channels / (block * block);
        let (by, bx, c) = if crd { (block, 1, block * block) } else { (block * channels, channels, 1) };
        let source = View {
            tensor: x,
            offset: 0,
            shape: vec![input.height, block, input.width, block, channels],
            strides: vec![input.width as isize * row, by as isize, row, bx as isize, c as isize],
            number: out.number,
        };
        let (rows, edge) = (out.strides[2], block as isize);
        let target = View { shape: source.shape.clone(), strides: vec![edge * rows, rows, edge * pixel, pixel, 1], ..out.clone() };
        self.copy(&node.name, &source, &target, None)?;
        self.define(node, out)
    }
}

/// Runs of consecutive indices as `(position, first index, length)`.
fn runs(indices: &[usize]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for (position, &index) in indices.iter().enumerate() {
        match runs.last_mut() {
            Some((_, first, length)) if *first + *length == index => *length += 1,
            _ => runs.push((position, index, 1)),
        }
    }
    runs
}

/// A copy over axes `(extent, source stride, target stride)`, folded to [`RANK`] axes.
fn fold(axes: Vec<(usize, isize, usize)>, source_offset: usize, target_offset: usize) -> Option<Copy> {
    let mut folded: Vec<(usize, isize, usize)> = Vec::new();
    for (extent, source, target) in axes.into_iter().filter(|(extent, ..)| *extent != 1) {
        match folded.last_mut() {
            Some((outer, from, to)) if *from == source * extent as isize && *to == target * extent => {
                *outer *= extent;
                (*from, *to) = (source, target);
            }
            _ => folded.push((extent, source, target)),
        }
    }
    let lead = RANK.checked_sub(folded.len())?;
    let mut copy = Copy { shape: [1; RANK], source_offset, source: [0; RANK], target_offset, target: [0; RANK] };
    for (i, (extent, source, target)) in folded.into_iter().enumerate() {
        (copy.shape[lead + i], copy.source[lead + i], copy.target[lead + i]) = (extent, source, target);
    }
    Some(copy)
}
