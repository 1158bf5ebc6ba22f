//! Two frames that see the same things, and so tell how their scales differ.
//!
//! A frozen network gives each frame a scale of its own. Where two frames overlap, their alignment ([`super::align`]) says which
//! depth each point of the first has in the second, and the median of what the network says there over that is the difference of
//! their scales: no distance is needed, and no trust in either.

use fathom_core::depth::RelativeDepth;
use nalgebra::{Rotation3, Vector3};

use super::align::{Known, Motion, Pair, Pyramid};
use crate::consistency::rotation::MAD_TO_SIGMA;
use crate::scene::{comparable, median, sample};
use crate::theta::{depth_of, scale_sign};

/// A frame as links need it: small, so that the last one can be kept.
#[derive(Debug, Clone)]
pub struct Look {
    pyramid: Pyramid,
    output: RelativeDepth,
    keep: Vec<bool>,
}

impl Look {
    /// Brightness of a frame, and the network's output for it at any size.
    ///
    /// # Errors
    /// Those of [`Pyramid::new`].
    pub fn new(frame: &fathom_core::frame::Frame<'_>, output: RelativeDepth) -> crate::Result<Self> {
        let keep = comparable(&output);
        Ok(Self { pyramid: Pyramid::new(frame, LONGEST_PX)?, output, keep })
    }

    /// The network's output.
    #[must_use]
    pub const fn output(&self) -> &RelativeDepth {
        &self.output
    }
}

/// How a frame's scale differs from that of the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// `ln s` of the second frame less that of the first.
    pub step: f64,
    /// One sigma of it.
    pub sigma: f64,
    /// How the camera moved, in the first frame's units of depth.
    pub motion: Motion,
    /// Height of the frames over their width.
    aspect: f64,
}

/// Links two frames of one camera; `start` guesses the motion, and holds tau and `ln(f / width)`, which stay as they are.
///
/// `None` if the frames do not align, or show too little of the same.
#[must_use]
pub fn link(before: &Look, after: &Look, start: &Motion) -> Option<Link> {
    let pair = Pair::new(&before.pyramid, &after.pyramid, Some(&before.output));
    let rest = Motion { tau: start.tau, ..Motion::turn(Rotation3::identity(), start.ln_focal) };
    let align = |start: &Motion| {
        pair.align(start, Known::LensAndShift).filter(|a| a.correlation >= LEAST_CORRELATION && a.overlap >= LEAST_OVERLAP)
    };
    // The camera goes on as it did, or stopped, or jerked.
    let best = align(start).or_else(|| align(&rest)).or_else(|| align(&turned(&pair, &rest)?))?;
    let (mut ratios, mut flows) = ratios(before, after, &best.motion);
    if ratios.len() < LEAST_POINTS {
        return None;
    }
    let flow = median(&mut flows)?;
    let middle = median(&mut ratios)?;
    let mut sizes: Vec<f64> = ratios.iter().map(|r| (r - middle).abs()).collect();
    let spread = MAD_TO_SIGMA * median(&mut sizes)?;
    let sigma = LEAST_SIGMA.hypot(spread / INDEPENDENT).hypot(NEW_SCENE * flow);
    Some(Link { step: scale_sign(after.output.kind()) * middle, sigma, motion: best.motion, aspect: before.pyramid.aspect() })
}

/// The turn that the frames as a whole look most like, among those of up to a third of the width and a fifth up and down.
fn turned(pair: &Pair<'_>, rest: &Motion) -> Option<Motion> {
    let focal = rest.ln_focal.exp();
    let shifts = (-6..=6).flat_map(|row| (-11..=11).map(move |column| [column, row]));
    let turns = shifts.map(|shift| {
        let [pan, tilt] = shift.map(|steps| (f64::from(steps) * 0.03 / focal).atan());
        Motion { rotation: Rotation3::new(Vector3::new(-tilt, pan, 0.0)), ..rest.clone() }
    });
    let rated = turns.map(|turn| (pair.coarse_error(&turn), turn)).filter(|(error, _)| error.is_finite());
    rated.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, turn)| turn)
}

/// For points that both frames show: ln of the depth that it has in the second over what the network says there, both at `s = 1`, and
/// how far it moved in widths of the frame.
fn ratios(before: &Look, after: &Look, motion: &Motion) -> (Vec<f64>, Vec<f64>) {
    let size = before.output.size();
    let (width, height) = (size.width as usize, size.height as usize);
    let aspect = before.pyramid.aspect();
    let (mut ratios, mut flows) = (Vec::new(), Vec::new());
    for row in (0..height).step_by(STRIDE) {
        for column in (0..width).step_by(STRIDE).filter(|column| before.keep[row * width + column]) {
            let x = f64::from(before.output.values()[row * width + column]);
            let place = [(column as f64 + 0.5) / width as f64, (row as f64 + 0.5) / height as f64];
            let Some(depth) = depth_of(before.output.kind(), x, motion.tau) else { continue };
            let Some((point, came)) = moved(motion, aspect, place, depth) else { continue };
            let there = after.output.size();
            let (u, v) = (came[0] * f64::from(there.width), came[1] * f64::from(there.height));
            let Some(answer) = sample(&after.output, u, v).and_then(|x| depth_of(after.output.kind(), x, motion.tau)) else { continue };
            let (column, row) = ((u as usize).min(there.width as usize - 1), (v as usize).min(there.height as usize - 1));
            if after.keep[row * there.width as usize + column] {
                ratios.push((point.z / answer).ln());
                flows.push(distance(place, came, aspect));
            }
        }
    }
    (ratios, flows)
}

/// Where a point at a place of the first frame (shares of its width and height) comes to lie, and at which place of the second frame.
fn moved(motion: &Motion, aspect: f64, place: [f64; 2], depth: f64) -> Option<(Vector3<f64>, [f64; 2])> {
    let focal = motion.ln_focal.exp();
    let ray = Vector3::new((place[0] - 0.5) / focal, (place[1] - 0.5) * aspect / focal, 1.0);
    let point = motion.rotation * (ray * depth) + motion.translation;
    let there = [0.5 + focal * point.x / point.z, 0.5 + focal * point.y / point.z / aspect];
    (point.z > 1e-3 * depth).then_some((point, there))
}

/// Between two places, in widths of the frame.
fn distance(from: [f64; 2], to: [f64; 2], aspect: f64) -> f64 {
    (from[0] - to[0]).hypot((from[1] - to[1]) * aspect)
}

impl Link {
    /// How far, in widths of the frame, a sensor's beam moved over the scene: from what it met in the first frame at the place `from`
    /// (shares of width and height) to what it meets in the second at `to`.
    #[must_use]
    pub fn travel(&self, before: &RelativeDepth, from: [f64; 2], to: [f64; 2]) -> f64 {
        let size = before.size();
        let depth = sample(before, from[0] * f64::from(size.width), from[1] * f64::from(size.height))
            .and_then(|x| depth_of(before.kind(), x, self.motion.tau));
        let there = depth.and_then(|depth| moved(&self.motion, self.aspect, from, depth));
        there.map_or(f64::INFINITY, |(_, there)| distance(there, to, self.aspect))
    }
}

/// Longer side at which frames are aligned: what moves between two frames of a video is large against a pixel of it.
const LONGEST_PX: u32 = 160;

/// Least correlation of aligned frames.
const LEAST_CORRELATION: f64 = 0.9;

/// Least share of the first frame that the second shows.
const LEAST_OVERLAP: f64 = 0.5;

/// Every so many pixels of every so many rows of the network's output are compared.
const STRIDE: usize = 3;

/// Fewest points that tell a difference of scales.
const LEAST_POINTS: usize = 200;

/// Least sigma of a step: what alignment and the network's sense of a scene bring however many points agree.
const LEAST_SIGMA: f64 = 0.015;

/// What new parts of the scene that come into view do to a frame's scale: sigma of ln s for a flow of one width of the frame. Chosen on
/// the held-out videos, for sigmas as large as the errors.
const NEW_SCENE: f64 = 1.5;

/// The root of how many points count as independent: a network's errors are those of whole surfaces.
const INDEPENDENT: f64 = 8.0;
