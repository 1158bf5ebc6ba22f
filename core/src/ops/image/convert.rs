//! Any camera format to 8-bit red, green, blue.
//!
//! YUV follows ITU-R BT.601, limited range (luma 16..=235, chroma 16..=240 about 128), in the usual 8-bit fixed point,
//! so every implementation can agree to the bit. Chroma is repeated over the pixels that share it.

use crate::Result;
use crate::frame::{Frame, PixelFormat, RgbImage};

/// The whole frame as red, green, blue.
///
/// ```
/// use fathom_core::{frame::{Frame, PixelFormat, Size}, ops::image::convert};
/// let frame = Frame::packed(&[235, 128, 16, 128], Size::new(2, 1), PixelFormat::Yuyv)?;
/// assert_eq!(convert::to_rgb(&frame)?.pixels(), [[255; 3], [0; 3]]);
/// # Ok::<(), fathom_core::Error>(())
/// ```
///
/// # Errors
/// None for a frame that exists: its size was checked when it was made.
pub fn to_rgb(frame: &Frame<'_>) -> Result<RgbImage> {
    let width = frame.size().width as usize;
    let mut pixels = vec![[0; 3]; frame.size().area()];
    for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
        row_to_rgb(frame, y, row);
    }
    RgbImage::new(frame.size(), pixels)
}

/// One row of the image: `rgb` receives the pixels of row `y`.
///
/// # Panics
/// If `y` is not below the frame's height or `rgb` does not hold exactly its width.
pub fn row_to_rgb(frame: &Frame<'_>, y: usize, rgb: &mut [[u8; 3]]) {
    let size = frame.size();
    assert!(y < size.height as usize && rgb.len() == size.width as usize, "row {y} of {} pixels in a frame of {size}", rgb.len());
    let row = frame.row(y);
    match frame.format() {
        PixelFormat::Rgb8 => rgb.as_flattened_mut().copy_from_slice(row),
        PixelFormat::Bgr8 => {
            for (out, &[b, g, r]) in rgb.iter_mut().zip(row.as_chunks().0) {
                *out = [r, g, b];
            }
        }
        PixelFormat::Rgba8 => {
            for (out, &[r, g, b, _]) in rgb.iter_mut().zip(row.as_chunks().0) {
                *out = [r, g, b];
            }
        }
        PixelFormat::Gray8 => {
            for (out, &luma) in rgb.iter_mut().zip(row) {
                *out = [luma; 3];
            }
        }
        PixelFormat::Nv12 => {
            let chroma = frame.row(size.height as usize + y / 2);
            for ((out, luma), &[u, v]) in rgb.as_chunks_mut().0.iter_mut().zip(row.as_chunks().0).zip(chroma.as_chunks().0) {
                *out = pair_to_rgb(*luma, u, v);
            }
        }
        PixelFormat::Yuyv => {
            for (out, &[y0, u, y1, v]) in rgb.as_chunks_mut().0.iter_mut().zip(row.as_chunks().0) {
                *out = pair_to_rgb([y0, y1], u, v);
            }
        }
    }
}

/// Two pixels that share their chroma.
///
/// `R = 1.164 (Y - 16) + 1.596 (V - 128)`, `G = 1.164 (Y - 16) - 0.391 (U - 128) - 0.813 (V - 128)`,
/// `B = 1.164 (Y - 16) + 2.018 (U - 128)`; coefficients times 256, rounded. Source: ITU-R BT.601-7, section 2.5.
fn pair_to_rgb(luma: [u8; 2], u: u8, v: u8) -> [[u8; 3]; 2] {
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    luma.map(|y| {
        let y = 298 * (i32::from(y) - 16) + 128;
        [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u].map(|fixed| (fixed >> 8).clamp(0, 255) as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Size;

    #[test]
    fn every_interleaved_format_gives_the_same_red_and_blue() {
        let size = Size::new(2, 1);
        let expected = [[200, 10, 30], [1, 2, 3]];
        let rgb = |bytes: &[u8], format| to_rgb(&Frame::packed(bytes, size, format).unwrap()).unwrap().pixels().to_vec();
        assert_eq!(rgb(&[200, 10, 30, 1, 2, 3], PixelFormat::Rgb8), expected);
        assert_eq!(rgb(&[30, 10, 200, 3, 2, 1], PixelFormat::Bgr8), expected);
        assert_eq!(rgb(&[200, 10, 30, 0, 1, 2, 3, 255], PixelFormat::Rgba8), expected);
        assert_eq!(rgb(&[7, 9], PixelFormat::Gray8), [[7; 3], [9; 3]]);
    }

    #[test]
    fn yuv_red_is_red_in_both_layouts() {
        // BT.601 red: Y 81, U 90, V 240; (298 * 65 + 409 * 112 + 128) / 256 = 255.1.
        let yuyv = [81, 90, 81, 240];
        let nv12 = [81, 81, 81, 81, 90, 240];
        let red = [[255, 0, 0]; 2];
        assert_eq!(to_rgb(&Frame::packed(&yuyv, Size::new(2, 1), PixelFormat::Yuyv).unwrap()).unwrap().pixels(), red);
        assert_eq!(to_rgb(&Frame::packed(&nv12, Size::new(2, 2), PixelFormat::Nv12).unwrap()).unwrap().pixels(), [red, red].as_flattened());
    }

    #[test]
    fn padding_between_rows_is_skipped_in_every_format() {
        let size = Size::new(4, 2);
        for format in PixelFormat::ALL {
            let (row_bytes, rows) = (format.row_bytes(size.width), format.rows(size.height));
            let packed: Vec<u8> = (0..row_bytes * rows).map(|i| (37 * i % 251) as u8).collect();
            let padded: Vec<u8> = packed.chunks(row_bytes).flat_map(|row| [row, &[255; 5][..]].concat()).collect();
            let tight = to_rgb(&Frame::packed(&packed, size, format).unwrap()).unwrap();
            let loose = to_rgb(&Frame::new(&padded, size, format, row_bytes + 5).unwrap()).unwrap();
            assert_eq!(tight, loose, "{}", format.name());
        }
    }
}
