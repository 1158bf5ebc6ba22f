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
//! * Turned views through an exact network reproduce the table of the design (yaw 10 degrees, tau off by 10% and 50%:
//!   0.015 and 0.073 of the output's spread; sideways steps: 0), `tests/suite/calibration.rs`.
//! * What is read from turned views through a focal length that is off by k moves as k^2: `tau + mean(x)` inherits twice the
//!   relative error of the focal length. Tau and ln f are therefore solved for jointly, and a loose focal length shows in
//!   tau's sigma.

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
