//! Pinhole cameras and poses. Camera frame: x right, y down, z forward. Pixel `(u, v)`: the centre of the top-left pixel is `(0.5, 0.5)`.

use nalgebra::{Isometry3, Matrix3, Vector3};

use crate::frame::Size;
use crate::{Error, Result};

/// A rigid transform `a_from_b`: takes a point in frame b to frame a.
pub type Pose = Isometry3<f64>;

/// Pinhole intrinsics without distortion, in pixels of an image of `size`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intrinsics {
    /// Image the numbers belong to.
    pub size: Size,
    /// Horizontal focal length, pixels.
    pub fx_px: f64,
    /// Vertical focal length, pixels.
    pub fy_px: f64,
    /// Principal point, column; `width / 2` is the middle of the image.
    pub cx_px: f64,
    /// Principal point, row.
    pub cy_px: f64,
}

impl Intrinsics {
    /// Square pixels and the principal point in the middle.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `focal_px` is finite and positive; [`Error::BadSize`].
    pub fn centred(size: Size, focal_px: f64) -> Result<Self> {
        size.checked()?;
        if !(focal_px.is_finite() && focal_px > 0.0) {
            return Err(Error::OutOfRange { what: "focal_px", got: focal_px.to_string(), allowed: "finite and above 0" });
        }
        let (cx_px, cy_px) = (f64::from(size.width) / 2.0, f64::from(size.height) / 2.0);
        Ok(Self { size, fx_px: focal_px, fy_px: focal_px, cx_px, cy_px })
    }

    /// [`Intrinsics::centred`] from the horizontal field of view: `f = width / (2 tan(fov / 2))`.
    ///
    /// ```
    /// use fathom_core::{camera::Intrinsics, frame::Size};
    /// let camera = Intrinsics::from_fov(Size::new(640, 480), 90_f64.to_radians())?;
    /// assert!((camera.fx_px - 320.0).abs() < 1e-9);
    /// # Ok::<(), fathom_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless `0 < fov_rad < pi`; [`Error::BadSize`].
    pub fn from_fov(size: Size, fov_rad: f64) -> Result<Self> {
        if !(fov_rad > 0.0 && fov_rad < std::f64::consts::PI) {
            return Err(Error::OutOfRange { what: "fov_rad", got: fov_rad.to_string(), allowed: "above 0, below pi" });
        }
        Self::centred(size, f64::from(size.width) / 2.0 / (fov_rad / 2.0).tan())
    }

    /// Horizontal field of view, radians: `2 atan(width / (2 fx))`, as if the principal point were central.
    #[must_use]
    pub fn fov_rad(&self) -> f64 {
        2.0 * (f64::from(self.size.width) / 2.0 / self.fx_px).atan()
    }

    /// The same camera after its image was resized to `size`.
    #[must_use]
    pub fn resized(&self, size: Size) -> Self {
        let sx = f64::from(size.width) / f64::from(self.size.width);
        let sy = f64::from(size.height) / f64::from(self.size.height);
        Self { size, fx_px: self.fx_px * sx, fy_px: self.fy_px * sy, cx_px: self.cx_px * sx, cy_px: self.cy_px * sy }
    }

    /// The ray `K^-1 (u, v, 1)` of a pixel position, z = 1.
    #[must_use]
    pub fn ray(&self, u_px: f64, v_px: f64) -> Vector3<f64> {
        Vector3::new((u_px - self.cx_px) / self.fx_px, (v_px - self.cy_px) / self.fy_px, 1.0)
    }

    /// Pixel position of a point in the camera frame; `None` at or behind the camera.
    #[must_use]
    pub fn project(&self, point_camera: &Vector3<f64>) -> Option<(f64, f64)> {
        (point_camera.z > 0.0)
            .then(|| (self.fx_px * point_camera.x / point_camera.z + self.cx_px, self.fy_px * point_camera.y / point_camera.z + self.cy_px))
    }

    /// The matrix K.
    #[must_use]
    pub fn matrix(&self) -> Matrix3<f64> {
        Matrix3::new(self.fx_px, 0.0, self.cx_px, 0.0, self.fy_px, self.cy_px, 0.0, 0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projecting_a_ray_returns_its_pixel() {
        let camera = Intrinsics { size: Size::new(64, 48), fx_px: 50.0, fy_px: 55.0, cx_px: 30.0, cy_px: 25.0 };
        let (u, v) = camera.project(&(camera.ray(7.5, 40.5) * 3.0)).unwrap();
        assert!((u - 7.5).abs() < 1e-12 && (v - 40.5).abs() < 1e-12);
        assert_eq!(camera.project(&Vector3::new(0.0, 0.0, -1.0)), None);
    }

    #[test]
    fn resizing_keeps_the_field_of_view() {
        let camera = Intrinsics::from_fov(Size::new(640, 480), 1.0).unwrap();
        assert!((camera.resized(Size::new(256, 192)).fov_rad() - 1.0).abs() < 1e-12);
    }
}
