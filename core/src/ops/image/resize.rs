//! Bilinear resampling with half-pixel centres; when shrinking, the triangle filter widens and so averages what it covers.
//!
//! Per axis, output `o` lies at `c = (o + 0.5) in / out` in the input. With `s = max(1, in / out)`, input `i` counts with
//! `max(0, 1 - |i + 0.5 - c| / s)`, normalised to sum 1 over the inputs that exist. Growing (`s = 1`) this is plain
//! bilinear interpolation with repeated borders. Source: Pillow's `Image.resize(BILINEAR)` and PyTorch's
//! `interpolate(mode="bilinear", antialias=True)`, without their rounding to bytes in between.
//!
//! Columns are resampled first, one input row at a time, and each row is added to the output rows it reaches: one row of
//! extra memory, whatever the size of the input.
//!
//! Pixels are resampled in whole numbers, so that a CPU and a GPU agree to the bit: weights of columns are multiples of
//! 2^-22, their sums are rounded to 2^-8, weights of rows are multiples of 2^-16, and the result is rounded to
//! [`PIXEL_STEPS`]. All sums stay below 2^32. A shade is within a hundredth of the exact one at a camera's ratios.

use std::num::Wrapping;
use std::ops::{AddAssign, Mul};

use crate::frame::{Frame, Size};
use crate::ops::image::convert;
use crate::ops::image::taps::Taps;
use crate::{Error, Result};

/// A resampled pixel is a multiple of one over this.
pub const PIXEL_STEPS: u32 = 1 << 16;

/// Sum of the weights of columns. A full shade, 255, takes 30 bits with it.
pub const COLUMNS_ONE: u32 = 1 << 22;

/// Bits that a sum over columns loses before rows are summed: 16 are left.
pub const COLUMNS_SHIFT: u32 = 14;

/// Sum of the weights of rows.
pub const ROWS_ONE: u32 = 1 << 16;

/// Bits that a sum over rows loses: a multiple of one over [`PIXEL_STEPS`] is left.
pub const ROWS_SHIFT: u32 = 8;

/// A frame at another size: red, green, blue in `0..=255`, multiples of one over [`PIXEL_STEPS`], `[height, width, 3]`.
///
/// # Errors
/// [`Error::BadSize`] for `to`.
pub fn resize_frame(frame: &Frame<'_>, to: Size) -> Result<Vec<[f32; 3]>> {
    let from = frame.size();
    to.checked()?;
    let columns = Taps::whole(from.width, to.width, COLUMNS_ONE).map(Wrapping);
    let rows = Taps::whole(from.height, to.height, ROWS_ONE).map(Wrapping);
    let mut rgb = vec![[0; 3]; from.width as usize];
    let read = |y: usize, row: &mut [[Wrapping<u32>; 3]]| {
        convert::row_to_rgb(frame, y, &mut rgb);
        for (out, pixel) in row.iter_mut().zip(&rgb) {
            *out = pixel.map(|shade| Wrapping(u32::from(shade)));
        }
    };
    let sums = resample(from, &columns, &rows, |Wrapping(sum)| Wrapping((sum + (1 << COLUMNS_SHIFT) / 2) >> COLUMNS_SHIFT), read);
    let shade = |Wrapping(sum): Wrapping<u32>| ((sum + (1 << ROWS_SHIFT) / 2) >> ROWS_SHIFT) as f32 / PIXEL_STEPS as f32;
    Ok(sums.into_iter().map(|pixel| pixel.map(shade)).collect())
}

/// A plane of numbers, `[height, width]`, at another size. A plane of `to`'s own size comes back unchanged.
///
/// ```
/// use fathom_core::{frame::Size, ops::image::resize::resize_plane};
/// let half = resize_plane(&[0.0, 0.0, 8.0, 8.0], Size::new(4, 1), Size::new(2, 1))?;
/// // Weights 3/8 3/8 1/8 of the inputs in reach, over their sum 7/8.
/// assert!((half[0] - 8.0 / 7.0).abs() < 1e-6);
/// # Ok::<(), fathom_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadSize`] for either size; [`Error::Length`] unless `values` holds `from.area()` numbers.
pub fn resize_plane(values: &[f32], from: Size, to: Size) -> Result<Vec<f32>> {
    from.checked()?;
    to.checked()?;
    if values.len() != from.area() {
        return Err(Error::Length { what: "plane", got: values.len(), expected: from.area() });
    }
    if from == to {
        return Ok(values.to_vec());
    }
    let width = from.width as usize;
    let read = |y: usize, row: &mut [[f32; 1]]| row.as_flattened_mut().copy_from_slice(&values[y * width..(y + 1) * width]);
    let rows = resample(from, &Taps::new(from.width, to.width), &Taps::new(from.height, to.height), |sum| sum, read);
    Ok(rows.into_iter().map(|[value]| value).collect())
}

/// The resampling itself: `read(y, row)` fills `row` (`from.width` pixels) with input row `y`, called once for each row in
/// order; `between` rounds sums over columns.
fn resample<T, const C: usize>(
    from: Size,
    columns: &Taps<T>,
    rows: &Taps<T>,
    between: impl Fn(T) -> T,
    mut read: impl FnMut(usize, &mut [[T; C]]),
) -> Vec<[T; C]>
where
    T: Copy + Default + Mul<Output = T> + AddAssign,
{
    let width = columns.len();
    let mut out = vec![[T::default(); C]; width * rows.len()];
    let mut source = vec![[T::default(); C]; from.width as usize];
    let mut narrow = vec![[T::default(); C]; width];
    let mut first_reached = 0;
    for y in 0..from.height as usize {
        read(y, &mut source);
        for (o, pixel) in narrow.iter_mut().enumerate() {
            let mut sum = [T::default(); C];
            for (weight, value) in columns.weights(o).iter().zip(&source[columns.first(o)..]) {
                for (sum, value) in sum.iter_mut().zip(value) {
                    *sum += *weight * *value;
                }
            }
            *pixel = sum.map(&between);
        }
        while first_reached < rows.len() && rows.last(first_reached) < y {
            first_reached += 1;
        }
        for o in (first_reached..rows.len()).take_while(|&o| rows.first(o) <= y) {
            let weight = rows.weights(o)[y - rows.first(o)];
            for (sum, value) in out[o * width..(o + 1) * width].as_flattened_mut().iter_mut().zip(narrow.as_flattened()) {
                *sum += weight * *value;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    #[test]
    fn doubling_a_pair_interpolates_at_quarter_positions() {
        let out = resize_plane(&[0.0, 4.0], Size::new(2, 1), Size::new(4, 1)).unwrap();
        assert_eq!(out, [0.0, 1.0, 3.0, 4.0]);
    }

    #[test]
    fn shrinking_averages_fine_stripes_instead_of_picking_one() {
        let stripes: Vec<f32> = (0..64).map(|x| if x % 2 == 0 { 0.0 } else { 1.0 }).collect();
        for value in &resize_plane(&stripes, Size::new(64, 1), Size::new(8, 1)).unwrap()[1..7] {
            assert!((value - 0.5).abs() < 1e-6, "{value}");
        }
    }

    #[test]
    fn a_constant_plane_stays_constant_at_every_ratio() {
        for (from, to) in [((1, 1), (5, 7)), ((7, 5), (1, 1)), ((13, 17), (12, 18)), ((640, 3), (17, 3)), ((2, 300), (300, 2))] {
            let (from, to) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
            for value in resize_plane(&vec![3.0; from.area()], from, to).unwrap() {
                assert!((value - 3.0).abs() < 1e-5, "{from} to {to}: {value}");
            }
        }
    }

    #[test]
    fn a_linear_ramp_survives_shrinking_away_from_the_border() {
        // The filter is symmetric, so it keeps straight lines: pixel o of 16 sees 4 o + 1.5 of 64.
        let ramp: Vec<f32> = (0..64).map(|x| x as f32).collect();
        let out = resize_plane(&ramp, Size::new(64, 1), Size::new(16, 1)).unwrap();
        for (o, value) in out.iter().enumerate().take(15).skip(1) {
            assert!((value - (4.0 * o as f32 + 1.5)).abs() < 1e-4, "{o}: {value}");
        }
    }

    #[test]
    fn rows_and_columns_are_treated_alike() {
        let values: Vec<f32> = (0..35).map(|i| ((i * i) % 23) as f32).collect();
        let transposed: Vec<f32> = (0..35).map(|i| values[(i % 5) * 7 + i / 5]).collect();
        let wide = resize_plane(&values, Size::new(7, 5), Size::new(3, 11)).unwrap();
        let tall = resize_plane(&transposed, Size::new(5, 7), Size::new(11, 3)).unwrap();
        for y in 0..11 {
            for x in 0..3 {
                assert!((wide[y * 3 + x] - tall[x * 11 + y]).abs() < 1e-5, "{x} {y}");
            }
        }
    }

    #[test]
    fn pixels_in_whole_numbers_are_the_filters_own_but_for_a_hundredth_of_a_shade() {
        for (from, to) in [((640, 48), (256, 19)), ((97, 31), (256, 192)), ((64, 48), (64, 48)), ((1919, 37), (448, 640))] {
            let (from, to) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
            let bytes: Vec<u8> = (0..from.area()).map(|i| (i * 7919 % 256) as u8).collect();
            let plane: Vec<f32> = bytes.iter().map(|&b| f32::from(b)).collect();
            let exact = resize_plane(&plane, from, to).unwrap();
            let whole = resize_frame(&Frame::packed(&bytes, from, PixelFormat::Gray8).unwrap(), to).unwrap();
            for (i, ([r, g, b], exact)) in whole.iter().zip(&exact).enumerate() {
                assert!((r - exact).abs() <= 0.01 && r == g && g == b, "{from} to {to}, pixel {i}: {r} for {exact}");
                assert_eq!((r * PIXEL_STEPS as f32).fract(), 0.0);
            }
        }
    }

    #[test]
    fn the_brightest_frame_does_not_overflow() {
        for (from, to) in [((1, 1), (3, 3)), ((4096, 33), (7, 2)), ((3, 1 << 16), (5, 3))] {
            let (from, to) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
            let bytes = vec![255; from.area()];
            let out = resize_frame(&Frame::packed(&bytes, from, PixelFormat::Gray8).unwrap(), to).unwrap();
            assert!(out.as_flattened().iter().all(|v| *v == 255.0), "{from} to {to}");
        }
    }

    #[test]
    fn a_frame_of_one_column_and_a_million_rows_is_resized_without_a_large_buffer() {
        let size = Size::new(1, 1 << 20);
        let bytes = vec![255; size.area()];
        let out = resize_frame(&Frame::packed(&bytes, size, PixelFormat::Gray8).unwrap(), Size::new(64, 48)).unwrap();
        assert!(out.as_flattened().iter().all(|v| (v - 255.0).abs() < 0.01));
    }
}
