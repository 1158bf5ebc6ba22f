//! Resampling of a constant: position embeddings, which exporters leave as a cubic Resize of a weight. Positions and
//! weights of the samples are core's.

use fathom_core::ops::nn::Map;
use fathom_core::ops::nn::resize::{Resize, Taps};
use fathom_core::tensor::Tensor;

use crate::Result;
use crate::network::graph::{Coordinates, ResizeMode};

pub(super) fn resize(x: &Tensor, mode: ResizeMode, coordinates: Coordinates, scales: [f32; 2], shape: &[usize]) -> Result<Tensor> {
    let values = x.as_f32()?;
    let (&[.., height, width], &[.., out_height, out_width]) = (x.shape(), shape) else { return Ok(x.clone()) };
    let resize = Resize { input: Map { height, width, channels: 1 }, output: [out_height, out_width], mode, coordinates, scales };
    let count = resize.tap_count();
    let columns: Vec<Taps> = (0..out_width).map(|o| resize.taps(1, o)).collect();
    let mut resized = Vec::with_capacity(shape.iter().product());
    for plane in values.chunks_exact((height * width).max(1)) {
        for row in (0..out_height).map(|o| resize.taps(0, o)) {
            for column in &columns {
                let across = |y: usize| (0..count).map(|i| column.weight[i] * plane[y * width + column.at[i]]).sum::<f32>();
                resized.push((0..count).map(|j| row.weight[j] * across(row.at[j])).sum());
            }
        }
    }
    Ok(Tensor::f32(shape.to_vec(), resized)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_do_not_mix() {
        let x = Tensor::f32(vec![1, 2, 1, 3], vec![0.0, 1.0, 2.0, 6.0, 6.0, 6.0]).unwrap();
        let y = resize(&x, ResizeMode::Linear, Coordinates::AlignCorners, [1.0, 5.0 / 3.0], &[1, 2, 1, 5]).unwrap();
        assert_eq!(y.as_f32().unwrap(), [0.0, 0.5, 1.0, 1.5, 2.0, 6.0, 6.0, 6.0, 6.0, 6.0]);
    }
}
