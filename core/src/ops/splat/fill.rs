//! Fills the holes of a view from their far side. Twin of `gpu-kernels/src/splat/fill.wgsl`.
//!
//! A moved camera looks past the edge of something near at a surface that the frame never saw; that surface most likely
//! continues what is seen behind the edge. The fill is only there so that the network gets a picture without tears: no
//! residual is ever taken in a hole.

use crate::Result;
use crate::frame::RgbImage;
use crate::ops::splat::Rendering;

/// The view's image with each hole pixel painted like the farthest of the nearest shown pixels to its left, right, above
/// and below (in this order where depths tie). Black only if none of the four exists.
///
/// # Errors
/// None for a [`Rendering`] made by [`splat`](super::splat); [`Error::Length`](crate::Error::Length) if its fields disagree.
pub fn fill(view: &Rendering) -> Result<RgbImage> {
    let size = view.image.size();
    let (width, height) = (size.width as usize, size.height as usize);
    let shown = view.image.pixels();
    let mut pixels = shown.to_vec();
    // Farthest candidate so far; a hole's own entry starts at depth 0.
    let mut farthest = view.depth.clone();
    let mut sweep = |indices: &mut dyn Iterator<Item = usize>| {
        let mut last: Option<usize> = None;
        for i in indices {
            if !view.is_hole(i) {
                last = Some(i);
            } else if let Some(source) = last
                && view.depth[source] > farthest[i]
            {
                farthest[i] = view.depth[source];
                pixels[i] = shown[source];
            }
        }
    };
    for y in 0..height {
        sweep(&mut (y * width..(y + 1) * width));
    }
    for y in 0..height {
        sweep(&mut (y * width..(y + 1) * width).rev());
    }
    for x in 0..width {
        sweep(&mut (x..width * height).step_by(width));
    }
    for x in 0..width {
        sweep(&mut (0..height).rev().map(|y| y * width + x));
    }
    RgbImage::new(size, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Size;
    use crate::ops::splat::{ScreenPoint, splat};

    #[test]
    fn a_hole_takes_the_colour_of_its_far_side() {
        let at = |u: f32, z, colour| ScreenPoint::new(u, 0.5, z, [colour; 3]);
        let view = splat(&[at(0.5, 1.0, 10), at(4.5, 5.0, 50)], Size::new(6, 1)).unwrap();
        assert_eq!(fill(&view).unwrap().pixels(), [10, 50, 50, 50, 50, 50].map(|c| [c; 3]));
    }

    #[test]
    fn a_view_of_nothing_stays_black() {
        let view = splat(&[], Size::new(3, 2)).unwrap();
        assert_eq!(fill(&view).unwrap().pixels(), [[0; 3]; 6]);
    }
}
