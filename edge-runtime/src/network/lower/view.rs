//! Strided views: how transposes, slices, broadcasts and most reshapes cost nothing.

use crate::network::plan::TensorId;

use super::net::Number;

/// A value as the elements of a planned tensor: graph index `i` is at `offset + i . strides`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) tensor: TensorId,
    /// In elements.
    pub(super) offset: usize,
    /// Extents in the graph's axis order.
    pub(super) shape: Vec<usize>,
    /// In elements; 0 repeats, negative reverses.
    pub(super) strides: Vec<isize>,
    pub(super) number: Number,
}

impl View {
    /// The axes from the farthest to the nearest in memory, which is the order that a tensor made from this view keeps.
    /// Views that repeat or reverse keep the graph's order.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.shape.len()).collect();
        if self.strides.iter().all(|&s| s > 0) {
            order.sort_by_key(|&axis| std::cmp::Reverse(self.strides[axis]));
        }
        order
    }

    pub(super) fn transposed(&self, perm: &[usize]) -> Self {
        Self {
            shape: perm.iter().map(|&axis| self.shape[axis]).collect(),
            strides: perm.iter().map(|&axis| self.strides[axis]).collect(),
            ..self.clone()
        }
    }

    pub(super) fn sliced(&self, starts: &[usize], steps: &[isize], shape: &[usize]) -> Self {
        let moved = starts.iter().zip(&self.strides).map(|(&start, stride)| start as isize * stride).sum::<isize>();
        Self {
            offset: self.offset.wrapping_add_signed(moved),
            shape: shape.to_vec(),
            strides: self.strides.iter().zip(steps).map(|(stride, step)| stride * step).collect(),
            ..self.clone()
        }
    }

    /// Repeated to a shape of at least this rank, aligned at the last axis; `None` if it does not broadcast to it.
    pub(super) fn broadcast(&self, shape: &[usize]) -> Option<Self> {
        let lead = shape.len().checked_sub(self.shape.len())?;
        let mut strides = vec![0; lead];
        for (axis, &extent) in self.shape.iter().enumerate() {
            strides.push(match (extent, shape[lead + axis]) {
                (1, 1) => self.strides[axis],
                (1, _) => 0,
                (a, b) if a == b => self.strides[axis],
                _ => return None,
            });
        }
        Some(Self { shape: shape.to_vec(), strides, ..self.clone() })
    }

    /// One axis at one index, and gone.
    pub(super) fn indexed(&self, axis: usize, index: usize) -> Self {
        let mut view = self.clone();
        view.offset = view.offset.wrapping_add_signed(index as isize * view.strides[axis]);
        view.shape.remove(axis);
        view.strides.remove(axis);
        view
    }

    /// The same elements, in row-major order, under another shape; `None` if no strides say so.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let parts = refine(&self.shape, shape)?;
        let fine = split(&self.shape, &self.strides, &parts);
        let strides = join(shape, &parts, &fine)?;
        Some(Self { shape: shape.to_vec(), strides, ..self.clone() })
    }
}

/// The coarsest shape that both shapes are groupings of; `None` if their boundaries do not divide each other.
pub(super) fn refine(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let boundaries = |shape: &[usize]| {
        let mut product = 1;
        shape.iter().rev().map(|&extent| (product *= extent, product).1).collect::<Vec<usize>>()
    };
    let mut all = boundaries(a);
    all.extend(boundaries(b));
    all.push(1);
    all.sort_unstable();
    all.dedup();
    if all.windows(2).any(|pair| pair[0] == 0 || pair[1] % pair[0] != 0) {
        return None;
    }
    Some(all.windows(2).rev().map(|pair| pair[1] / pair[0]).collect())
}

/// Strides of the refined axes within the axes of `shape`.
pub(super) fn split(shape: &[usize], strides: &[isize], parts: &[usize]) -> Vec<isize> {
    let mut fine = Vec::with_capacity(parts.len());
    let mut parts = parts.iter().rev().peekable();
    for (&extent, &stride) in shape.iter().zip(strides).rev() {
        let mut covered = 1;
        while covered < extent {
            let Some(&part) = parts.next() else { break };
            fine.push(stride * covered as isize);
            covered *= part;
        }
    }
    fine.reverse();
    fine
}

/// Strides of the axes of `shape` made of refined axes; `None` if those do not lie one behind the other.
fn join(shape: &[usize], parts: &[usize], fine: &[isize]) -> Option<Vec<isize>> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut parts = parts.iter().zip(fine).rev();
    let mut last = 1;
    for &extent in shape.iter().rev() {
        let mut covered = 1;
        let mut stride = None;
        while covered < extent {
            let (&part, &step) = parts.next()?;
            match stride {
                None => stride = Some(step),
                Some(first) if step == first * covered as isize => {}
                Some(_) => return None,
            }
            covered *= part;
        }
        // An axis of extent 1 may have any stride; one that keeps the order of axes is chosen.
        let stride = stride.unwrap_or(last);
        last = stride * extent as isize;
        strides.push(stride);
    }
    strides.reverse();
    Some(strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[usize], strides: &[isize]) -> View {
        View { tensor: TensorId(0), offset: 0, shape: shape.to_vec(), strides: strides.to_vec(), number: Number::Float }
    }

    #[test]
    fn pixels_of_a_channels_last_map_flatten_and_unflatten() {
        // [1, C = 8, H = 3, W = 5] in memory as [H, W, C].
        let map = view(&[1, 8, 3, 5], &[120, 1, 40, 8]);
        let tokens = map.reshaped(&[1, 8, 15]).unwrap();
        assert_eq!(tokens.strides[1..], [1, 8]);
        assert_eq!(tokens.reshaped(&[1, 8, 3, 5]).unwrap().strides[1..], [1, 40, 8]);
        assert_eq!(map.reshaped(&[1, 120]), None);
    }

    #[test]
    fn heads_split_without_moving() {
        let qkv = view(&[1, 7, 48], &[336, 48, 1]);
        let heads = qkv.reshaped(&[1, 7, 3, 4, 4]).unwrap();
        assert_eq!(heads.strides[1..], [48, 16, 4, 1]);
        let q = heads.transposed(&[2, 0, 3, 1, 4]).indexed(0, 1);
        assert_eq!((q.offset, q.shape, q.strides[1..].to_vec()), (16, vec![1, 4, 7, 4], vec![4, 48, 1]));
    }

    #[test]
    fn shapes_whose_boundaries_cross_have_no_refinement() {
        assert_eq!(refine(&[6, 4], &[8, 3]), None);
        assert_eq!(refine(&[2, 6], &[4, 3]), Some(vec![2, 2, 3]));
        assert_eq!(refine(&[1, 1], &[1]), Some(vec![]));
    }
}
