//! Softmax, layer normalization and reductions.

use std::sync::Arc;

use fathom_core::ops::nn::layer_norm::{LayerNorm, layer_norm_f32};
use fathom_core::ops::nn::pitch;
use fathom_core::ops::nn::reduce::{Reduce, Reduction, reduce_f32};
use fathom_core::ops::nn::softmax::{Softmax, softmax_f32};
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
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
