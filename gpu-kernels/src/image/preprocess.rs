//! Camera frame to network input in one launch.

use fathom_core::frame::{Frame, PixelFormat, Size};
use fathom_core::model::{ChannelOrder, ModelCard};
use fathom_core::ops::image::normalise::normalised;
use fathom_core::ops::image::resize::{COLUMNS_ONE, PIXEL_STEPS, ROWS_ONE};
use fathom_core::ops::image::taps::Taps;
use fathom_core::quant::QuantParams;

use crate::kernel::{Access, Kernel, Launch, Tolerance};
use crate::layout_of;
use crate::nn::{Lay, Prepared};

/// Mirrors `struct Params` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    frame: [u32; 2],
    output: [u32; 2],
    row_words: u32,
    rows_start: u32,
    target_start: u32,
    target_pitch: u32,
    mean: [f32; 3],
    origin_x: u32,
    deviation: [f32; 3],
    origin_y: u32,
}

/// The kernel. Its first binding is the frame, as [`pieces`] lay it out.
pub const KERNEL: Kernel = Kernel {
    name: "image/preprocess",
    wgsl: include_str!("preprocess.wgsl"),
    params: layout_of!(Params { frame, output, row_words, rows_start, target_start, target_pitch, mean, origin_x, deviation, origin_y }),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::ReadWrite],
    needs: &[],
    // Bytes are exact. Floats: three divisions of 2.5 ULP and a difference whose operands are of the size of 1 / std.
    tolerance: Tolerance { abs: 4e-6, rel: 1e-6 },
};

/// What frames have in common for which one launch serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameForm {
    /// Width and height.
    pub size: Size,
    /// Pixel format.
    pub format: PixelFormat,
}

impl FrameForm {
    /// That of a frame.
    #[must_use]
    pub const fn of(frame: &Frame<'_>) -> Self {
        Self { size: frame.size(), format: frame.format() }
    }

    /// Words from one row to the next as [`pieces`] lay them out.
    const fn row_words(&self) -> usize {
        self.format.row_bytes(self.size.width).div_ceil(4)
    }

    /// Bytes of a frame as [`pieces`] lay it out.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        4 * self.row_words() * self.format.rows(self.size.height)
    }
}

/// A frame for upload, row by row with the byte at which each belongs: at whole words, without the camera's own padding.
pub fn pieces<'f>(frame: &Frame<'f>) -> impl Iterator<Item = (usize, &'f [u8])> {
    let (frame, form) = (*frame, FrameForm::of(frame));
    (0..form.format.rows(form.size.height)).map(move |y| (4 * form.row_words() * y, frame.row(y)))
}

/// The launch, and the contents of taps and thresholds; the frame, which is the first binding, is none of the constants.
///
/// * `quant`: what bytes of the network's input mean; `None` if it takes floats.
/// * `target`: where the input lies, words; a pixel is one word of bytes or four floats.
#[must_use]
pub fn prepare(form: FrameForm, card: &ModelCard, quant: Option<QuantParams>, target: Lay, workgroup: [u32; 2]) -> Prepared {
    let (from, to) = (form.size, card.input);
    let columns = entries(&Taps::whole(from.width, to.width, COLUMNS_ONE), 0);
    let rows_start = columns.len();
    let taps = [columns, entries(&Taps::whole(from.height, to.height, ROWS_ONE), rows_start)].concat();
    let thresholds = quant.map_or_else(Vec::new, |quant| (0..3).flat_map(|c| thresholds(card, quant, c)).collect());
    let params = Params {
        frame: [from.height, from.width],
        output: [to.height, to.width],
        row_words: form.row_words() as u32,
        rows_start: rows_start as u32,
        target_start: target.start,
        target_pitch: target.pitch,
        mean: card.mean,
        origin_x: 0,
        deviation: card.std,
        origin_y: 0,
    };
    let constants: Vec<Vec<u8>> = [taps, thresholds].iter().map(|words| bytemuck::cast_slice(words).to_vec()).collect();
    let words = if quant.is_some() { 1 } else { 4 };
    let bytes = vec![form.bytes() as u64, constants[0].len() as u64, constants[1].len() as u64, target.binding_bytes(to.area(), words)];
    let workgroups = [to.width.div_ceil(workgroup[0]), to.height.div_ceil(workgroup[1]), 1];
    // A pixel of the frame counts once for each output that it reaches: about four in all when shrinking.
    let work = 4 * from.area().max(to.area()) as u64;
    let launch = Launch::new(&KERNEL, &params, workgroups, bytes, work)
        .with("WG_X", workgroup[0])
        .with("WG_Y", workgroup[1])
        .with("FORMAT", code(form.format))
        .with("BLUE_FIRST", u8::from(card.channel_order == ChannelOrder::Bgr))
        .with("TARGET", quant.map_or(0, |quant| 1 + u8::from(quant.signed)));
    Prepared { launch, constants }
}

/// Value of the constant `FORMAT`.
const fn code(format: PixelFormat) -> u8 {
    match format {
        PixelFormat::Rgb8 => 0,
        PixelFormat::Bgr8 => 1,
        PixelFormat::Rgba8 => 2,
        PixelFormat::Gray8 => 3,
        PixelFormat::Nv12 => 4,
        PixelFormat::Yuyv => 5,
    }
}

/// `[first input, start, end of the weights]` of each output, then the weights; starts count from `before` words earlier.
fn entries(taps: &Taps<u32>, before: usize) -> Vec<u32> {
    let mut words = Vec::new();
    let mut next = before + 3 * taps.len();
    for o in 0..taps.len() {
        let end = next + taps.weights(o).len();
        words.extend([taps.first(o) as u32, next as u32, end as u32]);
        next = end;
    }
    words.extend((0..taps.len()).flat_map(|o| taps.weights(o)));
    words
}

/// For each byte in order the least shade, in steps of one over [`PIXEL_STEPS`], that the definition turns into it or a larger
/// one; `u32::MAX` where none does.
fn thresholds(card: &ModelCard, quant: QuantParams, channel: usize) -> Vec<u32> {
    let largest = 255 * PIXEL_STEPS;
    let byte = |shade: u32| quant.quantize(normalised(shade as f32 / PIXEL_STEPS as f32, card, channel));
    let least = |wanted: i32| {
        // The byte does not fall as the shade rises: the deviation is positive.
        let (mut low, mut high) = (0, largest + 1);
        while low < high {
            let middle = (low + high) / 2;
            if byte(middle) >= wanted { high = middle } else { low = middle + 1 }
        }
        if low > largest { u32::MAX } else { low }
    };
    (quant.low()..=quant.high()).map(least).collect()
}

#[cfg(test)]
mod tests {
    use fathom_core::depth::OutputKind;

    use super::*;

    fn card() -> ModelCard {
        ModelCard { mean: [0.485, 0.0, 0.406], std: [0.229, 1.0, 0.225], ..ModelCard::new("test", Size::new(4, 3), OutputKind::Depth) }
    }

    #[test]
    fn thresholds_are_where_the_definition_steps_to_the_next_byte() {
        for quant in [QuantParams::new(0.018, 114, false).unwrap(), QuantParams::new(0.003, -100, true).unwrap()] {
            for channel in 0..3 {
                let thresholds = thresholds(&card(), quant, channel);
                assert_eq!((thresholds.len(), thresholds[0]), (256, 0));
                assert!(thresholds.is_sorted());
                for (i, &shade) in thresholds.iter().enumerate().filter(|(_, shade)| (1..u32::MAX).contains(*shade)) {
                    let byte = |shade: u32| quant.quantize(normalised(shade as f32 / PIXEL_STEPS as f32, &card(), channel));
                    let wanted = quant.low() + i as i32;
                    assert!(byte(shade) >= wanted && byte(shade - 1) < wanted, "byte {wanted} from {shade}");
                }
            }
        }
    }

    #[test]
    fn pieces_leave_out_the_cameras_padding_and_begin_at_whole_words() {
        let bytes: Vec<u8> = (0..24).collect();
        let frame = Frame::new(&bytes, Size::new(5, 2), PixelFormat::Gray8, 12).unwrap();
        assert_eq!(FrameForm::of(&frame).bytes(), 16);
        assert_eq!(pieces(&frame).collect::<Vec<_>>(), [(0, &[0, 1, 2, 3, 4][..]), (8, &[12, 13, 14, 15, 16])]);
    }
}
