//! What the network said, as values with meaning: relative depth at its own or the frame's size, and a field of view.

use fathom_core::depth::RelativeDepth;
use fathom_core::frame::Size;
use fathom_core::model::{FovEstimate, ModelCard, Prediction};
use fathom_core::ops::image::resize;
use fathom_core::tensor::Tensor;

use crate::{Error, Result};

/// Reads the network's outputs: depth first, then the field of view where the card names one.
///
/// Depth is the last two axes of a float tensor whose other axes are 1. The field of view is `[radians, ln variance of
/// the focal length]`.
///
/// # Errors
/// [`Error::BadOutput`] if an output is missing, has another shape, or holds a number that is not finite.
pub fn prediction(outputs: Vec<Tensor>, card: &ModelCard) -> Result<Prediction> {
    let mut outputs = outputs.into_iter();
    let depth = outputs.next().ok_or_else(|| bad("depth", "the network gave no output".into()))?;
    let size = map_size(&depth)?;
    let relative = RelativeDepth::new(size, card.output_kind, depth.into_f32()?).map_err(|e| bad("depth", e.to_string()))?;
    let fov = match (&card.fov_output, outputs.next()) {
        (None, _) => None,
        (Some(name), None) => return Err(bad(name, "the network gave no such output".into())),
        (Some(name), Some(tensor)) => Some(field_of_view(name, &tensor)?),
    };
    Ok(Prediction { relative, fov })
}

/// The depth map at the frame's size, by the definition of [`resize`].
///
/// # Errors
/// [`Error::Core`] if the size is out of range.
pub fn at_frame_size(relative: &RelativeDepth, size: Size) -> Result<RelativeDepth> {
    let values = resize::resize_plane(relative.values(), relative.size(), size)?;
    Ok(RelativeDepth::new(size, relative.kind(), values)?)
}

fn map_size(depth: &Tensor) -> Result<Size> {
    let shape = depth.shape();
    let wrong = || bad("depth", format!("shape {shape:?} is not one map, [1, 1, height, width]"));
    let Some((lead, &[height, width])) = shape.split_last_chunk() else { return Err(wrong()) };
    if lead.iter().any(|&extent| extent != 1) {
        return Err(wrong());
    }
    let extent = |n: usize| u32::try_from(n).map_err(|_| wrong());
    Ok(Size::new(extent(width)?, extent(height)?).checked()?)
}

fn field_of_view(name: &str, tensor: &Tensor) -> Result<FovEstimate> {
    let &[fov_rad, ln_variance] = tensor.as_f32()? else {
        return Err(bad(name, format!("shape {:?} does not hold [radians, ln variance]", tensor.shape())));
    };
    if !(fov_rad.is_finite() && ln_variance.is_finite()) {
        return Err(bad(name, format!("[{fov_rad}, {ln_variance}] is not finite")));
    }
    // The head is linear; half a degree to 179.5 keeps a wild answer a field of view (its sigma says what it is worth).
    let limit_rad = 0.5_f64.to_radians();
    let fov_rad = f64::from(fov_rad).clamp(limit_rad, std::f64::consts::PI - limit_rad);
    Ok(FovEstimate { fov_rad, ln_focal_sigma: (f64::from(ln_variance) / 2.0).exp() })
}

fn bad(output: &str, message: String) -> Error {
    Error::BadOutput { output: output.into(), message }
}

#[cfg(test)]
mod tests {
    use fathom_core::depth::OutputKind;

    use super::*;

    fn card(fov_output: Option<&str>) -> ModelCard {
        ModelCard { fov_output: fov_output.map(Into::into), ..ModelCard::new("test", Size::new(8, 8), OutputKind::InverseDepth) }
    }

    #[test]
    fn a_map_may_have_leading_axes_of_one_and_no_others() {
        for shape in [vec![2, 3], vec![1, 2, 3], vec![1, 1, 2, 3]] {
            let got = prediction(vec![Tensor::f32(shape, vec![1.0; 6]).unwrap()], &card(None)).unwrap();
            assert_eq!(got.relative.size(), Size::new(3, 2));
        }
        for shape in [vec![6], vec![2, 1, 3], vec![2, 3, 1, 1]] {
            let error = prediction(vec![Tensor::f32(shape, vec![1.0; 6]).unwrap()], &card(None)).unwrap_err();
            assert!(error.to_string().contains("is not one map"), "{error}");
        }
    }

    #[test]
    fn a_nan_from_the_network_is_an_error_and_never_a_depth() {
        let error = prediction(vec![Tensor::f32(vec![1, 2], vec![1.0, f32::NAN]).unwrap()], &card(None)).unwrap_err();
        assert!(matches!(&error, Error::BadOutput { output, message } if output == "depth" && message.contains("NaN")), "{error}");
    }

    #[test]
    fn the_field_of_view_comes_with_its_sigma() {
        let depth = Tensor::f32(vec![1, 1], vec![1.0]).unwrap();
        let fov = Tensor::f32(vec![1, 2], vec![1.0, 0.25_f32.ln()]).unwrap();
        let got = prediction(vec![depth.clone(), fov], &card(Some("fov"))).unwrap().fov.unwrap();
        assert!((got.fov_rad - 1.0).abs() < 1e-6 && (got.ln_focal_sigma - 0.5).abs() < 1e-6, "{got:?}");
        assert!(prediction(vec![depth], &card(Some("fov"))).unwrap_err().to_string().contains("\"fov\""));
    }

    #[test]
    fn a_depth_map_goes_to_the_frames_size_and_keeps_its_meaning() {
        let small = RelativeDepth::new(Size::new(2, 1), OutputKind::Depth, vec![0.0, 4.0]).unwrap();
        let large = at_frame_size(&small, Size::new(4, 2)).unwrap();
        assert_eq!((large.kind(), large.values()), (OutputKind::Depth, &[0.0, 1.0, 3.0, 4.0, 0.0, 1.0, 3.0, 4.0][..]));
    }
}
