//! A picture to draw on: embedded-graphics' text and lines over 8-bit RGB.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{DrawTarget, Drawable as _, OriginDimensions, Point, RgbColor as _};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use fathom_core::frame::Size;

/// Behind everything.
pub(super) const BACKGROUND: [u8; 3] = [18, 20, 26];
/// Pixels without depth.
pub(super) const NO_DEPTH: [u8; 3] = [52, 58, 70];
/// Width of a letter of a title, pixels.
pub(super) const TITLE_COLUMN_PX: u32 = 10;
/// Width of a letter of text, pixels.
pub(super) const TEXT_COLUMN_PX: u32 = 7;

/// Colours of letters and lines.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    Bright,
    Soft,
}

impl Ink {
    pub(super) const fn colour(self) -> Rgb888 {
        match self {
            Self::Bright => Rgb888::new(236, 239, 244),
            Self::Soft => Rgb888::new(160, 168, 182),
        }
    }
}

/// Which part of a text stands at its point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Left,
    Middle,
    Right,
}

/// An RGB picture under construction.
pub(super) struct Canvas {
    size: Size,
    pixels: Vec<[u8; 3]>,
}

impl Canvas {
    pub(super) fn new(size: Size) -> Self {
        Self { size, pixels: vec![BACKGROUND; size.area()] }
    }

    pub(super) const fn size(&self) -> Size {
        self.size
    }

    pub(super) fn pixels(&self) -> &[[u8; 3]] {
        &self.pixels
    }

    /// Copies a picture of `size` to `at`; what does not fit is left out.
    pub(super) fn blit(&mut self, at: Point, size: Size, picture: &[[u8; 3]]) {
        for (y, row) in (at.y..).zip(picture.chunks_exact(size.width as usize)) {
            for (x, &colour) in (at.x..).zip(row) {
                self.set(Point::new(x, y), colour);
            }
        }
    }

    /// Large letters, their top at `at`.
    pub(super) fn title(&mut self, text: &str, at: Point, side: Side, ink: Ink) {
        self.letters(text, at, side, ink, &FONT_10X20);
    }

    /// Small letters, their top at `at`.
    pub(super) fn text(&mut self, text: &str, at: Point, side: Side, ink: Ink) {
        self.letters(text, at, side, ink, &FONT_7X13);
    }

    pub(super) fn set(&mut self, at: Point, colour: [u8; 3]) {
        let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) else { return };
        if x < self.size.width && y < self.size.height {
            self.pixels[y as usize * self.size.width as usize + x as usize] = colour;
        }
    }

    fn letters(&mut self, text: &str, at: Point, side: Side, ink: Ink, font: &MonoFont<'_>) {
        let alignment = match side {
            Side::Left => Alignment::Left,
            Side::Middle => Alignment::Center,
            Side::Right => Alignment::Right,
        };
        let style = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Top).build();
        let Ok(_) = Text::with_text_style(text, at, MonoTextStyle::new(font, ink.colour()), style).draw(self);
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> embedded_graphics::prelude::Size {
        embedded_graphics::prelude::Size::new(self.size.width, self.size.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            self.set(at, [colour.r(), colour.g(), colour.b()]);
        }
        Ok(())
    }
}
