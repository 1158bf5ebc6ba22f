//! Reductions over axes; the global pools are two of them.

use crate::Result;
use crate::network::graph::{Op, Reduce, ValueId};
use crate::network::import::builder::count;
use crate::network::import::call::Call;

fn kind(call: &Call<'_>) -> Result<Reduce> {
    Ok(match call.node.op_type.as_str() {
        "ReduceMean" | "GlobalAveragePool" => Reduce::Mean,
        "ReduceSum" => Reduce::Sum,
        "ReduceMax" | "GlobalMaxPool" => Reduce::Max,
        "ReduceL2" => Reduce::L2,
        _ => return Err(call.unsupported("no such reduction")),
    })
}

fn emit(call: &mut Call<'_>, x: ValueId, axes: Vec<usize>, keep_dims: bool) -> Result<ValueId> {
    let kind = kind(call)?;
    let old = call.shape(x);
    let work = count(old);
    let kept = |axis: usize| if axes.contains(&axis) { keep_dims.then_some(1) } else { Some(old[axis]) };
    let shape = (0..old.len()).filter_map(kept).collect();
    call.emit_worth(Op::Reduce { kind, axes, keep_dims }, &[x], shape, work)
}

/// ReduceMean, ReduceSum, ReduceMax, ReduceL2: axes are an attribute or an operand; none means all.
pub(super) fn reduce(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.float_input(0)?;
    let rank = call.shape(x).len();
    let keep_dims = call.flag("keepdims", true)?;
    let given = call.attribute_or_input("axes", 1)?.filter(|axes| !axes.is_empty());
    let axes = match given {
        Some(axes) => call.axes(&axes, rank)?,
        None if call.flag("noop_with_empty_axes", false)? => return call.pass(x),
        None => (0..rank).collect(),
    };
    emit(call, x, axes, keep_dims)
}

/// GlobalAveragePool, GlobalMaxPool.
pub(super) fn global_pool(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.ranked(0, 4)?;
    emit(call, x, vec![2, 3], true)
}
