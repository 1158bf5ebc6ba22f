//! The sigma of tau against simulated cameras: honest, falling with frames, never below what the network's spread leaves.

use fathom_calibration::consistency::frame::{FocalEvidence, FrameEvidence};
use fathom_calibration::consistency::guard::{Fault, Thumbnail};
use fathom_calibration::consistency::pool::{Pool, TauEstimate};
use fathom_calibration::consistency::rotation::{Change, Moments};
use fathom_calibration::render::Source;
use fathom_calibration::scene::Spread;
use fathom_core::frame::Size;
use fathom_core::measures::camera::{Claim, coverage};
use fathom_core::model::Response;
use fathom_tests::noise::Noise;

const TAU: f64 = 0.8;
const KAPPA: Response = Response { value: 0.8, sigma: 0.08 };

/// A frame whose network realises `kappa` of the change, misreads the frame by `error` and each view by a little more.
fn frame(index: usize, kappa: f64, error: f64, noise: &mut Noise) -> FrameEvidence {
    let offset = noise.uniform();
    let views = std::array::from_fn(|_| {
        let misread = 1.0 + error + 0.05 * noise.normal();
        let changes: Vec<Change> = (0..120)
            .map(|i| {
                let (x, a) = (offset + f64::from(i % 11) * 0.1, f64::from(i % 17 - 8) * 0.02);
                let mean = offset + 0.5;
                // What the pooled estimate reads is kappa (tau + mean) (1 + error) - mean.
                let tau_hat = kappa * (TAU + mean) * misread - mean;
                Change { x, a, delta: a * (x + tau_hat) + 0.001 * noise.normal() }
            })
            .collect();
        Moments::robust(&changes)
    });
    let size = Size::new(16, 12);
    // Pictures that differ: a bright column and a bright row in other places, at another level.
    let level = |pixel: usize| {
        let bright = pixel % 16 == index % 16 || pixel / 16 == index / 16 % 12;
        if bright { 60.0 + (index / 192) as f32 * 20.0 } else { 20.0 }
    };
    let source = Source::of(size, &(0..size.area()).map(|i| [level(i); 3]).collect::<Vec<_>>());
    FrameEvidence {
        thumbnail: Thumbnail::of(&source),
        spread: Spread { mean: offset + 0.5, std: 0.32 },
        lowest: offset,
        tried: vec![FocalEvidence { ln_focal: 6.0, views }],
    }
}

fn camera(frames: usize, seed: u64, outliers: bool) -> Pool {
    let mut noise = Noise(seed);
    noise.uniform();
    let kappa = KAPPA.value + KAPPA.sigma * noise.normal();
    let mut pool = Pool::new(KAPPA);
    for index in 0..frames {
        let error = if outliers && index % 10 == 3 { -0.9 } else { 0.3 * noise.normal() };
        pool.add(frame(index, kappa, error, &mut noise)).unwrap();
    }
    pool
}

#[test]
fn one_sigma_covers_two_thirds_of_simulated_cameras() {
    for (frames, outliers) in [(8, false), (20, false), (20, true), (60, false)] {
        let claims: Vec<Claim> = (0..300)
            .map(|seed| {
                let found = camera(frames, 1 + 7919 * seed, outliers).estimate(6.0).unwrap();
                Claim { estimate: found.tau, sigma: found.sigma, truth: TAU }
            })
            .collect();
        let (one, two) = (coverage(&claims, 1.0).unwrap(), coverage(&claims, 2.0).unwrap());
        println!("{frames} frames, outliers {outliers}: {one:.2} within one sigma, {two:.2} within two");
        assert!((0.55..=0.80).contains(&one) && two > 0.85, "{frames} frames, outliers {outliers}: {one}, {two}");
    }
}

#[test]
fn sigma_falls_with_frames_to_the_spread_of_the_response_and_memory_does_not_grow() {
    let few = camera(6, 5, false).estimate(6.0).unwrap();
    let many = camera(400, 5, false);
    let found = many.estimate(6.0).unwrap();
    let relative = |e: &TauEstimate| e.sigma / (e.tau + e.mean_x);
    let floor = KAPPA.sigma / KAPPA.value;
    assert!(relative(&found) < relative(&few) && relative(&found) >= floor, "{few:?} {found:?}");
    assert_eq!(many.count(), 400);
    assert!(many.frames().len() <= 128, "{}", many.frames().len());
}

#[test]
fn a_picture_that_repeats_one_before_adds_nothing() {
    let mut noise = Noise(3);
    let mut pool = Pool::new(KAPPA);
    let first = frame(0, 0.8, 0.0, &mut noise);
    pool.add(first.clone()).unwrap();
    assert!(matches!(pool.add(first), Err(Fault::Repeated { .. })));
    assert_eq!(pool.count(), 1);
    assert_eq!(pool.estimate(6.0), None, "one frame does not disagree with itself");
}

#[test]
fn tau_through_a_wrong_focal_length_moves_with_its_square() {
    let pool = camera(20, 11, false);
    let at = |ln_focal: f64| pool.estimate(ln_focal).map(|e| e.tau + e.mean_x).unwrap();
    assert!((at(6.05) / at(6.0) - 0.1_f64.exp()).abs() < 0.01);
}
