//! Packing of tensors that live at different times into one arena.
//!
//! Largest first, each into the smallest gap between the tensors that live at the same time ("greedy by size" with best
//! fit). Source: Pisarchyk & Lee, *Efficient Memory Management for Deep Neural Net Inference*, 2020, arXiv 2001.03288.

use std::ops::Range;

use super::ALIGNMENT_BYTES;

/// A placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arena {
    /// Offset of each item, in the order given.
    pub offsets_bytes: Vec<usize>,
    /// Bytes from the arena's start to the end of the last item.
    pub bytes: usize,
    /// The largest sum of bytes alive at once: no placement is smaller.
    pub lower_bound_bytes: usize,
}

/// Places items of `(bytes, life in steps)`; items whose lives overlap never share a byte. An empty life occupies nothing.
#[must_use]
pub fn place(items: &[(usize, Range<usize>)]) -> Arena {
    let mut order: Vec<usize> = (0..items.len()).filter(|&i| !items[i].1.is_empty()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(items[i].0), items[i].1.start, i));
    let mut offsets_bytes = vec![0; items.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    for i in order {
        let mut taken: Vec<Range<usize>> = placed
            .iter()
            .filter(|&&j| overlap(&items[i].1, &items[j].1))
            .map(|&j| offsets_bytes[j]..offsets_bytes[j] + items[j].0)
            .collect();
        taken.sort_by_key(|range| range.start);
        offsets_bytes[i] = best_gap(&taken, items[i].0);
        placed.push(i);
    }
    let bytes = placed.iter().map(|&i| offsets_bytes[i] + items[i].0).max().unwrap_or(0);
    Arena { offsets_bytes, bytes, lower_bound_bytes: lower_bound(items) }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Start of the smallest aligned gap between ranges sorted by start; behind the last one if none is large enough.
fn best_gap(taken: &[Range<usize>], bytes: usize) -> usize {
    let mut best: Option<(usize, usize)> = None;
    let mut free_from: usize = 0;
    for range in taken {
        let start = free_from.next_multiple_of(ALIGNMENT_BYTES);
        if start + bytes <= range.start {
            let gap = range.start - start;
            if best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, start));
            }
        }
        free_from = free_from.max(range.end);
    }
    best.map_or(free_from.next_multiple_of(ALIGNMENT_BYTES), |(_, start)| start)
}

fn lower_bound(items: &[(usize, Range<usize>)]) -> usize {
    let end = items.iter().map(|(_, life)| life.end).max().unwrap_or(0);
    let alive = |step: usize| items.iter().filter(|(_, life)| life.contains(&step)).map(|(bytes, _)| bytes).sum();
    (0..end).map(alive).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_needs_its_two_largest_neighbours() {
        let arena = place(&[(1024, 0..2), (2048, 1..3), (512, 2..4)]);
        assert_eq!((arena.bytes, arena.lower_bound_bytes), (3072, 3072));
        assert_eq!(arena.offsets_bytes[1], 0);
    }

    #[test]
    fn offsets_are_aligned_though_sizes_are_not() {
        let arena = place(&[(100, 0..2), (101, 0..2), (7, 0..1)]);
        assert!(arena.offsets_bytes.iter().all(|o| o.is_multiple_of(ALIGNMENT_BYTES)));
        assert_eq!(arena.lower_bound_bytes, 208);
    }

    #[test]
    fn the_smallest_gap_that_fits_is_taken() {
        let far = usize::MAX / 2;
        assert_eq!(best_gap(&[1024..2048, 2560..4096], 512), 2048);
        assert_eq!(best_gap(&[1024..2048, 2560..4096], 700), 0);
        assert_eq!(best_gap(&[0..100, 300..far], 44), 256);
    }
}
