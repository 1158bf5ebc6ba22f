//! Cameras of a manifest: frames of one lens and size, with true depth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fathom_calibration::anchors::range::RangePoint;
use fathom_calibration::anchors::spot::best_spots;
use fathom_core::camera::Intrinsics;
use fathom_core::depth::RelativeDepth;
use fathom_core::frame::{RgbImage, Size};
use fathom_tests::noise::Noise;

/// Frames of one camera.
#[derive(Debug, Clone)]
pub(crate) struct CameraFrames {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) focal_px: f64,
    pub(crate) shots: Vec<Shot>,
}

/// One frame, not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    picture: PathBuf,
    depth: PathBuf,
    encoding: String,
}

impl Shot {
    /// The picture.
    pub(crate) fn picture(&self) -> RgbImage {
        let decoded = image::open(&self.picture).unwrap_or_else(|e| panic!("{}: {e}", self.picture.display())).into_rgb8();
        let size = Size::new(decoded.width(), decoded.height());
        RgbImage::new(size, decoded.as_raw().as_chunks().0.to_vec()).expect("a decoded picture has its size")
    }

    /// True depth in metres, `[height, width]`; 0 = none.
    pub(crate) fn depth_m(&self) -> (Size, Vec<f32>) {
        let decoded = image::open(&self.depth).unwrap_or_else(|e| panic!("{}: {e}", self.depth.display())).into_luma16();
        let per_metre: f32 = self.encoding.split(['/', ' ']).nth(1).and_then(|n| n.parse().ok()).unwrap_or(1000.0);
        let metres = |value: &u16| if *value == u16::MAX { 0.0 } else { f32::from(*value) / per_metre };
        (Size::new(decoded.width(), decoded.height()), decoded.as_raw().iter().map(metres).collect())
    }
}

/// A range finder true to 1%, before one frame.
pub(crate) struct Finder {
    lens: Intrinsics,
    size: Size,
    depth_m: Vec<f32>,
}

impl Finder {
    /// Before a frame of `lens`; the truth, as of [`Shot::depth_m`], is of any size.
    pub(crate) fn new(lens: Intrinsics, (size, depth_m): (Size, Vec<f32>)) -> Self {
        Self { lens, size, depth_m }
    }

    /// What it reads at a place, shares of width and height; nothing in the sky.
    pub(crate) fn read(&self, place: [f64; 2], noise: &mut Noise) -> Option<RangePoint> {
        let [u_px, v_px] = [place[0] * f64::from(self.lens.size.width), place[1] * f64::from(self.lens.size.height)];
        let (column, row) = ((place[0] * f64::from(self.size.width)) as usize, (place[1] * f64::from(self.size.height)) as usize);
        let z = f64::from(self.depth_m[row * self.size.width as usize + column]);
        let metres = z * self.lens.ray(u_px, v_px).norm() * (1.0 + 0.01 * noise.normal());
        (z > 0.0).then_some(RangePoint { u_px, v_px, metres, relative_sigma: 0.01 })
    }

    /// The same at the best spot that answers.
    pub(crate) fn read_asked(&self, output: &RelativeDepth, tau: f64, noise: &mut Noise) -> Option<RangePoint> {
        let size = self.lens.size;
        let spots = best_spots(output, tau, size, usize::MAX);
        spots.iter().find_map(|spot| self.read([spot.u_px / f64::from(size.width), spot.v_px / f64::from(size.height)], noise))
    }
}

/// The manifest's cameras with at least `least` frames: one group, one name, one focal length, one size.
pub(crate) fn read(manifest: &Path, least: usize) -> Vec<CameraFrames> {
    let text = std::fs::read_to_string(manifest).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    let mut cameras: BTreeMap<String, CameraFrames> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |name: &str| columns.iter().position(|c| *c == name).map_or("", |i| cells[i]);
        let group = cell("file").split('/').next().unwrap_or("").to_owned();
        let key = format!("{group} {} {} {}x{}", cell("camera"), cell("fx"), cell("width"), cell("height"));
        let shot = Shot {
            picture: folder.join(cell("file")),
            depth: folder.join(cell("depth_file")),
            encoding: cell("depth_encoding").to_owned(),
        };
        let camera = cameras.entry(key).or_insert_with(|| CameraFrames {
            name: cell("camera").to_owned(),
            group,
            focal_px: cell("fx").parse().expect("fx is a number"),
            shots: Vec::new(),
        });
        camera.shots.push(shot);
    }
    cameras.into_values().filter(|c| c.shots.len() >= least).collect()
}
