//! Where in a frame one distance tells most about its scale.
//!
//! A range finder is exact and the network at its pixel is not: a frame whose scale is set by one pixel has that pixel's error on top of
//! all others' own. Where the pixel can be chosen (a gimbal, a tape measure, one zone of many), some are better than others: near the
//! middle of the picture, nearer than what else is in view, on a level part. The cost of a spot is
//!
//! ```text
//! r + nearness (ln d - median ln d) + LEVELNESS sigma(ln d)      r from the middle, in longer sides; sigma within a tenth of one
//! ```
//!
//! with two weights of nearness, for two questions. *How large is the error?* With `NEARNESS`, the network's error at a spot, one sigma of
//! ln d, is the card's ([`fathom_core::model::ScaleSpread::pixel`]) times `exp(2 (cost - 0.38))`. *What does it do to the frame?* A map that
//! is too far by a factor of two is off by 1 in AbsRel, one too near by as much by 1/2, and what the network takes for near is seldom
//! farther than that: with `NEARNESS_ASKED` the cost is least where the metric map is best.
//!
//! The weights were chosen for the embedded network on 1,600 renders of scenes that neither its training nor a bench sees (`python -m
//! render train`, scenes 5200 to 5599): those of the error for the least mean of |ln s|'s error by the best spot, errors above 0.5 taken as
//! 0.5; nearness where asked for the least AbsRel in metres over that after scale only, frame by frame. The first asked too far away for the
//! second: 1.11 in place of 1.07, medians over twenties of those frames; weights chosen on one half of the scenes gave 1.08 on the other.
//! `cargo bench -p fathom-tests --bench calibration -- spots MANIFEST.tsv` holds the factor against errors.

use fathom_core::depth::RelativeDepth;
use fathom_core::frame::Size;

use crate::scene::{median, sample};
use crate::theta::depth_of;

/// A pixel to measure the distance at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// Column in the frame, pixels; the first pixel's centre is 0.5.
    pub u_px: f64,
    /// Row.
    pub v_px: f64,
}

/// The `count` best spots of a frame of `size`, the best first, an eighth of the longer side apart or more; fewer where fewer are good.
///
/// None lies within a sixteenth of the longer side of the border, nor where the network sees nothing before infinity close by.
#[must_use]
pub fn best_spots(output: &RelativeDepth, tau: f64, size: Size, count: usize) -> Vec<Spot> {
    let Some(cells) = Cells::of(output, tau, size) else { return Vec::new() };
    let mut open = cells.costs();
    open.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let mut found: Vec<Candidate> = Vec::new();
    for candidate in open {
        if found.len() == count {
            break;
        }
        if found.iter().all(|other| other.cells_to(&candidate) >= APART) {
            found.push(candidate);
        }
    }
    found.iter().map(|c| Spot { u_px: (c.column as f64 + 0.5) * cells.side_px, v_px: (c.row as f64 + 0.5) * cells.side_px }).collect()
}

/// Logarithms of depth on a grid of square cells, in units of the median; `None` where there is no depth.
pub(super) struct Cells {
    columns: usize,
    rows: usize,
    /// Pixels of the frame.
    side_px: f64,
    ln_depth: Vec<Option<f64>>,
}

struct Candidate {
    column: usize,
    row: usize,
    cost: f64,
}

impl Candidate {
    /// How far apart two are along rows or columns, whichever is farther.
    fn cells_to(&self, other: &Self) -> usize {
        self.column.abs_diff(other.column).max(self.row.abs_diff(other.row))
    }
}

impl Cells {
    /// Of a frame of `size`; `None` where the network sees nothing before infinity anywhere.
    pub(super) fn of(output: &RelativeDepth, tau: f64, size: Size) -> Option<Self> {
        let side_px = f64::from(size.width.max(size.height)) / LONGER_SIDE;
        let [columns, rows] = [size.width, size.height].map(|extent| ((f64::from(extent) / side_px) as usize).max(1));
        let [across, down] =
            [(output.size().width, size.width), (output.size().height, size.height)].map(|(to, from)| f64::from(to) / f64::from(from));
        let ln_depth_at = |i: usize| {
            let [u, v] = [i % columns, i / columns].map(|at| (at as f64 + 0.5) * side_px);
            depth_of(output.kind(), sample(output, u * across, v * down)?, tau).map(f64::ln)
        };
        let mut ln_depth: Vec<Option<f64>> = (0..columns * rows).map(ln_depth_at).collect();
        let middle = median(&mut ln_depth.iter().flatten().copied().collect::<Vec<_>>())?;
        ln_depth.iter_mut().flatten().for_each(|ln| *ln -= middle);
        Some(Self { columns, rows, side_px, ln_depth })
    }

    /// How much larger (above 1) or smaller the network's error is at a pixel than at pixels in general.
    pub(super) fn error_factor(&self, [u_px, v_px]: [f64; 2]) -> f64 {
        let cell = |at_px: f64, extent: usize| ((at_px / self.side_px) as usize).min(extent - 1);
        let cost = self.cost(cell(u_px, self.columns), cell(v_px, self.rows), NEARNESS);
        cost.map_or(1.0, |cost| (ERROR_GROWTH * (cost - ERROR_MIDDLE)).exp().min(MOST_ERROR))
    }

    /// Every cell off the border that has a depth all around it.
    fn costs(&self) -> Vec<Candidate> {
        let inside = |extent: usize| RIM..extent.saturating_sub(RIM);
        let cells = inside(self.rows).flat_map(|row| inside(self.columns).map(move |column| (column, row)));
        let whole = cells.filter(|(column, row)| self.around(*column, *row).all(|ln| ln.is_some()));
        whole.filter_map(|(column, row)| Some(Candidate { column, row, cost: self.cost(column, row, NEARNESS_ASKED)? })).collect()
    }

    /// `None` where there is no depth.
    fn cost(&self, column: usize, row: usize, nearness: f64) -> Option<f64> {
        let off = |at: usize, extent: usize| at as f64 + 0.5 - extent as f64 / 2.0;
        let from_middle = off(column, self.columns).hypot(off(row, self.rows)) / LONGER_SIDE;
        let ln_depth = self.ln_depth[row * self.columns + column]?;
        let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for ln in self.around(column, row).flatten() {
            n += 1.0;
            sum += ln;
            squares += ln * ln;
        }
        let sigma = (squares / n - (sum / n).powi(2)).max(0.0).sqrt();
        Some(from_middle + nearness * ln_depth + LEVELNESS * sigma)
    }

    /// A square of cells, as far as they lie in the frame.
    fn around(&self, column: usize, row: usize) -> impl Iterator<Item = Option<f64>> {
        let near = |at: usize, extent: usize| at.saturating_sub(AROUND)..(at + AROUND + 1).min(extent);
        let columns = near(column, self.columns);
        near(row, self.rows).flat_map(move |row| self.ln_depth[row * self.columns..][columns.clone()].iter().copied())
    }
}

/// Cost of a spot `e` times as far as the median, longer sides of the frame, for the error at it.
const NEARNESS: f64 = 0.24;

/// The same for what that error does to the map in metres.
const NEARNESS_ASKED: f64 = 0.36;

/// Cost of a depth that varies by a factor of `e` around the spot (one sigma), longer sides of the frame.
const LEVELNESS: f64 = 0.7;

/// How fast the network's error grows with the cost: its logarithm, per longer side.
const ERROR_GROWTH: f64 = 2.0;

/// Cost at which the error is that of pixels in general.
const ERROR_MIDDLE: f64 = 0.38;

/// Largest factor of the error.
const MOST_ERROR: f64 = 4.0;

/// Cells along the longer side.
const LONGER_SIDE: f64 = 64.0;

/// Cells on each side of one that its surroundings reach.
const AROUND: usize = 3;

/// Cells at the border that are left out.
const RIM: usize = 4;

/// Least distance of two spots, cells.
const APART: usize = 8;

#[cfg(test)]
mod tests {
    use fathom_core::depth::OutputKind;

    use super::*;

    const FRAME: Size = Size::new(320, 240);
    const OUTPUT: Size = Size::new(128, 96);
    const TAU: f64 = 0.5;

    /// The network's output for a depth given over columns and rows from 0 to 1.
    fn output(kind: OutputKind, depth: impl Fn(f64, f64) -> f64) -> RelativeDepth {
        let at = |i: usize| depth(((i % 128) as f64 + 0.5) / 128.0, ((i / 128) as f64 + 0.5) / 96.0);
        let values = (0..OUTPUT.area()).map(|i| crate::theta::output_of(kind, at(i), TAU) as f32).collect();
        RelativeDepth::new(OUTPUT, kind, values).unwrap()
    }

    fn best(depth: impl Fn(f64, f64) -> f64) -> Spot {
        let by_kind = [OutputKind::InverseDepth, OutputKind::Depth].map(|kind| best_spots(&output(kind, &depth), TAU, FRAME, 1));
        assert_eq!(by_kind[0], by_kind[1], "what is asked for depends on the depth alone");
        by_kind[0][0]
    }

    #[test]
    fn of_a_wall_that_is_level_everywhere_the_middle_is_best() {
        let spot = best(|_, _| 2.0);
        assert!((spot.u_px - 160.0).abs() <= 2.5 && (spot.v_px - 120.0).abs() <= 2.5, "{spot:?}");
    }

    #[test]
    fn a_level_part_beside_the_middle_is_better_than_steps_in_it() {
        let rough = |u: f64, v: f64| if ((u * 40.0) as i32 + (v * 30.0) as i32) % 2 == 0 { 2.1 } else { 6.0 };
        let spot = best(|u, v| if u > 0.6 { 2.1 } else { rough(u, v) });
        assert!(spot.u_px > 0.6 * 320.0 && spot.u_px < 0.75 * 320.0, "{spot:?}");
    }

    #[test]
    fn what_is_near_is_better_than_what_is_far() {
        let spot = best(|u, _| if u < 0.5 { 1.0 } else { 4.0 });
        assert!(spot.u_px < 160.0 && spot.u_px > 100.0, "{spot:?}");
    }

    #[test]
    fn a_little_more_error_is_taken_where_it_does_not_make_the_map_too_far() {
        // Near enough for what is asked for, and too far from the middle for the least error.
        let depth = |u: f64, _: f64| if u < 0.13 { (-1.5_f64).exp() } else { 1.0 };
        let spot = best(depth);
        assert!(spot.u_px < 0.13 * 320.0, "{spot:?}");
        let cells = Cells::of(&output(OutputKind::InverseDepth, depth), TAU, FRAME).unwrap();
        assert!(cells.error_factor([spot.u_px, spot.v_px]) > cells.error_factor([160.0, 120.0]));
    }

    #[test]
    fn the_error_is_least_where_a_distance_is_asked_for() {
        let map = output(OutputKind::InverseDepth, |u, v| if v < 0.3 { 9.0 } else { 1.0 + u });
        let [spot] = best_spots(&map, TAU, FRAME, 1)[..] else { panic!("no spot") };
        let cells = Cells::of(&map, TAU, FRAME).unwrap();
        let at = |u_px: f64, v_px: f64| cells.error_factor([u_px, v_px]);
        let least = at(spot.u_px, spot.v_px);
        // Beside it, on the edge, far away, in the corner and at the very border.
        let others = [at(200.0, 140.0), at(160.0, 72.0), at(160.0, 20.0), at(319.9, 239.9), at(320.0, 0.0)];
        assert!(least < 0.6 && others.iter().all(|factor| *factor > least && *factor <= 4.0), "{least} {others:?}");
        assert!(others[1] > 1.0 && others[2] > 1.0, "{others:?}");
    }

    #[test]
    fn several_lie_apart_and_off_the_border() {
        let spots = best_spots(&output(OutputKind::InverseDepth, |u, v| 2.0 + u + v), TAU, FRAME, 1000);
        assert!(spots.len() > 20, "{}", spots.len());
        for (i, a) in spots.iter().enumerate() {
            assert!((20.0..300.0).contains(&a.u_px) && (20.0..220.0).contains(&a.v_px), "{a:?}");
            assert!(spots[..i].iter().all(|b| (a.u_px - b.u_px).abs().max((a.v_px - b.v_px).abs()) >= 40.0), "{a:?}");
        }
        assert_eq!(best_spots(&output(OutputKind::InverseDepth, |u, v| 2.0 + u + v), TAU, FRAME, 3), spots[..3]);
    }

    #[test]
    fn what_lies_beyond_infinity_is_not_asked_for() {
        // The upper half is sky: `x + tau` is below 0 there.
        let values = (0..OUTPUT.area()).map(|i| if i < OUTPUT.area() / 2 { -1.0 } else { 0.3 }).collect();
        let half = RelativeDepth::new(OUTPUT, OutputKind::InverseDepth, values).unwrap();
        let spots = best_spots(&half, TAU, FRAME, 1000);
        assert!(!spots.is_empty() && spots.iter().all(|spot| spot.v_px > 120.0), "{spots:?}");
        let nothing = RelativeDepth::new(OUTPUT, OutputKind::InverseDepth, vec![-1.0; OUTPUT.area()]).unwrap();
        assert_eq!(best_spots(&nothing, TAU, FRAME, 3), []);
        assert!(Cells::of(&nothing, TAU, FRAME).is_none());
        // Frames too small to hold a spot have none.
        assert_eq!(best_spots(&half, TAU, Size::new(640, 10), 3), []);
    }
}
