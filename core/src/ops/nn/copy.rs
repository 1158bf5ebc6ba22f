//! Moving elements: one strided copy covers Slice, Transpose, Expand, constant Pad, Concat's parts, Gather of constant
//! runs, DepthToSpace, and Reshape between different row pitches.

use crate::{Error, Result};

/// Axes of a copy; shorter shapes have leading 1s.
pub const RANK: usize = 6;

/// Element `i` of the index space goes from `source_offset + i . source` to `target_offset + i . target`.
///
/// Strides are in elements; a source stride of 0 repeats, a negative one reverses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Copy {
    /// Extents of the index space, outermost first; none is 0.
    pub shape: [usize; RANK],
    /// First element read.
    pub source_offset: usize,
    /// Source strides.
    pub source: [isize; RANK],
    /// First element written.
    pub target_offset: usize,
    /// Target strides; no two indices share a target.
    pub target: [usize; RANK],
}

impl Copy {
    /// Elements moved.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Copies into `target`, leaving its other elements as they are.
    ///
    /// # Errors
    /// [`Error::Length`] if strides reach outside the source or the target.
    pub fn run<T: std::marker::Copy>(&self, source: &[T], target: &mut [T]) -> Result<()> {
        self.check(source.len(), target.len())?;
        let [n0, n1, n2, n3, n4, n5] = self.shape;
        for (i0, i1, i2) in (0..n0).flat_map(|i| (0..n1).flat_map(move |j| (0..n2).map(move |k| (i, j, k)))) {
            for (i3, i4, i5) in (0..n3).flat_map(|i| (0..n4).flat_map(move |j| (0..n5).map(move |k| (i, j, k)))) {
                let index = [i0, i1, i2, i3, i4, i5];
                let from = index.iter().zip(self.source).fold(self.source_offset, |at, (&i, s)| at.wrapping_add_signed(i as isize * s));
                let to = index.iter().zip(self.target).fold(self.target_offset, |at, (i, s)| at + i * s);
                target[to] = source[from];
            }
        }
        Ok(())
    }

    /// Whether every index lies inside buffers of these lengths.
    ///
    /// # Errors
    /// [`Error::Length`] naming the side that is too short.
    pub fn check(&self, source: usize, target: usize) -> Result<()> {
        if self.shape.contains(&0) {
            return Err(Error::OutOfRange { what: "extent of a copy", got: format!("{:?}", self.shape), allowed: "1 or more" });
        }
        let last = |n: usize| (n - 1) as isize;
        let reach = |negative: bool| {
            let ends = self.shape.iter().zip(self.source).map(|(&n, s)| last(n) * s);
            self.source_offset as isize + ends.filter(|end| (*end < 0) == negative).sum::<isize>()
        };
        if reach(true) < 0 || reach(false) >= source as isize {
            return Err(Error::Length { what: "copy source", got: source, expected: (reach(false) + 1).unsigned_abs() });
        }
        let end = self.target_offset + self.shape.iter().zip(self.target).map(|(n, s)| (n - 1) * s).sum::<usize>();
        if end >= target { Err(Error::Length { what: "copy target", got: target, expected: end + 1 }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_is_a_copy_with_exchanged_strides() {
        let copy =
            Copy { shape: [1, 1, 1, 1, 3, 2], source_offset: 0, source: [0, 0, 0, 0, 1, 4], target_offset: 0, target: [0, 0, 0, 0, 4, 1] };
        let mut target = [0; 12];
        copy.run(&[1, 2, 3, 0, 4, 5, 6, 0], &mut target).unwrap();
        assert_eq!(target, [1, 4, 0, 0, 2, 5, 0, 0, 3, 6, 0, 0]);
    }

    #[test]
    fn negative_strides_reverse_and_do_not_reach_before_the_source() {
        let mut copy =
            Copy { shape: [1, 1, 1, 1, 1, 3], source_offset: 2, source: [0, 0, 0, 0, 0, -1], target_offset: 1, target: [0, 0, 0, 0, 0, 1] };
        let mut target = [9; 4];
        copy.run(&[1, 2, 3], &mut target).unwrap();
        assert_eq!(target, [9, 3, 2, 1]);
        copy.source_offset = 1;
        assert!(copy.run(&[1, 2, 3], &mut target).is_err());
    }
}
