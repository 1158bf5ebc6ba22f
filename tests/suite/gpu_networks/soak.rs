//! Many frames in a row: results stay the same to the bit, memory stays flat.
//!
//! Thirty frames, or as many as `FATHOM_SOAK` says. The embedded network runs at its own size and at an eighth of its pixels, where
//! it keeps all its steps and weights and a software device takes minutes for 20,000 frames instead of an hour.

#![allow(clippy::disallowed_methods, reason = "tests may read the clock")]

use std::sync::Arc;
use std::time::Instant;

use fathom_core::frame::{Frame, PixelFormat, Size};
use fathom_core::model::ModelCard;
use fathom_core::tensor::Tensor;
use fathom_gpu::Gpu;
use fathom_runtime::network::gpu::GpuExecutor;
use fathom_runtime::network::plan::Plan;
use fathom_tests::cases::Case;
use fathom_tests::require::{Missing, fixture};

use crate::frames::{card, pixels};
use crate::{embedded, embedded_at, on, picture, planned};

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "many frames of a small network in a row change neither results nor memory", small),
        on(gpu, "many camera frames in a row change neither results nor memory", |gpu| camera(gpu, embedded(), &card())),
        on(gpu, "many small camera frames in a row change neither results nor memory", |gpu| {
            let (plan, card) = embedded_at(Size::new(96, 64));
            assert_eq!(plan.steps.len(), embedded().steps.len());
            camera(gpu, plan, &card);
        }),
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

fn camera(gpu: Arc<Gpu>, plan: Arc<Plan>, card: &ModelCard) {
    let mut executor = GpuExecutor::new(plan, gpu).unwrap();
    let size = Size::new(320, 240);
    let frames = [0, 1].map(|seed| pixels(size, PixelFormat::Nv12, seed));
    soak(|frame| {
        let frame = Frame::packed(&frames[frame % 2], size, PixelFormat::Nv12).unwrap();
        executor.run_frame(&frame, card, &mut || ()).unwrap()
    });
}

/// Runs frames 0, 1, 2, .. of which every other is the same, and holds each to the first of its kind.
fn soak<T: PartialEq + std::fmt::Debug>(mut run: impl FnMut(usize) -> T) {
    let frames = std::env::var("FATHOM_SOAK").map_or(30, |count| count.parse().expect("FATHOM_SOAK is a number of frames"));
    let expected = [run(0), run(1)];
    assert_ne!(expected[0], expected[1], "two pictures, one result");
    // Drivers fill their pools in the first frames.
    (0..10).for_each(|frame| drop(run(frame)));
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
