//! The report's pictures: depth in colours, residuals, and points seen from above, as PNG data in the page itself.

use fathom_core::camera::Intrinsics;
use fathom_core::depth::CalibratedDepth;
use fathom_core::frame::{RgbImage, Size};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

/// An `img` tag that carries its picture.
pub(super) fn tag(picture: &RgbImage, caption: &str) -> anyhow::Result<String> {
    let mut png = Vec::new();
    let size = picture.size();
    PngEncoder::new(&mut png).write_image(picture.pixels().as_flattened(), size.width, size.height, ExtendedColorType::Rgb8)?;
    let caption = super::page::escaped(caption);
    Ok(format!("<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{}\"><figcaption>{caption}</figcaption></figure>", base64(&png)))
}

/// A picture with a ring around a spot, given as shares of its width and height.
pub(super) fn ringed(picture: &RgbImage, [u, v]: [f64; 2]) -> anyhow::Result<RgbImage> {
    let size = picture.size();
    let (middle_u, middle_v) = (u * f64::from(size.width), v * f64::from(size.height));
    let radius = RING * f64::from(size.width);
    let paint = |(i, pixel): (usize, &[u8; 3])| {
        let (column, row) = (i % size.width as usize, i / size.width as usize);
        let off_px = ((column as f64 + 0.5 - middle_u).hypot(row as f64 + 0.5 - middle_v) - radius).abs();
        if off_px < 1.0 {
            RING_COLOUR
        } else if off_px < 2.0 {
            PAPER
        } else {
            *pixel
        }
    };
    Ok(RgbImage::new(size, picture.pixels().iter().enumerate().map(paint).collect())?)
}

/// Nearness in colours, the same colours for the same depth between `near` and its twentieth; grey where there is no depth.
pub(super) fn depth(depth: &CalibratedDepth, near: f32) -> anyhow::Result<RgbImage> {
    let paint = |z: &f32| if *z > 0.0 { nearness((near / z).clamp(0.0, 1.0)) } else { NOTHING };
    Ok(RgbImage::new(depth.size(), depth.values().iter().map(paint).collect())?)
}

/// Residuals from blue (farther than expected) through white to red, full at `limit`; grey where nothing was compared.
pub(super) fn residuals(size: Size, values: &[Option<f32>], limit: f32) -> anyhow::Result<RgbImage> {
    let paint = |value: &Option<f32>| value.map_or(NOTHING, |v| diverging(v / limit));
    Ok(RgbImage::new(size, values.iter().map(paint).collect())?)
}

/// The points of a frame seen from above: the camera at the bottom, `far` at the top, each in its own colour.
pub(super) fn from_above(depth: &CalibratedDepth, camera: &Intrinsics, picture: &RgbImage, far: f32) -> anyhow::Result<RgbImage> {
    let size = Size::new(ABOVE_PX, ABOVE_PX);
    let mut pixels = vec![PAPER; size.area()];
    // The two edges of the field of view.
    let slope = f64::from(camera.size.width) / 2.0 / camera.fx_px;
    for row in 0..ABOVE_PX {
        let z = f64::from(ABOVE_PX - 1 - row) / f64::from(ABOVE_PX);
        for side in [-1.0, 1.0] {
            put(&mut pixels, side * slope * z, z, RAY);
        }
    }
    let width = camera.size.width as usize;
    for (i, (z, colour)) in depth.values().iter().zip(picture.pixels()).enumerate() {
        if *z > 0.0 {
            let ray = camera.ray((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
            let z = f64::from(*z / far);
            put(&mut pixels, ray.x * z, z, *colour);
        }
    }
    Ok(RgbImage::new(size, pixels)?)
}

/// Sets the pixel at `x` (right of the middle) and `z` (up from the bottom), in units of the picture's side.
fn put(pixels: &mut [[u8; 3]], x: f64, z: f64, colour: [u8; 3]) {
    let side = f64::from(ABOVE_PX);
    let (column, row) = ((0.5 + x) * side, (1.0 - z) * side - 1.0);
    if (0.0..side).contains(&column) && (0.0..side).contains(&row) {
        pixels[row as usize * ABOVE_PX as usize + column as usize] = colour;
    }
}

fn nearness(t: f32) -> [u8; 3] {
    let colour = colorous::INFERNO.eval_continuous(f64::from(t.sqrt()));
    [colour.r, colour.g, colour.b]
}

fn diverging(t: f32) -> [u8; 3] {
    let colour = colorous::RED_BLUE.eval_continuous(f64::from((1.0 - t.clamp(-1.0, 1.0)) / 2.0));
    [colour.r, colour.g, colour.b]
}

/// Source: RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * position) & 63) as usize];
            text.push(if position <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

const ABOVE_PX: u32 = 360;
/// Radius of a ring, widths of its picture.
const RING: f64 = 0.03;
const RING_COLOUR: [u8; 3] = [255, 196, 61];
const PAPER: [u8; 3] = [18, 20, 26];
const RAY: [u8; 3] = [70, 90, 100];
const NOTHING: [u8; 3] = [52, 58, 70];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_lies_around_its_spot() {
        let size = Size::new(100, 80);
        let ringed = ringed(&RgbImage::new(size, vec![[9; 3]; 8000]).unwrap(), [0.4, 0.5]).unwrap();
        let at = |column: usize, row: usize| ringed.pixels()[row * 100 + column];
        assert_eq!([at(40, 40), at(42, 40), at(37, 39), at(60, 60)], [[9; 3], RING_COLOUR, RING_COLOUR, [9; 3]]);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
