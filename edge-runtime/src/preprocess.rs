//! Frame to tensor: any camera format at any size, to what the network's card asks for.

use fathom_core::frame::Frame;
use fathom_core::model::ModelCard;
use fathom_core::ops::image::{normalise, resize};
use fathom_core::tensor::Tensor;

use crate::Result;

/// Converts, resamples and normalises one frame: `[1, 3, height, width]` f32 at the card's input size.
///
/// The whole frame is used: where its aspect is not the network's, it is stretched, and the depth map is stretched back by
/// [`crate::postprocess::at_frame_size`]. Beside the result this holds one row of the frame.
///
/// # Errors
/// [`crate::Error::Core`] if the card's input size is out of range.
pub fn preprocess(frame: &Frame<'_>, card: &ModelCard) -> Result<Tensor> {
    let pixels = resize::resize_frame(frame, card.input)?;
    Ok(normalise::normalise(&pixels, card.input, card)?)
}

#[cfg(test)]
mod tests {
    use fathom_core::depth::OutputKind;
    use fathom_core::frame::{PixelFormat, Size};
    use fathom_core::model::ChannelOrder;

    use super::*;

    #[test]
    fn black_and_white_frames_of_every_format_give_finite_tensors() {
        let card = ModelCard {
            channel_order: ChannelOrder::Bgr,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            ..ModelCard::new("test", Size::new(8, 6), OutputKind::InverseDepth)
        };
        for format in PixelFormat::ALL {
            for value in [0, 255] {
                let bytes = vec![value; format.row_bytes(34) * format.rows(18)];
                let tensor = preprocess(&Frame::packed(&bytes, Size::new(34, 18), format).unwrap(), &card).unwrap();
                assert_eq!(tensor.shape(), [1, 3, 6, 8]);
                assert!(tensor.as_f32().unwrap().iter().all(|v| v.is_finite() && v.abs() < 3.0), "{} {value}", format.name());
            }
        }
    }
}
