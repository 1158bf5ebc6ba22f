//! First pass of the splat: the nearest depth at every pixel. Twin of `gpu-kernels/src/splat/nearest.wgsl`.

use crate::frame::Size;
use crate::ops::splat::ScreenPoint;

/// Smallest `depth_bits` among the points that reach each pixel, `[height, width]`; `u32::MAX` where none does.
///
/// The bits of positive floats order as the floats do, so the kernel is one `atomicMin` a tap.
#[must_use]
pub fn nearest(points: &[ScreenPoint], size: Size) -> Vec<u32> {
    let mut bits = vec![u32::MAX; size.area()];
    for point in points {
        for (pixel, _) in point.taps(size) {
            bits[pixel] = bits[pixel].min(point.depth_bits);
        }
    }
    bits
}
