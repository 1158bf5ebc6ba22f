//! Depth map to point cloud: each pixel is lifted along its pinhole ray.

use crate::camera::Intrinsics;
use crate::depth::{Depth, PointCloud, Unit};
use crate::frame::{RgbImage, Size};
use crate::{Error, Result};

/// Lifts a depth map to coloured points in the camera frame (x right, y down, z forward), in the depth's unit.
///
/// `X = (u - cx) / fx Z` and `Y = (v - cy) / fy Z`, where `(u, v)` is the pixel's centre.
/// Source: Hartley & Zisserman, *Multiple View Geometry*, 2nd ed., section 6.1.
///
/// Pixels without depth are left out; the others stay in row-major order.
///
/// ```
/// use fathom_core::camera::Intrinsics;
/// use fathom_core::depth::{Depth, Metres};
/// use fathom_core::frame::{RgbImage, Size};
/// use fathom_core::ops::image::backproject::backproject;
/// let size = Size::new(1, 1);
/// let depth = Depth::<Metres>::new(size, vec![2.0])?;
/// let camera = Intrinsics::centred(size, 100.0)?;
/// let cloud = backproject(&depth, &camera, &RgbImage::new(size, vec![[9, 8, 7]])?)?;
/// assert_eq!(cloud.points, [[0.0, 0.0, 2.0]]); // the principal ray
/// # Ok::<(), fathom_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] unless camera and colours have the depth map's size.
pub fn backproject<U: Unit>(depth: &Depth<U>, camera: &Intrinsics, colours: &RgbImage) -> Result<PointCloud> {
    let size = depth.size();
    for (what, got) in [("backproject: camera", camera.size), ("backproject: colours", colours.size())] {
        if got != size {
            let extents = |size: Size| vec![size.height as usize, size.width as usize];
            return Err(Error::Shape { what, got: extents(got), expected: extents(size) });
        }
    }
    let mut cloud = PointCloud::default();
    let width = size.width as usize;
    for (i, (&z, &colour)) in depth.values().iter().zip(colours.pixels()).enumerate() {
        if z > 0.0 {
            let ray = camera.ray((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
            let point = ray * f64::from(z);
            cloud.points.push([point.x as f32, point.y as f32, z]);
            cloud.colours.push(colour);
        }
    }
    Ok(cloud)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::Metres;

    #[test]
    fn pixels_without_depth_are_left_out_and_colours_stay_with_their_points() {
        let size = Size::new(2, 2);
        let depth = Depth::<Metres>::new(size, vec![4.0, 0.0, 0.0, 2.0]).unwrap();
        let camera = Intrinsics { size, fx_px: 1.0, fy_px: 2.0, cx_px: 1.0, cy_px: 1.0 };
        let colours = RgbImage::new(size, vec![[1; 3], [2; 3], [3; 3], [4; 3]]).unwrap();
        let cloud = backproject(&depth, &camera, &colours).unwrap();
        assert_eq!(cloud.points, [[-2.0, -1.0, 4.0], [1.0, 0.5, 2.0]]);
        assert_eq!(cloud.colours, [[1; 3], [4; 3]]);
    }

    #[test]
    fn a_camera_of_another_size_is_refused() {
        let depth = Depth::<Metres>::new(Size::new(2, 2), vec![1.0; 4]).unwrap();
        let camera = Intrinsics::centred(Size::new(4, 2), 1.0).unwrap();
        let colours = RgbImage::new(Size::new(2, 2), vec![[0; 3]; 4]).unwrap();
        assert!(matches!(backproject(&depth, &camera, &colours), Err(Error::Shape { what: "backproject: camera", .. })));
    }
}
