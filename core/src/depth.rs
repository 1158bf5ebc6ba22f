//! Depth maps: what a network says ([`RelativeDepth`]), what a calibration makes of it ([`Depth`]), and points in space.
//!
//! A forgotten affine cannot compile: nothing turns a [`RelativeDepth`] into points or metres but a
//! [`Calibration`](crate::calibration::Calibration), and only `Depth<Metres>` can be written as metres.

use std::marker::PhantomData;

use crate::frame::Size;
use crate::{Error, Result};

/// What the numbers of a network mean, before any calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// `1 / d = s (x + tau)`: larger is nearer (MiDaS, Depth Anything, the embedded network).
    InverseDepth,
    /// `d = s (x + tau)`: larger is farther (LeReS, PyDNet++).
    Depth,
    /// `d = x` in metres, as the network claims.
    MetricDepth,
}

impl OutputKind {
    /// Name in model cards.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InverseDepth => "inverse-depth",
            Self::Depth => "depth",
            Self::MetricDepth => "metric-depth",
        }
    }
}

/// Raw network output at some image size: unitless, known up to an affine map. Every value is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct RelativeDepth {
    size: Size,
    kind: OutputKind,
    values: Vec<f32>,
}

impl RelativeDepth {
    /// Takes `[height, width]` values, row-major.
    ///
    /// # Errors
    /// [`Error::BadSize`], [`Error::Length`], or [`Error::OutOfRange`] naming the first value that is not finite.
    pub fn new(size: Size, kind: OutputKind, values: Vec<f32>) -> Result<Self> {
        size.checked()?;
        if values.len() != size.area() {
            return Err(Error::Length { what: "relative depth", got: values.len(), expected: size.area() });
        }
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            return Err(Error::OutOfRange { what: "relative depth", got: bad.to_string(), allowed: "finite" });
        }
        Ok(Self { size, kind, values })
    }

    /// Width and height.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// What the numbers mean.
    #[must_use]
    pub const fn kind(&self) -> OutputKind {
        self.kind
    }

    /// `[height, width]`, row-major.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

mod sealed {
    pub trait Unit {}
}

/// The unit of a [`Depth`]: [`Metres`] or [`UpToScale`].
pub trait Unit: sealed::Unit + Copy + std::fmt::Debug {
    /// Name in JSON and file metadata.
    const NAME: &'static str;
}

/// Depth along z in metres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metres;

/// Depth along z in an unknown but constant unit: shapes and ratios are right, sizes are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpToScale;

impl sealed::Unit for Metres {}
impl sealed::Unit for UpToScale {}
impl Unit for Metres {
    const NAME: &'static str = "metres";
}
impl Unit for UpToScale {
    const NAME: &'static str = "up-to-scale";
}

/// Depth along z, `[height, width]` row-major; 0 means "no depth here". Never NaN, never negative.
///
/// Relative depth does not become metres by itself:
/// ```compile_fail
/// use fathom_core::depth::{Depth, Metres, RelativeDepth};
/// fn forget(relative: RelativeDepth) -> Depth<Metres> { relative.into() }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Depth<U: Unit> {
    size: Size,
    values: Vec<f32>,
    unit: PhantomData<U>,
}

impl<U: Unit> Depth<U> {
    /// Takes `[height, width]` depths; values that are not finite or not positive become 0, "no depth here".
    ///
    /// # Errors
    /// [`Error::BadSize`] or [`Error::Length`].
    pub fn new(size: Size, mut values: Vec<f32>) -> Result<Self> {
        size.checked()?;
        if values.len() != size.area() {
            return Err(Error::Length { what: "depth", got: values.len(), expected: size.area() });
        }
        for value in &mut values {
            if !(value.is_finite() && *value > 0.0) {
                *value = 0.0;
            }
        }
        Ok(Self { size, values, unit: PhantomData })
    }

    /// Width and height.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// `[height, width]`, row-major; 0 = no depth.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Calibrated depth, in whichever unit the calibration supports.
#[derive(Debug, Clone, PartialEq)]
pub enum CalibratedDepth {
    /// Scale unknown.
    UpToScale(Depth<UpToScale>),
    /// Scale known.
    Metres(Depth<Metres>),
}

impl CalibratedDepth {
    /// `[height, width]`, row-major; 0 = no depth.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        match self {
            Self::UpToScale(depth) => depth.values(),
            Self::Metres(depth) => depth.values(),
        }
    }

    /// Width and height.
    #[must_use]
    pub const fn size(&self) -> Size {
        match self {
            Self::UpToScale(depth) => depth.size(),
            Self::Metres(depth) => depth.size(),
        }
    }

    /// Name of the unit: `metres` or `up-to-scale`.
    #[must_use]
    pub const fn unit_name(&self) -> &'static str {
        match self {
            Self::UpToScale(_) => UpToScale::NAME,
            Self::Metres(_) => Metres::NAME,
        }
    }
}

/// Points in the camera frame (x right, y down, z forward), with the colours of their pixels, in the depth's unit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PointCloud {
    /// Positions; pixels without depth are left out.
    pub points: Vec<[f32; 3]>,
    /// One colour per point.
    pub colours: Vec<[u8; 3]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_turns_what_is_not_a_distance_into_no_depth() {
        let depth = Depth::<Metres>::new(Size::new(5, 1), vec![1.0, f32::NAN, -1.0, f32::INFINITY, 0.0]).unwrap();
        assert_eq!(depth.values(), [1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn relative_depth_refuses_nan_by_value() {
        let error = RelativeDepth::new(Size::new(1, 1), OutputKind::Depth, vec![f32::NAN]).unwrap_err();
        assert!(error.to_string().contains("NaN"), "{error}");
    }
}
