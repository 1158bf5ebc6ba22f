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
    size: Size,
    /// Row-major, with the last column and row once more behind them: every pixel has a right and a lower neighbour.
    padded: Vec<Packed>,
}

impl Source {
    /// Resamples `frame` for views of `view_size` at [`ZOOM`]; never enlarges.
    ///
    /// # Errors
    /// Those of [`resize_frame`].
    pub fn new(frame: &Frame<'_>, view_size: Size) -> Result<Self> {
        let fit = |view: u32, frame: u32| ((f64::from(view) * ZOOM).round() as u32).min(frame).max(1);
        let size = Size::new(fit(view_size.width, frame.size().width), fit(view_size.height, frame.size().height));
        Ok(Self::of(size, &resize_frame(frame, size)?))
    }

    /// Of pixels as they are, row-major: red, green, blue, brought into `0..=255` and kept to an eighth.
    ///
    /// # Panics
    /// If there are not `size.area()` pixels, or none.
    #[must_use]
    pub fn of(size: Size, pixels: &[[f32; 3]]) -> Self {
        assert_eq!(pixels.len(), size.area());
        let width = size.width as usize;
        let mut padded = Vec::with_capacity((width + 1) * (size.height as usize + 1));
        for row in pixels.chunks_exact(width) {
            padded.extend(row.iter().chain(&row[width - 1..]).map(Packed::new));
        }
        padded.extend_from_within(padded.len() - width - 1..);
        Self { size, padded }
    }

    /// Width and height of the resampled frame.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// The rows: red, green, blue in `0..=255`.
    pub fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = [f32; 3]>> {
        let width = self.size.width as usize;
        let rows = self.padded.chunks_exact(width + 1).take(self.size.height as usize);
        rows.map(move |row| row[..width].iter().map(|pixel| pixel.shades()))
    }

    /// Bilinear sample at a pixel position to a 32nd pixel, borders repeated; and whether the position is within the picture. One that
    /// is not a number is not.
    #[inline]
    fn sample(&self, u_px: f32, v_px: f32) -> ([u8; 3], bool) {
        let (width, height) = (self.size.width as f32, self.size.height as f32);
        let inside = (u_px >= 0.0) & (v_px >= 0.0) & (u_px <= width) & (v_px <= height);
        let steps = |position: f32, extent: f32| ((position - 0.5).max(0.0).min(extent - 1.0) * 32.0 + 0.5) as u32;
        let (x, y) = (steps(u_px, width), steps(v_px, height));
        let (right, down) = (u64::from(x % 32), u64::from(y % 32));
        let stride = self.size.width as usize + 1;
        let at = (y / 32) as usize * stride + (x / 32) as usize;
        let two = |start: usize| self.padded[start..].first_chunk().map_or([0; 2], |pair: &[Packed; 2]| pair.map(|pixel| pixel.0));
        let ([a, b], [c, d]) = (two(at), two(at + stride));
        let (above, below) = (a * (32 - right) + b * right, c * (32 - right) + d * right);
        (Packed::rounded(above * (32 - down) + below * down), inside)
    }
}

/// Three shades in one number, so that one product weights all of them: each has 21 bits, of which eighths of a shade take 11 and weights
/// that sum to 1024 the others.
#[derive(Debug, Clone, Copy)]
struct Packed(u64);

impl Packed {
    fn new(shades: &[f32; 3]) -> Self {
        let [r, g, b] = shades.map(|shade| u64::from((shade.min(255.0) * 8.0 + 0.5) as u16));
        Self(r | g << 21 | b << 42)
    }

    fn shades(self) -> [f32; 3] {
        [0, 21, 42].map(|shift| f32::from((self.0 >> shift & 0x7ff) as u16) / 8.0)
    }

    /// Bytes of a sum whose weights were 1024 in all.
    fn rounded(sum: u64) -> [u8; 3] {
        // Half of 8 * 1024 for each: 255 has no room for it, and none above.
        let half = sum + (4096 | 4096 << 21 | 4096 << 42);
        [0, 21, 42].map(|shift| (half >> (shift + 13)) as u8)
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
    let source_camera = frame_camera.resized(source.size());
    let frame_from_view = view_from_frame.inverse().to_rotation_matrix();
    // Homography from view pixels to source pixels; exact for pinhole cameras.
    let to_source: Matrix3<f64> = source_camera.matrix() * frame_from_view.matrix() * inverse_matrix(camera);
    let (width, height) = (camera.size.width, camera.size.height);
    let mut pixels = vec![[0; 3]; camera.size.area()];
    let mut shown = vec![false; camera.size.area()];
    let step = to_source.column(0);
    // A row's positions first, its colours then: the former are plain arithmetic, many at a time.
    let (mut us, mut vs) = (vec![0.0_f32; width as usize], vec![0.0_f32; width as usize]);
    let rows = pixels.chunks_exact_mut(width as usize).zip(shown.chunks_exact_mut(width as usize));
    for (y, (pixels, shown)) in (0..height).zip(rows) {
        let start = to_source * Vector3::new(0.5, f64::from(y) + 0.5, 1.0);
        for ((x, u), v) in (0..width as i32).zip(&mut us).zip(&mut vs) {
            let [u_w, v_w, w] = [0, 1, 2].map(|i| start[i] + step[i] * f64::from(x));
            let per_w = 1.0 / w;
            // Behind the camera is nowhere.
            let per_w = if w > 1e-6 { per_w } else { f64::NAN };
            (*u, *v) = ((u_w * per_w) as f32, (v_w * per_w) as f32);
        }
        for (((pixel, shown), u), v) in pixels.iter_mut().zip(shown).zip(&us).zip(&vs) {
            (*pixel, *shown) = source.sample(*u, *v);
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

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(3, 2);

    fn source() -> Source {
        Source::of(
            SIZE,
            &[[0.0, 255.0, 10.0], [255.0, 0.0, 20.0], [8.5, 1.0, 30.0], [4.0, 2.0, 40.0], [5.0, 3.0, 50.0], [6.0, 300.0, -9.0]],
        )
    }

    #[test]
    fn pixels_come_back_to_an_eighth_and_within_a_byte() {
        let pixels: Vec<[f32; 3]> = source().rows().flatten().collect();
        assert_eq!(pixels[2], [8.5, 1.0, 30.0]);
        assert_eq!(pixels[5], [6.0, 255.0, 0.0]);
    }

    #[test]
    fn samples_are_those_of_bilinear_interpolation() {
        let source = source();
        let pixels: Vec<[f32; 3]> = source.rows().flatten().collect();
        for (u, v) in [(0.5, 0.5), (1.0, 0.5), (1.25, 1.0), (2.5, 1.5), (2.9, 1.9), (0.0, 0.0), (1.75, 0.75)] {
            let (sampled, inside) = source.sample(u, v);
            assert!(inside);
            let (x, y) = ((u - 0.5).clamp(0.0, 2.0), (v - 0.5).clamp(0.0, 1.0));
            let (x0, y0) = ((x as usize).min(1), 0);
            let (fx, fy) = (x - x0 as f32, y - y0 as f32);
            for (channel, shade) in sampled.into_iter().enumerate() {
                let at = |x: usize, y: usize| pixels[y * 3 + x][channel];
                let (above, below) = (at(x0, y0) * (1.0 - fx) + at(x0 + 1, y0) * fx, at(x0, y0 + 1) * (1.0 - fx) + at(x0 + 1, y0 + 1) * fx);
                let exact = above * (1.0 - fy) + below * fy;
                assert!((f32::from(shade) - exact).abs() <= 0.5, "({u}, {v}), channel {channel}: {shade}, {exact}");
            }
        }
        for (u, v) in [(-0.1, 1.0), (1.0, 2.1), (f32::NAN, 1.0), (1.0, f32::NAN), (f32::INFINITY, 1.0)] {
            assert!(!source.sample(u, v).1, "({u}, {v})");
        }
    }
}
