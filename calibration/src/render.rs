//! Pictures of virtual views: turned views by resampling, moved views by splatting.
//!
//! A turned view needs no geometry, so the frame itself is resampled along the rays. A moved view splats the frame's
//! pixels as points. Views are zoomed in by [`ZOOM`], so that a turned view still finds picture at its border, and the
//! reference the residuals start from goes through the same renderer: resampling, zoom and border effects cancel.

use fathom_core::camera::{Intrinsics, Pose};
use fathom_core::frame::{Frame, RgbImage, Size};
use fathom_core::ops::image::resize::resize_frame;
use fathom_core::ops::splat::{self, Rendering, ScreenPoint};
use nalgebra::{Matrix3, Point3, UnitQuaternion, Vector3};

use crate::Result;
use crate::scene::Scene;

/// Views show `1 / ZOOM` of the frame's extent.
pub const ZOOM: f64 = 1.25;

/// A frame resampled to the resolution at which its zoomed views have about one source pixel a pixel.
#[derive(Debug, Clone)]
pub struct Source {
    /// Width and height of the resampled frame.
    pub size: Size,
    /// Red, green, blue in `0..=255`, row-major.
    pub pixels: Vec<[f32; 3]>,
}

impl Source {
    /// Resamples `frame` for views of `view_size` at [`ZOOM`]; never enlarges.
    ///
    /// # Errors
    /// Those of [`resize_frame`].
    pub fn new(frame: &Frame<'_>, view_size: Size) -> Result<Self> {
        let fit = |view: u32, frame: u32| ((f64::from(view) * ZOOM).round() as u32).min(frame).max(1);
        let size = Size::new(fit(view_size.width, frame.size().width), fit(view_size.height, frame.size().height));
        Ok(Self { size, pixels: resize_frame(frame, size)? })
    }

    /// Bilinear sample at a pixel position, borders repeated; `inside` tells whether the position is within the picture.
    #[inline]
    fn sample(&self, u_px: f64, v_px: f64) -> ([f32; 3], bool) {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let inside = u_px >= 0.0 && v_px >= 0.0 && u_px <= width as f64 && v_px <= height as f64;
        let x = (u_px - 0.5).clamp(0.0, (width - 1) as f64) as f32;
        let y = (v_px - 0.5).clamp(0.0, (height - 1) as f64) as f32;
        let (x0, y0) = (x as u32 as usize, y as u32 as usize);
        let (x1, y1) = ((x0 + 1).min(width - 1), (y0 + 1).min(height - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let (upper, lower) = (&self.pixels[y0 * width..][..width], &self.pixels[y1 * width..][..width]);
        let (a, b, c, d) = (upper[x0], upper[x1], lower[x0], lower[x1]);
        let mix = |i: usize| {
            let (above, below) = (a[i] + (b[i] - a[i]) * fx, c[i] + (d[i] - c[i]) * fx);
            above + (below - above) * fy
        };
        ([mix(0), mix(1), mix(2)], inside)
    }
}

/// A picture for the network, and which of its pixels show the scene.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What the network sees; outside the scene, repeated borders or a far-side fill.
    pub image: RgbImage,
    /// Per pixel, whether the frame holds it.
    pub shown: Vec<bool>,
}

impl Picture {
    /// Share of pixels that show the scene.
    #[must_use]
    pub fn shown_fraction(&self) -> f64 {
        self.shown.iter().filter(|shown| **shown).count() as f64 / self.shown.len() as f64
    }
}

/// The camera of views of `view_size` onto frames of `frame_camera`: the same rays, [`ZOOM`] times the focal length.
#[must_use]
pub fn view_camera(frame_camera: &Intrinsics, view_size: Size) -> Intrinsics {
    let camera = frame_camera.resized(view_size);
    let zoomed = |centre: f64, extent: u32| f64::from(extent) / 2.0 + (centre - f64::from(extent) / 2.0) * ZOOM;
    Intrinsics {
        fx_px: camera.fx_px * ZOOM,
        fy_px: camera.fy_px * ZOOM,
        cx_px: zoomed(camera.cx_px, view_size.width),
        cy_px: zoomed(camera.cy_px, view_size.height),
        ..camera
    }
}

/// What `camera` sees when turned by `view_from_frame` about the frame's optical centre.
///
/// `frame_camera`: of the frame that `source` was made from, at any size.
///
/// # Errors
/// [`fathom_core::Error::BadSize`] for the camera's size.
pub fn turned(source: &Source, frame_camera: &Intrinsics, camera: &Intrinsics, view_from_frame: &UnitQuaternion<f64>) -> Result<Picture> {
    let source_camera = frame_camera.resized(source.size);
    let frame_from_view = view_from_frame.inverse().to_rotation_matrix();
    // Homography from view pixels to source pixels; exact for pinhole cameras.
    let to_source: Matrix3<f64> = source_camera.matrix() * frame_from_view.matrix() * inverse_matrix(camera);
    let (width, height) = (camera.size.width, camera.size.height);
    let mut pixels = Vec::with_capacity(camera.size.area());
    let mut shown = Vec::with_capacity(camera.size.area());
    let step = to_source.column(0);
    // A row's positions first, its colours then: the former are plain arithmetic, many at a time.
    let mut positions = vec![None; width as usize];
    for y in 0..height {
        let start = to_source * Vector3::new(0.5, f64::from(y) + 0.5, 1.0);
        for (x, position) in (0..width).zip(&mut positions) {
            let [u, v, w] = [0, 1, 2].map(|i| start[i] + step[i] * f64::from(x));
            *position = (w > 1e-6).then(|| (u / w, v / w));
        }
        for position in &positions {
            let (colour, inside) = position.map_or(([0.0; 3], false), |(u, v)| source.sample(u, v));
            pixels.push(colour.map(|c| (c + 0.5) as u8));
            shown.push(inside);
        }
    }
    Ok(Picture { image: RgbImage::new(camera.size, pixels)?, shown })
}

/// What `camera` sees of a scene's points from `view_from_frame`: splatted, holes filled from their far side.
///
/// # Errors
/// Those of [`splat::splat`].
pub fn moved(scene: &Scene, camera: &Intrinsics, view_from_frame: &Pose) -> Result<(Picture, Rendering)> {
    let points: Vec<ScreenPoint> = scene
        .points
        .iter()
        .zip(&scene.colours)
        .map(|(point, colour)| screen_point(point.as_ref(), camera, view_from_frame, *colour))
        .collect();
    let view = splat::splat(&points, camera.size)?;
    let shown = (0..camera.size.area()).map(|i| !view.is_hole(i)).collect();
    Ok((Picture { image: splat::fill::fill(&view)?, shown }, view))
}

/// A point of the frame's camera as `camera` at `view_from_frame` sees it.
#[must_use]
pub fn screen_point(point: Option<&Point3<f64>>, camera: &Intrinsics, view_from_frame: &Pose, colour: [u8; 3]) -> ScreenPoint {
    let Some(point) = point else { return ScreenPoint::NOWHERE };
    let moved = view_from_frame * point;
    camera.project(&moved.coords).map_or(ScreenPoint::NOWHERE, |(u, v)| ScreenPoint::new(u as f32, v as f32, moved.z as f32, colour))
}

fn inverse_matrix(camera: &Intrinsics) -> Matrix3<f64> {
    let (fx, fy) = (camera.fx_px, camera.fy_px);
    Matrix3::new(1.0 / fx, 0.0, -camera.cx_px / fx, 0.0, 1.0 / fy, -camera.cy_px / fy, 0.0, 0.0, 1.0)
}
