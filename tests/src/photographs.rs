//! Photographs of `../shared/data/eval-dev` as networks take them.

use std::path::Path;

use fathom_core::tensor::Tensor;

/// One from each of five cameras.
pub const FRAMES: [&str; 5] = [
    "kitti_sfnd/0000000000.png",
    "metric3d_nyu/data_nyu_demo_rgb_rgb_00000.jpg",
    "middlebury2014Q/Adirondack_im0.png",
    "nuscenes/CAM_FRONT.jpg",
    "nvblox_3dmatch/nvblox_tests_data_3dmatch_seq-01_frame-000000.color.png",
];

/// A card for `../shared/models/pydnetpp*.onnx`, which have none: what their README says.
pub const PYDNETPP_CARD: &str = "channel_order = \"rgb\"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\noutput_kind = \"depth\"\n";

/// A photograph as `[1, 3, height, width]`, RGB, 0..1.
///
/// # Errors
/// If the file cannot be read as a picture.
pub fn rgb(path: &Path, width: u32, height: u32) -> Result<Tensor, Box<dyn std::error::Error>> {
    let picture = image::open(path)?.resize_exact(width, height, image::imageops::FilterType::Triangle).to_rgb8();
    let plane = |channel: usize| picture.pixels().map(move |p| f32::from(p[channel]) / 255.0).collect::<Vec<_>>();
    Ok(Tensor::f32(vec![1, 3, height as usize, width as usize], [plane(0), plane(1), plane(2)].concat())?)
}
