//! Pixels to a network's input: channel order, mean and deviation of its card, planes instead of pixels.

use crate::frame::Size;
use crate::model::{ChannelOrder, ModelCard};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// `(value / 255 - mean[c]) / std[c]` for each channel `c` in the card's order, as `[1, 3, height, width]` f32.
///
/// * `rgb`: `[height, width]` pixels of red, green, blue in `0..=255`, of the card's input size.
///
/// # Errors
/// [`Error::Length`] unless `rgb` holds `size.area()` pixels; [`Error::Shape`] unless `size` is the card's input size.
pub fn normalise(rgb: &[[f32; 3]], size: Size, card: &ModelCard) -> Result<Tensor> {
    let extents = |size: Size| vec![size.height as usize, size.width as usize];
    if size != card.input {
        return Err(Error::Shape { what: "normalise: image", got: extents(size), expected: extents(card.input) });
    }
    if rgb.len() != size.area() {
        return Err(Error::Length { what: "normalise: pixels", got: rgb.len(), expected: size.area() });
    }
    let source = match card.channel_order {
        ChannelOrder::Rgb => [0, 1, 2],
        ChannelOrder::Bgr => [2, 1, 0],
    };
    let mut planes = Vec::with_capacity(3 * rgb.len());
    for (c, from) in source.into_iter().enumerate() {
        planes.extend(rgb.iter().map(|pixel| normalised(pixel[from], card, c)));
    }
    Tensor::f32([vec![1, 3], extents(size)].concat(), planes)
}

/// `(shade / 255 - mean[c]) / std[c]` for channel `c` in the card's order.
///
/// # Panics
/// If `c` is not below 3.
#[must_use]
pub fn normalised(shade: f32, card: &ModelCard, c: usize) -> f32 {
    (shade / 255.0 - card.mean[c]) / card.std[c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::OutputKind;

    fn card(channel_order: ChannelOrder) -> ModelCard {
        ModelCard {
            channel_order,
            mean: [0.5, 0.0, 0.25],
            std: [0.5, 1.0, 0.25],
            ..ModelCard::new("test", Size::new(2, 1), OutputKind::InverseDepth)
        }
    }

    #[test]
    fn mean_and_deviation_belong_to_the_networks_own_channel_order() {
        let pixels = [[255.0, 0.0, 127.5], [0.0, 255.0, 255.0]];
        let rgb = normalise(&pixels, Size::new(2, 1), &card(ChannelOrder::Rgb)).unwrap();
        assert_eq!(rgb.shape(), [1, 3, 1, 2]);
        assert_eq!(rgb.as_f32().unwrap(), [1.0, -1.0, 0.0, 1.0, 1.0, 3.0]);
        let bgr = normalise(&pixels, Size::new(2, 1), &card(ChannelOrder::Bgr)).unwrap();
        assert_eq!(bgr.as_f32().unwrap(), [0.0, 1.0, 0.0, 1.0, 3.0, -1.0]);
    }

    #[test]
    fn an_image_of_another_size_than_the_cards_is_refused_by_name() {
        let error = normalise(&[[0.0; 3]; 2], Size::new(1, 2), &card(ChannelOrder::Rgb)).unwrap_err();
        assert_eq!(error.to_string(), "normalise: image: shape [2, 1] does not fit [1, 2]");
    }
}
