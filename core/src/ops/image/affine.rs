//! The affine map that a calibration lays on relative depth.

/// `scale (value + shift)` for each value, in order.
///
/// ```
/// # use fathom_core::ops::image::affine::affine;
/// assert_eq!(affine(&[0.5, -1.0], 2.0, 0.25), [1.5, -1.5]);
/// ```
#[must_use]
pub fn affine(values: &[f32], scale: f32, shift: f32) -> Vec<f32> {
    values.iter().map(|value| scale * (value + shift)).collect()
}
