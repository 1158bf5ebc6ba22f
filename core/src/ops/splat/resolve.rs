//! Third pass of the splat: sums to colours and depths. Twin of `gpu-kernels/src/splat/resolve.wgsl`.

use crate::Result;
use crate::frame::{RgbImage, Size};
use crate::ops::splat::accumulate::{BAND_SHIFT, Sums};

/// Weight below which a pixel is a hole: a sixteenth of a point. Less is the far rim of one tap.
pub const MIN_WEIGHT: u32 = 256;

/// Weight from which a pixel is a hole: its other sums may have wrapped (256 * 2^24 = 2^32).
pub const OVERFULL: u32 = 1 << 24;

/// Image and depth (`[height, width]`, 0 in holes); weighted means rounded half up.
///
/// # Errors
/// [`Error::BadSize`](crate::Error::BadSize), or [`Error::Length`](crate::Error::Length) unless there is one sum a pixel.
pub fn resolve(sums: &[Sums], nearest_bits: &[u32], size: Size) -> Result<(RgbImage, Vec<f32>)> {
    let mut depth = vec![0.0; sums.len()];
    let mut pixels = vec![[0; 3]; sums.len()];
    for (i, (sum, nearest)) in sums.iter().zip(nearest_bits).enumerate() {
        if (MIN_WEIGHT..OVERFULL).contains(&sum.weight) {
            // The sums leave no room for adding half the weight before the division.
            let mean = |total: u32| total / sum.weight + u32::from(total % sum.weight >= sum.weight.div_ceil(2));
            pixels[i] = sum.colour.map(|total| mean(total) as u8);
            depth[i] = f32::from_bits(nearest + (mean(sum.behind) << BAND_SHIFT));
        }
    }
    Ok((RgbImage::new(size, pixels)?, depth))
}
