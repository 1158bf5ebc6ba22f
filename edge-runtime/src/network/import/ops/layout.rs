//! What only renames, reorders or repeats elements: Reshape and its kin, Transpose, Expand, DepthToSpace.

use fathom_core::tensor::Element;

use crate::Result;
use crate::network::graph::{Op, ValueId};
use crate::network::import::builder::count;
use crate::network::import::call::Call;
use crate::network::import::fold::broadcast;

/// Identity, and Dropout, which does nothing once training is over.
pub(super) fn identity(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    call.pass(x)
}

/// Emits a Reshape, or nothing if the shape stays.
fn reshaped(call: &mut Call<'_>, x: ValueId, shape: Vec<usize>) -> Result<ValueId> {
    if call.shape(x) == shape { call.pass(x) } else { call.emit(Op::Reshape, &[x], shape) }
}

/// Reshape: 0 keeps an extent (unless `allowzero`), -1 takes what is left.
pub(super) fn reshape(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let wanted = call.integers(call.input(1)?)?;
    let keep_zero = call.flag("allowzero", false)?;
    let old = call.shape(x);
    let misfit = || call.error(format!("{old:?} does not reshape to {wanted:?}"));
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, &extent) in wanted.iter().enumerate() {
        shape.push(match extent {
            0 if !keep_zero => *old.get(axis).ok_or_else(misfit)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            extent => usize::try_from(extent).map_err(|_| misfit())?,
        });
    }
    if let Some(axis) = open {
        shape[axis] = count(old).checked_div(count(&shape)).ok_or_else(misfit)? as usize;
    }
    if count(&shape) != count(old) {
        return Err(misfit());
    }
    reshaped(call, x, shape)
}

/// Flatten: two axes, split before `axis`.
pub(super) fn flatten(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let old = call.shape(x);
    let axis = call.int("axis", 1)?;
    let split = if axis == old.len() as i64 { old.len() } else { call.axis(axis, old.len())? };
    let shape = vec![old[..split].iter().product(), old[split..].iter().product()];
    reshaped(call, x, shape)
}

/// Squeeze: named axes of extent 1, or all of them.
pub(super) fn squeeze(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let old = call.shape(x).to_vec();
    let axes = match call.attribute_or_input("axes", 1)? {
        Some(axes) => call.axes(&axes, old.len())?,
        None => (0..old.len()).filter(|&axis| old[axis] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| old[axis] != 1) {
        return Err(call.error(format!("axis {axis} of {old:?} has extent {}, only 1 can be squeezed", old[axis])));
    }
    let shape = (0..old.len()).filter(|axis| !axes.contains(axis)).map(|axis| old[axis]).collect();
    reshaped(call, x, shape)
}

/// Unsqueeze: axes count in the result.
pub(super) fn unsqueeze(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let axes = call.attribute_or_input("axes", 1)?.ok_or_else(|| call.error("has no axes"))?;
    let mut shape = call.shape(x).to_vec();
    for axis in call.axes(&axes, shape.len() + axes.len())? {
        shape.insert(axis, 1);
    }
    reshaped(call, x, shape)
}

/// Transpose: axes reversed unless `perm` says otherwise.
pub(super) fn transpose(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let rank = call.shape(x).len();
    let perm = match call.attribute(call.attributes.ints("perm"))? {
        Some(given) => {
            if call.axes(given, rank)?.len() != rank {
                return Err(call.error(format!("perm {given:?} does not fit a value of {rank} axes")));
            }
            given.iter().map(|&axis| call.axis(axis, rank)).collect::<Result<Vec<_>>>()?
        }
        None => (0..rank).rev().collect(),
    };
    if perm.iter().enumerate().all(|(to, &from)| to == from) {
        return call.pass(x);
    }
    let shape = perm.iter().map(|&axis| call.shape(x)[axis]).collect();
    call.emit(Op::Transpose { perm }, &[x], shape)
}

/// Expand: both shapes broadcast.
pub(super) fn expand(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    let wanted = call.integers(call.input(1)?)?;
    let extents: Option<Vec<usize>> = wanted.iter().map(|&extent| usize::try_from(extent).ok()).collect();
    let joint = extents.and_then(|extents| broadcast(call.shape(x), &extents));
    let shape = joint.ok_or_else(|| call.error(format!("{:?} does not expand to {wanted:?}", call.shape(x))))?;
    if shape == call.shape(x) { call.pass(x) } else { call.emit(Op::Expand, &[x], shape) }
}

/// DepthToSpace.
pub(super) fn depth_to_space(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.input(0)?;
    call.expect_element(x, &[Element::F32, Element::U8, Element::I8])?;
    let block = super::window::bounded(call, "blocksize", call.int("blocksize", 0)?, 1)?;
    let crd = match call.text("mode", "DCR")? {
        "DCR" => false,
        "CRD" => true,
        other => return Err(call.error(format!("mode is {other:?}, expected DCR or CRD"))),
    };
    let &[batch, channels, height, width] = call.shape(x) else {
        return Err(call.error(format!("operand has shape {:?}, expected 4 axes", call.shape(x))));
    };
    if channels % (block * block) != 0 {
        return Err(call.error(format!("{channels} channels are not a multiple of blocks of {block} x {block}")));
    }
    let shape = vec![batch, channels / (block * block), height * block, width * block];
    call.emit(Op::DepthToSpace { block, crd }, &[x], shape)
}
