//! The scale of each frame of a video, from the frames before it and what a range finder says on the way.
//!
//! Frames have scales of their own, but those of one video change slowly and by amounts that are seen ([`crate::anchors::link`]). A
//! range finder's beam is exact where the network is not: at its pixel the network errs by `E`, which is [`ScaleSpread::pixel`] times
//! what the pixel's surroundings make of it ([`crate::anchors::spot`]) and [`crate::anchors::frame_scale::TAILS`], and errs the same way
//! for as long as the beam stays on the same thing. So two numbers belong to each frame, its scale `l = ln s` and the network's error `e`
//! at the beam in units of `E`:
//!
//! ```text
//! l' = l + step +- link's sigma        e' = rho e +- sqrt(1 - rho^2),  rho = exp(-travel / REACH)        reading = l + E e +- sensor
//! ```
//!
//! A hovering drone that reads one spot a thousand times knows no more than after the first; one that looks about averages the
//! network's errors out. The most likely values are found over the last [`WINDOW`] frames at once, so that the frames before a
//! reading gain by it as well; frames that drop out of the window leave behind what they knew.

use fathom_core::calibration::Calibration;
use fathom_core::depth::RelativeDepth;
use fathom_core::frame::{Frame, Size};
use fathom_core::model::ScaleSpread;
use nalgebra::{DMatrix, DVector, Matrix2, Rotation3, Vector2};

use crate::anchors::align::Motion;
use crate::anchors::frame_scale::{Reading, lens, reading, with_scale};
use crate::anchors::link::{Look, link};
use crate::anchors::range::RangePoint;
use crate::{Error, Result};

/// Follows the scale of one camera's frames. Memory does not grow.
#[derive(Debug, Clone)]
pub struct ScaleTrack {
    calibration: Calibration,
    spread: ScaleSpread,
    frame: Size,
    last: Option<(Look, Motion)>,
    /// Where the beam last was, in shares of width and height.
    beam: Option<[f64; 2]>,
    stops: Vec<Stop>,
    /// What frames that left the window knew about the first that is in it.
    past: (Matrix2<f64>, Vector2<f64>),
}

/// One frame.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// Change of ln s since the frame before and its sigma; `None` where the video begins anew.
    step: Option<(f64, f64)>,
    /// How much of the network's error at the beam is still the one of the frame before.
    rho: f64,
    reading: Option<Reading>,
    /// Whether a distance, or the camera's own scale, is behind this frame's.
    anchored: bool,
}

impl ScaleTrack {
    /// Starts with what is known of the camera; its scale may be unknown.
    ///
    /// # Errors
    /// [`fathom_core::Error::BadSize`].
    pub fn new(calibration: Calibration, spread: ScaleSpread, frame: Size) -> Result<Self> {
        frame.checked()?;
        let past = (Matrix2::zeros(), Vector2::zeros());
        Ok(Self { calibration, spread, frame, last: None, beam: None, stops: Vec::new(), past })
    }

    /// Adds the video's next frame, the network's output for it, and the distances measured in it. Returns the calibration with this
    /// frame's scale; without a scale while nothing tells it.
    ///
    /// # Errors
    /// [`Error::FrameSize`]; [`Error::Anchor`] naming the first bad point. The frame then counts as not seen.
    pub fn add(&mut self, frame: &Frame<'_>, output: &RelativeDepth, points: &[RangePoint]) -> Result<Calibration> {
        if frame.size() != self.frame {
            return Err(Error::FrameSize { got: frame.size(), expected: self.frame });
        }
        let reading = reading(&self.calibration, output, self.frame, points)?;
        let look = Look::new(frame, output.clone())?;
        let beam = self.beam_of(points).or(self.beam);
        let (ln_focal, _) = lens(&self.calibration, self.frame);
        let rest = Motion { tau: self.calibration.tau, ..Motion::turn(Rotation3::identity(), ln_focal - f64::from(self.frame.width).ln()) };
        let linked = self.last.as_ref().and_then(|(last, motion)| Some((link(last, &look, motion)?, last)));
        let rho = linked
            .as_ref()
            .zip(self.beam.zip(beam))
            .map_or(0.0, |((link, last), (from, to))| (-link.travel(last.output(), from, to) / REACH).exp());
        let step = linked.as_ref().map(|(link, _)| (link.step, link.sigma));
        let before = step.and(self.stops.last()).is_some_and(|stop| stop.anchored);
        self.stops.push(Stop { step, rho, reading, anchored: before || reading.is_some() || self.calibration.ln_scale.is_some() });
        let motion = linked.map_or(rest, |(link, _)| link.motion);
        (self.last, self.beam) = (Some((look, motion)), beam);
        if self.stops.len() > WINDOW {
            self.forget_first();
        }
        Ok(self.looking_back().pop().unwrap_or_else(|| self.calibration.clone()))
    }

    /// The calibrations of the last [`WINDOW`] frames, each with what was seen before and after it; the last is the latest frame's.
    #[must_use]
    pub fn looking_back(&self) -> Vec<Calibration> {
        let Some((found, covariance)) = self.solve() else { return vec![self.calibration.clone(); self.stops.len()] };
        // A distance also tells the scale of the frames before it, back to where the video began anew.
        let mut anchored = false;
        let mut all: Vec<Calibration> = Vec::with_capacity(self.stops.len());
        for (i, stop) in self.stops.iter().enumerate().rev() {
            anchored |= stop.anchored;
            all.push(if anchored {
                with_scale(&self.calibration, found[2 * i], covariance[(2 * i, 2 * i)])
            } else {
                self.calibration.clone()
            });
            anchored &= stop.step.is_some();
        }
        all.reverse();
        all
    }

    /// How `ln s` changed at each of the last [`WINDOW`] frames since the one before it; `None` where they are not linked.
    #[must_use]
    pub fn steps(&self) -> Vec<Option<f64>> {
        self.stops.iter().map(|stop| stop.step.map(|(step, _)| step)).collect()
    }

    /// Whether the latest frame shows enough of the one before.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.stops.last().is_some_and(|stop| stop.step.is_some())
    }

    fn beam_of(&self, points: &[RangePoint]) -> Option<[f64; 2]> {
        let n = points.len() as f64;
        let mean = |of: fn(&RangePoint) -> f64, extent: u32| points.iter().map(of).sum::<f64>() / n / f64::from(extent);
        (!points.is_empty()).then(|| [mean(|p| p.u_px, self.frame.width), mean(|p| p.v_px, self.frame.height)])
    }

    /// Most likely `l, e, l, e, ...` of the window, and their covariance.
    fn solve(&self) -> Option<(DVector<f64>, DMatrix<f64>)> {
        let mut sums = Sums::with_past(2 * self.stops.len(), &self.past);
        for (i, stop) in self.stops.iter().enumerate() {
            self.rows_of(stop, i > 0).iter().for_each(|row| row.add(&mut sums, 2 * i));
        }
        let solved = sums.matrix.cholesky()?;
        Some((solved.solve(&sums.vector), solved.inverse()))
    }

    /// What one frame adds, about `(l, e)` of the frame before it and its own.
    fn rows_of(&self, stop: &Stop, has_before: bool) -> Vec<Linear> {
        let mut rows = Vec::with_capacity(3);
        match stop.step.filter(|_| has_before) {
            Some((step, sigma)) => rows.push(Linear { factors: [-1.0, 0.0, 1.0, 0.0], value: step, sigma }),
            // The past of the first frame, if it has one, says this already.
            None if !has_before && self.past.0 != Matrix2::zeros() => {}
            None => {
                let scale = self.calibration.ln_scale;
                let sigma = scale.map_or(UNKNOWN, |_| self.calibration.ln_scale_sigma().hypot(self.spread.frame));
                rows.push(Linear { factors: [0.0, 0.0, 1.0, 0.0], value: scale.unwrap_or(0.0), sigma });
            }
        }
        let rho = if has_before { stop.rho } else { 0.0 };
        if has_before || self.past.0 == Matrix2::zeros() {
            let sigma = (1.0 - rho * rho).sqrt().max(LEAST_STEP);
            rows.push(Linear { factors: [0.0, -rho, 0.0, 1.0], value: 0.0, sigma });
        }
        rows.extend(stop.reading.map(|reading| {
            let sigma = reading.sensor_variance.sqrt().max(LEAST_SENSOR);
            Linear { factors: [0.0, 0.0, 1.0, reading.network_sigma(self.spread)], value: reading.ln_scale, sigma }
        }));
        rows
    }

    /// Drops the first frame and keeps what it knew about the second: its two numbers are marginalised out.
    fn forget_first(&mut self) {
        let [first, second] = [self.stops[0], self.stops[1]];
        let mut sums = Sums::with_past(4, &self.past);
        self.rows_of(&first, false).iter().for_each(|row| row.add(&mut sums, 0));
        // The second one's reading stays with it.
        self.rows_of(&Stop { reading: None, ..second }, true).iter().for_each(|row| row.add(&mut sums, 2));
        let block = |i: usize, j: usize| sums.matrix.fixed_view::<2, 2>(i, j).into_owned();
        if let Some(inverse) = block(0, 0).try_inverse() {
            let carried = block(2, 0) * inverse;
            let vector = |i: usize| sums.vector.fixed_rows::<2>(i).into_owned();
            self.past = (block(2, 2) - carried * block(0, 2), vector(2) - carried * vector(0));
        }
        self.stops.remove(0);
    }
}

/// Normal equations.
struct Sums {
    matrix: DMatrix<f64>,
    vector: DVector<f64>,
}

impl Sums {
    /// Of `count` unknowns, with what is known of the first two.
    fn with_past(count: usize, past: &(Matrix2<f64>, Vector2<f64>)) -> Self {
        let mut sums = Self { matrix: DMatrix::zeros(count, count), vector: DVector::zeros(count) };
        sums.matrix.view_mut((0, 0), (2, 2)).copy_from(&past.0);
        sums.vector.rows_mut(0, 2).copy_from(&past.1);
        sums
    }
}

/// A residual `sum factors * (l, e of the frame before, l, e) - value` over its sigma.
struct Linear {
    factors: [f64; 4],
    value: f64,
    sigma: f64,
}

impl Linear {
    /// Adds it for the frame whose `l` stands at `at`.
    fn add(&self, sums: &mut Sums, at: usize) {
        let weight = 1.0 / (self.sigma * self.sigma);
        // The first frame has none before it, and factors of 0 for it.
        let places = || self.factors.iter().enumerate().filter_map(|(k, factor)| Some(((at + k).checked_sub(2)?, *factor)));
        for (i, factor) in places() {
            sums.vector[i] += weight * factor * self.value;
            for (j, other) in places() {
                sums.matrix[(i, j)] += weight * factor * other;
            }
        }
    }
}

/// Frames that are looked at together.
pub const WINDOW: usize = 48;

/// Way of the beam over the scene, in widths of the frame, after which the network's error at it is another one but for 1/e. Chosen
/// like [`crate::anchors::frame_scale::TAILS`].
const REACH: f64 = 0.1;

/// Sigma of ln s where nothing is known: a factor of 20,000 either way.
const UNKNOWN: f64 = 10.0;

/// Least sigma of a step of the network's error, in units of `E`: its noise from frame to frame.
const LEAST_STEP: f64 = 0.04;

/// Least sigma of a reading.
const LEAST_SENSOR: f64 = 0.002;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchors::frame_scale::TAILS;

    /// Frames with readings here and there, the fourth a new beginning.
    fn track(known: bool) -> ScaleTrack {
        let mut calibration = Calibration::from_default_tau(0.5);
        if known {
            (calibration.ln_scale, calibration.covariance[(0, 0)]) = (Some(-0.7), 0.04);
        }
        let mut track = ScaleTrack::new(calibration, ScaleSpread { frame: 0.4, pixel: 0.15 }, Size::new(64, 48)).unwrap();
        track.stops = (0..8_u8)
            .map(|i| Stop {
                step: (i != 0 && i != 4).then_some((0.02 * f64::from(i) - 0.05, 0.03 + 0.01 * f64::from(i))),
                rho: if i == 0 || i == 4 { 0.0 } else { 0.3 + 0.08 * f64::from(i) },
                reading: (i % 3 != 1).then_some(Reading {
                    ln_scale: -0.6 + 0.1 * f64::from(i % 4),
                    sensor_variance: 1e-4,
                    error_factor: 1.0,
                }),
                anchored: true,
            })
            .collect();
        track
    }

    #[test]
    fn frames_that_leave_the_window_leave_what_they_knew() {
        for known in [false, true] {
            let mut track = track(known);
            let all = track.looking_back();
            // Past the new beginning too.
            for gone in 1..=6 {
                track.forget_first();
                for (full, left) in all[gone..].iter().zip(track.looking_back()) {
                    assert!((full.ln_scale.unwrap() - left.ln_scale.unwrap()).abs() < 1e-9, "{known}, {gone} gone");
                    assert!((full.ln_scale_sigma() / left.ln_scale_sigma() - 1.0).abs() < 1e-9, "{known}, {gone} gone");
                }
            }
        }
    }

    #[test]
    fn one_reading_alone_is_as_certain_as_the_networks_pixels() {
        let mut track = track(false);
        track.stops.truncate(1);
        let [found] = &track.looking_back()[..] else { panic!("one frame") };
        let expected = (TAILS * 0.15).hypot(0.01);
        assert!((found.ln_scale.unwrap() + 0.6).abs() < 1e-3 && (found.ln_scale_sigma() - expected).abs() < 1e-3, "{found:?}");
    }
}
