//! Whether a reading is as good as its place says: errors at pixels all over the frame, by what was claimed of them.

use fathom_calibration::anchors::frame_scale::{TAILS, frame_scale};
use fathom_core::calibration::Calibration;
use fathom_core::camera::Intrinsics;
use fathom_core::measures::alignment::scale_only;
use fathom_core::measures::{median, pairs};
use fathom_core::model::{DepthModel, ScaleSpread};
use fathom_core::ops::image::resize::resize_plane;
use fathom_tests::noise::Noise;

use crate::cameras::{CameraFrames, Finder};

/// Pixels of a frame that are tried.
const PIXELS: usize = 60;

/// Upper ends of the bands of claimed factors.
const BANDS: [f64; 8] = [0.5, 0.6, 0.75, 0.9, 1.1, 1.4, 2.0, f64::INFINITY];

/// Claimed factor of the network's error at a pixel, and how far that pixel's scale lies from its frame's best, |ln|.
type Tried = (f64, f64);

/// Tries pixels of one camera's frames, at the card's usual shift.
pub(crate) fn try_pixels(model: &mut dyn DepthModel, camera: &CameraFrames, seed: u64) -> Vec<Tried> {
    let (kind, tau) = (model.card().output_kind, model.card().default_tau);
    let mut noise = Noise(seed);
    let mut tried = Vec::new();
    for shot in &camera.shots {
        let picture = shot.picture();
        let lens = Intrinsics::centred(picture.size(), camera.focal_px).expect("focal length is good");
        let mut calibration = Calibration { camera: Some(lens), ..Calibration::from_default_tau(tau) };
        calibration.covariance[(2, 2)] = 0.0;
        let output = model.predict(&picture.as_frame()).expect("the network runs").relative;
        let (depth_size, depth) = shot.depth_m();
        let full = resize_plane(output.values(), output.size(), depth_size).expect("sizes are good");
        let Some(best) = scale_only(kind, &pairs(&full, &depth), tau) else { continue };
        let finder = Finder::new(lens, (depth_size, depth));
        for _ in 0..PIXELS {
            let Some(mut point) = finder.read([noise.uniform(), noise.uniform()], &mut noise) else { continue };
            // The sensor's own part out, what is claimed is the network's; of a network that errs by 1.
            point.relative_sigma = 1e-9;
            let spread = ScaleSpread { frame: 1.0, pixel: 1.0 / TAILS };
            let found = frame_scale(&calibration, spread, &output, picture.size(), &[point]).expect("points are good");
            tried.extend(found.ln_scale.map(|ln_scale| (found.ln_scale_sigma(), (ln_scale - best.scale.ln()).abs())));
        }
    }
    tried
}

/// Prints errors by what was claimed of them.
pub(crate) fn print(tried: &[Tried]) {
    // The median of an absolute normal value is 0.6745 sigma.
    let sigma = |of: &dyn Fn(f64) -> bool| median(tried.iter().filter(|t| of(t.0)).map(|t| t.1).collect()).unwrap_or(f64::NAN) / 0.6745;
    let all = sigma(&|_| true);
    println!("{} pixels; one sigma of ln s by one of them, robustly: {all:.3}", tried.len());
    println!("claimed factor   share  claimed, median  found");
    let mut from = 0.0;
    for to in BANDS {
        let within = |factor: f64| (from..to).contains(&factor);
        let claimed: Vec<f64> = tried.iter().map(|t| t.0).filter(|factor| within(*factor)).collect();
        let share = claimed.len() as f64 / tried.len().max(1) as f64;
        println!("{from:>5.2} .. {to:<5.2}  {share:>6.3}  {:>15.2}  {:>5.2}", median(claimed).unwrap_or(f64::NAN), sigma(&within) / all);
        from = to;
    }
}
