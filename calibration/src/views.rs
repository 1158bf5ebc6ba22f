//! Virtual views: where the camera is put to ask the network the same question again.
//!
//! Rotations of 8 to 12 degrees, yaw and pitch, both signs, show tau to first order and need no geometry. Orbits of 25 to
//! 40 degrees about the median depth show it too, and focal length to second order. Sideways steps show nothing and are
//! here for the ablation only. Both signs of every turn: a drift of the network's output with the side it looks at cancels.

use fathom_core::camera::Pose;
use nalgebra::{Translation3, UnitQuaternion, Vector3};

/// What kind of motion leads to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Motion {
    /// About the optical centre.
    Rotation,
    /// About the point at the median depth on the optical axis, looking at it.
    Orbit,
    /// To the side. Carries no information.
    Sideways,
    /// Along the optical axis.
    Forward,
}

/// One virtual view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Kind of motion.
    pub motion: Motion,
    /// Takes points of the frame's camera to the view's camera; translations in units of depth with `s = 1`.
    pub view_from_frame: Pose,
}

/// Angle of the rotations that tau is read from, radians: 10 degrees.
pub const ROTATION_RAD: f64 = 10.0 * std::f64::consts::PI / 180.0;

/// Angle of the orbits, radians: 25 degrees.
pub const ORBIT_RAD: f64 = 25.0 * std::f64::consts::PI / 180.0;

/// Yaw and pitch by `angle_rad`, both signs.
#[must_use]
pub fn rotations(angle_rad: f64) -> [View; 4] {
    turns(angle_rad)
        .map(|rotation| View { motion: Motion::Rotation, view_from_frame: Pose::from_parts(Translation3::identity(), rotation) })
}

/// Orbits by `angle_rad` about the point `pivot_depth` ahead, to all four sides.
#[must_use]
pub fn orbits(angle_rad: f64, pivot_depth: f64) -> [View; 4] {
    let pivot = Vector3::new(0.0, 0.0, pivot_depth);
    turns(angle_rad).map(|rotation| View {
        motion: Motion::Orbit,
        view_from_frame: Pose::from_parts(Translation3::from(pivot - rotation * pivot), rotation),
    })
}

/// The frame's own view, through the same renderer: the noise floor.
#[must_use]
pub fn identity() -> View {
    View { motion: Motion::Rotation, view_from_frame: Pose::identity() }
}

/// Steps of `step` to the left and to the right.
#[must_use]
pub fn sideways(step: f64) -> [View; 2] {
    [-step, step].map(|x| View { motion: Motion::Sideways, view_from_frame: Pose::translation(x, 0.0, 0.0) })
}

/// Steps of `step` back and forth.
#[must_use]
pub fn forward(step: f64) -> [View; 2] {
    [-step, step].map(|z| View { motion: Motion::Forward, view_from_frame: Pose::translation(0.0, 0.0, z) })
}

fn turns(angle_rad: f64) -> [UnitQuaternion<f64>; 4] {
    let turn = |axis: Vector3<f64>| UnitQuaternion::from_scaled_axis(axis * angle_rad);
    [turn(Vector3::y()), turn(-Vector3::y()), turn(Vector3::x()), turn(-Vector3::x())]
}

#[cfg(test)]
mod tests {
    use nalgebra::Point3;

    use super::*;

    #[test]
    fn an_orbit_keeps_its_pivot_in_place() {
        for view in orbits(0.5, 3.0) {
            let pivot = view.view_from_frame * Point3::new(0.0, 0.0, 3.0);
            assert!((pivot - Point3::new(0.0, 0.0, 3.0)).norm() < 1e-12);
        }
    }

    #[test]
    fn opposite_turns_undo_each_other() {
        let [a, b, c, d] = rotations(ROTATION_RAD).map(|v| v.view_from_frame);
        assert!((a * b).rotation.angle() < 1e-12 && (c * d).rotation.angle() < 1e-12);
    }
}
