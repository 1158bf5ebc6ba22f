//! The splat on real numbers with derivatives for tau and ln f: what the image term of calibration is differentiated with.
//!
//! Same taps, same band of depths and same means as the integer splat, without its rounding. Which taps count is decided
//! on values alone and has no derivative: visibility is fixed within a step of the solver. No adjoint, no atomics.

use crate::frame::Size;
use crate::ops::splat::jet::Jet;
use crate::{Error, Result};

/// A point of a view with the derivatives of its position and depth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MovingPoint {
    /// Column, pixels; the first pixel's centre is 0.5.
    pub u_px: Jet,
    /// Row, pixels.
    pub v_px: Jet,
    /// Depth along z.
    pub z: Jet,
    /// Any colour, without derivatives: the frame's own.
    pub colour: [f64; 3],
}

/// One pixel of a view and how it changes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MovingPixel {
    /// Mean colour of the front taps.
    pub colour: [Jet; 3],
    /// Their mean depth; value 0 in a hole.
    pub depth: Jet,
    /// Sum of their weights; 0 in a hole.
    pub weight: f64,
}

/// Relative depth behind the nearest tap within which taps are averaged: the widest the integer splat's band gets.
pub const BAND: f64 = 1.0 / 32.0;

/// Renders `points` into `[height, width]` pixels. Points that are not finite or not in front of the camera are skipped.
///
/// `freeze`: `None` decides visibility here. `Some(nearest)` uses the nearest depths of another rendering, as central
/// differences and the steps of a solver need.
///
/// Returns the pixels and the nearest depths (infinite where nothing is).
///
/// # Errors
/// [`Error::BadSize`]; [`Error::Length`] if `freeze` is not `size.area()` long.
pub fn splat_with_tangents(points: &[MovingPoint], size: Size, freeze: Option<&[f64]>) -> Result<(Vec<MovingPixel>, Vec<f64>)> {
    size.checked()?;
    if let Some(nearest) = freeze
        && nearest.len() != size.area()
    {
        return Err(Error::Length { what: "frozen depths", got: nearest.len(), expected: size.area() });
    }
    let nearest = freeze.map_or_else(|| nearest(points, size), <[f64]>::to_vec);
    let mut sums = vec![MovingSums::default(); size.area()];
    for point in points.iter().filter(|p| is_shown(p)) {
        for (pixel, weight) in taps(point, size) {
            if point.z.value <= nearest[pixel] * (1.0 + BAND) {
                let sum = &mut sums[pixel];
                for (total, colour) in sum.colour.iter_mut().zip(point.colour) {
                    *total = *total + weight * colour;
                }
                sum.depth = sum.depth + weight * point.z;
                sum.weight = sum.weight + weight;
            }
        }
    }
    let resolve = |sum: &MovingSums| {
        if sum.weight.value <= 0.0 {
            return MovingPixel::default();
        }
        let scale = sum.weight.recip();
        MovingPixel { colour: sum.colour.map(|c| c * scale), depth: sum.depth * scale, weight: sum.weight.value }
    };
    Ok((sums.iter().map(resolve).collect(), nearest))
}

#[derive(Clone, Copy, Default)]
struct MovingSums {
    colour: [Jet; 3],
    depth: Jet,
    weight: Jet,
}

fn is_shown(point: &MovingPoint) -> bool {
    let MovingPoint { u_px, v_px, z, colour } = point;
    let finite = |jet: &Jet| jet.value.is_finite() && jet.tangent.iter().all(|t| t.is_finite());
    [u_px, v_px, z].into_iter().all(finite) && z.value > 0.0 && colour.iter().all(|c| c.is_finite())
}

fn nearest(points: &[MovingPoint], size: Size) -> Vec<f64> {
    let mut nearest = vec![f64::INFINITY; size.area()];
    for point in points.iter().filter(|p| is_shown(p)) {
        for (pixel, _) in taps(point, size) {
            nearest[pixel] = nearest[pixel].min(point.z.value);
        }
    }
    nearest
}

/// The (at most four) pixels under a point and their bilinear weights.
fn taps(point: &MovingPoint, size: Size) -> impl Iterator<Item = (usize, Jet)> {
    let (u, v) = (point.u_px + -0.5, point.v_px + -0.5);
    let (column, row) = (u.value.floor(), v.value.floor());
    let (right, below) = (u + -column, v + -row);
    let (left, above) = (-right + 1.0, -below + 1.0);
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    [(0.0, 0.0, left * above), (1.0, 0.0, right * above), (0.0, 1.0, left * below), (1.0, 1.0, right * below)].into_iter().filter_map(
        move |(dx, dy, weight)| {
            let (x, y) = (column + dx, row + dy);
            let inside = weight.value > 0.0 && (0.0..width).contains(&x) && (0.0..height).contains(&y);
            inside.then_some(((y * width + x) as usize, weight))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(9, 7);

    /// Points of a wavy surface `1/d = x + tau` under a yaw and a step aside, as functions of `(tau, ln f)`. Positions stay
    /// away from pixel centres, where the tent has its kink.
    fn points(tau: f64, ln_focal: f64) -> Vec<MovingPoint> {
        let (tau, focal) = (Jet::new(tau, [1.0, 0.0]), Jet::new(ln_focal, [0.0, 1.0]).exp());
        let (sin, cos) = 0.1_f64.sin_cos();
        let mut points = Vec::new();
        for row in 0..14 {
            for column in 0..18 {
                let (u, v) = (f64::from(column) * 0.5 + 0.27, f64::from(row) * 0.5 + 0.31);
                let relative = 0.5 + 0.004 * (u * 0.7).sin() * (v * 0.9).cos();
                let depth = (tau + relative).recip();
                let (x, y) = (depth * (focal.recip() * (u - 4.5)), depth * (focal.recip() * (v - 3.5)));
                let (x, z) = (x * cos + depth * sin + 0.05, -(x * sin) + depth * cos);
                let colour = [u.sin(), v.cos(), (u * v).sin()];
                points.push(MovingPoint { u_px: focal * x / z + 4.5, v_px: focal * y / z + 3.5, z, colour });
            }
        }
        points
    }

    #[test]
    fn tangents_agree_with_central_differences_for_tau_and_focal() {
        let (tau, ln_focal, step) = (0.3, 9_f64.ln(), 1e-6);
        let (pixels, nearest) = splat_with_tangents(&points(tau, ln_focal), SIZE, None).unwrap();
        let render = |tau, ln_focal| splat_with_tangents(&points(tau, ln_focal), SIZE, Some(&nearest)).unwrap().0;
        let around =
            [[render(tau - step, ln_focal), render(tau + step, ln_focal)], [render(tau, ln_focal - step), render(tau, ln_focal + step)]];
        let (mut compared, mut largest) = (0, 0.0_f64);
        for (i, pixel) in pixels.iter().enumerate().filter(|(_, p)| p.weight > 0.0) {
            for (parameter, [below, above]) in around.iter().enumerate() {
                let numeric = |get: fn(&MovingPixel) -> f64| (get(&above[i]) - get(&below[i])) / (2.0 * step);
                let pairs = [
                    (pixel.depth.tangent[parameter], numeric(|p| p.depth.value)),
                    (pixel.colour[0].tangent[parameter], numeric(|p| p.colour[0].value)),
                    (pixel.colour[1].tangent[parameter], numeric(|p| p.colour[1].value)),
                    (pixel.colour[2].tangent[parameter], numeric(|p| p.colour[2].value)),
                ];
                for (analytic, numeric) in pairs {
                    // Truncation of the difference quotient: step^2 times third derivatives of order 1e3.
                    assert!((analytic - numeric).abs() < 1e-5 * (1.0 + numeric.abs()), "pixel {i}: {analytic} against {numeric}");
                    largest = largest.max(analytic.abs());
                    compared += 1;
                }
            }
        }
        assert!(compared > 8 * SIZE.area() / 2 && largest > 0.1, "compared {compared}, largest {largest}");
    }

    #[test]
    fn values_agree_with_the_integer_splat() {
        use crate::ops::splat::{ScreenPoint, splat};
        let moving = points(0.3, 9_f64.ln());
        let byte = |c: f64| (127.5 * (c + 1.0)).round() as u8;
        let integer: Vec<_> = moving
            .iter()
            .map(|p| ScreenPoint::new(p.u_px.value as f32, p.v_px.value as f32, p.z.value as f32, p.colour.map(byte)))
            .collect();
        let (pixels, _) = splat_with_tangents(&moving, SIZE, None).unwrap();
        let view = splat(&integer, SIZE).unwrap();
        // Well-covered pixels: where weights are thin, half a step of position is a large part of them.
        assert!(pixels.iter().filter(|p| p.weight > 2.0).count() > SIZE.area() / 2);
        for (i, pixel) in pixels.iter().enumerate().filter(|(_, p)| p.weight > 2.0) {
            // Half a step of position against a slope of 128 grey levels a pixel, and of rounding: 1.5 levels.
            let shown = f64::from(view.image.pixels()[i][0]);
            assert!((127.5 * (pixel.colour[0].value + 1.0) - shown).abs() < 2.0, "pixel {i}: {:?} against {shown}", pixel.colour[0].value);
            assert!((pixel.depth.value / f64::from(view.depth[i]) - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn poison_is_skipped() {
        let clean = points(0.3, 9_f64.ln());
        let mut poisoned = clean.clone();
        for (i, bad) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0].into_iter().enumerate() {
            let mut point = clean[40 + i];
            point.z.value = bad;
            poisoned.push(point);
            point = clean[40 + i];
            point.u_px = Jet::new(if bad.is_finite() { 1e300 } else { bad }, [0.0; 2]);
            poisoned.push(point);
        }
        assert_eq!(splat_with_tangents(&poisoned, SIZE, None).unwrap(), splat_with_tangents(&clean, SIZE, None).unwrap());
        assert!(splat_with_tangents(&clean, SIZE, Some(&[1.0])).is_err());
    }
}
