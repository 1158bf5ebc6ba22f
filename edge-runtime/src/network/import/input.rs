//! The one image input: found in the file, and given the size that the card names.

use fathom_core::frame::Size;
use std::collections::HashSet;

use super::builder::{Builder, value_error};
use super::onnx::{GraphProto, ValueInfoProto, data_type};
use crate::network::graph::ValueId;
use crate::{Error, Result};

/// What the file says of its input.
pub(super) struct Image {
    name: String,
    /// Extents that the file fixes, `[batch, channel, height, width]`.
    declared: [Option<usize>; 4],
    /// Size, if the file fixes it.
    pub(super) fixed_size: Option<Size>,
}

/// Finds the input: the only one that is not a constant, f32 (or a half type, read as f32), `[1, 3, height, width]`.
///
/// # Errors
/// [`Error::BadGraph`] naming the inputs or the extent that does not fit.
pub(super) fn image(file: &GraphProto) -> Result<Image> {
    let constants: HashSet<&str> = file.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs: Vec<&ValueInfoProto> = file.input.iter().filter(|i| !constants.contains(i.name.as_str())).collect();
    let &[input] = inputs.as_slice() else {
        let names: Vec<&str> = inputs.iter().take(8).map(|i| i.name.as_str()).collect();
        let message = format!("has {} inputs {names:?}, expected one image", inputs.len());
        return Err(Error::BadGraph { place: "graph".into(), message });
    };
    let fail = |message: String| value_error(&input.name, message);
    if input.name.is_empty() {
        return Err(fail("the image input has no name".into()));
    }
    let tensor =
        input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).ok_or_else(|| fail("the image input is not a tensor".into()))?;
    if !matches!(tensor.elem_type, data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 | data_type::DOUBLE) {
        return Err(fail(format!("the image input holds {}, expected FLOAT", data_type::name(tensor.elem_type))));
    }
    let mut declared = [None; 4];
    if let Some(shape) = &tensor.shape {
        if shape.dim.len() != 4 {
            return Err(fail(format!("the image input has {} axes, expected [1, 3, height, width]", shape.dim.len())));
        }
        for (extent, dim) in declared.iter_mut().zip(&shape.dim) {
            *extent = dim.dim_value.filter(|&v| v > 0).and_then(|v| usize::try_from(v).ok());
        }
    }
    for (axis, (got, needed)) in [(declared[0], 1), (declared[1], 3)].into_iter().enumerate() {
        if let Some(got) = got.filter(|&g| g != needed) {
            return Err(fail(format!("extent {got} of the image input's axis {axis} is not supported, expected {needed}")));
        }
    }
    let side = |extent: Option<usize>| extent.and_then(|e| u32::try_from(e).ok());
    let fixed_size = side(declared[3]).zip(side(declared[2])).map(|(width, height)| Size::new(width, height));
    Ok(Image { name: input.name.clone(), declared, fixed_size })
}

/// Declares the input at the card's size.
///
/// # Errors
/// [`Error::BadGraph`] if the file fixes another size.
pub(super) fn declare(builder: &mut Builder, image: &Image, size: Size) -> Result<ValueId> {
    let shape = [1, 3, size.height as usize, size.width as usize];
    for axis in [2, 3] {
        if let Some(fixed) = image.declared[axis].filter(|&fixed| fixed != shape[axis]) {
            let side = if axis == 2 { "height" } else { "width" };
            return Err(value_error(&image.name, format!("the file fixes the image's {side} at {fixed}, the card says {}", shape[axis])));
        }
    }
    builder.image(&image.name, shape.to_vec())
}
