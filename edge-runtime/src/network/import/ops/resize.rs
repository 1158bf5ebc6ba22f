//! Resize in its forms since opset 10, and Upsample before it.

use crate::Result;
use crate::network::graph::{Coordinates, NearestRounding, Op, ResizeMode, ValueId};
use crate::network::import::call::Call;

/// Upsample (opset 7 to 9): asymmetric, nearest rounds down.
pub(super) fn upsample(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.ranked(0, 4)?;
    let scales = match call.attribute(call.attributes.floats("scales"))? {
        Some(scales) => scales.to_vec(),
        None => call.floats(call.input(1)?)?.to_vec(),
    };
    let target = by_scales(call, x, &scales, &[0, 1, 2, 3])?;
    let mode = match call.text("mode", "nearest")? {
        "nearest" => ResizeMode::Nearest(NearestRounding::Floor),
        "linear" | "bilinear" => ResizeMode::Linear,
        other => return Err(call.unsupported(format_args!("mode {other:?}"))),
    };
    emit(call, x, target, mode, Coordinates::Asymmetric)
}

/// Resize: opset 10 has scales alone and is asymmetric; later ones have scales or sizes.
pub(super) fn resize(call: &mut Call<'_>) -> Result<ValueId> {
    let x = call.ranked(0, 4)?;
    if call.opset < 11 {
        return upsample(call);
    }
    for (name, default) in [("antialias", 0), ("exclude_outside", 0)] {
        if call.int(name, default)? != default {
            return Err(call.unsupported(format_args!("{name}")));
        }
    }
    let policy = call.text("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" {
        return Err(call.unsupported(format_args!("keep_aspect_ratio_policy {policy:?}")));
    }
    let axes = match call.attribute(call.attributes.ints("axes"))? {
        Some(given) => {
            call.axes(given, 4)?;
            given.iter().map(|&axis| call.axis(axis, 4)).collect::<Result<Vec<_>>>()?
        }
        None => vec![0, 1, 2, 3],
    };
    let given = |index: usize| call.optional(index).filter(|&id| !call.shape(id).contains(&0));
    let target = match (given(2), given(3)) {
        (Some(scales), None) => by_scales(call, x, call.floats(scales)?, &axes)?,
        (None, Some(sizes)) => by_sizes(call, x, &call.integers(sizes)?, &axes)?,
        _ => return Err(call.error("needs either scales or sizes")),
    };
    let mode = mode(call)?;
    let coordinates = coordinates(call, &target)?;
    emit(call, x, target, mode, coordinates)
}

/// Output extents and scales, all four axes.
struct Target {
    shape: Vec<usize>,
    scales: [f32; 4],
}

/// `floor(in * scale)`, the product in f32 as onnxruntime computes it.
fn by_scales(call: &Call<'_>, x: ValueId, given: &[f32], axes: &[usize]) -> Result<Target> {
    let old = call.shape(x);
    let mut target = Target { shape: old.to_vec(), scales: [1.0; 4] };
    if given.len() != axes.len() {
        return Err(call.error(format!("has {} scales for {} axes", given.len(), axes.len())));
    }
    for (&scale, &axis) in given.iter().zip(axes) {
        let extent = (old[axis] as f32 * scale).floor();
        if !(scale.is_finite() && scale > 0.0 && (1.0..=1e8).contains(&extent)) {
            return Err(call.error(format!("scale {scale} turns extent {} of axis {axis} into {extent}", old[axis])));
        }
        target.shape[axis] = extent as usize;
        target.scales[axis] = scale;
    }
    only_space(call, target)
}

/// Scales follow from the sizes: `out / in`.
fn by_sizes(call: &Call<'_>, x: ValueId, given: &[i64], axes: &[usize]) -> Result<Target> {
    let old = call.shape(x);
    let mut target = Target { shape: old.to_vec(), scales: [1.0; 4] };
    if given.len() != axes.len() {
        return Err(call.error(format!("has {} sizes for {} axes", given.len(), axes.len())));
    }
    for (&size, &axis) in given.iter().zip(axes) {
        let extent = usize::try_from(size).ok().filter(|e| (1..=100_000_000).contains(e));
        target.shape[axis] = extent.ok_or_else(|| call.error(format!("size of axis {axis} is {size}")))?;
        target.scales[axis] = target.shape[axis] as f32 / old[axis] as f32;
    }
    only_space(call, target)
}

fn only_space(call: &Call<'_>, target: Target) -> Result<Target> {
    if target.scales[..2] != [1.0; 2] {
        return Err(call.unsupported(format_args!("scales {:?}; batch and channels must stay", target.scales)));
    }
    Ok(target)
}

fn mode(call: &Call<'_>) -> Result<ResizeMode> {
    Ok(match call.text("mode", "nearest")? {
        "nearest" => ResizeMode::Nearest(match call.text("nearest_mode", "round_prefer_floor")? {
            "round_prefer_floor" => NearestRounding::RoundPreferFloor,
            "round_prefer_ceil" => NearestRounding::RoundPreferCeil,
            "floor" => NearestRounding::Floor,
            "ceil" => NearestRounding::Ceil,
            other => return Err(call.unsupported(format_args!("nearest_mode {other:?}"))),
        }),
        "linear" => ResizeMode::Linear,
        "cubic" => {
            let a = call.float("cubic_coeff_a", -0.75)?;
            if !a.is_finite() {
                return Err(call.error(format!("cubic_coeff_a is {a}, expected a finite number")));
            }
            ResizeMode::Cubic { a }
        }
        other => return Err(call.unsupported(format_args!("mode {other:?}"))),
    })
}

fn coordinates(call: &Call<'_>, target: &Target) -> Result<Coordinates> {
    Ok(match call.text("coordinate_transformation_mode", "half_pixel")? {
        "half_pixel" => Coordinates::HalfPixel,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        // Differs from half_pixel only where `in * scale` was rounded.
        "half_pixel_symmetric" if target.scales.iter().all(|s| s.fract() == 0.0) => Coordinates::HalfPixel,
        other => return Err(call.unsupported(format_args!("coordinate_transformation_mode {other:?}"))),
    })
}

fn emit(call: &mut Call<'_>, x: ValueId, target: Target, mode: ResizeMode, coordinates: Coordinates) -> Result<ValueId> {
    let scales = [target.scales[2], target.scales[3]];
    if target.shape == call.shape(x) && scales == [1.0; 2] {
        return call.pass(x);
    }
    call.emit(Op::Resize { mode, coordinates, scales }, &[x], target.shape)
}
