//! The embedded network: does it load, and does it see?

use fathom_core::frame::{RgbImage, Size};

use super::Check;
use crate::args::{BackendName, CardArgs, DeviceArgs};
use crate::clock::Stopwatch;
use crate::network::{Source, start};

/// Loads the embedded network and runs it where the flags say, and on the CPU beside it.
pub(crate) fn checks(device: &DeviceArgs) -> Vec<Check> {
    let advice = "this build is broken: report it with the output of `fathom doctor --json`";
    let model = match Source::open(None).and_then(|source| source.import(&CardArgs::default())) {
        Ok(model) => model,
        Err(error) => return vec![Check::failed("network", format!("{error:#}"), advice)],
    };
    let loaded = Check::ok("network", format!("{}, sha256 {}", model.card.name, &model.sha256[..16]));
    let cpu = DeviceArgs { backend: BackendName::Cpu, adapter: None, threads: device.threads };
    let run = |name, device: &DeviceArgs| match look(model.clone(), device) {
        Ok(found) => Check::ok(name, found),
        Err(error) => Check::failed(name, format!("{error:#}"), advice),
    };
    let mut checks = vec![loaded, run("on the cpu", &cpu)];
    if device.backend != BackendName::Cpu {
        checks.push(run("as asked for", device));
    }
    checks
}

/// Runs the network on a drawn corridor and checks that its end is farther away than its floor.
fn look(model: fathom_runtime::network::import::Model, device: &DeviceArgs) -> anyhow::Result<String> {
    use fathom_core::depth::OutputKind;

    let mut engine = start(model, device)?;
    let picture = corridor()?;
    engine.infer(&picture.as_frame())?;
    let mut stopwatch = Stopwatch::start();
    let relative = engine.infer(&picture.as_frame())?.relative;
    let ms = stopwatch.lap_ms();
    let width = relative.size().width as usize;
    let mean = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        let count = (rows.len() * columns.len()) as f32;
        rows.map(|y| relative.values()[y * width..][columns.clone()].iter().sum::<f32>()).sum::<f32>() / count
    };
    let (end, floor) = (mean(110..130, 150..170), mean(220..240, 130..190));
    let nearer = if relative.kind() == OutputKind::InverseDepth { floor > end } else { floor < end };
    anyhow::ensure!(nearer, "the floor before the camera ({floor:.3}) does not come out nearer than the corridor's end ({end:.3})");
    let report = engine.backend();
    Ok(format!(
        "{} through {}: {ms:.1} ms a frame; {}",
        report.adapter.as_deref().unwrap_or(report.backend),
        report.executor,
        report.reason
    ))
}

/// A corridor in one-point perspective: light walls, tiled floor, dark end.
fn corridor() -> anyhow::Result<RgbImage> {
    let size = Size::new(320, 240);
    let colour = |i: usize| {
        let x = (i % 320) as f32 - 159.5;
        let y = (i / 320) as f32 - 119.5;
        // Distance along the corridor at which this pixel's ray meets a wall, floor or ceiling; it ends at 8.
        let reach = (160.0 / x.abs()).min(120.0 / y.abs());
        if reach > 8.0 {
            return [70, 66, 60];
        }
        let shade = 1.0 / (1.0 + 0.15 * reach);
        let tile = (reach.mul_add(2.0, 0.0) as u32 + ((x * reach / 80.0) + 8.0) as u32).is_multiple_of(2);
        let (floor, ceiling) = (y > 0.0 && 120.0 * x.abs() < 160.0 * y, y < 0.0 && 120.0 * x.abs() < -160.0 * y);
        let base: [f32; 3] = match (floor, ceiling, tile) {
            (true, _, true) => [150.0, 110.0, 80.0],
            (true, _, false) => [120.0, 85.0, 60.0],
            (_, true, _) => [235.0, 235.0, 230.0],
            _ => [205.0, 200.0, 190.0],
        };
        base.map(|channel| (channel * shade) as u8)
    };
    Ok(RgbImage::new(size, (0..size.area()).map(colour).collect())?)
}
