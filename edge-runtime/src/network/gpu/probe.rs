//! Whether a tactic computes what the definition says, on this device with this driver.

use fathom_core::ops::nn::conv::{Conv2d, conv2d_bytes, conv2d_f32};
use fathom_core::ops::nn::epilogue::{ByteEpilogue, FloatEpilogue};
use fathom_core::ops::nn::{Map, Window};
use fathom_gpu::buffer::Buffer;
use fathom_gpu::cache::Pipelines;
use fathom_gpu::kernel::Access;
use fathom_gpu::nn::conv_bytes::ByteConv;
use fathom_gpu::nn::conv_f32::FloatConv;
use fathom_gpu::nn::conv_float::FloatFinish;
use fathom_gpu::nn::epilogue::Finish;
use fathom_gpu::nn::{Lay, Operand, Prepared, conv_dot4, conv_f16, conv_matrix, conv_spread};
use fathom_gpu::read_back::ReadBack;
use fathom_gpu::recorder::Recorder;
use fathom_gpu::{Gpu, Kernel};

use super::Tactic;
use crate::Result;

/// What differs; `Ok` if nothing does.
type Verdict = std::result::Result<(), String>;

/// Runs a small convolution by a tactic and compares it with the definition: bytes bit for bit, with extreme numbers; halves
/// within their kernel's tolerance.
pub(super) fn probe(gpu: &Gpu, tactic: Tactic) -> Result<Verdict> {
    match tactic {
        Tactic::Plain => probe_bytes(gpu, |step| Some(conv_dot4::prepare(step, [8, 8]))),
        Tactic::Spread => probe_bytes(gpu, |step| conv_spread::prepare(step, gpu.lanes())),
        Tactic::Matrix => probe_bytes(gpu, |step| conv_matrix::prepare(step, gpu.lanes())),
        Tactic::Half => probe_halves(gpu),
    }
}

const WINDOW: Window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad_before: [1, 1], pad_after: [1, 1] };
const CONV: Conv2d = Conv2d { input: Map { height: 7, width: 11, channels: 16 }, out_channels: 12, window: WINDOW, groups: 1 };

fn probe_bytes(gpu: &Gpu, prepare: impl Fn(&ByteConv<'_>) -> Option<Prepared>) -> Result<Verdict> {
    let input: Vec<u8> = (0..CONV.input.len()).map(|i| if i % 3 == 0 { 255 } else { (i * 89 % 256) as u8 }).collect();
    let weights: Vec<i8> = (0..CONV.weights_len()).map(|i| if i % 5 == 0 { 127 } else { (i * 57 % 256) as u8 as i8 }).collect();
    let epilogue = ByteEpilogue {
        bias: (0..12).map(|o| o * 1000 - 5000).collect(),
        multiplier: (0..12).map(|o| 0.0007 + 0.0001 * o as f32).collect(),
        zero_point: 128,
        low: 0,
        high: 255,
        table: None,
        residual: None,
        then: None,
    };
    let sums = conv2d_bytes(&CONV, &input, 131, &weights)?;
    let expected = epilogue.apply::<u8>(&sums, CONV.out_channels, None)?;
    let step = ByteConv {
        conv: CONV,
        weights: &weights,
        signed: false,
        zero_point: 131,
        finish: Finish::Byte { epilogue: &epilogue, signed: false },
        source: Lay::bytes(16),
        residual: Lay::bytes(12),
        target: Lay::bytes(12),
    };
    let Some(prepared) = prepare(&step) else { return Ok(Err("the probe does not fit the tactic".into())) };
    let result = run_once(gpu, &prepared, &input, expected.len())?;
    let wrong = result.iter().zip(&expected).position(|(got, want)| got != want);
    Ok(wrong.map_or(Ok(()), |i| Err(format!("element {i} of the probe is {} instead of {}", result[i], expected[i]))))
}

fn probe_halves(gpu: &Gpu) -> Result<Verdict> {
    let input: Vec<f32> = (0..CONV.input.len()).map(|i| (i * 89 % 256) as f32 / 128.0 - 1.0).collect();
    let weights: Vec<f32> = (0..CONV.weights_len()).map(|i| (i * 57 % 256) as f32 / 128.0 - 1.0).collect();
    let epilogue = FloatEpilogue { bias: (0..12).map(|o| o as f32 / 8.0).collect(), ..FloatEpilogue::none() };
    let mut expected = conv2d_f32(&CONV, &input, &weights)?;
    epilogue.apply(&mut expected, CONV.out_channels, None)?;
    let finish = FloatFinish { epilogue: &epilogue, residual: None };
    let step = FloatConv { conv: CONV, weights: &weights, finish, source: Operand::whole(16, None), target: Operand::whole(12, None) };
    let Some(prepared) = conv_f16::prepare(&step, [8, 8]) else { return Ok(Err("the probe's weights do not fit".into())) };
    let input: Vec<u8> = input.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let result = run_once(gpu, &prepared, &input, 4 * expected.len())?;
    let floats = result.as_chunks().0.iter().map(|&bytes| f32::from_ne_bytes(bytes));
    let tolerance = conv_f16::KERNEL.tolerance;
    let wrong = floats.zip(&expected).enumerate().find(|(_, (got, want))| {
        let difference = (got - *want).abs();
        difference.is_nan() || difference > tolerance.abs + tolerance.rel * want.abs()
    });
    Ok(wrong.map_or(Ok(()), |(i, (got, want))| Err(format!("element {i} of the probe is {got} instead of {want}"))))
}

/// What a launch leaves in its last binding; its first is the input, others that it writes serve as both.
fn run_once(gpu: &Gpu, prepared: &Prepared, input: &[u8], output_bytes: usize) -> Result<Vec<u8>> {
    let kernel: &[&Kernel] = &[prepared.launch.kernel];
    let mut pipelines = Pipelines::open(gpu, kernel, None);
    let source = Buffer::arena(gpu, "probe input", input.len() as u64)?;
    source.write(gpu, 0, input)?;
    let target = Buffer::arena(gpu, "probe output", output_bytes as u64)?;
    let constants = prepared.constants.iter().map(|bytes| Buffer::constants(gpu, "probe constants", bytes));
    let constants = constants.collect::<fathom_gpu::Result<Vec<Buffer>>>()?;
    let mut constants = constants.iter();
    let bindings = kernel[0].bindings.iter().enumerate().map(|(i, access)| match access {
        Access::Read => constants.next().unwrap_or(&target).whole(),
        Access::ReadWrite if i == 0 => source.whole(),
        Access::ReadWrite => target.whole(),
    });
    let bindings: Vec<_> = bindings.collect();
    let mut recorder = Recorder::default();
    recorder.launch(gpu, &mut pipelines, &prepared.launch, &bindings, 0)?;
    let mut output = ReadBack::new(gpu, &[target.whole()])?;
    recorder.finish(gpu)?.run(gpu, &mut output)?;
    Ok(output.bytes(0)[..output_bytes].to_vec())
}
