//! Running one launch and holding its result to the twin's.

use std::sync::Arc;

use fathom_core::ops::nn::pitch;
use fathom_core::quant::QuantParams;
use fathom_gpu::Gpu;
use fathom_gpu::kernel::{Launch, Tolerance};
use fathom_gpu::nn::Prepared;
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

/// A case that needs the device.
pub(crate) fn on(gpu: &Result<Arc<Gpu>, Missing>, name: impl Into<String>, run: impl FnOnce(&Gpu) + Send + 'static) -> Case {
    let device = gpu.clone().ok();
    Case::new(name, move || run(&device.expect("a case without its need does not run"))).needs(gpu)
}

/// The last read-write binding after a launch over `memory`.
pub(crate) fn run(gpu: &Gpu, prepared: &Prepared, memory: &[Vec<u8>]) -> Vec<u8> {
    fathom_tests::gpu::run(gpu, prepared, memory, 3000).unwrap_or_else(|error| panic!("{error}"))
}

/// As [`run`], for a launch without constants.
pub(crate) fn run_plain(gpu: &Gpu, launch: Launch, memory: &[Vec<u8>]) -> Vec<u8> {
    run(gpu, &Prepared { launch, constants: Vec::new() }, memory)
}

/// Fails unless every value is within the tolerance; names the first that is not, and the worst.
pub(crate) fn close(got: &[u8], want: &[f32], tolerance: Tolerance) {
    let got = floats_of(got);
    assert!(got.len() >= want.len(), "{} values instead of {}", got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let allowed = tolerance.abs + tolerance.rel * want.abs();
        assert!((got - want).abs() <= allowed, "index {i}: {got} instead of {want}, {allowed} allowed");
    }
}

/// Fails unless every byte is within one step of the expected one.
pub(crate) fn within_a_step(got: &[u8], want: &[u8], signed: bool) {
    let number = |bits: u8| if signed { i32::from(bits.cast_signed()) } else { i32::from(bits) };
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!((number(got) - number(want)).abs() <= 1, "index {i}: {} instead of {}", number(got), number(want));
    }
}

/// Fails unless bytes are equal; names the first that is not.
pub(crate) fn equal(got: &[u8], want: &[u8]) {
    assert!(got.len() >= want.len());
    let wrong = got.iter().zip(want).position(|(a, b)| a != b);
    assert!(wrong.is_none(), "index {wrong:?}: {} instead of {}", got[wrong.unwrap_or(0)], want[wrong.unwrap_or(0)]);
}

/// Sets padding lanes to 0, as every step leaves them.
pub(crate) fn clear_padding<T: Copy + Default>(values: &mut [T], channels: usize) {
    for row in values.chunks_mut(pitch(channels)) {
        row[channels..].fill(T::default());
    }
}

/// Quantizes each value.
pub(crate) fn quantized(values: &[f32], quant: &QuantParams, channels: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = values.iter().map(|&x| quant.quantize(x) as u8).collect();
    clear_padding(&mut bytes, channels);
    bytes
}

/// The reals that bytes stand for.
pub(crate) fn reals(bytes: &[u8], quant: &QuantParams) -> Vec<f32> {
    let number = |bits: u8| if quant.signed { i32::from(bits.cast_signed()) } else { i32::from(bits) };
    bytes.iter().map(|&bits| quant.dequantize(number(bits))).collect()
}

pub(crate) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn floats_of(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
