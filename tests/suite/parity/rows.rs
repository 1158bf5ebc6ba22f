//! Softmax, layer normalization, reductions, and a mean with two layers behind it.

use std::sync::Arc;

use fathom_core::ops::nn::Activation;
use fathom_core::ops::nn::epilogue::FloatEpilogue;
use fathom_core::ops::nn::layer_norm::{LayerNorm, layer_norm_f32};
use fathom_core::ops::nn::matmul::{MatMul, Strided, matmul_f32};
use fathom_core::ops::nn::pitch;
use fathom_core::ops::nn::reduce::{Reduce, Reduction, reduce_f32};
use fathom_core::ops::nn::softmax::{Softmax, softmax_f32};
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
use fathom_gpu::nn::pooled_head::{self, Layer};
use fathom_gpu::nn::{Operand, reduce, rows};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::device::{bytes_of, close, on, quantized, reals, run, run_plain, within_a_step};
use crate::noise::Noise;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "softmax agrees with its twin, large inputs too", check_softmax),
        on(gpu, "layer_norm agrees with its twin, with and without bias", check_layer_norm),
        on(gpu, "reduce agrees with its twin over any axes", check_reduce),
        on(gpu, "reduce of bytes to bytes stays within a step", check_reduce_bytes),
        on(gpu, "a mean and two layers in one launch agree with their twins one after another", check_pooled_head),
    ]
}

const SHAPES: [(usize, usize); 5] = [(1, 1), (3, 5), (7, 64), (65, 7), (2, 333)];

fn check_softmax(gpu: &Gpu) {
    for (n, columns) in SHAPES {
        let op = Softmax { rows: n, columns };
        let input = Noise::new(columns as u64).floats(n * pitch(columns), -200.0, 200.0);
        let expected = softmax_f32(&op, &input).unwrap();
        let operand = Operand::whole(columns, None);
        let result = run_plain(gpu, rows::softmax(&op, &operand, &operand), &[bytes_of(&input), vec![0; 4 * input.len()]]);
        close(&result, &expected, rows::SOFTMAX.tolerance);
    }
}

fn check_layer_norm(gpu: &Gpu) {
    for (n, columns) in SHAPES {
        let op = LayerNorm { rows: n, columns, epsilon: 1e-6 };
        let mut noise = Noise::new(columns as u64);
        let input = noise.floats(n * pitch(columns), -3.0, 5.0);
        let [scale, bias] = [noise.floats(columns, 0.5, 2.0), noise.floats(columns, -1.0, 1.0)];
        for bias in [&bias[..], &[]] {
            let expected = layer_norm_f32(&op, &input, &scale, bias).unwrap();
            let operand = Operand::whole(columns, None);
            let prepared = rows::layer_norm(&op, &scale, bias, &operand, &operand);
            close(&run(gpu, &prepared, &[bytes_of(&input), vec![0; 4 * input.len()]]), &expected, rows::LAYER_NORM.tolerance);
        }
    }
}

/// Over the image, over the last axis, over everything.
fn reductions() -> Vec<Reduce> {
    let (h, w, c) = (5, 7, 6);
    let of = |kept, input, out, reduced, reduced_strides| Reduce { reduction: Reduction::Mean, kept, input, out, reduced, reduced_strides };
    vec![
        of([1, 1, 1, c], [0, 0, 0, 1], [0, 0, 0, 1], [1, 1, h, w], [0, 0, w * 8, 8]),
        of([1, h, w, 1], [0, w * 8, 8, 0], [0, w * 4, 4, 0], [1, 1, 1, c], [0, 0, 0, 1]),
        of([1, 1, 1, 1], [0; 4], [0; 4], [1, h, w, c], [0, w * 8, 8, 1]),
    ]
}

fn check_reduce(gpu: &Gpu) {
    for (op, reduction) in
        reductions().into_iter().flat_map(|op| [Reduction::Mean, Reduction::Sum, Reduction::Max, Reduction::L2].map(|kind| (op, kind)))
    {
        let op = Reduce { reduction, ..op };
        let input = Noise::new(4).floats(5 * 7 * 8, 0.5, 3.0);
        let mut expected = vec![0.0; 5 * 7 * 4];
        reduce_f32(&op, &input, &mut expected).unwrap();
        let operand = Operand::whole(4, None);
        let launch = reduce::prepare(&op, &operand, &operand);
        close(&run_plain(gpu, launch, &[bytes_of(&input), vec![0; 4 * expected.len()]]), &expected, reduce::KERNEL.tolerance);
    }
}

fn check_reduce_bytes(gpu: &Gpu) {
    let [qi, qo] = [QuantParams::new(0.02, 3, false).unwrap(), QuantParams::new(0.015, 1, false).unwrap()];
    for op in reductions() {
        let input = Noise::new(8).bytes(5 * 7 * 8);
        let mut expected = vec![0.0; 5 * 7 * 4];
        reduce_f32(&op, &reals(&input, &qi), &mut expected).unwrap();
        let launch = reduce::prepare(&op, &Operand::whole(4, Some(qi)), &Operand::whole(4, Some(qo)));
        let zero = qo.quantize(0.0) as u8;
        within_a_step(&run_plain(gpu, launch, &[input, vec![zero; expected.len()]]), &quantized(&expected, &qo, 4), false);
    }
}

fn check_pooled_head(gpu: &Gpu) {
    let bytes = |scale, zero| Some(QuantParams::new(scale, zero, false).unwrap());
    // A workgroup has 64 invocations: fewer channels than that, one more, and many. With these pixels and scales no mean lies
    // halfway between two bytes, where a division's last bit would decide.
    for (pixels, channels, hidden, outputs) in [(1, 1, 1, 1), (35, 6, 5, 2), (45, 65, 64, 2), (12, 320, 70, 67)] {
        for (quant, mean) in [(None, None), (bytes(0.02, 3), None), (bytes(0.02, 3), bytes(0.0173, 5))] {
            let mut noise = Noise::new(channels as u64);
            let held = pixels * pitch(channels);
            let (memory, values) = match &quant {
                None => {
                    let values = noise.floats(held, -1.0, 2.0);
                    (bytes_of(&values), values)
                }
                Some(quant) => {
                    let bytes = noise.bytes(held);
                    let values = reals(&bytes, quant);
                    (bytes, values)
                }
            };
            let weights = [noise.floats(hidden * channels, -1.0, 1.0), noise.floats(outputs * hidden, -1.0, 1.0)];
            let clip = Activation::Clip { low: 0.0, high: 6.0 };
            let epilogue = |bias, activation| FloatEpilogue { bias, activation, ..FloatEpilogue::none() };
            let epilogues = [epilogue(noise.floats(hidden, -1.0, 1.0), clip), epilogue(noise.floats(outputs, -1.0, 1.0), Activation::None)];
            let mut means = vec![0.0; channels];
            let over_pixels = Reduce {
                reduction: Reduction::Mean,
                kept: [1, 1, 1, channels],
                input: [0, 0, 0, 1],
                out: [0, 0, 0, 1],
                reduced: [1, 1, 1, pixels],
                reduced_strides: [0, 0, 0, pitch(channels)],
            };
            reduce_f32(&over_pixels, &values, &mut means).unwrap();
            if let Some(mean) = &mean {
                means.iter_mut().for_each(|value| *value = mean.dequantize(mean.quantize(*value)));
            }
            let layer = |input: &[f32], weights: &[f32], epilogue: &FloatEpilogue| {
                let b = Strided { row: 1, column: pitch(input.len()), offset: 0, batch: [0, 0] };
                let product = MatMul { b, ..MatMul::plain(1, input.len(), epilogue.bias.len()) };
                // The twin wants whole quads.
                let padded = |row: &[f32]| [row, &vec![0.0; pitch(row.len()) - row.len()]].concat();
                let (a, b) = (padded(input), weights.chunks(input.len()).flat_map(padded).collect::<Vec<f32>>());
                let mut sums: Vec<f32> = matmul_f32(&product, &a, &b).unwrap().iter().map(|sum| 0.5 * sum).collect();
                epilogue.apply(&mut sums, epilogue.bias.len(), None).unwrap();
                sums.truncate(epilogue.bias.len());
                sums
            };
            let expected = layer(&layer(&means, &weights[0], &epilogues[0]), &weights[1], &epilogues[1]);
            let layers = [0, 1].map(|i| Layer { weights: &weights[i], epilogue: &epilogues[i], alpha: 0.5 });
            let [source, mean] = [quant, mean].map(|quant| Operand::whole(channels, quant));
            let target = Operand { start: 4, ..Operand::whole(outputs, None) };
            let prepared = pooled_head::prepare(pixels, channels, &source, &mean, layers, &target).expect("layers that fit");
            let result = run(gpu, &prepared, &[memory, vec![0; 4 * (4 + pitch(outputs))]]);
            close(&result[16..], &expected, pooled_head::KERNEL.tolerance);
        }
    }
}
