//! Forward splat of coloured points into a view: image, depth, visibility and holes.
//!
//! [`nearest`] `-> `[`accumulate`]` -> `[`resolve`]` -> `[`fill`], joined by [`splat`]. Each point covers the four pixels
//! around it with bilinear weights; per pixel the nearest depth wins, and everything within [`DEPTH_BAND`] behind it is
//! averaged.
//!
//! **All arithmetic is on integers.** A [`ScreenPoint`] holds its position in 1/[`SUBPIXELS`] pixel and its depth as the
//! bits of a positive float, whose order is the order of depths; weights have 12 bits, colours 8, so a sum is in units of
//! 2^-20. Sums of integers and minima do not depend on the order of points, hence the same bits from run to run, from
//! thread to thread and from `gpu-kernels/src/splat/*.wgsl`, whose twins these files are.
//!
//! [`tangent`] is the same splat on real numbers with derivatives; nothing is rendered with it.

pub mod accumulate;
pub mod fill;
pub mod jet;
pub mod nearest;
pub mod resolve;
pub mod tangent;

use crate::frame::{RgbImage, Size};
use crate::{Error, Result};

/// Steps of a pixel in which positions are kept.
pub const SUBPIXELS: i32 = 64;

/// How far behind the nearest tap a tap still counts, in steps of the depth's bits: between 1/64 and 1/32 of the depth.
///
/// Wide enough that a floor seen at 6 degrees does not hide its own next row at 256 pixels across 60 degrees.
pub const DEPTH_BAND: u32 = 1 << 18;

/// Depths outside this range, in whatever unit, make no point: the bits of nearer or farther floats are subnormal or leave
/// no room for [`DEPTH_BAND`].
pub const DEPTH_RANGE: std::ops::RangeInclusive<f32> = 1e-20..=1e20;

/// Most points one splat takes: with weights of 12 bits their sum stays below 2^32.
pub const MAX_POINTS: usize = (1 << 20) - 1;

/// A point as one view sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct ScreenPoint {
    /// Column, 1/[`SUBPIXELS`] pixel; the centre of the first pixel is at half a pixel.
    pub u: i32,
    /// Row, likewise.
    pub v: i32,
    /// Bits of the depth along z, a positive float; [`ScreenPoint::NOWHERE`] has `u32::MAX`.
    pub depth_bits: u32,
    /// `red | green << 8 | blue << 16`.
    pub colour: u32,
}

impl ScreenPoint {
    /// A point that no view shows. Keeps index `i` the same point in every array.
    pub const NOWHERE: Self = Self { u: i32::MIN, v: i32::MIN, depth_bits: u32::MAX, colour: 0 };

    /// A point at pixel position `(u_px, v_px)` and depth `z`; [`ScreenPoint::NOWHERE`] if any of them is not finite, the
    /// position is more than 2^24 pixels out, or `z` is outside [`DEPTH_RANGE`] (behind the camera, zero, huge).
    #[must_use]
    pub fn new(u_px: f32, v_px: f32, z: f32, colour: [u8; 3]) -> Self {
        const REACH_PX: f32 = (1 << 24) as f32;
        if !(u_px.abs() < REACH_PX && v_px.abs() < REACH_PX && DEPTH_RANGE.contains(&z)) {
            return Self::NOWHERE;
        }
        let [red, green, blue] = colour.map(u32::from);
        let fixed = |px: f32| (px * SUBPIXELS as f32).round() as i32;
        Self { u: fixed(u_px), v: fixed(v_px), depth_bits: z.to_bits(), colour: red | green << 8 | blue << 16 }
    }

    /// Depth along z; infinite where there is no point.
    #[must_use]
    pub fn depth(&self) -> f32 {
        if self.depth_bits == u32::MAX { f32::INFINITY } else { f32::from_bits(self.depth_bits) }
    }

    /// The colour's channels.
    #[must_use]
    pub const fn channels(&self) -> [u32; 3] {
        [self.colour & 255, self.colour >> 8 & 255, self.colour >> 16 & 255]
    }

    /// The pixels this point covers and their weights, in units of 1/[`SUBPIXELS`]^2; none outside the image.
    pub fn taps(&self, size: Size) -> impl Iterator<Item = (usize, u32)> {
        // Nowhere is i32::MIN: saturating keeps it far outside.
        let (u, v) = (self.u.saturating_sub(SUBPIXELS / 2), self.v.saturating_sub(SUBPIXELS / 2));
        let (column, row) = (u.div_euclid(SUBPIXELS), v.div_euclid(SUBPIXELS));
        let (right, below) = (u.rem_euclid(SUBPIXELS) as u32, v.rem_euclid(SUBPIXELS) as u32);
        let (left, above) = (SUBPIXELS as u32 - right, SUBPIXELS as u32 - below);
        let (width, height) = (size.width as i32, size.height as i32);
        [(0, 0, left * above), (1, 0, right * above), (0, 1, left * below), (1, 1, right * below)].into_iter().filter_map(
            move |(dx, dy, weight)| {
                let (x, y) = (column + dx, row + dy);
                let inside = weight > 0 && (0..width).contains(&x) && (0..height).contains(&y);
                inside.then(|| (y as usize * width as usize + x as usize, weight))
            },
        )
    }

    /// Whether the point is what its view shows at its place: within [`DEPTH_BAND`] of the nearest depth at one of its taps
    /// (bits as [`nearest::nearest`] makes them).
    #[must_use]
    pub fn is_visible(&self, nearest_bits: &[u32], size: Size) -> bool {
        self.taps(size).any(|(pixel, _)| self.depth_bits <= nearest_bits[pixel].saturating_add(DEPTH_BAND))
    }
}

/// What a view shows of some points.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendering {
    /// Colours; holes are black, or filled by [`fill::fill`].
    pub image: RgbImage,
    /// Depth along z, `[height, width]`; 0 where there is a hole.
    pub depth: Vec<f32>,
    /// Bits of the nearest depth per pixel, `u32::MAX` where there is none: the z-buffer for [`ScreenPoint::is_visible`].
    pub nearest_bits: Vec<u32>,
}

impl Rendering {
    /// Whether no point reached the pixel.
    #[must_use]
    pub fn is_hole(&self, pixel: usize) -> bool {
        self.depth[pixel] == 0.0
    }

    /// Share of pixels that show a point.
    #[must_use]
    pub fn covered(&self) -> f64 {
        self.depth.iter().filter(|z| **z > 0.0).count() as f64 / self.depth.len() as f64
    }
}

/// Renders `points` into an image of `size`; holes stay black (see [`fill::fill`]).
///
/// ```
/// use fathom_core::{frame::Size, ops::splat::{ScreenPoint, splat}};
/// // Half on the first pixel, half on the second; a nearer point hides it on the first.
/// let points = [ScreenPoint::new(1.0, 0.5, 9.0, [200, 0, 0]), ScreenPoint::new(0.5, 0.5, 1.0, [0, 0, 100])];
/// let view = splat(&points, Size::new(2, 1))?;
/// assert_eq!(view.image.pixels(), [[0, 0, 100], [200, 0, 0]]);
/// assert_eq!(view.depth, [1.0, 9.0]);
/// # Ok::<(), fathom_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadSize`]; [`Error::OutOfRange`] for more than [`MAX_POINTS`] points.
pub fn splat(points: &[ScreenPoint], size: Size) -> Result<Rendering> {
    size.checked()?;
    if points.len() > MAX_POINTS {
        return Err(Error::OutOfRange { what: "splat points", got: points.len().to_string(), allowed: "at most 1048575" });
    }
    let nearest_bits = nearest::nearest(points, size);
    let sums = accumulate::accumulate(points, &nearest_bits, size);
    let (image, depth) = resolve::resolve(&sums, &nearest_bits, size)?;
    Ok(Rendering { image, depth, nearest_bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(7, 5);

    /// Deterministic points over and around a 7 x 5 image, several per pixel, at many depths.
    fn crowd() -> Vec<ScreenPoint> {
        let mut state = 1_u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let unit = |bits: u32| bits as f32 / (1 << 24) as f32;
        (0..500)
            .map(|_| {
                let (u, v, z) = (unit(next()) * 9.0 - 1.0, unit(next()) * 7.0 - 1.0, 1.0 + unit(next()) * 0.05);
                ScreenPoint::new(u, v, z, [next() as u8, next() as u8, next() as u8])
            })
            .collect()
    }

    #[test]
    fn the_order_of_points_does_not_change_a_bit() {
        let mut points = crowd();
        let forward = splat(&points, SIZE).unwrap();
        points.reverse();
        points.rotate_left(17);
        assert_eq!(splat(&points, SIZE).unwrap(), forward);
        assert!(forward.covered() > 0.99, "{}", forward.covered());
    }

    #[test]
    fn points_on_pixel_centres_reproduce_the_image() {
        let points: Vec<_> = (0..SIZE.area())
            .map(|i| ScreenPoint::new((i % 7) as f32 + 0.5, (i / 7) as f32 + 0.5, 2.0 + i as f32, [i as u8, 255, 7]))
            .collect();
        let view = splat(&points, SIZE).unwrap();
        for (i, pixel) in view.image.pixels().iter().enumerate() {
            assert_eq!(*pixel, [i as u8, 255, 7]);
            assert_eq!(view.depth[i], 2.0 + i as f32);
            assert!(points[i].is_visible(&view.nearest_bits, SIZE));
        }
    }

    #[test]
    fn poison_makes_no_point() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
            assert_eq!(ScreenPoint::new(bad, 1.0, 1.0, [0; 3]), ScreenPoint::NOWHERE);
            assert_eq!(ScreenPoint::new(1.0, bad, 1.0, [0; 3]), ScreenPoint::NOWHERE);
            assert_eq!(ScreenPoint::new(1.0, 1.0, bad, [0; 3]), ScreenPoint::NOWHERE);
        }
        for behind in [0.0, -0.0, -1.0, f32::MIN_POSITIVE / 2.0] {
            assert_eq!(ScreenPoint::new(1.0, 1.0, behind, [0; 3]), ScreenPoint::NOWHERE);
        }
        let mut points = crowd();
        let clean = splat(&points, SIZE).unwrap();
        points.extend([ScreenPoint::NOWHERE; 50]);
        assert_eq!(splat(&points, SIZE).unwrap(), clean);
        assert!(!ScreenPoint::NOWHERE.is_visible(&clean.nearest_bits, SIZE));
    }

    #[test]
    fn points_on_the_border_keep_the_half_that_is_inside() {
        let corner = ScreenPoint::new(0.0, 0.0, 1.0, [9, 9, 9]);
        assert_eq!(corner.taps(SIZE).collect::<Vec<_>>(), [(0, 1024)]);
        let far_corner = ScreenPoint::new(7.0, 5.0, 1.0, [9, 9, 9]);
        assert_eq!(far_corner.taps(SIZE).collect::<Vec<_>>(), [(34, 1024)]);
        assert_eq!(ScreenPoint::new(-0.5, 2.0, 1.0, [9; 3]).taps(SIZE).count(), 0);
        assert_eq!(ScreenPoint::new(1e6, -1e6, 1.0, [9; 3]).taps(SIZE).count(), 0);
    }

    #[test]
    fn a_view_without_points_is_all_hole() {
        let view = splat(&[], SIZE).unwrap();
        assert_eq!(view.covered(), 0.0);
        assert!(view.nearest_bits.iter().all(|bits| *bits == u32::MAX));
    }

    #[test]
    fn too_many_points_on_one_pixel_are_a_hole_and_not_a_wrapped_sum() {
        let points = vec![ScreenPoint::new(0.5, 0.5, 1.0, [255; 3]); 4096];
        let view = splat(&points, Size::new(1, 1)).unwrap();
        assert!(view.is_hole(0));
        let view = splat(&points[1..], Size::new(1, 1)).unwrap();
        assert_eq!(view.image.pixels(), [[255; 3]]);
        assert!(splat(&vec![ScreenPoint::NOWHERE; MAX_POINTS + 1], SIZE).is_err());
    }
}
