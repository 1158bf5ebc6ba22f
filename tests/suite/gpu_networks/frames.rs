//! Camera frames as one submission: what preprocessing on the CPU and the network after it would give, and in what order.

use std::sync::Arc;

use fathom_core::frame::{Frame, PixelFormat, Size};
use fathom_core::model::ModelCard;
use fathom_core::tensor::Tensor;
use fathom_gpu::Gpu;
use fathom_runtime::network::gpu::{Affine, GpuExecutor};
use fathom_runtime::network::import::{ImportOptions, import};
use fathom_runtime::preprocess::preprocess;
use fathom_tests::cases::Case;
use fathom_tests::require::{Missing, fixture};

use crate::{embedded, on};

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "a frame in one submission gives what its steps apart give, whatever its form", forms),
        on(gpu, "a frame of the embedded network takes at most 60 dispatches", |gpu| {
            let mut executor = GpuExecutor::new(embedded(), gpu).unwrap();
            let size = Size::new(640, 480);
            run(&mut executor, &Frame::packed(&pixels(size, PixelFormat::Nv12, 1), size, PixelFormat::Nv12).unwrap());
            assert!(executor.frame_dispatches() <= 60, "{}", executor.frame_dispatches());
        }),
        on(gpu, "two frames may be under way, and come back in order", overlapping),
        on(gpu, "a frame's depth leaves with its affine map", mapped),
        on(gpu, "a device lost between frames is set up once more", lost),
    ]
}

pub(crate) fn card() -> ModelCard {
    let bytes = std::fs::read(fixture("models/fathom-small.int8.onnx")).unwrap();
    import(&bytes, ImportOptions::default()).unwrap().card
}

/// Bytes of a frame of this form, other ones for each seed.
pub(crate) fn pixels(size: Size, format: PixelFormat, seed: usize) -> Vec<u8> {
    let row = format.row_bytes(size.width);
    let value = |x: usize, y: usize| ((x * 3 + y * 2 + seed * 40) % 256 / 2 + (x * y + seed) * 7919 % 97) as u8;
    (0..row * format.rows(size.height)).map(|i| value(i % row, i / row)).collect()
}

fn run(executor: &mut GpuExecutor, frame: &Frame<'_>) -> Vec<Tensor> {
    let mut begun = 0;
    let outputs = executor.run_frame(frame, &card(), &mut || begun += 1).unwrap();
    assert_eq!(begun, 1);
    outputs
}

fn forms(gpu: Arc<Gpu>) {
    let mut executor = GpuExecutor::new(embedded(), gpu).unwrap();
    let sizes = [Size::new(640, 480), Size::new(256, 192), Size::new(34, 18)];
    for (i, (format, size)) in PixelFormat::ALL.into_iter().zip(sizes.into_iter().cycle()).enumerate() {
        let bytes = pixels(size, format, i);
        let frame = Frame::packed(&bytes, size, format).unwrap();
        let expected = executor.run(&preprocess(&frame, &card()).unwrap()).unwrap();
        assert_eq!(run(&mut executor, &frame), expected, "{} {size}", format.name());
        assert_eq!(executor.frame_dispatches(), executor.dispatches() + 2);
    }
}

fn overlapping(gpu: Arc<Gpu>) {
    let mut executor = GpuExecutor::new(embedded(), gpu).unwrap();
    let size = Size::new(320, 240);
    let frames: Vec<Vec<u8>> = (0..5).map(|seed| pixels(size, PixelFormat::Rgb8, seed)).collect();
    let frame = |i: usize| Frame::packed(&frames[i], size, PixelFormat::Rgb8).unwrap();
    let expected: Vec<Vec<Tensor>> = (0..5).map(|i| run(&mut executor, &frame(i))).collect();
    assert!(expected.windows(2).all(|pair| pair[0] != pair[1]));
    let card = card();
    executor.begin(&frame(0), &card).unwrap();
    for i in 1..5 {
        executor.begin(&frame(i), &card).unwrap();
        assert_eq!(executor.in_flight(), 2);
        assert!(executor.begin(&frame(i), &card).unwrap_err().to_string().contains("two frames are under way"));
        assert_eq!(executor.finish().unwrap(), expected[i - 1], "frame {}", i - 1);
    }
    let other = pixels(Size::new(64, 48), PixelFormat::Gray8, 0);
    let other = Frame::packed(&other, Size::new(64, 48), PixelFormat::Gray8).unwrap();
    assert!(executor.begin(&other, &card).unwrap_err().to_string().contains("another form"));
    assert_eq!(executor.finish().unwrap(), expected[4]);
    assert!(executor.finish().unwrap_err().to_string().contains("no frame was begun"));
}

fn mapped(gpu: Arc<Gpu>) {
    let mut executor = GpuExecutor::new(embedded(), gpu).unwrap();
    let size = Size::new(256, 192);
    let bytes = pixels(size, PixelFormat::Rgb8, 1);
    let frame = Frame::packed(&bytes, size, PixelFormat::Rgb8).unwrap();
    let plain = run(&mut executor, &frame);
    executor.set_affine(Affine { scale: 2.0, shift: 1.5 });
    let outputs = run(&mut executor, &frame);
    for (got, x) in outputs[0].as_f32().unwrap().iter().zip(plain[0].as_f32().unwrap()) {
        let expected = 2.0 * (x + 1.5);
        assert!((got - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{got} instead of {expected}");
    }
    assert_eq!(outputs[1..], plain[1..]);
}

fn lost(gpu: Arc<Gpu>) {
    // A device of its own: others go on using the shared one.
    let own = Arc::new(Gpu::open(&fathom_gpu::AdapterPolicy::Named(gpu.report().name.clone())).unwrap());
    let mut executor = GpuExecutor::new(embedded(), Arc::clone(&own)).unwrap();
    let size = Size::new(256, 192);
    let bytes = pixels(size, PixelFormat::Rgb8, 2);
    let frame = Frame::packed(&bytes, size, PixelFormat::Rgb8).unwrap();
    let expected = run(&mut executor, &frame);
    own.lose();
    assert_eq!(executor.run_frame(&frame, &card(), &mut || ()).unwrap(), expected);
    assert!(!Arc::ptr_eq(executor.gpu(), &own));
}
