//! Second pass of the splat: weighted sums of what lies at the front. Twin of `gpu-kernels/src/splat/accumulate.wgsl`.

use crate::frame::Size;
use crate::ops::splat::{DEPTH_BAND, ScreenPoint};

/// Bits dropped from the distance behind the nearest depth, so that it is at most 2^8 like a colour.
pub const BAND_SHIFT: u32 = DEPTH_BAND.ilog2() - 8;

/// Sums of one pixel over the taps within [`DEPTH_BAND`] of its nearest depth. They wrap; [`resolve`](super::resolve)
/// knows from the weight whether they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Sums {
    /// Weight times red, green, blue.
    pub colour: [u32; 3],
    /// Weight times steps of `2^BAND_SHIFT` behind the nearest depth.
    pub behind: u32,
    /// Weight; below 2^32 for any [`MAX_POINTS`](super::MAX_POINTS) points.
    pub weight: u32,
}

/// Adds up the taps of `points`, given the z-buffer of [`nearest`](super::nearest::nearest).
#[must_use]
pub fn accumulate(points: &[ScreenPoint], nearest_bits: &[u32], size: Size) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); size.area()];
    for point in points {
        let channels = point.channels();
        for (pixel, weight) in point.taps(size) {
            let behind = point.depth_bits - nearest_bits[pixel];
            if behind <= DEPTH_BAND {
                let sum = &mut sums[pixel];
                for (total, channel) in sum.colour.iter_mut().zip(channels) {
                    *total = total.wrapping_add(weight * channel);
                }
                sum.behind = sum.behind.wrapping_add(weight * (behind >> BAND_SHIFT));
                sum.weight = sum.weight.wrapping_add(weight);
            }
        }
    }
    sums
}
