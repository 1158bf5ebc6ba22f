//! Camera frames on their way in, depth on its way out.

use std::sync::Arc;

use fathom_core::depth::OutputKind;
use fathom_core::frame::{Frame, PixelFormat, Size};
use fathom_core::model::{ChannelOrder, ModelCard};
use fathom_core::ops::image::{affine::affine, normalise::normalise, resize::resize_frame};
use fathom_core::ops::nn::pitch;
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
use fathom_gpu::image::affine::{self as launch_affine, Affine};
use fathom_gpu::image::preprocess::{self, FrameForm};
use fathom_gpu::nn::{Lay, Operand};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::device::{bytes_of, close, equal, on, reals, run, run_plain};
use crate::noise::Noise;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    let mut cases: Vec<Case> = PixelFormat::ALL
        .into_iter()
        .map(|format| {
            let name = format!("frames of {} become a network's bytes exactly, and its floats closely", format.name());
            on(gpu, name, move |gpu| {
                // One pixel, growing, shrinking far, odd ratios; the formats that share chroma want even sizes.
                for ((width, height), (to_width, to_height)) in
                    [((2, 2), (5, 3)), ((34, 18), (8, 6)), ((16, 10), (16, 10)), ((150, 94), (33, 47)), ((6, 4), (65, 9))]
                {
                    let sizes = [Size::new(width, height), Size::new(to_width, to_height)];
                    check(gpu, format, sizes, ChannelOrder::Rgb, Some(QuantParams::new(0.0186, 114, false).unwrap()));
                    check(gpu, format, sizes, ChannelOrder::Bgr, Some(QuantParams::new(0.02, -3, true).unwrap()));
                    check(gpu, format, sizes, ChannelOrder::Bgr, None);
                }
            })
        })
        .collect();
    cases.push(on(gpu, "black and white frames reach the ends of a byte and no further", |gpu| {
        for shade in [0, 255] {
            let size = Size::new(40, 30);
            let bytes = vec![shade; size.area()];
            let frame = Frame::packed(&bytes, size, PixelFormat::Gray8).unwrap();
            let quant = QuantParams::new(0.01, 128, false).unwrap();
            compare(gpu, &frame, &card(Size::new(7, 9), ChannelOrder::Rgb), Some(quant));
        }
    }));
    cases.push(on(gpu, "depth leaves without padding, with its affine map", check_affine));
    cases
}

fn card(input: Size, channel_order: ChannelOrder) -> ModelCard {
    ModelCard {
        channel_order,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        ..ModelCard::new("test", input, OutputKind::InverseDepth)
    }
}

fn check(gpu: &Gpu, format: PixelFormat, [size, to]: [Size; 2], order: ChannelOrder, quant: Option<QuantParams>) {
    let mut noise = Noise::new(u64::from(size.width * 31 + to.width));
    // The camera's own padding between rows holds noise too.
    let stride = format.row_bytes(size.width) + 5;
    let bytes = noise.bytes(stride * format.rows(size.height));
    compare(gpu, &Frame::new(&bytes, size, format, stride).unwrap(), &card(to, order), quant);
}

fn compare(gpu: &Gpu, frame: &Frame<'_>, card: &ModelCard, quant: Option<QuantParams>) {
    let planes = normalise(&resize_frame(frame, card.input).unwrap(), card.input, card).unwrap();
    let (planes, area) = (planes.as_f32().unwrap(), card.input.area());
    let lay = Lay { start: 8, pitch: if quant.is_some() { 2 } else { 8 } };
    let form = FrameForm::of(frame);
    let mut prepared = preprocess::prepare(form, card, quant, lay, [8, 4]);
    let mut packed = vec![0xaa; form.bytes()];
    preprocess::pieces(frame).for_each(|(at, row)| packed[at..at + row.len()].copy_from_slice(row));
    prepared.constants.insert(0, packed);
    let result = run(gpu, &prepared, &[vec![0xaa; 4 * (8 + area * lay.pitch as usize)]]);
    let pixel = |i: usize, words: usize| &result[4 * (8 + i * lay.pitch as usize)..][..4 * words];
    for i in 0..area {
        let reals = [0, 1, 2].map(|c| planes[c * area + i]);
        match quant {
            Some(quant) => {
                let [a, b, c] = reals.map(|real| quant.quantize(real) as u8);
                assert_eq!(pixel(i, 1), [a, b, c, 0], "{form:?} to {}, pixel {i}", card.input);
            }
            None => close(pixel(i, 4), &[reals[0], reals[1], reals[2], 0.0], preprocess::KERNEL.tolerance),
        }
    }
}

fn check_affine(gpu: &Gpu) {
    let mut noise = Noise::new(3);
    for (rows, channels) in [(1, 1), (7, 1), (64, 1), (65, 3), (5, 13), (3000, 1)] {
        for quant in [None, Some(QuantParams::new(0.05, 7, false).unwrap()), Some(QuantParams::new(0.05, -7, true).unwrap())] {
            let operand = Operand { start: 4, ..Operand::whole(channels, quant) };
            let held = 4 + rows * pitch(channels);
            let (memory, values) = match &quant {
                None => {
                    let values = noise.floats(held, -2.0, 2.0);
                    (bytes_of(&values), values)
                }
                Some(quant) => {
                    let bytes = noise.bytes(held);
                    let values = reals(&bytes, quant);
                    (bytes, values)
                }
            };
            let dense: Vec<f32> = (0..rows).flat_map(|row| values[4 + row * pitch(channels)..][..channels].to_vec()).collect();
            let landing = vec![0; 4 * dense.len()];
            let unchanged = launch_affine::prepare(Affine::IDENTITY, rows, channels, &operand);
            equal(&run_plain(gpu, unchanged, &[memory.clone(), landing.clone()]), &bytes_of(&dense));
            let map = Affine { scale: 1.75, shift: -0.3 };
            let mapped = launch_affine::prepare(map, rows, channels, &operand);
            let got = run_plain(gpu, mapped, &[memory, landing]);
            close(&got, &affine(&dense, map.scale, map.shift), launch_affine::KERNEL.tolerance);
        }
    }
}
