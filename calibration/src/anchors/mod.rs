//! Cues from outside the network: each adds residual rows about the same theta ([`crate::information::Cue`]).
//!
//! | module | needs | tells |
//! |---|---|---|
//! | [`range`] | distances at pixels | s; with two of one frame at different x also tau |
//! | [`frame_scale`] | distances in the frame at hand | s of that frame |
//! | [`link`] | two frames that see the same things | how s differs between them |
//! | [`spot`] | a frame | where a distance tells its s best |
//! | [`place`] | two frames with distances | whether they tell the same s |
//! | [`floor`] | gravity, a floor in view, camera height | f and tau from pitch; s from height |
//! | [`turn`] | two frames of a turning camera, with or without its angle | f |
//! | [`motion`] | two frames of a moving camera, with or without its baseline | tau, f; s from the baseline |
//! | [`perspective`] | a network with a field-of-view output | f |
//! | [`prior`] | a data sheet, EXIF, a board profile; the model card | f; tau |

pub mod align;
pub mod floor;
pub mod frame_scale;
pub mod link;
pub mod motion;
pub mod perspective;
pub mod place;
pub mod prior;
pub mod range;
pub mod spot;
pub mod turn;
