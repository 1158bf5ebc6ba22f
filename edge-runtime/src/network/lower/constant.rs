//! Constants: the reals they stand for and, if they were quantized, the integers in the file.

use std::rc::Rc;

use fathom_core::tensor::{Elements, Tensor};

use crate::{Error, Result};

/// A constant tensor.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    /// The values, row-major.
    pub(super) real: Vec<f32>,
    /// The integers behind them.
    pub(super) levels: Option<Levels>,
}

/// Quantized contents: `real = scale (value - zero_point)`.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    pub(super) values: Vec<i32>,
    /// One, or one per index of `axis`.
    pub(super) scales: Vec<f32>,
    /// As many as scales.
    pub(super) zero_points: Vec<i32>,
    pub(super) axis: usize,
}

impl Constant {
    /// From a float or integer tensor.
    pub(super) fn from_tensor(tensor: &Tensor) -> Self {
        let real = match tensor.elements() {
            Elements::F32(v) => v.clone(),
            other => integers(other).into_iter().map(|i| i as f32).collect(),
        };
        Self { shape: tensor.shape().to_vec(), real, levels: None }
    }

    /// One value.
    pub(super) fn scalar(value: f32) -> Self {
        Self { shape: Vec::new(), real: vec![value], levels: None }
    }

    /// Dequantizes; the scale has one element or one per index of `axis`.
    pub(super) fn dequantized(tensor: &Tensor, scale: &Tensor, zero_point: Option<&Tensor>, axis: usize, place: &str) -> Result<Rc<Self>> {
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
        let values: Vec<i32> = integers(tensor.elements()).into_iter().map(|i| i as i32).collect();
        let levels = Levels { values, scales, zero_points, axis };
        let real = (0..levels.values.len())
            .map(|i| {
                let c = levels.channel(tensor.shape(), i);
                levels.scales[c] * (levels.values[i] - levels.zero_points[c]) as f32
            })
            .collect();
        Ok(Rc::new(Self { shape: tensor.shape().to_vec(), real, levels: Some(levels) }))
    }
}

impl Levels {
    /// Which scale serves the element at row-major index `i`.
    pub(super) fn channel(&self, shape: &[usize], i: usize) -> usize {
        if self.scales.len() == 1 {
            return 0;
        }
        let inner: usize = shape[self.axis + 1..].iter().product();
        i / inner % shape[self.axis]
    }

    /// The integers less their zero points, if all fit a signed byte.
    pub(super) fn centred(&self, shape: &[usize]) -> Option<Vec<i8>> {
        let centred = |(i, &value): (usize, &i32)| i8::try_from(value - self.zero_points[self.channel(shape, i)]).ok();
        self.values.iter().enumerate().map(centred).collect()
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
        let tensor = Tensor::new(vec![2, 2], Elements::U8(vec![130, 126, 128, 255])).unwrap();
        let scale = Tensor::f32(vec![2], vec![1.0, 10.0]).unwrap();
        let zero = Tensor::new(vec![2], Elements::U8(vec![128, 127])).unwrap();
        let constant = Constant::dequantized(&tensor, &scale, Some(&zero), 1, "w").unwrap();
        assert_eq!(constant.real, [2.0, -10.0, 0.0, 1280.0]);
        assert_eq!(constant.levels.as_ref().unwrap().centred(&[2, 2]), None);
        assert!(Constant::dequantized(&tensor, &Tensor::f32(vec![3], vec![1.0; 3]).unwrap(), None, 1, "w").is_err());
    }
}
