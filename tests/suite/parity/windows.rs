//! Pooling and resampling.

use std::sync::Arc;

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::pool::{Pool, Pooling, max_pool_bytes, pool_f32};
use fathom_core::ops::nn::resize::{Coordinates, NearestRounding, Resize, ResizeMode, resize_f32, resize_nearest_bytes};
use fathom_core::ops::nn::{Map, Window};
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
use fathom_gpu::nn::{Operand, pool, resize};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::device::{bytes_of, clear_padding, close, equal, on, quantized, reals, run, run_plain, within_a_step};
use crate::noise::Noise;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "pool agrees with its twin on floats", |gpu| pools().iter().for_each(|op| check_pool(gpu, op))),
        on(gpu, "pool finds the largest byte exactly, its mean within a step", |gpu| {
            pools().iter().for_each(|op| check_pool_bytes(gpu, op))
        }),
        on(gpu, "resize agrees with its twin in every mode and convention", |gpu| resizes().iter().for_each(|op| check_resize(gpu, op))),
        on(gpu, "resize chooses nearest bytes exactly, interpolates within a step", |gpu| {
            resizes().iter().for_each(|op| check_resize_bytes(gpu, op));
        }),
    ]
}

fn pools() -> Vec<Pool> {
    let window = |kernel: usize, stride: usize, pad: usize| Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1, 1],
        pad_before: [pad; 2],
        pad_after: [pad; 2],
    };
    let kinds = [Pooling::Max, Pooling::Average { count_include_pad: false }, Pooling::Average { count_include_pad: true }];
    let sizes = [(window(3, 2, 1), [7, 9], [4, 5]), (window(2, 2, 0), [5, 6], [3, 3]), (window(1, 1, 0), [1, 1], [1, 1])];
    let of = |(window, [height, width], output): (Window, [usize; 2], [usize; 2]), pooling| Pool {
        input: Map { height, width, channels: 5 },
        output,
        window,
        pooling,
    };
    sizes.into_iter().flat_map(|size| kinds.map(|kind| of(size, kind))).collect()
}

fn check_pool(gpu: &Gpu, op: &Pool) {
    let input = Noise::new(6).floats(op.input.len(), -4.0, 4.0);
    let expected = pool_f32(op, &input).unwrap();
    let operand = Operand::whole(op.input.channels, None);
    let launch = pool::prepare(op, &operand, &operand);
    close(&run_plain(gpu, launch, &[bytes_of(&input), vec![0; 4 * expected.len()]]), &expected, pool::KERNEL.tolerance);
}

fn check_pool_bytes(gpu: &Gpu, op: &Pool) {
    for signed in [false, true] {
        let quant = QuantParams::new(0.03, if signed { -4 } else { 100 }, signed).unwrap();
        let input = Noise::new(6).bytes(op.input.len());
        let operand = Operand::whole(op.input.channels, Some(quant));
        let result = run_plain(gpu, pool::prepare(op, &operand, &operand), &[input.clone(), vec![0; op.output().len()]]);
        if op.pooling != Pooling::Max {
            let expected = pool_f32(op, &reals(&input, &quant)).unwrap();
            within_a_step(&result, &quantized(&expected, &quant, op.input.channels), signed);
        } else if signed {
            let bytes: Vec<i8> = input.iter().map(|b| b.cast_signed()).collect();
            equal(&result, &max_pool_bytes(op, &bytes).unwrap().iter().map(|b| b.cast_unsigned()).collect::<Vec<u8>>());
        } else {
            equal(&result, &max_pool_bytes(op, &input).unwrap());
        }
    }
}

fn resizes() -> Vec<Resize> {
    use Coordinates::*;
    let modes = [
        ResizeMode::Nearest(NearestRounding::Floor),
        ResizeMode::Nearest(NearestRounding::RoundPreferCeil),
        ResizeMode::Linear,
        ResizeMode::Cubic { a: -0.75 },
    ];
    let sizes = [([3, 5], [6, 10]), ([7, 4], [9, 7]), ([1, 1], [3, 2]), ([8, 6], [4, 3])];
    let of = |mode, coordinates, ([height, width], output): ([usize; 2], [usize; 2])| Resize {
        input: Map { height, width, channels: 6 },
        output,
        mode,
        coordinates,
        scales: [output[0] as f32 / height as f32, output[1] as f32 / width as f32],
    };
    let all = modes.into_iter().flat_map(|mode| [HalfPixel, PytorchHalfPixel, AlignCorners, Asymmetric].map(|c| (mode, c)));
    all.flat_map(|(mode, coordinates)| sizes.map(|size| of(mode, coordinates, size))).collect()
}

fn check_resize(gpu: &Gpu, op: &Resize) {
    let input = Noise::new(12).floats(op.input.len(), -1.0, 1.0);
    let mut expected = resize_f32(op, &input).unwrap();
    clear_padding(&mut expected, 6);
    let operand = Operand::whole(6, None);
    let prepared = resize::prepare(op, &operand, &operand, None);
    close(&run(gpu, &prepared, &[bytes_of(&input), vec![0; 4 * expected.len()]]), &expected, resize::KERNEL.tolerance);
}

fn check_resize_bytes(gpu: &Gpu, op: &Resize) {
    let quant = QuantParams::new(0.02, 70, false).unwrap();
    let input = Noise::new(13).bytes(op.input.len());
    let operand = Operand::whole(6, Some(quant));
    let target = vec![0; op.output().len()];
    let result = run(gpu, &resize::prepare(op, &operand, &operand, None), &[input.clone(), target.clone()]);
    if matches!(op.mode, ResizeMode::Nearest(_)) {
        let mut expected = resize_nearest_bytes(op, &input).unwrap();
        clear_padding(&mut expected, 6);
        equal(&result, &expected);
    } else {
        within_a_step(&result, &quantized(&resize_f32(op, &reals(&input, &quant)).unwrap(), &quant, 6), false);
    }
    let not = ByteTable::from_fn(|q| !q);
    let mapped = run(gpu, &resize::prepare(op, &operand, &operand, Some(&not)), &[input, target]);
    let mut expected: Vec<u8> = result.iter().map(|q| !q).collect();
    clear_padding(&mut expected, 6);
    equal(&mapped, &expected);
}
