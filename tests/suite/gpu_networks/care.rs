//! Caches, tactics, a lost device, memory, the first frame.

#![allow(clippy::disallowed_methods, reason = "tests may read the clock")]

use std::sync::Arc;
use std::time::Instant;

use fathom_core::frame::{Frame, PixelFormat, Size};
use fathom_gpu::Gpu;
use fathom_gpu::cache::Start;
use fathom_runtime::Error;
use fathom_runtime::network::gpu::{GpuExecutor, GpuOptions, Tactic};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

use crate::frames::{card, pixels};
use crate::{embedded, on, picture};

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "a stored cache starts warm, a damaged or foreign one is rebuilt", cached),
        on(gpu, "tuning times every tactic and its choice survives in the cache", tuned),
        on(gpu, "a bound on the work of a dispatch splits it and changes nothing", split),
        Case::new("the bound on a dispatch is some hundredths of a second on every board", boards),
        on(gpu, "a lost device is set up once more", lost),
        on(gpu, "a network that does not fit is refused with need and limit", too_large),
        on(
            &with_kept_kernels(gpu),
            "the first frame of a warm start takes half a second of the processor or twice a frame at the most",
            warm,
        ),
    ]
}

fn with(gpu: &Arc<Gpu>, stored: Option<Vec<u8>>) -> GpuExecutor {
    GpuExecutor::with_options(embedded(), Arc::clone(gpu), GpuOptions { stored, ..GpuOptions::default() }).unwrap()
}

fn cached(gpu: Arc<Gpu>) {
    let mut cold = with(&gpu, None);
    assert_eq!(cold.start(), Start::Cold);
    let image = picture(&embedded(), 2);
    let expected = cold.run(&image).unwrap();
    let stored = cold.store();
    let mut damaged = stored.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let mut foreign = stored.clone();
    foreign[9] ^= 1;
    for (bytes, start) in [(stored, Start::Warm), (damaged, Start::Corrupt), (foreign, Start::Foreign), (vec![7; 30], Start::Corrupt)] {
        let mut executor = with(&gpu, Some(bytes));
        assert_eq!(executor.start(), start);
        assert_eq!(executor.run(&image).unwrap(), expected);
    }
}

fn tuned(gpu: Arc<Gpu>) {
    let mut executor = with(&gpu, None);
    let image = picture(&embedded(), 3);
    let expected = executor.run(&image).unwrap();
    let start = Instant::now();
    let tuning = executor.tune(&image, 1, &mut || start.elapsed()).unwrap();
    assert_eq!(tuning.refused, []);
    let of_bytes = [Tactic::Plain, Tactic::Spread, Tactic::Matrix];
    let usable = of_bytes.into_iter().filter(|tactic| tactic.runs_on(&gpu)).count();
    assert!(tuning.steps.len() > 30, "{} steps with a choice", tuning.steps.len());
    // The head is floats, for which halves were not asked.
    let counts: Vec<usize> = tuning.steps.iter().map(|(_, _, times)| times.len()).collect();
    assert!(counts.iter().all(|count| [1, usable].contains(count)) && counts.iter().filter(|count| **count == usable).count() > 30);
    assert!(tuning.steps.iter().all(|(_, _, times)| times.iter().all(|(_, ns)| ns.is_finite())));
    assert_eq!(executor.run(&image).unwrap(), expected);
    let again = with(&gpu, Some(executor.store()));
    assert_eq!(again.tactics(), executor.tactics());
}

fn split(gpu: Arc<Gpu>) {
    let size = Size::new(320, 240);
    let bytes = pixels(size, PixelFormat::Yuyv, 4);
    let frame = Frame::packed(&bytes, size, PixelFormat::Yuyv).unwrap();
    let mut whole = with(&gpu, None);
    let expected = whole.run_frame(&frame, &card(), &mut || ()).unwrap();
    // The first leaves rows of workgroups together, the second hardly any two workgroups.
    for (bound, more) in [(1 << 20, 100), (1 << 14, 1000)] {
        assert!(whole.most_work() > bound, "{} is no work for this test", whole.most_work());
        let options = GpuOptions { work_per_dispatch: bound, ..GpuOptions::default() };
        let mut parts = GpuExecutor::with_options(embedded(), Arc::clone(&gpu), options).unwrap();
        assert_eq!(parts.run_frame(&frame, &card(), &mut || ()).unwrap(), expected, "in parts of {bound}");
        assert!(parts.most_work() <= bound, "{} in parts of {bound}", parts.most_work());
        assert!(parts.frame_dispatches() > whole.frame_dispatches() + more, "{}", parts.frame_dispatches());
    }
}

/// Small boards lose a device that one dispatch holds for about a second. A kernel that reaches a tenth of the arithmetic that the
/// data sheet promises is a poor one, and has to stay far below that still.
fn boards() {
    let bound = GpuOptions::default().work_per_dispatch as f64;
    for board in fathom_boards::profiles().unwrap() {
        let Some(tops) = board.peak.fp32_tops else { continue };
        // Two operations a multiply-accumulate.
        let seconds = bound / (0.1 * tops * 1e12 / 2.0);
        assert!(seconds < 0.05, "{}: {seconds} s", board.name);
    }
}

fn lost(gpu: Arc<Gpu>) {
    // A device of its own: others go on using the shared one.
    let own = Arc::new(Gpu::open(&fathom_gpu::AdapterPolicy::Named(gpu.report().name.clone())).unwrap());
    let image = picture(&embedded(), 5);
    let mut executor = with(&own, None);
    let expected = executor.run(&image).unwrap();
    own.lose();
    assert!(matches!(own.check(), Err(fathom_gpu::Error::Lost { .. })));
    assert_eq!(executor.run(&image).unwrap(), expected);
    assert!(!Arc::ptr_eq(executor.gpu(), &own));
}

fn too_large(gpu: Arc<Gpu>) {
    let allowed = gpu.limits().buffer_bytes;
    let mut plan = (*embedded()).clone();
    plan.arena_bytes = usize::try_from(allowed).unwrap() + 1;
    let error = GpuExecutor::new(Arc::new(plan), Arc::clone(&gpu)).err().expect("more than the device allows");
    let Error::Gpu(fathom_gpu::Error::OutOfMemory { needed_bytes, limit_bytes, .. }) = &error else { panic!("{error}") };
    assert!(*needed_bytes > allowed && *limit_bytes == allowed, "{error}");
    assert!(error.to_string().contains(&allowed.to_string()), "{error}");
    // The device goes on.
    with(&gpu, None).run(&picture(&embedded(), 6)).unwrap();
}

/// The device, if its driver keeps what it compiled: SwiftShader's stored pipelines are empty.
fn with_kept_kernels(gpu: &Result<Arc<Gpu>, Missing>) -> Result<Arc<Gpu>, Missing> {
    let gpu = gpu.clone()?;
    if gpu.report().name.contains("SwiftShader") {
        let why = format!("{} compiles every kernel anew at each start", gpu.report().name);
        return Err(Missing { why, required: false });
    }
    Ok(gpu)
}

/// From nothing but the file and what an earlier run stored to the first depth: half a second, or twice what a frame itself takes where
/// the processor that computes for a software device is slow. Time of the processor, of all threads together: what else the machine does
/// is not counted, and an idle one takes no longer than that.
fn warm(gpu: Arc<Gpu>) {
    let size = Size::new(256, 192);
    let bytes = pixels(size, PixelFormat::Rgb8, 3);
    let frame = Frame::packed(&bytes, size, PixelFormat::Rgb8).unwrap();
    let mut cold = with(&gpu, None);
    let expected = cold.run_frame(&frame, &card(), &mut || ()).unwrap();
    let stored = Some(cold.store());
    drop(cold);
    let before = processor_seconds();
    let own = Gpu::open(&fathom_gpu::AdapterPolicy::Named(gpu.report().name.clone())).unwrap();
    let mut executor = with(&Arc::new(own), stored);
    assert_eq!(executor.start(), Start::Warm);
    assert_eq!(executor.run_frame(&frame, &card(), &mut || ()).unwrap(), expected);
    let first = processor_seconds() - before;
    assert_eq!(executor.run_frame(&frame, &card(), &mut || ()).unwrap(), expected);
    let next = processor_seconds() - before - first;
    eprintln!("first frame of a warm start: {first:.2} s of the processor, the next {next:.2} s");
    assert!(first <= f64::max(0.5, 2.0 * next), "{first} s, {next} s");
}

/// User and system time of this process; 0 where the system does not tell.
fn processor_seconds() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before may hold spaces; ticks are hundredths of a second on Linux.
    let after = status.rsplit_once(')').map_or("", |(_, rest)| rest);
    after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
