//! Bilinear resampling with half-pixel centres; when shrinking, the triangle filter widens and so averages what it covers.
//!
//! Per axis, output `o` lies at `c = (o + 0.5) in / out` in the input. With `s = max(1, in / out)`, input `i` counts with
//! `max(0, 1 - |i + 0.5 - c| / s)`, normalised to sum 1 over the inputs that exist. Growing (`s = 1`) this is plain
//! bilinear interpolation with repeated borders. Source: Pillow's `Image.resize(BILINEAR)` and PyTorch's
//! `interpolate(mode="bilinear", antialias=True)`, without their rounding to bytes in between.
//!
//! Columns are resampled first, one input row at a time, and each row is added to the output rows it reaches: one row of
//! extra memory, whatever the size of the input.

use crate::frame::{Frame, Size};
use crate::ops::image::convert;
use crate::{Error, Result};

/// A frame at another size: red, green, blue in `0..=255`, not rounded, `[height, width, 3]`.
///
/// # Errors
/// [`Error::BadSize`] for `to`.
pub fn resize_frame(frame: &Frame<'_>, to: Size) -> Result<Vec<[f32; 3]>> {
    let mut rgb = vec![[0; 3]; frame.size().width as usize];
    resize_rows(frame.size(), to, |y, row| {
        convert::row_to_rgb(frame, y, &mut rgb);
        for (out, pixel) in row.iter_mut().zip(&rgb) {
            *out = pixel.map(f32::from);
        }
    })
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
    let rows = resize_rows(from, to, |y, row| row.as_flattened_mut().copy_from_slice(&values[y * width..(y + 1) * width]))?;
    Ok(rows.into_iter().map(|[value]| value).collect())
}

/// The resampling itself: `read(y, row)` fills `row` (`from.width` pixels) with input row `y`, called once for each row in order.
///
/// # Errors
/// [`Error::BadSize`] for either size.
pub fn resize_rows<const C: usize>(from: Size, to: Size, mut read: impl FnMut(usize, &mut [[f32; C]])) -> Result<Vec<[f32; C]>> {
    from.checked()?;
    to.checked()?;
    let (columns, rows) = (Taps::new(from.width, to.width), Taps::new(from.height, to.height));
    let width = to.width as usize;
    let mut out = vec![[0.0; C]; to.area()];
    let mut source = vec![[0.0; C]; from.width as usize];
    let mut narrow = vec![[0.0; C]; width];
    let mut first_reached = 0;
    for y in 0..from.height as usize {
        read(y, &mut source);
        columns.apply(&source, &mut narrow);
        while first_reached < rows.len() && rows.last(first_reached) < y {
            first_reached += 1;
        }
        for o in (first_reached..rows.len()).take_while(|&o| rows.first[o] <= y) {
            let weight = rows.weights(o)[y - rows.first[o]];
            for (sum, value) in out[o * width..(o + 1) * width].as_flattened_mut().iter_mut().zip(narrow.as_flattened()) {
                *sum += weight * value;
            }
        }
    }
    Ok(out)
}

/// Which inputs each output of one axis takes, and with which weights.
struct Taps {
    /// First input, per output.
    first: Vec<usize>,
    /// Where each output's weights start in `weight`; one more entry ends the last.
    start: Vec<usize>,
    weight: Vec<f32>,
}

impl Taps {
    fn new(input: u32, output: u32) -> Self {
        let step = f64::from(input) / f64::from(output);
        let support = step.max(1.0);
        let mut taps = Self { first: Vec::with_capacity(output as usize), start: vec![0], weight: Vec::new() };
        for o in 0..output {
            let centre = (f64::from(o) + 0.5) * step;
            let distance = |i: u32| (f64::from(i) + 0.5 - centre).abs() / support;
            // The first and last input whose centre is nearer than the support.
            let low = (centre - support - 0.5).floor().max(-1.0) as i64 + 1;
            let high = ((centre + support - 0.5).ceil() as i64 - 1).min(i64::from(input) - 1);
            let reach = low as u32..=(high.max(low) as u32).min(input - 1);
            let sum: f64 = reach.clone().map(|i| 1.0 - distance(i)).sum();
            taps.first.push(low as usize);
            taps.weight.extend(reach.map(|i| ((1.0 - distance(i)) / sum) as f32));
            taps.start.push(taps.weight.len());
        }
        taps
    }

    fn len(&self) -> usize {
        self.first.len()
    }

    fn weights(&self, o: usize) -> &[f32] {
        &self.weight[self.start[o]..self.start[o + 1]]
    }

    /// Last input of output `o`.
    fn last(&self, o: usize) -> usize {
        self.first[o] + self.start[o + 1] - self.start[o] - 1
    }

    fn apply<const C: usize>(&self, source: &[[f32; C]], out: &mut [[f32; C]]) {
        for (o, pixel) in out.iter_mut().enumerate() {
            let mut sum = [0.0; C];
            for (weight, value) in self.weights(o).iter().zip(&source[self.first[o]..]) {
                for (sum, value) in sum.iter_mut().zip(value) {
                    *sum += weight * value;
                }
            }
            *pixel = sum;
        }
    }
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
    fn a_frame_of_one_column_and_a_million_rows_is_resized_without_a_large_buffer() {
        let size = Size::new(1, 1 << 20);
        let bytes = vec![255; size.area()];
        let out = resize_frame(&Frame::packed(&bytes, size, PixelFormat::Gray8).unwrap(), Size::new(64, 48)).unwrap();
        assert!(out.as_flattened().iter().all(|v| (v - 255.0).abs() < 0.01));
    }
}
