//! Byte convolutions, every tactic: bit for bit.

use std::sync::Arc;

use fathom_core::ops::nn::byte::{Byte, ByteTable};
use fathom_core::ops::nn::conv::{Conv2d, conv2d_bytes};
use fathom_core::ops::nn::elementwise::ByteSum;
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue, RealEpilogue};
use fathom_core::ops::nn::{Activation, Map, Window};
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
use fathom_gpu::cache::check_needs;
use fathom_gpu::nn::conv_bytes::ByteConv;
use fathom_gpu::nn::epilogue::Finish;
use fathom_gpu::nn::{Lay, Prepared, conv_depthwise, conv_dot4, conv_matrix, conv_spread};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::device::{bytes_of, on};
use crate::noise::Noise;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    let mut cases = Vec::new();
    for (tactic, gpu, prepare) in tactics(gpu) {
        let gpu = &gpu;
        for (geometry, conv) in geometries() {
            let name = format!("{tactic} is exact on {geometry}");
            cases.push(on(gpu, name, move |gpu| {
                check::<u8>(gpu, &conv, prepare, Extras::default());
                check::<i8>(gpu, &conv, prepare, Extras::default());
            }));
        }
        let conv = square(3, 20, 9, [11, 13]);
        for (extras_name, extras) in extras() {
            cases.push(on(gpu, format!("{tactic} is exact with {extras_name}"), move |gpu| {
                check::<u8>(gpu, &conv, prepare, extras);
                check::<i8>(gpu, &conv, prepare, extras);
            }));
        }
        cases.push(on(gpu, format!("{tactic} gives real sums within its tolerance"), move |gpu| check_real(gpu, &conv, prepare)));
    }
    for (geometry, conv) in depthwise() {
        cases.push(on(gpu, format!("depthwise is exact on {geometry}"), move |gpu| {
            for (_, extras) in extras().into_iter().chain([("nothing", Extras::default())]) {
                check::<u8>(gpu, &conv, |_, step| conv_depthwise::prepare(step, [8, 4]), extras);
                check::<i8>(gpu, &conv, |_, step| conv_depthwise::prepare(step, [8, 4]), extras);
            }
        }));
    }
    cases
}

fn depthwise() -> Vec<(&'static str, Conv2d)> {
    let of = |kernel: usize, channels: usize, size| Conv2d { groups: channels, ..square(kernel, channels, channels, size) };
    let mut strided = of(5, 16, [9, 12]);
    strided.window.stride = [2, 2];
    let mut dilated = of(3, 48, [7, 6]);
    dilated.window = Window { dilation: [2, 3], pad_before: [2, 3], pad_after: [2, 3], ..dilated.window };
    vec![
        ("one pixel of one channel", of(3, 1, [1, 1])),
        ("odd channels", of(3, 13, [5, 9])),
        ("sixteen channels, an odd width", of(3, 16, [4, 7])),
        ("a strided 5x5", strided),
        ("a dilated 3x3 of three quads", dilated),
    ]
}

type Prepare = fn(&Gpu, &ByteConv<'_>) -> Option<Prepared>;
type Device = Result<Arc<Gpu>, Missing>;

/// Each tactic with the device, if that can run it.
fn tactics(gpu: &Device) -> [(&'static str, Device, Prepare); 4] {
    [
        ("dot4", gpu.clone(), |_, step| Some(conv_dot4::prepare(step, [8, 4]))),
        ("spread", with_lanes(gpu, conv_spread::LEAST_LANES), |gpu, step| conv_spread::prepare(step, gpu.lanes())),
        ("matrix", with_matrices(gpu), |gpu, step| conv_matrix::prepare(step, gpu.lanes())),
        // Wider subgroups run the form of narrow ones too.
        ("spread over four lanes", with_lanes(gpu, conv_spread::LEAST_LANES), |_, step| {
            conv_spread::prepare(step, conv_spread::LEAST_LANES)
        }),
    ]
}

/// The device, if it has the cooperative matrices that the kernel wants.
fn with_matrices(gpu: &Device) -> Device {
    let gpu = gpu.clone()?;
    match check_needs(&gpu, &conv_matrix::KERNEL) {
        Ok(()) => Ok(gpu),
        Err(error) => Err(Missing { why: error.to_string(), required: false }),
    }
}

/// The device, if its subgroups are as wide as that.
fn with_lanes(gpu: &Device, lanes: u32) -> Device {
    let gpu = gpu.clone()?;
    if gpu.lanes() >= lanes {
        return Ok(gpu);
    }
    let why = format!("{} has subgroups of {}, spread weights need {lanes}", gpu.report().name, gpu.lanes());
    Err(Missing { why, required: false })
}

#[derive(Clone, Copy, Default)]
struct Extras {
    table: bool,
    table_per_channel: bool,
    residual: bool,
    then: bool,
    /// Source, residual and target lie within wider tensors.
    part: bool,
}

fn extras() -> [(&'static str, Extras); 5] {
    let none = Extras::default();
    [
        ("a table", Extras { table: true, ..none }),
        ("a table per channel", Extras { table: true, table_per_channel: true, ..none }),
        ("a residual", Extras { residual: true, ..none }),
        ("a table, a residual and a table", Extras { table: true, residual: true, then: true, ..none }),
        ("operands that are parts of wider tensors", Extras { residual: true, part: true, ..none }),
    ]
}

fn square(kernel: usize, channels: usize, out_channels: usize, [height, width]: [usize; 2]) -> Conv2d {
    let pad = kernel / 2;
    let window = Window { kernel: [kernel; 2], stride: [1, 1], dilation: [1, 1], pad_before: [pad; 2], pad_after: [pad; 2] };
    Conv2d { input: Map { height, width, channels }, out_channels, window, groups: 1 }
}

fn geometries() -> Vec<(&'static str, Conv2d)> {
    let mut strided = square(3, 3, 16, [14, 18]);
    strided.window = Window { stride: [2, 2], pad_before: [0, 0], pad_after: [1, 1], ..strided.window };
    let mut dilated = square(3, 16, 8, [17, 19]);
    dilated.window = Window { dilation: [3, 2], pad_before: [3, 2], pad_after: [3, 2], ..dilated.window };
    let mut oblong = square(1, 7, 5, [6, 9]);
    oblong.window = Window { kernel: [2, 5], stride: [1, 3], pad_before: [1, 4], pad_after: [0, 2], ..oblong.window };
    vec![
        ("one pixel of one channel", square(1, 1, 1, [1, 1])),
        ("a 1x1 with words to spare", square(1, 17, 13, [5, 7])),
        ("a 1x1 of whole quads", square(1, 32, 24, [7, 33])),
        ("a 3x3 of whole quads, one past a tile", square(3, 16, 8, [9, 33])),
        ("a 3x3 of pairs of words", square(3, 8, 12, [8, 32])),
        ("a 3x3 of six words", square(3, 24, 16, [5, 9])),
        ("a strided 3x3 with asymmetric padding on three channels", strided),
        ("a dilated 3x3", dilated),
        ("a 2x5 with stride 3 and uneven padding", oblong),
        ("groups of whole words", Conv2d { groups: 2, ..square(3, 16, 32, [6, 7]) }),
        ("groups of odd channels", Conv2d { groups: 3, ..square(3, 9, 6, [6, 7]) }),
        ("depthwise channels", Conv2d { groups: 10, ..square(3, 10, 10, [9, 11]) }),
        ("depthwise channels with a multiplier", Conv2d { groups: 5, ..square(5, 5, 10, [9, 11]) }),
    ]
}

fn epilogue<B: Byte>(conv: &Conv2d, noise: &mut Noise, extras: Extras) -> ByteEpilogue {
    let channels = conv.out_channels;
    let q = |scale, zero| QuantParams::new(scale, zero, B::LOW < 0).unwrap();
    let middle = (B::LOW + B::HIGH) / 2;
    let taps = (conv.weights_len() / channels) as f32;
    let tables = if extras.table_per_channel { channels } else { 1 };
    ByteEpilogue {
        bias: noise.integers(channels, 3000),
        multiplier: noise.floats(channels, 0.3, 1.0).iter().map(|m| m * 0.02 / taps.sqrt()).collect(),
        zero_point: middle + 3,
        low: B::LOW + 5,
        high: B::HIGH - 9,
        table: extras.table.then(|| ByteTable::new(noise.bytes(256 * tables)).unwrap()),
        residual: extras.residual.then(|| ByteSum::new(q(0.031, middle - 7), q(0.027, middle + 11), q(0.05, middle))),
        then: extras.then.then(|| ByteTable::new(noise.bytes(256)).unwrap()),
    }
}

/// Lays rows of `words` out with `lay`: everything else is noise that must not matter.
fn place(rows: &[u8], words: usize, lay: Lay, noise: &mut Noise) -> Vec<u8> {
    let count = rows.len() / (4 * words);
    let mut memory = noise.bytes(4 * (lay.start as usize + count * lay.pitch as usize));
    for (i, row) in rows.chunks_exact(4 * words).enumerate() {
        let at = 4 * (lay.start as usize + i * lay.pitch as usize);
        memory[at..at + row.len()].copy_from_slice(row);
    }
    memory
}

fn pick(memory: &[u8], words: usize, lay: Lay, count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| memory[4 * (lay.start as usize + i * lay.pitch as usize)..][..4 * words].to_vec()).collect()
}

fn check<B: Byte>(gpu: &Gpu, conv: &Conv2d, prepare: Prepare, extras: Extras) {
    let mut noise = Noise::new(conv.macs());
    let out = conv.output();
    let input: Vec<u8> = noise.bytes(conv.input.len());
    let weights = noise.weights(conv.weights_len(), 90);
    let epilogue = epilogue::<B>(conv, &mut noise, extras);
    let zero_point = B::LOW + 117;
    let residual = noise.bytes(out.len());
    let of_bits = |bytes: &[u8]| bytes.iter().map(|&bits| B::from_bits(bits)).collect::<Vec<B>>();
    let sums = conv2d_bytes(conv, &of_bits(&input), zero_point, &weights).unwrap();
    let expected = epilogue.apply(&sums, out.channels, Some(&of_bits(&residual))).unwrap();
    let expected: Vec<u8> = expected.into_iter().map(Byte::bits).collect();

    let [in_words, out_words] = [conv.input.channels.div_ceil(4), out.channels.div_ceil(4)];
    let lay = |words: usize| if extras.part { Lay { start: 5, pitch: words as u32 + 2 } } else { Lay { start: 0, pitch: words as u32 } };
    let signed = B::LOW < 0;
    let step = ByteConv {
        conv: *conv,
        weights: &weights,
        signed,
        zero_point,
        finish: Finish::Byte { epilogue: &epilogue, signed },
        source: lay(in_words),
        residual: lay(out_words),
        target: lay(out_words),
    };
    let Some(prepared) = prepare(gpu, &step) else {
        assert!(conv.groups > 1, "the tactic declines a sum that fits");
        return;
    };
    let memory = [
        place(&input, in_words, step.source, &mut noise),
        place(&residual, out_words, step.residual, &mut noise),
        place(&vec![0xaa; out.len()], out_words, step.target, &mut noise),
    ];
    let result = fathom_tests::gpu::run(gpu, &prepared, &memory, 5000).unwrap_or_else(|error| panic!("{error}"));
    let got = pick(&result, out_words, step.target, out.height * out.width);
    let wrong = got.iter().zip(&expected).position(|(a, b)| a != b);
    if let Some(i) = wrong {
        let (pixel, channel) = (i / (4 * out_words), i % (4 * out_words));
        let count = got.iter().zip(&expected).filter(|(a, b)| a != b).count();
        panic!("{conv:?}: pixel {pixel} channel {channel}: {} instead of {}, {count} differ", got[i], expected[i]);
    }
    assert_eq!(got.len(), expected.len());
    let mut untouched = memory[2].clone();
    for pixel in 0..out.height * out.width {
        let at = 4 * (step.target.start as usize + pixel * step.target.pitch as usize);
        untouched[at..at + 4 * out_words].copy_from_slice(&result[at..at + 4 * out_words]);
    }
    assert_eq!(untouched, result[..untouched.len()], "wrote outside its part");
}

fn check_real(gpu: &Gpu, conv: &Conv2d, prepare: Prepare) {
    let mut noise = Noise::new(7);
    let out = conv.output();
    let input = noise.bytes(conv.input.len());
    let weights = noise.weights(conv.weights_len(), 90);
    let float = FloatEpilogue {
        bias: noise.floats(out.channels, -1.0, 1.0),
        activation: Activation::Clip { low: -2.0, high: 3.0 },
        residual: true,
        then: Activation::None,
    };
    let real = RealEpilogue { bias: noise.integers(out.channels, 3000), multiplier: noise.floats(out.channels, 1e-5, 1e-4), float };
    let residual = noise.floats(out.len(), -1.0, 1.0);
    let sums = conv2d_bytes(conv, &input, 117, &weights).unwrap();
    let expected = real.apply(&sums, out.channels, Some(&residual)).unwrap();
    let step = ByteConv {
        conv: *conv,
        weights: &weights,
        signed: false,
        zero_point: 117,
        finish: Finish::Real(&real),
        source: Lay::bytes(conv.input.channels),
        residual: Lay::floats(out.channels),
        target: Lay::floats(out.channels),
    };
    let prepared = prepare(gpu, &step).expect("small sums");
    let memory = [input.clone(), bytes_of(&residual), vec![0; 4 * out.len()]];
    let result = fathom_tests::gpu::run(gpu, &prepared, &memory, u64::MAX).unwrap_or_else(|error| panic!("{error}"));
    let tolerance = prepared.launch.kernel.tolerance;
    for (i, (got, want)) in result.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).zip(&expected).enumerate() {
        // The residual cancels: what was rounded is as large as the operands, at most 3.
        let allowed = tolerance.abs + tolerance.rel * want.abs().max(3.0);
        assert!((got - want).abs() <= allowed, "index {i}: {got} instead of {want}");
    }
}
