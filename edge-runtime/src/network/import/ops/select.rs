//! What takes or joins parts: Slice, Split, Gather, Concat, Pad.

use fathom_core::tensor::{Element, Elements, Tensor};

use crate::Result;
use crate::network::graph::{Op, PadMode, ValueId};
use crate::network::import::builder::Resolved;
use crate::network::import::call::Call;

/// Slice: attributes before opset 10, operands since.
pub(super) fn slice(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let mut shape = call.shape(x).to_vec();
    let missing = |what: &str| call.error(format!("has no {what}"));
    let starts = call.attribute_or_input("starts", 1)?.ok_or_else(|| missing("starts"))?;
    let ends = call.attribute_or_input("ends", 2)?.ok_or_else(|| missing("ends"))?;
    let axes = call.attribute_or_input("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.optional(4).map(|id| call.integers(id)).transpose()?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        let message = format!("has {} starts, {} ends, {} axes and {} steps", starts.len(), ends.len(), axes.len(), steps.len());
        return Err(call.error(message));
    }
    call.axes(&axes, shape.len())?;
    let mut op_starts = vec![0; shape.len()];
    let mut op_steps = vec![1; shape.len()];
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = call.axis(axis, shape.len())?;
        let step = isize::try_from(step).ok().filter(|&s| s != 0 && s != isize::MIN);
        let step = step.ok_or_else(|| call.error(format!("step of axis {axis} is not supported")))?;
        let (first, length) = range(start, end, step, shape[axis]);
        op_starts[axis] = first;
        op_steps[axis] = if length > 1 { step } else { 1 };
        shape[axis] = length;
    }
    if shape == call.shape(x) && op_steps.iter().all(|&s| s == 1) {
        return call.pass(x);
    }
    call.emit(Op::Slice { starts: op_starts, steps: op_steps }, &[x], shape)
}

/// First index and number of elements of `start..end` by `step` within `extent`, as numpy counts.
fn range(start: i64, end: i64, step: isize, extent: usize) -> (usize, usize) {
    let n = extent as i128;
    let wrap = |v: i64| if v < 0 { i128::from(v) + n } else { i128::from(v) };
    let step = step as i128;
    let (first, last) = if step > 0 {
        (wrap(start).clamp(0, n), wrap(end).clamp(0, n))
    } else {
        (wrap(start).clamp(-1, n - 1), wrap(end).clamp(-1, n - 1))
    };
    let span = if step > 0 { last - first } else { first - last };
    if span <= 0 {
        return (0, 0);
    }
    let distance = step.abs();
    (first as usize, ((span + distance - 1) / distance) as usize)
}

/// Split: one Slice for each result. Extents from an attribute (before opset 13), an operand, or equal.
pub(super) fn split(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let shape = call.shape(x).to_vec();
    let axis = call.axis(call.int("axis", 0)?, shape.len())?;
    let parts = call.node.output.len();
    let extents: Vec<usize> = match call.attribute_or_input("split", 1)? {
        Some(given) => {
            let extents: Option<Vec<usize>> = given.iter().map(|&e| usize::try_from(e).ok()).collect();
            let sum = |e: &[usize]| e.iter().try_fold(0_usize, |sum, &e| sum.checked_add(e));
            let fits = |e: &Vec<usize>| e.len() == parts && sum(e) == Some(shape[axis]);
            extents
                .filter(fits)
                .ok_or_else(|| call.error(format!("parts {given:?} do not add up to {} in {parts} results", shape[axis])))?
        }
        None if parts > 0 => {
            let chunk = shape[axis].div_ceil(parts);
            (0..parts).map(|part| chunk.min(shape[axis].saturating_sub(part * chunk))).collect()
        }
        None => Vec::new(),
    };
    let element = call.element(x);
    let mut first = 0;
    let mut result = None;
    for (part, &extent) in extents.iter().enumerate() {
        let mut starts = vec![0; shape.len()];
        let mut part_shape = shape.clone();
        starts[axis] = first;
        part_shape[axis] = extent;
        first += extent;
        let (name, output) = (format!("{}/{part}", call.name), call.output(part));
        let op = Op::Slice { starts, steps: vec![1; shape.len()] };
        let id = call.builder.emit(&name, &output, Resolved { op, inputs: vec![Some(x)], element, shape: part_shape, work: 0 })?;
        result = result.or(Some(id));
    }
    result.ok_or_else(|| call.error("has no results"))
}

/// Gather by constant indices; negative ones count from the end.
pub(super) fn gather(call: &mut Call<'_>) -> Result<ValueId> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let old = call.shape(x).to_vec();
    let axis = call.axis(call.int("axis", 0)?, old.len())?;
    let extent = old[axis] as i64;
    let given = call.integers(indices)?;
    let resolved = given.iter().map(|&index| if index < 0 { index.saturating_add(extent) } else { index }).collect::<Vec<_>>();
    if let Some(bad) = resolved.iter().position(|index| !(0..extent).contains(index)) {
        return Err(call.error(format!("index {} is outside axis {axis} of extent {extent}", given[bad])));
    }
    let shape = [&old[..axis], call.shape(indices), &old[axis + 1..]].concat();
    let indices = if resolved == given && call.element(indices) == Element::I64 {
        indices
    } else {
        let tensor = Tensor::new(call.shape(indices).to_vec(), Elements::I64(resolved))?;
        call.bring("indices", tensor)?
    };
    call.emit(Op::Gather { axis }, &[x, indices], shape)
}

/// Axis and shape of operands joined.
pub(super) fn joined(call: &Call<'_>, operands: &[ValueId]) -> Result<(usize, Vec<usize>)> {
    let first = *operands.first().ok_or_else(|| call.error("has no operands"))?;
    let mut shape = call.shape(first).to_vec();
    let axis = call.attribute(call.attributes.int("axis"))?.ok_or_else(|| call.error("attribute \"axis\" is missing"))?;
    let axis = call.axis(axis, shape.len())?;
    let mut total = 0_usize;
    for &operand in operands {
        let other = call.shape(operand);
        let fits = other.len() == shape.len() && (0..shape.len()).all(|a| a == axis || other[a] == shape[a]);
        let sum = fits.then(|| total.checked_add(other[axis])).flatten();
        total = sum.ok_or_else(|| call.error(format!("operands {:?} and {other:?} do not join along axis {axis}", call.shape(first))))?;
    }
    shape[axis] = total;
    Ok((axis, shape))
}

/// Concat; of one operand it is nothing.
pub(super) fn concat(call: &mut Call<'_>) -> Result<ValueId> {
    let operands = (0..call.inputs.len()).map(|index| call.input(index)).collect::<Result<Vec<_>>>()?;
    let (axis, shape) = joined(call, &operands)?;
    for &operand in &operands {
        call.expect_element(operand, &[call.element(operands[0])])?;
    }
    if let [only] = operands[..] { call.pass(only) } else { call.emit(Op::Concat { axis }, &operands, shape) }
}

/// Pad: attributes before opset 11, operands since.
pub(super) fn pad(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.float_input(0)?;
    let old = call.shape(x).to_vec();
    let pads = call.attribute_or_input("pads", 1)?.ok_or_else(|| call.error("has no pads"))?;
    let axes = match call.optional(3) {
        Some(id) => call.integers(id)?,
        None => (0..old.len() as i64).collect(),
    };
    call.axes(&axes, old.len())?;
    if pads.len() != 2 * axes.len() {
        return Err(call.error(format!("has {} pads for {} axes, expected two an axis", pads.len(), axes.len())));
    }
    let (mut before, mut after) = (vec![0; old.len()], vec![0; old.len()]);
    for (index, &axis) in axes.iter().enumerate() {
        let axis = call.axis(axis, old.len())?;
        before[axis] = super::window::bounded(call, "pads", pads[index], 0)?;
        after[axis] = super::window::bounded(call, "pads", pads[index + axes.len()], 0)?;
    }
    let mode = match call.text("mode", "constant")? {
        "constant" => PadMode::Constant(pad_value(call)?),
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        other => return Err(call.unsupported(format_args!("mode {other:?}"))),
    };
    if let Some(axis) = (0..old.len()).find(|&a| mode == PadMode::Reflect && before[a].max(after[a]) >= old[a].max(1)) {
        return Err(call.error(format!("reflects {} and {} elements of axis {axis}, which has {}", before[axis], after[axis], old[axis])));
    }
    let shape: Vec<usize> = (0..old.len()).map(|a| old[a] + before[a] + after[a]).collect();
    if shape == old { call.pass(x) } else { call.emit(Op::Pad { before, after, mode }, &[x], shape) }
}

fn pad_value(call: &Call<'_>) -> Result<f32> {
    let value = match call.optional(2) {
        Some(id) => call.scalar(id)?,
        None => call.float("value", 0.0)?,
    };
    if value.is_finite() { Ok(value) } else { Err(call.error(format!("pads with {value}, expected a finite number"))) }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_count_as_numpy_does() {
        assert_eq!(range(1, 4, 1, 5), (1, 3));
        assert_eq!(range(-3, i64::MAX, 2, 5), (2, 2));
        assert_eq!(range(-1, i64::MIN, -1, 5), (4, 5));
        assert_eq!(range(3, 0, -2, 5), (3, 2));
        assert_eq!(range(9, 12, 1, 5), (0, 0));
        assert_eq!(range(0, -1, -1, 0), (0, 0));
    }
}
