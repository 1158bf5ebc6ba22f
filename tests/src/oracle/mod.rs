//! A world in which calibration can be checked: ray-traced rooms, and a network that perceives any valid picture exactly.
//!
//! [`room`] holds the geometry and paints every surface point in a colour that says where it is; [`resection`] finds the
//! projective camera that took a picture from such colours; [`model`] joins them to a `DepthModel` that looks at nothing
//! but the picture it is given.

pub mod model;
pub mod resection;
pub mod room;
