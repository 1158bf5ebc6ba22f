//! Frames that cannot carry information, and why.

use fathom_core::camera::Intrinsics;
use fathom_core::depth::RelativeDepth;
use nalgebra::{Matrix3, Vector3};

use crate::render::Source;
use crate::scene::Spread;

/// Why a frame, or all of them, says nothing about tau or focal length.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Nearly black.
    #[error("the picture is dark: brightest twentieth below grey level {level:.0}, needed {limit:.0}")]
    Dark {
        /// 95th percentile of luminance.
        level: f64,
        /// Least needed.
        limit: f64,
    },
    /// Out of focus or moved: even the sharpest edges spread far.
    #[error("the picture is blurred: its sharpest edges change by {sharpness:.3} of its contrast a pixel, needed {limit:.3}")]
    Blurred {
        /// 99.8th percentile of the luminance gradient over the range of luminance.
        sharpness: f64,
        /// Least needed.
        limit: f64,
    },
    /// Fogged, or of one colour: no detail to see depth by.
    #[error("the picture has no detail: strongest twentieth of gradients below {gradient:.1} levels a pixel, needed {limit:.1}")]
    Featureless {
        /// 95th percentile of the luminance gradient.
        gradient: f64,
        /// Least needed.
        limit: f64,
    },
    /// A wall, a ground plane or open sky: one plane explains the output.
    #[error("the scene is one plane: {share:.2} of the output's spread is left beside it, needed {limit:.2}")]
    Planar {
        /// What is left beside the best plane, as a share of the standard deviation.
        share: f64,
        /// Least needed.
        limit: f64,
    },
    /// Too little of a view can be compared.
    #[error("only {share:.2} of a view can be compared, needed {limit:.2}")]
    Hidden {
        /// Share of the reference's comparable pixels that were found again.
        share: f64,
        /// Least needed.
        limit: f64,
    },
    /// The same picture again.
    #[error("the picture repeats one seen before: mean difference {difference:.1} levels, needed {limit:.1}")]
    Repeated {
        /// Mean difference of the thumbnails, grey levels.
        difference: f64,
        /// Least needed.
        limit: f64,
    },
}

/// 95th percentile of luminance below which a picture is dark, grey levels of 255.
pub const LEAST_LIGHT: f64 = 20.0;

/// 95th percentile of the gradient below which a picture has no detail, grey levels per pixel.
pub const LEAST_DETAIL: f64 = 1.0;

/// 99.8th percentile of the gradient over the range between the 5th and 95th percentile of luminance, per pixel: an edge
/// across the whole range that is 25 pixels wide at the network's resolution.
pub const LEAST_SHARPNESS: f64 = 0.04;

/// Share of the output's spread that one plane must leave.
pub const LEAST_RELIEF: f64 = 0.15;

/// Share of comparable pixels that must be found again in a view.
pub const LEAST_SHOWN: f64 = 0.4;

/// Mean difference of thumbnails below which two pictures are one, grey levels.
pub const LEAST_DIFFERENCE: f64 = 1.0;

/// Whether a picture is too dark, too featureless or blurred.
#[must_use]
pub fn picture_fault(source: &Source) -> Option<Fault> {
    let (width, height) = (source.size().width as usize, source.size().height as usize);
    let light: Vec<f32> = source.rows().flatten().map(luminance).collect();
    let mut ordered = light.clone();
    let level = percentile(&mut ordered, 950);
    if level < LEAST_LIGHT {
        return Some(Fault::Dark { level, limit: LEAST_LIGHT });
    }
    let contrast = (level - percentile(&mut ordered, 50)).max(1.0);
    let mut squares = Vec::with_capacity(light.len());
    for y in 1..height.saturating_sub(1) {
        let rows = [y - 1, y, y + 1].map(|row| &light[row * width..][..width]);
        let across = rows[1].iter().zip(rows[1].iter().skip(2)).map(|(left, right)| right - left);
        let down = rows[0].iter().zip(rows[2]).skip(1).map(|(above, below)| below - above);
        squares.extend(across.zip(down).map(|(a, b)| a * a + b * b));
    }
    // A difference over two pixels is twice the gradient.
    let mut gradient = |per_mille| percentile(&mut squares, per_mille).sqrt() / 2.0;
    let (strong, strongest) = (gradient(950), gradient(998));
    if strong < LEAST_DETAIL {
        return Some(Fault::Featureless { gradient: strong, limit: LEAST_DETAIL });
    }
    let sharpness = strongest / contrast;
    (sharpness < LEAST_SHARPNESS).then_some(Fault::Blurred { sharpness, limit: LEAST_SHARPNESS })
}

/// Whether one plane explains the output where it can be compared.
#[must_use]
pub fn output_fault(x: &RelativeDepth, keep: &[bool], camera: &Intrinsics) -> Option<Fault> {
    let width = x.size().width as usize;
    let spread = Spread::of(x.values());
    let (mut normal, mut right, mut squares, mut count) = (Matrix3::zeros(), Vector3::zeros(), 0.0, 0.0);
    for (i, value) in x.values().iter().enumerate().filter(|(i, _)| keep[*i]) {
        let ray = camera.ray((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
        let value = f64::from(*value) - spread.mean;
        normal += ray * ray.transpose();
        right += ray * value;
        squares += value * value;
        count += 1.0;
    }
    let planar = |share| Some(Fault::Planar { share, limit: LEAST_RELIEF });
    // A constant output, or one whose spread is rounding.
    if count < 1.0 || spread.std <= 1e-6 * spread.mean.abs().max(1e-30) {
        return planar(0.0);
    }
    let plane = normal.cholesky().map_or_else(Vector3::zeros, |factor| factor.solve(&right));
    let left = ((squares - plane.dot(&right)).max(0.0) / count).sqrt();
    let share = left / spread.std;
    if share < LEAST_RELIEF { planar(share) } else { None }
}

/// A picture at 16 x 12 pixels, to tell it from others.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnail(Vec<f32>);

impl Thumbnail {
    /// Mean luminance over 16 x 12 cells.
    #[must_use]
    pub fn of(source: &Source) -> Self {
        let (columns, rows) = (16, 12);
        let mut sums = vec![(0.0_f32, 0.0_f32); columns * rows];
        let (width, height) = (source.size().width as usize, source.size().height as usize);
        let column_of: Vec<usize> = (0..width).map(|x| x * columns / width).collect();
        for (y, row) in source.rows().enumerate() {
            let cells = &mut sums[y * rows / height * columns..][..columns];
            for (pixel, &column) in row.zip(&column_of) {
                cells[column].0 += luminance(pixel);
                cells[column].1 += 1.0;
            }
        }
        Self(sums.into_iter().map(|(sum, n)| sum / n.max(1.0)).collect())
    }

    /// Mean absolute difference, grey levels.
    #[must_use]
    pub fn difference(&self, other: &Self) -> f64 {
        let sum: f32 = self.0.iter().zip(&other.0).map(|(a, b)| (a - b).abs()).sum();
        f64::from(sum) / self.0.len() as f64
    }
}

fn luminance(pixel: [f32; 3]) -> f32 {
    0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
}

/// Of numbers that are not negative; reorders them.
fn percentile(values: &mut [f32], per_mille: usize) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let index = (values.len() - 1) * per_mille / 1000;
    f64::from(*values.select_nth_unstable_by_key(index, |value| value.to_bits()).1)
}
