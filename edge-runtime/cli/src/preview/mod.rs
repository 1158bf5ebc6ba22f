//! The preview picture: the photograph beside its depth in colours, with a legend that says what the colours mean.
//!
//! Near is bright and far is dark, whatever the network's own sign. The colours follow inverse depth, in which a camera sees
//! about equally well everywhere: a metre more matters at two metres and not at fifty.

mod canvas;
mod legend;
mod scale;

use std::path::Path;

use embedded_graphics::prelude::Point;
use fathom_core::frame::{RgbImage, Size};
use fathom_core::ops::image::resize::resize_frame;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::io::write_file;
use crate::reading::Reading;
use canvas::{Canvas, Ink, Side};
use scale::Scale;

/// Largest width of one of the two panels, pixels.
const PANEL_WIDTH: u32 = 640;
/// Largest height of a panel, pixels.
const PANEL_HEIGHT: u32 = 720;
/// Smallest width of a panel, pixels: the legend has to fit below.
const PANEL_LEAST_WIDTH: u32 = 320;
/// Space around and between panels, pixels.
const MARGIN: u32 = 24;
/// Room for the title, pixels.
const HEADER: u32 = 36;
/// Room for the legend, pixels.
const FOOTER: u32 = 76;

/// Writes the preview of one picture.
pub(crate) fn write(path: &Path, title: &str, picture: &RgbImage, reading: &Reading) -> anyhow::Result<()> {
    let drawn = draw(title, picture, reading)?;
    let size = drawn.size();
    write_file(path, |file| {
        Ok(PngEncoder::new(file).write_image(drawn.pixels().as_flattened(), size.width, size.height, ExtendedColorType::Rgb8)?)
    })
}

/// Photograph left, depth right, legend below.
fn draw(title: &str, picture: &RgbImage, reading: &Reading) -> anyhow::Result<Canvas> {
    let panel = panel_size(reading.size());
    let scale = Scale::of(reading);
    let mut canvas = Canvas::new(Size::new(2 * panel.width + 3 * MARGIN, panel.height + MARGIN + HEADER + FOOTER));
    let (left, right) = (MARGIN, 2 * MARGIN + panel.width);
    canvas.blit(Point::new(left as i32, (MARGIN + HEADER) as i32), panel, &resized(picture, panel)?);
    canvas.blit(Point::new(right as i32, (MARGIN + HEADER) as i32), panel, &resized(&scale.paint(reading)?, panel)?);

    let baseline = MARGIN as i32 + 8;
    let columns = (panel.width / canvas::TITLE_COLUMN_PX) as usize;
    canvas.title(&shortened(title, columns), Point::new(left as i32, baseline), Side::Left, Ink::Bright);
    canvas.title(scale.name(), Point::new(right as i32, baseline), Side::Left, Ink::Bright);
    let below = (MARGIN + HEADER + panel.height) as i32;
    canvas.text(&facts(reading), Point::new(left as i32, below + 26), Side::Left, Ink::Soft);
    canvas.text(scale.remark(), Point::new(left as i32, below + 46), Side::Left, Ink::Soft);
    legend::draw(&mut canvas, &scale, Point::new(right as i32, below + 14), panel.width);
    Ok(canvas)
}

/// The picture's aspect, within the panel's bounds.
fn panel_size(size: Size) -> Size {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let shrink = (f64::from(PANEL_WIDTH) / width).min(f64::from(PANEL_HEIGHT) / height);
    let grow = (f64::from(PANEL_LEAST_WIDTH) / width).min(f64::from(PANEL_HEIGHT) / height);
    let factor = if shrink < 1.0 { shrink } else { grow.max(1.0) };
    // A thread of a picture still gets a panel in which the legend fits; it is stretched.
    let side = |extent: f64, least: u32, most: u32| ((extent * factor).round() as u32).clamp(least, most);
    Size::new(side(width, PANEL_LEAST_WIDTH / 2, PANEL_WIDTH), side(height, 16, PANEL_HEIGHT))
}

fn resized(picture: &RgbImage, to: Size) -> anyhow::Result<Vec<[u8; 3]>> {
    if picture.size() == to {
        return Ok(picture.pixels().to_vec());
    }
    let pixels = resize_frame(&picture.as_frame(), to)?;
    Ok(pixels.into_iter().map(|pixel| pixel.map(|channel| channel.round().clamp(0.0, 255.0) as u8)).collect())
}

fn facts(reading: &Reading) -> String {
    let size = reading.size();
    match reading.range() {
        Some(range) => format!("{size}   min {}  median {}  max {}", short(range.min), short(range.median), short(range.max)),
        None => format!("{size}   no depth anywhere"),
    }
}

/// Three digits, as far as they tell something.
fn short(value: f32) -> String {
    match value.abs() {
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        magnitude if magnitude >= 0.1 || magnitude == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    }
}

/// The end of a name that is too long: that is where names differ.
fn shortened(name: &str, columns: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= columns {
        return name.to_owned();
    }
    let tail: String = letters[letters.len() - columns.saturating_sub(3)..].iter().collect();
    format!("...{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_core::depth::{OutputKind, RelativeDepth};

    fn reading(size: Size, value: impl Fn(usize) -> f32) -> Reading {
        Reading::new(RelativeDepth::new(size, OutputKind::InverseDepth, (0..size.area()).map(value).collect()).unwrap(), None).unwrap()
    }

    #[test]
    fn panels_keep_the_pictures_aspect_within_their_bounds() {
        assert_eq!(panel_size(Size::new(640, 480)), Size::new(640, 480));
        assert_eq!(panel_size(Size::new(1936, 1216)), Size::new(640, 402));
        assert_eq!(panel_size(Size::new(1000, 2000)), Size::new(360, 720));
        assert_eq!(panel_size(Size::new(64, 48)), Size::new(320, 240));
    }

    #[test]
    fn pictures_of_every_shape_are_drawn_without_a_panic() {
        for (width, height) in [(1, 1), (1, 4000), (4000, 1), (37, 53), (640, 480)] {
            let size = Size::new(width, height);
            let picture = RgbImage::new(size, vec![[90; 3]; size.area()]).unwrap();
            draw(
                "a name that is far too long for any panel of any picture whatever its size may be",
                &picture,
                &reading(size, |i| i as f32),
            )
            .unwrap();
            draw("flat", &picture, &reading(size, |_| 0.0)).unwrap();
        }
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("frames/000123.png", 12), "...00123.png");
        assert_eq!(shortened("a.png", 12), "a.png");
    }
}
