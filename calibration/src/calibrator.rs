//! The run itself: frames and anchors in, one at a time and in any order; an [`Outcome`] out, at any time.

use fathom_core::calibration::{Calibration, State};
use fathom_core::camera::Intrinsics;
use fathom_core::depth::OutputKind;
use fathom_core::frame::{Frame, Size};
use fathom_core::model::{DepthModel, Response};
use nalgebra::{Rotation3, Vector3};

use crate::anchors::align;
use crate::anchors::floor::{Floor, direction};
use crate::anchors::link::Look;
use crate::anchors::motion::Motions;
use crate::anchors::perspective::Perspective;
use crate::anchors::place::{Place, Places};
use crate::anchors::prior::{FocalPrior, ShiftPrior};
use crate::anchors::range::{Range, RangePoint};
use crate::anchors::spot::{Spot, best_spots};
use crate::anchors::turn::Turns;
use crate::consistency::frame::{Glance, glance, observe};
use crate::consistency::guard::Fault;
use crate::consistency::pool::{LEAST_FRAMES, Pool};
use crate::information::Cue;
use crate::solve::{Prior, Solution, solve};
use crate::verdict::{DATA_LIMIT, FOCAL_LIMIT, Outcome, Reason, SCALE_LIMIT, TAU_LIMIT, cue_reports};
use crate::{Error, Result};

/// What is known before the first frame.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of all frames.
    pub frame: Size,
    /// What stands if the data holds nothing: a stored calibration, or the card's default. Nothing else depends on it.
    pub old: Calibration,
    /// A focal length known beforehand.
    pub focal: Option<FocalPrior>,
    /// Height of the camera above the floor, metres, for frames with gravity.
    pub camera_height_m: Option<f64>,
}

/// What comes with one frame besides its pixels.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameAnchors<'a> {
    /// Distances measured at its pixels.
    pub range: &'a [RangePoint],
    /// Gravity in its camera frame, any length.
    pub gravity: Option<[f64; 3]>,
}

impl FrameAnchors<'_> {
    /// Names the first number that makes no sense.
    fn check(&self, frame: Size) -> Result<()> {
        self.range.iter().try_for_each(|point| point.checked(frame).map(drop))?;
        self.gravity.map_or(Ok(()), |gravity| direction(&Vector3::from(gravity)).map(drop))
    }
}

/// Calibrates one camera with one network.
pub struct Calibrator<'m> {
    model: Counted<'m>,
    options: Options,
    pool: Pool,
    card: Option<ShiftPrior>,
    perspective: Perspective,
    range: Range,
    places: Places,
    spot: Option<Spot>,
    floor: Floor,
    turns: Turns,
    motions: Motions,
    refused: Vec<(usize, Fault)>,
    offered: usize,
    outputs: (f64, f64, f64),
    most_runs: usize,
    complete: bool,
}

impl<'m> Calibrator<'m> {
    /// Starts with nothing known but the options.
    ///
    /// # Errors
    /// [`Error::NothingToCalibrate`] for a network of metric depth; [`Error::Anchor`] for a bad camera height;
    /// [`fathom_core::Error::BadSize`].
    pub fn new(model: &'m mut dyn DepthModel, options: Options) -> Result<Self> {
        options.frame.checked()?;
        let card = model.card();
        if card.output_kind == OutputKind::MetricDepth {
            return Err(Error::NothingToCalibrate { model: card.name.clone() });
        }
        let shift = card.default_tau_sigma.map(|sigma| ShiftPrior { tau: card.default_tau, sigma });
        let kappa = card.kappa.unwrap_or(Response { value: 0.0, sigma: 0.0 });
        let range = Range::new(card.output_kind, options.frame, card.assumed_scale_spread());
        let floor = Floor::new(options.frame, options.camera_height_m)?;
        Ok(Self {
            model: Counted { model, runs: 0 },
            pool: Pool::new(if responds(kappa) { kappa } else { Response { value: 0.0, sigma: 0.0 } }),
            card: shift,
            perspective: Perspective::default(),
            range,
            places: Places::default(),
            spot: None,
            floor,
            turns: Turns::new(options.frame),
            motions: Motions::new(options.frame),
            refused: Vec::new(),
            offered: 0,
            outputs: (0.0, 0.0, 0.0),
            most_runs: usize::MAX,
            complete: true,
            options,
        })
    }

    /// Adds a frame: one run for the frame itself, one for the reference, four for each focal length tried.
    ///
    /// Returns why the frame carries no information about tau, if it does not; its anchors count all the same.
    ///
    /// # Errors
    /// [`Error::FrameSize`] and [`Error::Anchor`], after which the frame counts as not seen; those of the network.
    pub fn add_frame(&mut self, frame: &Frame<'_>, anchors: &FrameAnchors<'_>) -> Result<Option<Fault>> {
        anchors.check(self.options.frame)?;
        let glance = self.glance(frame)?;
        self.spot = best_spots(&glance.output, self.model.card().default_tau, self.options.frame, 1).pop();
        if let Some(fov) = glance.fov {
            self.perspective.add(fov, glance.frame);
        }
        if !anchors.range.is_empty() {
            let place = self.place_of(frame, &glance)?;
            self.range.add(&glance.output, anchors.range, place)?;
        }
        if let Some(gravity) = anchors.gravity {
            self.floor.add(&glance.output, &Vector3::from(gravity))?;
        }
        if !self.network_responds() {
            return Ok(None);
        }
        let ln_focals = self.focal_lengths();
        let fault = match observe(&mut self.model, &glance, &ln_focals)? {
            Ok(evidence) => self.pool.add(evidence).err(),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            self.note(fault);
        }
        Ok(fault)
    }

    /// Adds two frames between which the camera turned about its optical centre, by a known angle or an unknown one.
    /// Returns whether they hold together as a turn.
    ///
    /// # Errors
    /// [`Error::FrameSize`]; [`Error::Anchor`] for an angle that is not above 0 and below a half turn.
    pub fn add_turn(&mut self, before: &Frame<'_>, after: &Frame<'_>, angle_rad: Option<f64>) -> Result<bool> {
        self.turns.add(before, after, angle_rad)
    }

    /// Adds two frames between which the camera moved, by a known distance or an unknown one. Returns whether they hold
    /// together as a motion.
    ///
    /// # Errors
    /// [`Error::FrameSize`]; [`Error::Anchor`] for a baseline that is not above 0; those of the network.
    pub fn add_motion(&mut self, before: &Frame<'_>, after: &Frame<'_>, baseline_m: Option<f64>) -> Result<bool> {
        self.motions.check([before, after], baseline_m)?;
        let glance = self.glance(before)?;
        self.offered -= 1;
        self.motions.add(before, after, glance.output, baseline_m)
    }

    /// Runs the network once on a frame and forgets the answer: to see how long that takes.
    ///
    /// # Errors
    /// Those of the network.
    pub fn rehearse(&mut self, frame: &Frame<'_>) -> Result<()> {
        self.model.predict(frame)?;
        Ok(())
    }

    /// Tries fewer focal lengths from now on, where a frame would take more than so many runs of the network. One focal
    /// length always remains.
    pub fn limit_runs(&mut self, most: usize) {
        self.most_runs = most;
    }

    /// Runs of the network that the next frame takes at most.
    #[must_use]
    pub fn runs_per_frame(&self) -> usize {
        if self.network_responds() { runs_with(self.focal_lengths().len()) } else { 1 }
    }

    /// Reads what was seen so far as that of a network of another response: for benches, which measure kappa.
    pub fn assume_response(&mut self, kappa: Response) {
        self.pool.assume_response(kappa);
    }

    /// Says that frames were left out because time ran out.
    pub fn mark_incomplete(&mut self) {
        self.complete = false;
    }

    /// The best there is so far.
    #[must_use]
    pub fn finish(&self) -> Outcome {
        let solution = self.solution(true);
        let mut reasons = Vec::new();
        let calibration = self.judge(&solution, &mut reasons);
        Outcome {
            calibration,
            theta: solution.theta,
            covariance: solution.covariance,
            mean_x: self.mean_x(),
            cues: cue_reports(&solution),
            reasons,
            frames: (self.pool.count(), self.offered),
            network_runs: self.model.runs,
            complete: self.complete,
        }
    }

    /// What the frames say, for reports and benches.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The network's field-of-view output over the frames so far.
    #[must_use]
    pub const fn perspective(&self) -> &Perspective {
        &self.perspective
    }

    /// Where in the last frame added a measured distance would tell most about the scale; `None` where nowhere is good.
    #[must_use]
    pub const fn spot(&self) -> Option<Spot> {
        self.spot
    }

    /// Runs of the network so far.
    #[must_use]
    pub const fn network_runs(&self) -> usize {
        self.model.runs
    }

    fn glance(&mut self, frame: &Frame<'_>) -> Result<Glance> {
        if frame.size() != self.options.frame {
            return Err(Error::FrameSize { got: frame.size(), expected: self.options.frame });
        }
        let glance = glance(&mut self.model, frame)?;
        self.offered += 1;
        let spread = crate::scene::Spread::of(glance.output.values());
        let (count, mean, std) = self.outputs;
        let n = count + 1.0;
        self.outputs = (n, mean + (spread.mean - mean) / n, std + (spread.std - std) / n);
        Ok(glance)
    }

    /// Whether a frame shows where the last one with distances was, as far as the card's usual shift and a likely lens can tell.
    fn place_of(&mut self, frame: &Frame<'_>, glance: &Glance) -> Result<Place> {
        let ln_focal_px = self.options.focal.as_ref().map_or(self.prior().centre.ln_focal, |prior| prior.ln_focal);
        let rest = align::Motion::turn(Rotation3::identity(), ln_focal_px - f64::from(self.options.frame.width).ln());
        let rest = align::Motion { tau: self.model.card().default_tau, ..rest };
        let frame_sigma = self.model.card().assumed_scale_spread().frame;
        Ok(self.places.of(Look::new(frame, glance.output.clone())?, &rest, frame_sigma))
    }

    fn network_responds(&self) -> bool {
        self.model.card().kappa.is_some_and(responds)
    }

    /// Focal lengths to render with: the known one, up to three across a rough one, or up to five from 35 to 95 degrees.
    fn focal_lengths(&self) -> Vec<f64> {
        let count = if runs_with(5) <= self.most_runs {
            5
        } else if runs_with(3) <= self.most_runs {
            3
        } else {
            1
        };
        match self.options.focal {
            Some(FocalPrior { ln_focal, sigma }) if sigma <= KNOWN || count == 1 => vec![ln_focal],
            Some(FocalPrior { ln_focal, sigma }) => [-1.5, 0.0, 1.5].map(|step| ln_focal + step * sigma).to_vec(),
            None => {
                let fovs_deg: &[f64] = match count {
                    5 => &[95.0, 75.0, 60.0, 46.0, 35.0],
                    3 => &[85.0, 60.0, 40.0],
                    _ => &[60.0],
                };
                let half = f64::from(self.options.frame.width) / 2.0;
                fovs_deg.iter().map(|fov| (half / (fov / 2.0).to_radians().tan()).ln()).collect()
            }
        }
    }

    fn note(&mut self, fault: Fault) {
        let same = |other: &Fault| std::mem::discriminant(other) == std::mem::discriminant(&fault);
        match self.refused.iter_mut().find(|(_, f)| same(f)) {
            Some(entry) => *entry = (entry.0 + 1, fault),
            None => self.refused.push((1, fault)),
        }
    }

    fn mean_x(&self) -> f64 {
        self.pool.estimate(self.prior().centre.ln_focal).map_or(self.outputs.1, |e| e.mean_x)
    }

    fn prior(&self) -> Prior {
        Prior::broad(self.options.frame.width, self.outputs.1, self.outputs.2)
    }

    /// Joins the cues, the card's usual shift among them or not.
    fn solution(&self, with_card: bool) -> Solution {
        let mut cues: Vec<&dyn Cue> = vec![&self.pool, &self.perspective, &self.range, &self.floor, &self.turns, &self.motions];
        if let Some(prior) = &self.options.focal {
            cues.push(prior);
        }
        if let Some(card) = self.card.as_ref().filter(|_| with_card) {
            cues.push(card);
        }
        solve(&cues, &self.prior())
    }

    fn judge(&self, solution: &Solution, reasons: &mut Vec<Reason>) -> Calibration {
        let sigma = |i: usize| solution.covariance[(i, i)].sqrt();
        let relative_tau = sigma(1) / (solution.theta.tau + self.mean_x()).abs().max(f64::MIN_POSITIVE);
        let alone = self.solution(false);
        let alone_tau = alone.covariance[(1, 1)].sqrt() / (solution.theta.tau + self.mean_x()).abs().max(f64::MIN_POSITIVE);
        let mut tau_known = within("tau", alone_tau, DATA_LIMIT, reasons) && within("tau", relative_tau, TAU_LIMIT, reasons);
        if !tau_known {
            self.explain_tau(reasons);
        } else if let Some(reason) = self.behind_camera(solution.theta.tau) {
            tau_known = false;
            reasons.push(reason);
        }
        let focal_known = within("focal length", sigma(2), FOCAL_LIMIT, reasons);
        let few = self.too_few_distances(sigma(0));
        let scale_known = few.is_none() && within("scale", sigma(0), SCALE_LIMIT, reasons);
        reasons.extend(few);
        if !tau_known {
            return Calibration { state: State::NotObservable, ..self.options.old.clone() };
        }
        let camera = focal_known.then(|| Intrinsics::centred(self.options.frame, solution.theta.ln_focal.exp()).ok()).flatten();
        let mut covariance = solution.covariance;
        for (i, known) in [(0, scale_known), (2, camera.is_some())] {
            if !known {
                covariance.row_mut(i).fill(0.0);
                covariance.column_mut(i).fill(0.0);
                covariance[(i, i)] = f64::INFINITY;
            }
        }
        let ln_scale = scale_known.then_some(solution.theta.ln_scale);
        Calibration { state: State::Calibrated, tau: solution.theta.tau, ln_scale, camera, covariance }
    }

    fn explain_tau(&self, reasons: &mut Vec<Reason>) {
        match self.model.card().kappa {
            None => reasons.push(Reason::UnknownResponse),
            Some(kappa) if !responds(kappa) => reasons.push(Reason::NoResponse { kappa: kappa.value, sigma: kappa.sigma }),
            Some(_) if self.pool.count() < LEAST_FRAMES => {
                reasons.push(Reason::TooFewFrames { usable: self.pool.count(), offered: self.offered, needed: LEAST_FRAMES });
            }
            Some(_) => {}
        }
        reasons.extend(self.refused.iter().map(|(count, fault)| Reason::Refused { count: *count, fault: *fault }));
    }

    /// Says in how many places distances would have to be measured, if they were in some and do not tell the scale: its variance falls
    /// with their number, but for the part that tau has in it.
    fn too_few_distances(&self, sigma: f64) -> Option<Reason> {
        let places = self.range.places() as f64 * (sigma / SCALE_LIMIT).powi(2) * TAU_PART;
        let few = !self.range.is_empty() && sigma.is_finite() && sigma > SCALE_LIMIT;
        few.then(|| Reason::TooFewDistances { sigma, limit: SCALE_LIMIT, places: places.ceil() as usize })
    }

    /// Refuses a shift that puts the farthest hundredth of most frames behind the camera.
    fn behind_camera(&self, tau: f64) -> Option<Reason> {
        let mut shares: Vec<f64> =
            self.pool.frames().iter().map(|f| -(f.lowest + tau) / (f.spread.mean + tau).abs().max(f64::MIN_POSITIVE)).collect();
        let share = crate::scene::median(&mut shares)?;
        (share > BEHIND).then_some(Reason::BehindCamera { tau, share })
    }
}

/// Whether an unknown is known; notes why not, if it is not.
fn within(what: &'static str, sigma: f64, limit: f64, reasons: &mut Vec<Reason>) -> bool {
    if sigma <= limit {
        return true;
    }
    reasons.push(if sigma.is_finite() { Reason::TooUncertain { what, sigma, limit } } else { Reason::NoCue { what } });
    false
}

/// Whether a network's response can be divided out.
#[must_use]
pub fn responds(kappa: Response) -> bool {
    kappa.value >= LEAST_RESPONSE && kappa.sigma <= DATA_LIMIT * kappa.value
}

/// Least response: below, what is divided out is mostly noise. It must also be known to [`DATA_LIMIT`], or no number of
/// frames tells tau that well.
const LEAST_RESPONSE: f64 = 0.3;

/// Runs that a frame takes: itself, the reference, and four views through each focal length.
const fn runs_with(focal_lengths: usize) -> usize {
    2 + 4 * focal_lengths
}

/// Sigma of ln f up to which one focal length is enough to render with.
const KNOWN: f64 = 0.05;

/// What is asked for beyond what the variance of the scale alone would take.
const TAU_PART: f64 = 1.25;

/// How far behind the camera, in units of the mean of `x + tau`, the farthest hundredth may seem before tau is refused.
const BEHIND: f64 = 0.05;

/// A network that counts how often it is asked.
struct Counted<'a> {
    model: &'a mut dyn DepthModel,
    runs: usize,
}

impl DepthModel for Counted<'_> {
    fn card(&self) -> &fathom_core::model::ModelCard {
        self.model.card()
    }

    fn predict(&mut self, image: &Frame<'_>) -> std::result::Result<fathom_core::model::Prediction, fathom_core::Error> {
        self.runs += 1;
        self.model.predict(image)
    }
}
