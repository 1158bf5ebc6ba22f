//! How long a boot takes: eight frames of 640 x 480, with the time in the network and the memory on top of the engine's.

use std::path::Path;
use std::time::Instant;

use fathom_calibration::anchors::prior::FocalPrior;
use fathom_calibration::boot::{Budget, boot};
use fathom_calibration::calibrator::Options;
use fathom_core::calibration::Calibration;
use fathom_core::frame::{Frame, RgbImage, Size};
use fathom_core::model::{DepthModel, ModelCard, Prediction, Response};
use fathom_core::ops::image::resize::resize_frame;

use crate::cameras;

/// A network whose time is taken, and whose card says that it responds.
struct Timed<'a> {
    model: &'a mut dyn DepthModel,
    card: ModelCard,
    seconds: f64,
    runs: usize,
}

impl DepthModel for Timed<'_> {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn predict(&mut self, image: &Frame<'_>) -> Result<Prediction, fathom_core::Error> {
        let start = Instant::now();
        let prediction = self.model.predict(image);
        self.seconds += start.elapsed().as_secs_f64();
        self.runs += 1;
        prediction
    }
}

/// Boots from nothing, with the focal length known and unknown, and unknown with a third of the time that takes.
pub(crate) fn boot_times(model: &mut dyn DepthModel, manifest: &Path) {
    let size = Size::new(640, 480);
    let camera = cameras::read(manifest, 8).into_iter().next().expect("a camera with eight frames");
    let frames: Vec<RgbImage> = camera.shots.iter().take(8).map(|shot| enlarged(&shot.picture(), size)).collect();
    // The engine's own memory, with its arena touched, is what calibration's comes on top of.
    model.predict(&frames[0].as_frame()).expect("the network runs");
    let mut unknown_s = f64::INFINITY;
    for (name, focal, share) in [("known", FocalPrior::new(500.0, 0.02).ok(), None), ("unknown", None, None), ("unknown", None, Some(0.3))]
    {
        let card = ModelCard { kappa: Some(Response { value: 0.9, sigma: 0.1 }), ..model.card().clone() };
        let mut timed = Timed { model: &mut *model, card, seconds: 0.0, runs: 0 };
        let options = Options { frame: size, old: Calibration::from_default_tau(0.0), focal, camera_height_m: None };
        forget_peak();
        let before_kib = status_kib("VmRSS:");
        let seconds = share.map_or(f64::INFINITY, |share: f64| share * unknown_s);
        let start = Instant::now();
        let elapsed_s = || start.elapsed().as_secs_f64();
        let booted =
            boot(&mut timed, options, None, frames.iter().cloned(), Budget { seconds, elapsed_s: &elapsed_s }).expect("the network runs");
        let total = elapsed_s();
        unknown_s = total;
        println!(
            "focal length {name}, budget {seconds:.1} s: {total:.2} s for {} of 8 frames, {} runs ({:.1} a frame), network {:.1}% of the time, peak memory +{} KiB",
            booted.outcome.frames.1,
            timed.runs,
            timed.runs as f64 / booted.outcome.frames.1 as f64,
            100.0 * timed.seconds / total,
            status_kib("VmHWM:").saturating_sub(before_kib)
        );
    }
}

fn enlarged(picture: &RgbImage, size: Size) -> RgbImage {
    let pixels = resize_frame(&picture.as_frame(), size).expect("size is good");
    RgbImage::new(size, pixels.into_iter().map(|p| p.map(|c| c.round() as u8)).collect()).expect("size is good")
}

/// Lets the kernel count this process's peak memory from now on; where it does not, figures contain what was before.
fn forget_peak() {
    if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
        println!("peak memory since the start of the process: {error}");
    }
}

/// One line of this process's status, KiB; 0 where the system does not say.
fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
