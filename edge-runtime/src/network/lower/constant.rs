//! Constants: the reals they stand for and, if they were quantized, the integers in the file.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use fathom_core::quant::QuantParams;
use fathom_core::tensor::{Elements, Tensor};

use crate::{Error, Result};

/// A constant tensor. Quantized contents stay as the file has them: as floats they would take four times the memory.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    contents: Contents,
}

#[derive(Debug, Clone)]
enum Contents {
    /// Row-major.
    Reals(Vec<f32>),
    /// Floats of the graph.
    Shared(Arc<Tensor>),
    Levels(Levels),
}

/// Quantized contents, row-major: `real = scale (value - zero_point)`.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    pub(super) values: Arc<Tensor>,
    /// One, or one per index of `axis`.
    pub(super) scales: Vec<f32>,
    /// As many as scales.
    pub(super) zero_points: Vec<i32>,
    pub(super) axis: usize,
}

impl Constant {
    /// Of floats, as many as the shape holds.
    pub(super) const fn of_reals(shape: Vec<usize>, reals: Vec<f32>) -> Self {
        Self { shape, contents: Contents::Reals(reals) }
    }

    /// Of quantized values, as many as the shape holds.
    pub(super) const fn of_levels(shape: Vec<usize>, levels: Levels) -> Self {
        Self { shape, contents: Contents::Levels(levels) }
    }

    /// From a float or integer tensor.
    pub(super) fn from_tensor(tensor: &Arc<Tensor>) -> Self {
        let contents = match tensor.elements() {
            Elements::F32(_) => Contents::Shared(Arc::clone(tensor)),
            other => Contents::Reals(integers(other).into_iter().map(|i| i as f32).collect()),
        };
        Self { shape: tensor.shape().to_vec(), contents }
    }

    /// One value.
    pub(super) fn scalar(value: f32) -> Self {
        Self::of_reals(Vec::new(), vec![value])
    }

    /// Dequantizes; the scale has one element or one per index of `axis`.
    pub(super) fn dequantized(
        tensor: &Arc<Tensor>,
        scale: &Tensor,
        zero_point: Option<&Arc<Tensor>>,
        axis: usize,
        place: &str,
    ) -> Result<Rc<Self>> {
        let scales = scale.as_f32()?.to_vec();
        let zero_points = match zero_point {
            Some(zero) => integers(zero.elements()).into_iter().map(|z| z as i32).collect(),
            None => vec![0; scales.len()],
        };
        let channels = if scales.len() == 1 { 1 } else { tensor.shape().get(axis).copied().unwrap_or(0) };
        if scales.is_empty() || scales.len() != channels || zero_points.len() != scales.len() {
            let message =
                format!("{} scales and {} zero points for shape {:?}, axis {axis}", scales.len(), zero_points.len(), tensor.shape());
            return Err(Error::BadGraph { place: place.into(), message });
        }
        let levels = Levels { values: Arc::clone(tensor), scales, zero_points, axis };
        Ok(Rc::new(Self::of_levels(tensor.shape().to_vec(), levels)))
    }

    /// How many elements it has.
    pub(super) fn len(&self) -> usize {
        match &self.contents {
            Contents::Reals(reals) => reals.len(),
            Contents::Shared(tensor) => tensor.len(),
            Contents::Levels(levels) => levels.values.len(),
        }
    }

    /// The values, row-major.
    pub(super) fn reals(&self) -> Cow<'_, [f32]> {
        match &self.contents {
            Contents::Reals(reals) => Cow::Borrowed(reals),
            // Shared are floats only.
            Contents::Shared(tensor) => Cow::Borrowed(tensor.as_f32().unwrap_or_default()),
            Contents::Levels(levels) => {
                let real = |(i, channel)| levels.scales[channel] * (levels.value(i) - levels.zero_points[channel]) as f32;
                levels.channels(&self.shape).enumerate().map(real).collect()
            }
        }
    }

    /// The integers behind the values, if they were quantized.
    pub(super) const fn levels(&self) -> Option<&Levels> {
        match &self.contents {
            Contents::Reals(_) | Contents::Shared(_) => None,
            Contents::Levels(levels) => Some(levels),
        }
    }
}

impl Levels {
    /// The integer at row-major index `i`.
    pub(super) fn value(&self, i: usize) -> i32 {
        match self.values.elements() {
            Elements::I8(v) => v[i].into(),
            Elements::U8(v) => v[i].into(),
            Elements::I32(v) => v[i],
            Elements::I64(v) => v[i] as i32,
            Elements::F32(v) => v[i] as i32,
            Elements::Bool(v) => v[i].into(),
        }
    }

    /// For each element, row-major, which scale serves it.
    fn channels(&self, shape: &[usize]) -> impl Iterator<Item = usize> {
        let (extent, inner) = if self.scales.len() == 1 { (1, 1) } else { (shape[self.axis], shape[self.axis + 1..].iter().product()) };
        (0..self.values.len()).map(move |i| i / inner % extent)
    }

    /// Their own parameters, if one pair serves all.
    pub(super) fn per_tensor(&self) -> Option<QuantParams> {
        let (&[scale], &[zero_point]) = (&self.scales[..], &self.zero_points[..]) else { return None };
        let signed = zero_point < 0 || (0..self.values.len()).any(|i| self.value(i) < 0);
        QuantParams::new(scale, zero_point, signed).ok()
    }

    /// The integers less their zero points, if all fit a signed byte.
    pub(super) fn centred(&self, shape: &[usize]) -> Option<Vec<i8>> {
        let centred = |(i, channel): (usize, usize)| i8::try_from(self.value(i) - self.zero_points[channel]).ok();
        self.channels(shape).enumerate().map(centred).collect()
    }

    /// One scale per index of `axis`, if the scales run along it or there is but one.
    pub(super) fn scales_along(&self, axis: usize, extent: usize) -> Option<Vec<f32>> {
        match self.scales.len() {
            1 => Some(vec![self.scales[0]; extent]),
            _ if self.axis == axis => Some(self.scales.clone()),
            _ => None,
        }
    }
}

/// Any integer elements (or rounded floats) as `i64`.
pub(super) fn integers(elements: &Elements) -> Vec<i64> {
    match elements {
        Elements::F32(v) => v.iter().map(|&x| x as i64).collect(),
        Elements::I8(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::U8(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::I32(v) => v.iter().map(|&x| x.into()).collect(),
        Elements::I64(v) => v.clone(),
        Elements::Bool(v) => v.iter().map(|&x| x.into()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_channel_scales_follow_their_axis() {
        let tensor = Arc::new(Tensor::new(vec![2, 2], Elements::U8(vec![130, 126, 128, 255])).unwrap());
        let scale = Tensor::f32(vec![2], vec![1.0, 10.0]).unwrap();
        let zero = Arc::new(Tensor::new(vec![2], Elements::U8(vec![128, 127])).unwrap());
        let constant = Constant::dequantized(&tensor, &scale, Some(&zero), 1, "w").unwrap();
        assert_eq!(*constant.reals(), [2.0, -10.0, 0.0, 1280.0]);
        assert_eq!(constant.levels().unwrap().centred(&[2, 2]), None);
        assert!(Constant::dequantized(&tensor, &Tensor::f32(vec![3], vec![1.0; 3]).unwrap(), None, 1, "w").is_err());
    }
}
