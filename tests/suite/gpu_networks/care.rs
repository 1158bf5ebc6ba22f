//! Caches, tactics, a lost device, long runs.

#![allow(clippy::disallowed_methods, reason = "tests may read the clock")]

use std::sync::Arc;
use std::time::Instant;

use fathom_gpu::Gpu;
use fathom_gpu::cache::Start;
use fathom_runtime::network::gpu::{GpuExecutor, GpuOptions, Tactic};
use fathom_tests::cases::Case;
use fathom_tests::require::{Missing, insisted};

use crate::{embedded, on, picture};

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    vec![
        on(gpu, "a stored cache starts warm, a damaged or foreign one is rebuilt", cached),
        on(gpu, "tuning times every tactic and its choice survives in the cache", tuned),
        on(gpu, "a bound on the work of a dispatch splits it and changes nothing", split),
        on(gpu, "a lost device is set up once more", lost),
        on(gpu, "many frames in a row change neither results nor memory", soak),
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
    let usable = Tactic::ALL.into_iter().filter(|tactic| tactic.runs_on(&gpu)).count();
    assert!(tuning.steps.len() > 30, "{} steps with a choice", tuning.steps.len());
    assert!(tuning.steps.iter().all(|(_, _, times)| times.len() == usable && times.iter().all(|(_, ns)| ns.is_finite())));
    assert_eq!(executor.run(&image).unwrap(), expected);
    let again = with(&gpu, Some(executor.store()));
    assert_eq!(again.tactics(), executor.tactics());
}

fn split(gpu: Arc<Gpu>) {
    let image = picture(&embedded(), 4);
    let mut whole = with(&gpu, None);
    let options = GpuOptions { work_per_dispatch: 1 << 20, stored: None };
    let mut parts = GpuExecutor::with_options(embedded(), gpu, options).unwrap();
    assert!(parts.dispatches() > whole.dispatches() + 100, "{}", parts.dispatches());
    assert_eq!(parts.run(&image).unwrap(), whole.run(&image).unwrap());
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

/// Thirty frames, or 20,000 where the environment asks for the long form (`FATHOM_SOAK=required`).
fn soak(gpu: Arc<Gpu>) {
    let frames = if insisted("FATHOM_SOAK") { 20_000 } else { 30 };
    let plan = embedded();
    let mut executor = with(&gpu, None);
    let images = [picture(&plan, 6), picture(&plan, 7)];
    let expected = images.each_ref().map(|image| executor.run(image).unwrap());
    let settled = resident_bytes();
    for frame in 0..frames {
        assert_eq!(executor.run(&images[frame % 2]).unwrap(), expected[frame % 2], "frame {frame}");
    }
    let grown = resident_bytes().saturating_sub(settled);
    assert!(grown < 32 << 20, "{grown} bytes more after {frames} frames");
}

/// Resident memory of this process; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}
