//! Float and transposed convolutions, matrix products.

use std::sync::Arc;

use fathom_core::ops::nn::conv::{Conv2d, conv2d_f32};
use fathom_core::ops::nn::conv_transpose::{ConvTranspose2d, conv_transpose2d_bytes, conv_transpose2d_f32};
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue};
use fathom_core::ops::nn::matmul::{MatMul, Strided, matmul_bytes, matmul_f32, scatter};
use fathom_core::ops::nn::{Activation, Map, Window, pitch};
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
use fathom_gpu::cache::check_needs;
use fathom_gpu::nn::conv_f32::{self, FloatConv};
use fathom_gpu::nn::conv_float::FloatFinish;
use fathom_gpu::nn::conv_transpose_bytes::{self, ByteConvTranspose};
use fathom_gpu::nn::conv_transpose_f32::{self, FloatConvTranspose};
use fathom_gpu::nn::epilogue::Finish;
use fathom_gpu::nn::{Lay, Operand, conv_depthwise_f32, conv_f16, matmul};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::device::{bytes_of, close, equal, on, reals, run};
use crate::noise::Noise;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "float convolutions agree with their twin", |gpu| convs().iter().for_each(|conv| check_conv(gpu, conv))),
        on(&with_halves(gpu), "float convolutions in half precision stay near their twin", |gpu| {
            convs().iter().for_each(|conv| check_halves(gpu, conv));
        }),
        on(gpu, "float convolutions read bytes as reals", |gpu| convs().iter().for_each(|conv| check_conv_of_bytes(gpu, conv))),
        on(gpu, "transposed byte convolutions are exact", |gpu| transposed().iter().for_each(|conv| check_transposed(gpu, conv))),
        on(gpu, "transposed float convolutions agree with their twin", |gpu| {
            transposed().iter().for_each(|conv| check_transposed_f32(gpu, conv));
        }),
        on(gpu, "float matrix products agree with their twin, strided and batched", |gpu| {
            products().iter().for_each(|product| check_matmul(gpu, product));
        }),
        on(gpu, "byte matrix products are exact, strided and batched", |gpu| {
            products().iter().for_each(|product| check_matmul_bytes(gpu, product));
        }),
    ]
}

fn window(kernel: [usize; 2], stride: usize, dilation: usize, pad: [usize; 2]) -> Window {
    Window { kernel, stride: [stride; 2], dilation: [dilation; 2], pad_before: pad, pad_after: [pad[1], pad[0]] }
}

fn convs() -> Vec<Conv2d> {
    let of = |window, groups, channels, out_channels, [height, width]: [usize; 2]| Conv2d {
        input: Map { height, width, channels },
        out_channels,
        window,
        groups,
    };
    vec![
        of(window([1, 1], 1, 1, [0, 0]), 1, 1, 1, [1, 1]),
        of(window([1, 1], 1, 1, [0, 0]), 1, 13, 7, [5, 9]),
        of(window([3, 3], 2, 1, [1, 0]), 1, 3, 16, [8, 9]),
        of(window([3, 3], 1, 2, [2, 2]), 1, 8, 12, [7, 33]),
        of(window([3, 3], 1, 1, [1, 1]), 4, 16, 32, [5, 6]),
        of(window([3, 3], 1, 1, [1, 1]), 3, 9, 6, [5, 6]),
        of(window([5, 5], 2, 1, [2, 2]), 10, 10, 10, [9, 11]),
        of(window([3, 3], 1, 3, [3, 3]), 8, 8, 8, [9, 11]),
    ]
}

fn prepare(step: &FloatConv<'_>) -> fathom_gpu::nn::Prepared {
    conv_depthwise_f32::prepare(step, [8, 4]).unwrap_or_else(|| conv_f32::prepare(step, [8, 4]))
}

fn check_conv(gpu: &Gpu, conv: &Conv2d) {
    let mut noise = Noise::new(conv.macs());
    let out = conv.output();
    let input = noise.floats(conv.input.len(), -1.0, 1.0);
    let weights = noise.floats(conv.weights_len(), -1.0, 1.0);
    let residual = noise.floats(out.len(), -1.0, 1.0);
    for activation in [Activation::None, Activation::LeakyRelu { slope: 0.1 }, Activation::Clip { low: -0.5, high: 0.75 }] {
        let epilogue = FloatEpilogue { bias: noise.floats(out.channels, -1.0, 1.0), activation, residual: true, then: Activation::Relu };
        let mut expected = conv2d_f32(conv, &input, &weights).unwrap();
        epilogue.apply(&mut expected, out.channels, Some(&residual)).unwrap();
        let finish = FloatFinish { epilogue: &epilogue, residual: Some(Operand::whole(out.channels, None)) };
        assert!(FloatFinish::fits(&epilogue));
        let source = Operand::whole(conv.input.channels, None);
        let step = FloatConv { conv: *conv, weights: &weights, finish, source, target: Operand::whole(out.channels, None) };
        let prepared = prepare(&step);
        let result = run(gpu, &prepared, &[bytes_of(&input), bytes_of(&residual), vec![0; 4 * out.len()]]);
        close(&result, &expected, prepared.launch.kernel.tolerance);
    }
}

/// The device, if it computes in half precision.
fn with_halves(gpu: &Result<Arc<Gpu>, Missing>) -> Result<Arc<Gpu>, Missing> {
    let gpu = gpu.clone()?;
    match check_needs(&gpu, &conv_f16::KERNEL) {
        Ok(()) => Ok(gpu),
        Err(error) => Err(Missing { why: error.to_string(), required: false }),
    }
}

fn check_halves(gpu: &Gpu, conv: &Conv2d) {
    let mut noise = Noise::new(conv.macs());
    let out = conv.output();
    let [input, weights] = [conv.input.len(), conv.weights_len()].map(|count| noise.floats(count, -1.0, 1.0));
    let epilogue = FloatEpilogue { bias: noise.floats(out.channels, -1.0, 1.0), ..FloatEpilogue::none() };
    let mut expected = conv2d_f32(conv, &input, &weights).unwrap();
    epilogue.apply(&mut expected, out.channels, None).unwrap();
    let finish = FloatFinish { epilogue: &epilogue, residual: None };
    let [source, target] = [conv.input.channels, out.channels].map(|channels| Operand::whole(channels, None));
    let step = FloatConv { conv: *conv, weights: &weights, finish, source, target };
    let prepared = conv_f16::prepare(&step, [8, 4]).expect("weights about 1 fit");
    let result = run(gpu, &prepared, &[bytes_of(&input), vec![0; 4], vec![0; 4 * out.len()]]);
    close(&result, &expected, conv_f16::KERNEL.tolerance);
    let huge = vec![1e5; weights.len()];
    assert!(conv_f16::prepare(&FloatConv { weights: &huge, ..step }, [8, 4]).is_none(), "weights beyond half precision");
}

fn check_conv_of_bytes(gpu: &Gpu, conv: &Conv2d) {
    let mut noise = Noise::new(conv.macs());
    let out = conv.output();
    let quant = QuantParams::new(0.01, -20, true).unwrap();
    let input = noise.bytes(conv.input.len());
    let weights = noise.floats(conv.weights_len(), -1.0, 1.0);
    let epilogue = FloatEpilogue::none();
    let mut expected = conv2d_f32(conv, &reals(&input, &quant), &weights).unwrap();
    epilogue.apply(&mut expected, out.channels, None).unwrap();
    let source = Operand::whole(conv.input.channels, Some(quant));
    let finish = FloatFinish { epilogue: &epilogue, residual: None };
    let step = FloatConv { conv: *conv, weights: &weights, finish, source, target: Operand::whole(out.channels, None) };
    let prepared = prepare(&step);
    close(&run(gpu, &prepared, &[input, vec![0; 4], vec![0; 4 * out.len()]]), &expected, prepared.launch.kernel.tolerance);
}

fn transposed() -> Vec<ConvTranspose2d> {
    let of = |window, groups, channels, out_channels, [height, width]: [usize; 2], output_padding| ConvTranspose2d {
        input: Map { height, width, channels },
        out_channels,
        window,
        output_padding,
        groups,
    };
    vec![
        of(window([1, 1], 1, 1, [0, 0]), 1, 1, 1, [1, 1], [0, 0]),
        of(window([2, 2], 2, 1, [0, 0]), 1, 8, 8, [3, 5], [0, 0]),
        of(window([4, 4], 4, 1, [0, 0]), 1, 5, 6, [2, 3], [0, 0]),
        of(window([5, 5], 2, 1, [2, 2]), 6, 6, 6, [4, 3], [1, 1]),
        of(window([3, 3], 2, 2, [1, 0]), 2, 4, 6, [4, 3], [0, 1]),
    ]
}

fn check_transposed(gpu: &Gpu, conv: &ConvTranspose2d) {
    let mut noise = Noise::new(conv.macs());
    let out = conv.output();
    let input = noise.bytes(conv.input.len());
    let weights = noise.weights(conv.weights_len(), 127);
    let epilogue = ByteEpilogue {
        bias: noise.integers(out.channels, 3000),
        multiplier: noise.floats(out.channels, 0.002, 0.01),
        zero_point: 100,
        low: 3,
        high: 250,
        table: None,
        residual: None,
        then: None,
    };
    let check = |signed: bool, sums: Vec<i32>, expected: Vec<u8>| {
        assert_eq!(sums.len(), expected.len());
        let step = ByteConvTranspose {
            conv: *conv,
            weights: &weights,
            signed,
            zero_point: 77,
            finish: Finish::Byte { epilogue: &epilogue, signed: false },
            source: Lay::bytes(conv.input.channels),
            residual: Lay::bytes(out.channels),
            target: Lay::bytes(out.channels),
        };
        let prepared = conv_transpose_bytes::prepare(&step, [8, 4]);
        equal(&run(gpu, &prepared, &[input.clone(), vec![0; 4], vec![0; out.len()]]), &expected);
    };
    let sums = conv_transpose2d_bytes(conv, &input, 77, &weights).unwrap();
    check(false, sums.clone(), epilogue.apply::<u8>(&sums, out.channels, None).unwrap());
    let signed: Vec<i8> = input.iter().map(|b| b.cast_signed()).collect();
    let sums = conv_transpose2d_bytes(conv, &signed, 77, &weights).unwrap();
    check(true, sums.clone(), epilogue.apply::<u8>(&sums, out.channels, None).unwrap());
}

fn check_transposed_f32(gpu: &Gpu, conv: &ConvTranspose2d) {
    let mut noise = Noise::new(conv.macs());
    let out = conv.output();
    let input = noise.floats(conv.input.len(), -1.0, 1.0);
    let weights = noise.floats(conv.weights_len(), -1.0, 1.0);
    let epilogue = FloatEpilogue { bias: noise.floats(out.channels, -1.0, 1.0), ..FloatEpilogue::none() };
    let mut expected = conv_transpose2d_f32(conv, &input, &weights).unwrap();
    epilogue.apply(&mut expected, out.channels, None).unwrap();
    let finish = FloatFinish { epilogue: &epilogue, residual: None };
    let [source, target] = [conv.input.channels, out.channels].map(|channels| Operand::whole(channels, None));
    let step = FloatConvTranspose { conv: *conv, weights: &weights, finish, source, target };
    let prepared = conv_transpose_f32::prepare(&step, [8, 4]);
    let result = run(gpu, &prepared, &[bytes_of(&input), vec![0; 4], vec![0; 4 * out.len()]]);
    close(&result, &expected, prepared.launch.kernel.tolerance);
}

/// Plain ones, one with `b` transposed, and attention: heads interleaved along rows.
fn products() -> Vec<MatMul> {
    let transposed = MatMul { b: Strided { row: 1, column: 12, offset: 0, batch: [0, 0] }, ..MatMul::plain(5, 9, 7) };
    let heads = MatMul {
        batch: [1, 3],
        rows: 6,
        inner: 8,
        columns: 6,
        a: Strided { offset: 0, batch: [0, 8], row: 72, column: 1 },
        b: Strided { offset: 24, batch: [0, 8], row: 1, column: 72 },
        out: Strided { offset: 0, batch: [0, 48], row: 8, column: 1 },
    };
    vec![MatMul::plain(1, 1, 1), MatMul::plain(7, 13, 5), MatMul::plain(33, 64, 36), transposed, heads]
}

fn lengths(product: &MatMul) -> [usize; 3] {
    let last = product.batch.map(|n| n - 1);
    let [r, i, c] = [product.rows, product.inner, product.columns].map(|n| n - 1);
    [product.a.at(last, r, i), product.b.at(last, i, c), product.out.at(last, r, c)].map(|end| (end + 1).next_multiple_of(4))
}

fn check_matmul(gpu: &Gpu, product: &MatMul) {
    let mut noise = Noise::new(product.macs());
    let [a, b, out] = lengths(product);
    let [a, b] = [noise.floats(a, -1.0, 1.0), noise.floats(b, -1.0, 1.0)];
    let bias = noise.floats(product.columns, -1.0, 1.0);
    let epilogue = FloatEpilogue { bias, activation: Activation::Relu, ..FloatEpilogue::none() };
    let mut sums: Vec<f32> = matmul_f32(product, &a, &b).unwrap().iter().map(|sum| 0.125 * sum).collect();
    epilogue.apply(&mut sums, product.columns, None).unwrap();
    let mut expected = vec![0.0; out];
    scatter(product, &sums, &mut expected).unwrap();
    let operand = Operand { start: 0, pitch: pitch(product.columns), quant: None };
    let prepared = matmul::float(product, 0.125, &epilogue, [&operand; 3], [8, 4]).expect("floats fit anywhere");
    let result = run(gpu, &prepared, &[bytes_of(&a), bytes_of(&b), vec![0; 4 * out]]);
    close(&result, &expected, matmul::KERNEL.tolerance);
}

fn check_matmul_bytes(gpu: &Gpu, product: &MatMul) {
    let mut noise = Noise::new(product.macs());
    let [a, b, out] = lengths(product);
    let [a, b] = [noise.bytes(a), noise.bytes(b)];
    let epilogue = ByteEpilogue {
        bias: noise.integers(product.columns, 900),
        multiplier: noise.floats(product.columns, 0.001, 0.004),
        zero_point: 90,
        low: 0,
        high: 255,
        table: None,
        residual: None,
        then: None,
    };
    let sums = matmul_bytes(product, &a, 100, &b.iter().map(|b| b.cast_signed()).collect::<Vec<i8>>(), -5).unwrap();
    let bytes = epilogue.apply::<u8>(&sums, product.columns, None).unwrap();
    let mut expected = vec![0; out];
    scatter(product, &bytes, &mut expected).unwrap();
    let finish = Finish::Byte { epilogue: &epilogue, signed: false };
    let prepared = matmul::bytes(product, [100, -5], [false, true], &finish, [0; 3], [8, 4]).expect("rows of whole words");
    equal(&run(gpu, &prepared, &[a, b, vec![0; out]]), &expected);
}
