//! Functions of one and two operands, tables, and what crosses between bytes and floats.

use std::sync::Arc;

use fathom_core::ops::nn::byte::ByteTable;
use fathom_core::ops::nn::elementwise::{Binary, Broadcast, ByteProduct, ByteSum, Unary, binary_f32};
use fathom_core::ops::nn::{Activation, pitch};
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
use fathom_gpu::nn::{Lay, Operand, binary, byte_pair, epilogue, table, unary};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::device::{bytes_of, clear_padding, close, equal, on, quantized, reals, run, run_plain, within_a_step};
use crate::noise::Noise;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "unary agrees with its twin for every function", |gpu| functions().into_iter().for_each(|f| check_unary(gpu, f))),
        on(gpu, "unary dequantizes bytes exactly", check_dequantize),
        on(gpu, "unary quantizes floats within a step, NaN aside", check_quantize),
        on(gpu, "binary agrees with its twin for every function and broadcast", check_binary),
        on(gpu, "binary reads and writes bytes within a step", check_binary_bytes),
        on(gpu, "byte_pair is exact on sums and products of bytes", check_byte_pair),
        on(gpu, "table is exact, one for all channels or one each", check_table),
    ]
}

fn functions() -> Vec<Unary> {
    use Activation::*;
    let activations = [
        None,
        Relu,
        Clip { low: -0.5, high: 1.5 },
        LeakyRelu { slope: 0.2 },
        Elu { alpha: 0.7 },
        Sigmoid,
        Silu,
        HardSwish,
        HardSigmoid { alpha: 0.2, beta: 0.5 },
        Gelu,
        Tanh,
        Erf,
        Sqrt,
        Exp,
    ];
    let mut functions: Vec<Unary> = activations.into_iter().map(Unary::Activation).collect();
    functions.extend([Unary::Neg, Unary::Abs, Unary::Reciprocal, Unary::Log, Unary::Ceil, Unary::Floor, Unary::Round, Unary::Softplus]);
    functions
}

fn check_unary(gpu: &Gpu, function: Unary) {
    let positive = matches!(function, Unary::Log | Unary::Reciprocal | Unary::Activation(Activation::Sqrt));
    for (rows, channels) in [(1, 1), (7, 5), (33, 64), (129, 3)] {
        let low = if positive { 0.01 } else { -6.0 };
        let input = Noise::new(rows as u64).floats(rows * pitch(channels), low, 6.0);
        let mut expected: Vec<f32> = input.iter().map(|&x| function.apply(x)).collect();
        clear_padding(&mut expected, channels);
        let operand = Operand::whole(channels, None);
        let launch = unary::prepare(function, rows, channels, &operand, &operand);
        let result = run_plain(gpu, launch, &[bytes_of(&input), vec![0xff; 4 * input.len()]]);
        close(&result, &expected, unary::KERNEL.tolerance);
    }
}

fn quant(scale: f32, zero: i32, signed: bool) -> QuantParams {
    QuantParams::new(scale, zero, signed).unwrap()
}

fn check_dequantize(gpu: &Gpu) {
    for signed in [false, true] {
        let quant = quant(0.037, if signed { -9 } else { 119 }, signed);
        let bytes: Vec<u8> = (0..=255).collect();
        let launch = unary::prepare(Unary::Identity, 16, 16, &Operand::whole(16, Some(quant)), &Operand::whole(16, None));
        let result = run_plain(gpu, launch, &[bytes.clone(), vec![0; 1024]]);
        equal(&result, &bytes_of(&reals(&bytes, &quant)));
    }
}

fn check_quantize(gpu: &Gpu) {
    for signed in [false, true] {
        let quant = quant(0.037, if signed { -9 } else { 119 }, signed);
        let mut input = Noise::new(3).floats(4 * 999, -9.0, 9.0);
        (input[0], input[1], input[2]) = (1e30, -1e30, 0.0);
        let launch = unary::prepare(Unary::Identity, 999, 4, &Operand::whole(4, None), &Operand::whole(4, Some(quant)));
        let result = run_plain(gpu, launch, &[bytes_of(&input), vec![0; input.len()]]);
        within_a_step(&result, &quantized(&input, &quant, 4), signed);
    }
}

const FUNCTIONS: [Binary; 8] = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min, Binary::Pow, Binary::PRelu];

/// Same shapes; a row for all pixels; a scalar; one channel whose pixels are the last axis; one element; rows of six right behind
/// one another (heads of attention) over padded ones, repeated; a transposed operand over a transposed one that repeats; results
/// four apart with all axes in use.
fn broadcasts() -> [Broadcast; 9] {
    [
        Broadcast { shape: [1, 3, 5, 7], a: [0, 40, 8, 1], b: [0, 40, 8, 1], out: [0, 40, 8, 1] },
        Broadcast { shape: [2, 3, 1, 9], a: [36, 12, 12, 1], b: [0, 0, 0, 1], out: [36, 12, 12, 1] },
        Broadcast { shape: [1, 1, 13, 4], a: [0, 0, 4, 1], b: [0, 0, 0, 0], out: [0, 0, 4, 1] },
        Broadcast { shape: [1, 1, 1, 77], a: [0, 0, 0, 4], b: [0, 0, 0, 0], out: [0, 0, 0, 4] },
        Broadcast { shape: [1, 1, 1, 1], a: [0, 0, 0, 3], b: [0, 0, 0, 0], out: [0, 0, 0, 1] },
        Broadcast { shape: [1, 5, 3, 6], a: [0, 18, 6, 1], b: [0, 0, 8, 1], out: [0, 24, 8, 1] },
        Broadcast { shape: [1, 7, 2, 10], a: [0, 24, 12, 1], b: [0, 10, 1, 0], out: [0, 24, 12, 1] },
        Broadcast { shape: [1, 2, 7, 5], a: [0, 35, 1, 7], b: [0, 0, 1, 3], out: [0, 56, 8, 1] },
        Broadcast { shape: [2, 3, 2, 5], a: [30, 10, 5, 1], b: [0, 11, 0, 2], out: [120, 40, 20, 4] },
    ]
}

fn check_binary(gpu: &Gpu) {
    for (function, axes) in FUNCTIONS.into_iter().flat_map(|f| broadcasts().map(|axes| (f, axes))) {
        let mut noise = Noise::new(11);
        let low = if function == Binary::Pow { 0.1 } else { -3.0 };
        let [a, b] = [axes.a, axes.b].map(|strides| noise.floats(axes.extent(&strides).next_multiple_of(4), low, 3.0));
        let b: Vec<f32> = b.iter().map(|x| if x.abs() < 0.1 { 0.5 } else { *x }).collect();
        let mut expected = vec![0.0; axes.extent(&axes.out).next_multiple_of(4)];
        let clip = Activation::Clip { low: -2.0, high: 20.0 };
        binary_f32(function, clip, &axes, &a, &b, &mut expected).unwrap();
        let operand = Operand::whole(4, None);
        let launch =
            binary::prepare(function, &axes, epilogue::range(clip), &operand, &operand, &operand).expect("a result of whole quads");
        let result = run_plain(gpu, launch, &[bytes_of(&a), bytes_of(&b), vec![0; 4 * expected.len()]]);
        close(&result, &expected, binary::KERNEL.tolerance);
    }
}

fn check_binary_bytes(gpu: &Gpu) {
    let (qa, qb, qo) = (quant(0.05, 7, false), quant(0.03, -20, true), quant(0.06, 30, false));
    for axes in broadcasts() {
        let mut noise = Noise::new(5);
        let [a, b] = [axes.a, axes.b].map(|strides| noise.bytes(axes.extent(&strides).next_multiple_of(4)));
        let mut expected = vec![0.0; axes.extent(&axes.out).next_multiple_of(4)];
        binary_f32(Binary::Add, Activation::None, &axes, &reals(&a, &qa), &reals(&b, &qb), &mut expected).unwrap();
        let [oa, ob, oo] = [qa, qb, qo].map(|quant| Operand::whole(4, Some(quant)));
        let launch = binary::prepare(Binary::Add, &axes, [f32::MIN, f32::MAX], &oa, &ob, &oo).expect("a result of whole quads");
        let result = run_plain(gpu, launch, &[a, b, vec![0; expected.len()]]);
        axes.for_each(|_, _, k| within_a_step(&result[k..=k], &[qo.quantize(expected[k]) as u8], false));
    }
}

fn check_byte_pair(gpu: &Gpu) {
    let (qa, qb, qo) = (quant(0.05, 7, false), quant(0.03, 120, false), quant(0.06, 30, false));
    let (sum, product) = (ByteSum::new(qa, qb, qo), ByteProduct::new(qa, qb, qo));
    let then = ByteTable::from_fn(|q| q ^ 0x55);
    for axes in broadcasts() {
        let mut noise = Noise::new(5);
        let [a, b] = [axes.a, axes.b].map(|strides| noise.bytes(axes.extent(&strides).next_multiple_of(4)));
        let functions: [&dyn Fn(i32, i32) -> i32; 2] = [&|a, b| sum.value(a, b), &|a, b| product.value(a, b)];
        for value in functions {
            let pairs = epilogue::pairs([false; 3], value, Some(&then));
            let prepared = byte_pair::prepare(&axes, [0; 3], pairs).expect("a result of whole quads");
            let result = run(gpu, &prepared, &[a.clone(), b.clone(), vec![0; axes.extent(&axes.out).next_multiple_of(4)]]);
            axes.for_each(|i, j, k| {
                let q = value(i32::from(a[i]), i32::from(b[j])).clamp(0, 255) as u8;
                assert_eq!(result[k], then.look_up(0, q), "{} and {}", a[i], b[j]);
            });
        }
    }
}

fn check_table(gpu: &Gpu) {
    for (rows, channels) in [(1, 1), (7, 5), (31, 24)] {
        let mut noise = Noise::new(9);
        let input = noise.bytes(rows * pitch(channels));
        for tables in [1, channels] {
            let table = ByteTable::new(noise.bytes(256 * tables)).unwrap();
            let prepared = table::prepare(&table, rows, channels, Lay::bytes(channels), Lay::bytes(channels));
            equal(&run(gpu, &prepared, &[input.clone(), vec![0; input.len()]]), &table.apply(&input, channels).unwrap());
        }
    }
}
