//! Resampling of feature maps: nearest, linear, cubic, with ONNX's coordinate conventions.

use super::byte::Byte;
use super::{Map, pitch};
use crate::{Error, Result};

/// Interpolation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResizeMode {
    /// Nearest sample.
    Nearest(NearestRounding),
    /// Bilinear.
    Linear,
    /// Bicubic.
    Cubic {
        /// The kernel's coefficient; -0.75 unless given.
        a: f32,
    },
}

/// How a nearest position is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NearestRounding {
    /// Halves go down.
    RoundPreferFloor,
    /// Halves go up.
    RoundPreferCeil,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// How an output position maps into the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coordinates {
    /// `(o + 0.5) / scale - 0.5`.
    HalfPixel,
    /// As half pixel, but 0 for an output of one.
    PytorchHalfPixel,
    /// `o (in - 1) / (out - 1)`.
    AlignCorners,
    /// `o / scale`.
    Asymmetric,
}

/// One resampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resize {
    /// Input extents.
    pub input: Map,
    /// Output extents `[height, width]`.
    pub output: [usize; 2],
    /// Interpolation.
    pub mode: ResizeMode,
    /// Coordinate convention.
    pub coordinates: Coordinates,
    /// Output / input per axis as the file gives or implies it; enters the coordinate formula.
    pub scales: [f32; 2],
}

/// The input samples of one output position along one axis: at most four, unused ones with weight 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taps {
    /// Input coordinates, clamped into the image.
    pub at: [usize; 4],
    /// Their weights; they add up to 1.
    pub weight: [f32; 4],
}

impl Resize {
    /// Output extents.
    #[must_use]
    pub const fn output(&self) -> Map {
        Map { height: self.output[0], width: self.output[1], channels: self.input.channels }
    }

    /// Samples along an axis that carry weight: 1, 2 or 4.
    #[must_use]
    pub const fn tap_count(&self) -> usize {
        match self.mode {
            ResizeMode::Nearest(_) => 1,
            ResizeMode::Linear => 2,
            ResizeMode::Cubic { .. } => 4,
        }
    }

    /// Position in the input, in samples, of output coordinate `o` along `axis`. Source: ONNX operator Resize.
    #[must_use]
    pub fn position(&self, axis: usize, o: usize) -> f32 {
        let input = [self.input.height, self.input.width][axis];
        let scale = self.scales[axis];
        match self.coordinates {
            Coordinates::PytorchHalfPixel if self.output[axis] == 1 => 0.0,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => (o as f32 + 0.5) / scale - 0.5,
            Coordinates::AlignCorners if self.output[axis] == 1 => 0.0,
            Coordinates::AlignCorners => o as f32 * (input - 1) as f32 / (self.output[axis] - 1) as f32,
            Coordinates::Asymmetric => o as f32 / scale,
        }
    }

    /// The samples of output coordinate `o` along `axis`.
    #[must_use]
    pub fn taps(&self, axis: usize, o: usize) -> Taps {
        let last = [self.input.height, self.input.width][axis].saturating_sub(1);
        let position = self.position(axis, o);
        let clamped = |i: f32| (i.max(0.0) as usize).min(last);
        match self.mode {
            ResizeMode::Nearest(rounding) => {
                let nearest = match rounding {
                    NearestRounding::RoundPreferFloor => (position - 0.5).ceil(),
                    NearestRounding::RoundPreferCeil => (position + 0.5).floor(),
                    NearestRounding::Floor => position.floor(),
                    NearestRounding::Ceil => position.ceil(),
                };
                Taps { at: [clamped(nearest); 4], weight: [1.0, 0.0, 0.0, 0.0] }
            }
            ResizeMode::Linear => {
                let position = position.clamp(0.0, last as f32);
                let below = clamped(position.floor());
                let above = (below + 1).min(last);
                let t = position - below as f32;
                Taps { at: [below, above, above, above], weight: [1.0 - t, t, 0.0, 0.0] }
            }
            ResizeMode::Cubic { a } => {
                let floor = position.floor();
                Taps { at: [-1.0, 0.0, 1.0, 2.0].map(|d| clamped(floor + d)), weight: cubic(a, position - floor) }
            }
        }
    }

    fn check(&self, input: usize) -> Result<()> {
        if input == self.input.len() { Ok(()) } else { Err(Error::Length { what: "resize input", got: input, expected: self.input.len() }) }
    }
}

/// Weights of the samples at -1, 0, 1, 2 around a position `t` behind sample 0. Source: Keys, 1981, with coefficient `a`.
fn cubic(a: f32, t: f32) -> [f32; 4] {
    let outer = |x: f32| ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
    let inner = |x: f32| ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    [outer(t + 1.0), inner(t), inner(1.0 - t), outer(2.0 - t)]
}

/// Resamples floats: rows within columns, `sum_y w_y (sum_x w_x value)`. Extents `resize.output()` with [`pitch`].
///
/// # Errors
/// [`Error::Length`] if the input is not `resize.input`.
pub fn resize_f32(resize: &Resize, input: &[f32]) -> Result<Vec<f32>> {
    resize.check(input.len())?;
    let out = resize.output();
    let count = resize.tap_count();
    let columns: Vec<Taps> = (0..out.width).map(|x| resize.taps(1, x)).collect();
    let mut output = vec![0.0; out.len()];
    for y in 0..out.height {
        let rows = resize.taps(0, y);
        for (x, column) in columns.iter().enumerate() {
            for c in 0..out.channels {
                let across =
                    |iy: usize| -> f32 { (0..count).map(|i| column.weight[i] * input[resize.input.at(iy, column.at[i]) + c]).sum() };
                output[out.at(y, x) + c] = (0..count).map(|j| rows.weight[j] * across(rows.at[j])).sum();
            }
        }
    }
    Ok(output)
}

/// Nearest samples of bytes: a choice, so exact. Layout as [`resize_f32`].
///
/// # Errors
/// [`Error::Length`] if the input is not `resize.input`; [`Error::OutOfRange`] for an interpolating mode, which is computed in floats.
pub fn resize_nearest_bytes<B: Byte>(resize: &Resize, input: &[B]) -> Result<Vec<B>> {
    resize.check(input.len())?;
    if !matches!(resize.mode, ResizeMode::Nearest(_)) {
        return Err(Error::OutOfRange { what: "interpolation of bytes", got: format!("{:?}", resize.mode), allowed: "nearest" });
    }
    let pixels = (0..resize.output[0]).flat_map(|y| (0..resize.output[1]).map(move |x| (y, x)));
    let starts = pixels.map(|(y, x)| resize.input.at(resize.taps(0, y).at[0], resize.taps(1, x).at[0]));
    Ok(starts.flat_map(|at| input[at..at + pitch(resize.input.channels)].iter().copied()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mode: ResizeMode, coordinates: Coordinates) -> Vec<f32> {
        let resize = Resize { input: Map { height: 1, width: 2, channels: 1 }, output: [1, 4], mode, coordinates, scales: [1.0, 2.0] };
        resize_f32(&resize, &[0., 0., 0., 0., 3., 0., 0., 0.]).unwrap().chunks(4).map(|p| p[0]).collect()
    }

    #[test]
    fn each_coordinate_convention_has_its_own_positions() {
        assert_eq!(row(ResizeMode::Linear, Coordinates::HalfPixel), [0.0, 0.75, 2.25, 3.0]);
        assert_eq!(row(ResizeMode::Linear, Coordinates::AlignCorners), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(row(ResizeMode::Linear, Coordinates::Asymmetric), [0.0, 1.5, 3.0, 3.0]);
    }

    #[test]
    fn nearest_halves_go_where_they_are_told() {
        use NearestRounding::*;
        let floor = row(ResizeMode::Nearest(RoundPreferFloor), Coordinates::Asymmetric);
        let ceil = row(ResizeMode::Nearest(RoundPreferCeil), Coordinates::Asymmetric);
        assert_eq!([floor, ceil], [[0.0, 0.0, 3.0, 3.0], [0.0, 3.0, 3.0, 3.0]]);
    }

    #[test]
    fn cubic_weights_add_up_to_one() {
        for t in [0.0, 0.25, 0.5, 0.9] {
            assert!((cubic(-0.75, t).iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert_eq!(cubic(-0.75, 0.0), [0.0, 1.0, 0.0, 0.0]);
    }
}
