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
//! * [`track`]: after that, the scale of each frame of a video, from what consecutive frames both show and a range finder now and then.
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
//! * **Focal length by consistency alone** is searched, drawn and given no weight: over 20 cameras the least of the turned
//!   views' curve lay 0.54 from the true ln f and that of the two-way objective over orbits 0.38, the best constant 0.28
//!   and 0.30, rank correlation with the truth 0.12 and 0.09 (a network half trained; `-- focal MANIFEST.tsv`). A turn
//!   between real frames gives it to 1%, with a gyro or without (20 degrees, 320 pixels, grey noise of 2 levels); a prior
//!   of 10% stays one: with the field of view that the network reads its error is 6.7% in the median.
//! * **Kappa decides**, and training decides kappa. With the scale-and-shift-invariant loss alone every picture has its own
//!   affine: kappa 1.1 with a spread of 0.8 between cameras, by yaw 0.5 and by pitch 1.8. With one shift held for all
//!   frames, and one scale for a frame and its turned view, kappa is 0.91 +- 0.35 (18 held-out cameras), by yaw 1.1 and by
//!   pitch 0.8, 0.7 to 0.8 on photographs, and the best shift is the same on renders and photographs to a sixth of `tau +
//!   mean(x)`. It falls slowly with the angle (1.6, 1.3 and 1.15 at 5, 10 and 15 degrees for the first of the two
//!   networks).
//! * **A frame counts by its residual.** Where a turn explains what the network does (residual below a tenth of the
//!   output's spread) kappa was 0.97 with quartiles 0.75 and 1.28, where it does not anything from 0 to 2.5. Weights by the
//!   residual's inverse square gave a spread between cameras of 0.56, the plain median 0.67, weights by pixels 0.85 (85
//!   cameras, 5 frames each, a network half trained). Letting each view have a scale or an offset of its own did not help
//!   such a network.
//! * **The card's usual shift is strong**: it is a cue like any other, with its spread between cameras, but a camera counts as
//!   calibrated only where the frames alone tell tau to [`verdict::DATA_LIMIT`]; the cues' shares say how much rests on either.
//! * **Time**: 8 frames of 640 x 480 take 48 runs of the network with the focal length known and 176 (22 a frame) without, 0.7 to
//!   0.9 s and 2.3 to 3.2 s on two cores of an AVX2 machine, 87% to 89% and 89% to 90% of it in the network; less than 1 MB on top of the engine's memory. The
//!   faster the network, the smaller its share: on an AVX-512 machine, where it is three and a half times as fast, it had 77% and 79% before views were
//!   sampled in whole numbers and guards ordered less, which took a sixth off the rest.
//!   (`cargo bench -p fathom-tests --bench calibration -- boot MANIFEST.tsv`)
//! * **Frames have scales of their own.** With the default shift, the best scale of a frame lies 0.41 (one sigma of the logarithm)
//!   from its camera's, a pixel 0.15 from its frame's (100 held-out cameras). The card says so
//!   ([`fathom_core::model::ScaleSpread`]), the range cue weighs by it, and a scale that rests on too few places is refused with the
//!   number that would do. A distance measured in a frame moves that frame's own scale ([`anchors::frame_scale`]).
//! * **A place has one scale.** Along a video the scale changes slowly: one scale for all 20 frames of a camera that looks about costs 1.04
//!   times the error after scale only, and 1.02 where the changes that the overlap of frames shows ([`anchors::link`]) are followed.
//!   So distances measured where the robot hovers count as one for the camera's scale ([`anchors::place`]), however many they are.
//! * **One beam can not do better than its pixel.** At the beam the network errs as it does everywhere: a frame whose scale is set by one
//!   pixel has that pixel's error on top of all pixels' own, about the root of 2 of them, whatever the network (measured: 1.19 to
//!   1.36), unless the pixel is chosen. Only readings of different things average that out, and readings of one thing do not: [`track`]
//!   knows how far the beam travelled. A sensor of 8 x 8 zones has enough of them in each frame. Training for it brought depth that is 5%
//!   better after scale only and metres that are about as good, so a worse ratio of the two (`fixtures/train/REPORT.md`).
//! * **Some pixels are better than others**, and the map itself says which: level, near things in the middle of the picture
//!   ([`anchors::spot`]). A reading where it is asked for costs 1.10 in place of 1.37 on the held-out cameras and 1.09 in place of 1.45 on
//!   photographs, and readings elsewhere weigh by their place. What is claimed of the error at a pixel is found to a tenth over 86%
//!   of all pixels, from 0.45 to 1.2 times that of pixels in general, and to a sixth over the rest (`-- spots MANIFEST.tsv`).
//! * **What a spot is chosen for matters more than by what.** Spots of least error in ln s cost 1.12 on both, and on 1,600 frames of other
//!   scenes 1.11: the 4% of these frames that they left more than a third too far made 0.08 of the 0.11. Spots for the least AbsRel of the
//!   map lie a little nearer, err a little more and leave half as many frames too far by half: 1.07. By that measure boosted trees on nine
//!   properties of the map chose no better spots (1.08 to 1.09 on 1,200 of the frames, the rule of three terms 1.08), nor with gravity and
//!   the level surfaces that it shows (1.07 to 1.09). Taking a level surface's height from the reading, and the scale from all of the
//!   surface, is no better than the reading alone.
//! * **What places differ in is no shift.** Their scales go with how far they reach. With 20 distances in 20 places allowed to move tau,
//!   its truth lay within 1 and 2 sigma on 0.61 and 0.81 of the held-out cameras, and a reading where it was asked for then cost 1.18; with only
//!   points of one frame allowed to, 0.71 and 0.94, and 1.12. The price is one scale for all places: 2.19 times the error after scale only
//!   in place of 2.15, on photographs 1.17 in place of 1.11. A network whose frames share a scale, by its card, keeps the places' say
//!   ([`anchors::range`]).
//!
//! # What it reaches
//!
//! The embedded network (int8, on the CPU), 100 held-out cameras of 20 frames, each under a card measured on the half of them that it
//! is not in (`-- cross MANIFEST.tsv`), focal length known:
//!
//! | | median |
//! |---|---|
//! | accepted | 89 of 100 |
//! | AbsRel over that with each camera's own best shift: calibrated, card's default, frames without the card | 1.03, 1.03, 1.13 |
//! | gap closed from a start 40% low, high | 0.99, 0.80 |
//! | truths within 1 and 2 sigma of tau | 0.74, 0.97 |
//! | error of the focal length: prior of 10%, turn of 20 degrees | 5.8%, 0.1% |
//! | the same from the field of view of single images, 30 to 110 degrees (72% within its sigma); always 55, 60 degrees | 21%; 30%, 29% |
//! | AbsRel in metres over that after scale only, frames of 10 places: one range point in all, one a frame joined | 2.4, 2.2 |
//! | the same, each frame moved by its own point; by one where it is asked for | 1.37; 1.10 |
//! | truths within 1 and 2 sigma of a frame's ln s by the point that is asked for, sigma 0.15 | 0.67, 0.83 |
//! | truths within 1 and 2 sigma of ln s by one point in all, sigma 0.48 | 0.62, 0.91 |
//!
//! So the card does most of it, and the frames alone would do worse: what calibrating adds is the check that this camera is
//! no exception, and an honest sigma. On photographs (`eval-dev`, the cameras with three frames or more; AbsRel after scale only,
//! default, calibrated, best): KITTI 0.379, 0.380, 0.373; SUN3D 0.177, 0.174, 0.171; 7-Scenes 0.151, 0.152, 0.150; YCB-V
//! refused (fewer than 3 frames of 33 degrees usable). Gap closed 0.98 and 0.89; metres by one range point 1.18 times the error
//! after scale only, by one a frame 1.17, moved by the frame's own where it is asked for 1.09. PyDNet++ has a kappa of -0.8 there and is
//! refused on all.
//!
//! # Metres along a video
//!
//! 100 held-out cameras of 20 frames, each a path of 15 to 45 degrees and up to a quarter of the median depth (`python -m render clips`),
//! each with up to 3 beams in the middle half of the frame (290 in all), true to 1%; tau from calibrating on the frames, focal length
//! known. AbsRel in metres, without any alignment, over that with the best scale of each frame (`-- video MANIFEST.tsv`):
//!
//! | metres by | median of the cameras' ratios | ratio of the medians |
//! |---|---|---|
//! | the first frame's reading, for all | 1.41 | 1.57 |
//! | the same, carried from frame to frame | 1.24 | 1.42 |
//! | each frame's own reading | 1.19 | 1.29 |
//! | readings of all frames so far ([`track::ScaleTrack::add`]) | 1.12 | 1.20 |
//! | the same, looking back ([`track::ScaleTrack::looking_back`]) | 1.08 | 1.13 |
//! | where it is asked for ([`anchors::spot`]): the first frame's reading, carried | 1.14 | 1.35 |
//! | where it is asked for: each frame's own reading | 1.08 | 1.19 |
//! | where it is asked for: readings of all frames so far | 1.07 | 1.14 |
//! | where it is asked for: looking back | 1.06 | 1.11 |
//! | each frame's own 8 x 8 readings | 1.03 | 1.04 |
//! | for comparison: the best one scale, carried | 1.02 | 1.05 |
//!
//! Truths within 1 and 2 sigma of ln s: 0.68 and 0.86, and 0.62 and 0.78 where asked for; 99% of the pairs of frames are linked. The three
//! constants that say how errors and scales wander were chosen on these same videos: on others expect a little less. In the program:
//! `fathom depth --video`, and `--look-back`.
//!
//! So, in the median over cameras, one range point in each frame brings metres to within a tenth at once where it is taken at the pixel
//! that is asked for, and one fixed beam does once the video is looked back on; 8 x 8 zones at once and with ease. One single reading
//! that is carried to other places does not. Training for one scale a camera, in the time there was, brought the spread from 0.44 to 0.39
//! and cost accuracy (`fixtures/train/REPORT.md`).

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
pub mod track;
pub mod verdict;
pub mod views;

pub use error::{Error, Result};
