//! 16-bit depth pictures in millimetres, 0 = no depth. Only metres can be written: the type asks for them.

use std::path::Path;

use fathom_core::depth::{Depth, Metres};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

/// Largest depth that 16 bits of millimetres hold, metres; what is farther is written as "no depth".
pub(crate) const FARTHEST_M: f32 = 65.535;

/// Writes depth in millimetres, rounded.
pub(crate) fn write(path: &Path, depth: &Depth<Metres>) -> anyhow::Result<()> {
    let millimetres = |&depth_m: &f32| if depth_m <= FARTHEST_M { (depth_m * 1000.0).round() as u16 } else { 0 };
    let bytes: Vec<u8> = depth.values().iter().map(millimetres).flat_map(u16::to_ne_bytes).collect();
    let size = depth.size();
    super::write_file(path, |file| Ok(PngEncoder::new(file).write_image(&bytes, size.width, size.height, ExtendedColorType::L16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_core::frame::Size;

    #[test]
    fn metres_become_millimetres_and_what_is_too_far_becomes_no_depth() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let depth = Depth::<Metres>::new(Size::new(5, 1), vec![1.2346, 0.0, 65.535, 65.6, 0.0004]).unwrap();
        write(&path, &depth).unwrap();
        let read = image::open(&path).unwrap();
        assert_eq!(read.as_luma16().unwrap().as_raw(), &[1235, 0, 65535, 0, 0]);
    }
}
