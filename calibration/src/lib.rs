//! Scale, shift and focal length of a frozen depth network, found on the board, with error bars.
//!
//! A frozen network's output is depth or inverse depth up to a scale and a shift, and it does not say through which lens it
//! looks: `1/d = s (x + tau)` or `d = s (x + tau)`, `theta = (ln s, tau, ln f)`, one theta per camera and network. This crate
//! finds theta from the camera's own frames and from whatever else the robot knows, and says how well.
//!
//! ```text
//! frame -> scene -> views -> render -> network -> consistency --+
//!                     anchors: range, floor, turn, motion, ... --+-> information -> solve -> verdict -> store
//! ```
//!
//! * [`calibrator`] holds the run: frames in, an [`verdict::Outcome`] out, at any time.
//! * [`scene`], [`views`], [`render`]: virtual views of a frame. [`consistency`]: what the network's answers to them say.
//! * [`anchors`]: every other cue, behind one interface ([`information::Cue`]). [`solve`] joins them all.
//! * [`verdict`]: what is known, what is not, and why. [`report`]: the numbers behind it.
//! * [`store`], [`boot`]: calibrations on disk, and what a board does with them when it starts.
//!
//! The network is behind [`fathom_core::model::DepthModel`]; this crate knows no executor, and no clock: budgets come with
//! one. Only [`store`] touches files.
//!
//! # What was found
//!
//! * **Observability.** An exact network reproduces the table of the design, residual over the output's spread for tau off
//!   by 10%, 50% and for k = 1.1: yaw 10 degrees .015 .074 .011, yaw 25 .024 .120 .064, orbit 15 .026 .134 .024, orbit 35
//!   .063 .339 .115, sideways .0014 throughout, which is resampling (`tests/suite/calibration.rs`).
//! * **Focal length bends tau.** What is read from turned views through a focal length that is off by k moves as k^2, so
//!   `tau + mean(x)` inherits twice the relative error of the focal length. Tau and ln f are solved for jointly, and a loose
//!   focal length shows in tau's sigma.
//! * **Focal length from turned views alone** is not trusted: the loss over focal length is drawn, and carries no weight.
//!   A turn between real frames gives it to 1%, with a gyro or without (20 degrees, 320 pixels, grey noise of 2 levels).
//! * **Kappa decides.** A network trained with the scale-and-shift-invariant loss alone gives every picture its own affine.
//!   Over 40 held-out cameras its kappa was 1.3 with a spread of 0.9 between cameras (tabletops near 0, streets near 3), and
//!   fitting the affine of each view as well did not help: such a network is refused here, as is PyDNet++ (kappa below 0 on
//!   real frames). What helps is training with consistency under rotation.
//! * **The card's usual shift is strong**: for that network the one best shift over all cameras costs 5% of AbsRel against
//!   each camera's own best. It is a cue like any other, with its spread between cameras, and only counts where the
//!   frames alone tell tau to [`verdict::DATA_LIMIT`].

pub mod anchors;
pub mod boot;
pub mod calibrator;
pub mod consistency;
pub mod error;
pub mod information;
pub mod render;
pub mod report;
pub mod scene;
pub mod solve;
pub mod store;
pub mod theta;
pub mod verdict;
pub mod views;

pub use error::{Error, Result};
