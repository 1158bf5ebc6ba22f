//! The splat's four kernels in one frame against core's twins: bit for bit, at awkward sizes, with poisoned points.

use std::sync::Arc;

use fathom_core::frame::Size;
use fathom_core::ops::splat::{self, ScreenPoint, accumulate, fill, nearest};
use fathom_gpu::Gpu;
use fathom_gpu::buffer::Buffer;
use fathom_gpu::cache::Pipelines;
use fathom_gpu::read_back::ReadBack;
use fathom_gpu::recorder::Recorder;
use fathom_gpu::splat::{SUM_WORDS, Splat};
use fathom_tests::cases::Case;
use fathom_tests::require::Missing;

pub(crate) fn cases(gpu: &Result<Arc<Gpu>, Missing>) -> Vec<Case> {
    // One pixel, primes, a multiple of the workgroup, one past it, and far more points than pixels.
    let sizes = [(1, 1, 5), (7, 5, 0), (7, 5, 400), (16, 4, 64), (13, 5, 65), (64, 48, 20_000)];
    sizes
        .into_iter()
        .map(|(width, height, points)| {
            let device = gpu.clone().ok();
            let run = move || check(&device.expect("a case without its need does not run"), Size::new(width, height), points);
            Case::new(format!("splat of {points} points into {width}x{height} is exact"), run).needs(gpu)
        })
        .collect()
}

/// Points over and around the view, at depths that tie, nearly tie and lie far apart; every ninth makes no point.
fn points(size: Size, count: usize) -> Vec<ScreenPoint> {
    let mut state = 77_u32;
    let mut unit = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..count)
        .map(|i| {
            let (u, v) = (unit() * (size.width as f32 + 4.0) - 2.0, unit() * (size.height as f32 + 4.0) - 2.0);
            let z = [1.0, 1.0 + unit() * 0.04, 1.0 + 3.0 * unit(), if i % 9 == 0 { f32::NAN } else { 1e-6 + 1e6 * unit() }][i % 4];
            ScreenPoint::new(u, v, z, [(255.0 * unit()) as u8, (255.0 * unit()) as u8, i as u8])
        })
        .collect()
}

fn check(gpu: &Gpu, size: Size, count: usize) {
    let points = points(size, count);
    let expected = splat::splat(&points, size).expect("size and count are good");
    let expected_sums = accumulate::accumulate(&points, &nearest::nearest(&points, size), size);
    let filled = fill::fill(&expected).expect("a rendering");
    let [sums, nearest_bits, image, depth, painted] = render(gpu, size, &points).unwrap_or_else(|error| panic!("{error}"));
    assert_words("nearest", &nearest_bits, &expected.nearest_bits);
    let words: Vec<u32> = expected_sums.iter().flat_map(|s| [s.colour[0], s.colour[1], s.colour[2], s.behind, s.weight]).collect();
    assert_words("sums", &sums, &words);
    let packed = |pixels: &[[u8; 3]]| pixels.iter().map(|[r, g, b]| u32::from_le_bytes([*r, *g, *b, 0])).collect::<Vec<_>>();
    assert_words("image", &image, &packed(expected.image.pixels()));
    assert_words("depth", &depth, &expected.depth.iter().map(|z| z.to_bits()).collect::<Vec<_>>());
    assert_words("filled", &painted, &packed(filled.pixels()));
}

fn assert_words(what: &str, got: &[u32], expected: &[u32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    if let Some(i) = got.iter().zip(expected).position(|(a, b)| a != b) {
        panic!("{what}: word {i} is {:#x} instead of {:#x}", got[i], expected[i]);
    }
}

/// Sums, nearest, image, depth, filled image.
fn render(gpu: &Gpu, size: Size, points: &[ScreenPoint]) -> fathom_gpu::Result<[Vec<u32>; 5]> {
    let job = Splat { size, points: points.len() };
    let words: Vec<u32> = points.iter().flat_map(|p| [p.u.cast_unsigned(), p.v.cast_unsigned(), p.depth_bits, p.colour]).collect();
    let arena = |label, bytes| Buffer::arena(gpu, label, bytes);
    let plane = job.plane_bytes();
    let (cloud, near) = (arena("points", job.points_bytes())?, arena("nearest", plane)?);
    let (sums, image) = (arena("sums", SUM_WORDS as u64 * plane)?, arena("image", plane)?);
    let (depth, painted) = (arena("depth", plane)?, arena("filled", plane)?);
    cloud.write(gpu, 0, &bytes_of(&words))?;
    near.write(gpu, 0, &bytes_of(&vec![u32::MAX; size.area()]))?;
    let mut pipelines = Pipelines::open(gpu, fathom_gpu::ALL, None);
    let mut recorder = Recorder::default();
    let [cloud, near, sums, image, depth, painted] = [&cloud, &near, &sums, &image, &depth, &painted].map(Buffer::whole);
    let steps = [
        (job.nearest(), vec![cloud, near]),
        (job.accumulate(), vec![cloud, near, sums]),
        (job.resolve(), vec![sums, near, image, depth]),
        (job.fill(), vec![image, depth, painted]),
    ];
    for (mark, (launch, bindings)) in steps.iter().enumerate() {
        recorder.launch(gpu, &mut pipelines, launch, bindings, mark)?;
    }
    let mut read_back = ReadBack::new(gpu, &[sums, near, image, depth, painted])?;
    recorder.finish(gpu)?.run(gpu, &mut read_back)?;
    let read = |index| read_back.bytes(index).chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok([read(0), read(1), read(2), read(3), read(4)])
}

fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
