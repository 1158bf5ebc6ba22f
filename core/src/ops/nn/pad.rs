//! Padding whose value depends on the image: mirror or edge. (A constant is a fill and a [`super::copy`].)

use super::{Map, pitch};
use crate::{Error, Result};

/// What a padding is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadMode {
    /// One value.
    Constant(f32),
    /// Mirror without repeating the edge.
    Reflect,
    /// The edge.
    Edge,
}

/// Rows and columns around a feature map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pad {
    /// Input extents.
    pub input: Map,
    /// Rows and columns before.
    pub before: [usize; 2],
    /// Rows and columns behind.
    pub after: [usize; 2],
    /// Whether the image is mirrored; otherwise its edge is repeated.
    pub reflect: bool,
}

impl Pad {
    /// Output extents.
    #[must_use]
    pub const fn output(&self) -> Map {
        Map {
            height: self.input.height + self.before[0] + self.after[0],
            width: self.input.width + self.before[1] + self.after[1],
            channels: self.input.channels,
        }
    }

    /// Input coordinate for output coordinate `o` along `axis`.
    #[must_use]
    pub fn source(&self, o: usize, axis: usize) -> usize {
        let last = [self.input.height, self.input.width][axis] as isize - 1;
        let i = o as isize - self.before[axis] as isize;
        let inside = if !self.reflect {
            i
        } else if i < 0 {
            -i
        } else if i > last {
            2 * last - i
        } else {
            i
        };
        inside.clamp(0, last).unsigned_abs()
    }

    /// The padded map.
    ///
    /// # Errors
    /// [`Error::Length`] if the input is not `self.input`; [`Error::OutOfRange`] if a mirror is wider than the image less one.
    pub fn run<T: Copy>(&self, input: &[T]) -> Result<Vec<T>> {
        if input.len() != self.input.len() {
            return Err(Error::Length { what: "pad input", got: input.len(), expected: self.input.len() });
        }
        for (axis, extent) in [self.input.height, self.input.width].into_iter().enumerate() {
            if extent == 0 || (self.reflect && self.before[axis].max(self.after[axis]) >= extent) {
                let got = self.before[axis].max(self.after[axis]).to_string();
                return Err(Error::OutOfRange { what: "reflected padding", got, allowed: "less than the image's extent" });
            }
        }
        let out = self.output();
        let pixels = (0..out.height).flat_map(|y| (0..out.width).map(move |x| (y, x)));
        let starts = pixels.map(|(y, x)| self.input.at(self.source(y, 0), self.source(x, 1)));
        Ok(starts.flat_map(|at| input[at..at + pitch(self.input.channels)].iter().copied()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_does_not_repeat_the_edge_and_an_edge_does() {
        let input: Vec<i32> = [1, 2, 3].iter().flat_map(|&v| [v, 0, 0, 0]).collect();
        let mut pad = Pad { input: Map { height: 1, width: 3, channels: 1 }, before: [0, 2], after: [0, 1], reflect: true };
        let row = |pad: &Pad| pad.run(&input).unwrap().chunks(4).map(|p| p[0]).collect::<Vec<_>>();
        assert_eq!(row(&pad), [3, 2, 1, 2, 3, 2]);
        pad.reflect = false;
        assert_eq!(row(&pad), [1, 1, 1, 2, 3, 3]);
        pad.reflect = true;
        pad.before = [0, 3];
        assert!(pad.run(&input).is_err());
    }
}
