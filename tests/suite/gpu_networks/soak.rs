//! Many frames in a row: results stay the same to the bit, memory stays flat.
//!
//! Short: thirty frames. `FATHOM_SOAK=required`: 20,000 of a small network, and 20,000 camera frames of the embedded one, which a
//! software device takes half an hour for.

#![allow(clippy::disallowed_methods, reason = "tests may read the clock")]

use std::sync::Arc;
use std::time::Instant;

use fathom_core::frame::{Frame, PixelFormat, Size};
use fathom_core::tensor::Tensor;
use fathom_gpu::Gpu;
use fathom_runtime::network::gpu::GpuExecutor;
use fathom_tests::cases::Case;
use fathom_tests::require::{Missing, fixture, insisted};

use crate::frames::{card, pixels};
use crate::{embedded, on, picture, planned};

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "many frames of a small network in a row change neither results nor memory", small),
        on(gpu, "many camera frames in a row change neither results nor memory", camera),
    ]
}

fn small(gpu: Arc<Gpu>) {
    let plan = planned(&fixture("onnx/valid/qdq_axis_u8.onnx"));
    let mut executor = GpuExecutor::new(Arc::clone(&plan), gpu).unwrap();
    let picture = picture(&plan, 6);
    let negative = picture.as_f32().unwrap().iter().map(|value| -value).collect();
    let images = [Tensor::f32(picture.shape().to_vec(), negative).unwrap(), picture];
    soak(|frame| executor.run(&images[frame % 2]).unwrap());
}

fn camera(gpu: Arc<Gpu>) {
    let mut executor = GpuExecutor::new(embedded(), gpu).unwrap();
    let (size, card) = (Size::new(320, 240), card());
    let frames = [0, 1].map(|seed| pixels(size, PixelFormat::Nv12, seed));
    soak(|frame| {
        let frame = Frame::packed(&frames[frame % 2], size, PixelFormat::Nv12).unwrap();
        executor.run_frame(&frame, &card, &mut || ()).unwrap()
    });
}

/// Runs frames 0, 1, 2, .. of which every other is the same, and holds each to the first of its kind.
fn soak<T: PartialEq + std::fmt::Debug>(mut run: impl FnMut(usize) -> T) {
    let long = insisted("FATHOM_SOAK");
    let frames = if long { 20_000 } else { 30 };
    let expected = [run(0), run(1)];
    assert_ne!(expected[0], expected[1], "two pictures, one result");
    let started = Instant::now();
    let mut resident = Vec::with_capacity(frames);
    for frame in 0..frames {
        assert!(run(frame) == expected[frame % 2], "frame {frame} differs from frame {}", frame % 2);
        resident.push(resident_bytes());
    }
    let most = |bytes: &[u64]| bytes.iter().copied().max().unwrap_or(0);
    let window = 1000.min(frames / 3);
    let (first, last) = (most(&resident[..window]), most(&resident[frames - window..]));
    let seconds = started.elapsed().as_secs();
    eprintln!("{frames} frames in {seconds} s: at most {first} bytes resident in the first {window}, {last} in the last");
    assert!(last <= first + FLAT_BYTES, "{first} bytes in the first {window} of {frames} frames, {last} in the last");
}

/// What an allocator keeps back one time and not another; 50 bytes a frame in the long form.
const FLAT_BYTES: u64 = 1 << 20;

/// Resident memory of this process; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}
