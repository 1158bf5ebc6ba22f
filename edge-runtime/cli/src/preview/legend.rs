//! The bar of colours under a depth map, with ticks at round values.

use embedded_graphics::prelude::{Point, RgbColor as _};

use super::canvas::{Canvas, Ink, Side, TEXT_COLUMN_PX};
use super::scale::{Scale, colour};

/// Height of the bar, pixels.
const BAR: i32 = 14;
/// Length of a tick, pixels.
const TICK: i32 = 5;
/// Least space between two labels, pixels.
const GAP: i32 = 14;

/// Draws the bar with its top left corner at `at`: near at the left end, far at the right.
pub(super) fn draw(canvas: &mut Canvas, scale: &Scale, at: Point, width: u32) {
    let width = width as i32;
    for x in 0..width {
        let shade = colour(1.0 - (x as f32 + 0.5) / width as f32);
        for y in 0..BAR {
            canvas.set(at + Point::new(x, y), shade);
        }
    }
    let end = at + Point::new(width, BAR + TICK + 18);
    canvas.text("near", at + Point::new(0, BAR + TICK + 18), Side::Left, Ink::Soft);
    canvas.text("far", end, Side::Right, Ink::Soft);

    let mut free_from = at.x;
    // From the near end, so that where labels crowd, the near ones stay: they are the ones a robot bumps into.
    for tick in scale.ticks(6).into_iter().rev() {
        let half = (tick.label.chars().count() as u32 * TEXT_COLUMN_PX) as i32 / 2;
        let x = at.x + ((1.0 - tick.nearness) * (width - 1) as f32).round() as i32;
        let middle = x.clamp(at.x + half, (at.x + width - half).max(at.x + half));
        if middle - half < free_from {
            continue;
        }
        free_from = middle + half + GAP;
        for y in BAR..BAR + TICK {
            let colour = Ink::Bright.colour();
            canvas.set(Point::new(x, at.y + y), [colour.r(), colour.g(), colour.b()]);
        }
        canvas.text(&tick.label, Point::new(middle, at.y + BAR + TICK + 3), Side::Middle, Ink::Bright);
    }
}
