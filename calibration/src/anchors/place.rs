//! Whether frames show one place. A network sees a place in one scale: distances measured there again and again tell the place's scale
//! better, and the camera's no better than one.

use super::align::Motion;
use super::link::{Look, link};

/// Where a frame was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Somewhere else than the frame before.
    New,
    /// Where the frame before was.
    Same,
}

/// Tells a new place from the last. One frame is remembered.
#[derive(Debug, Clone, Default)]
pub struct Places {
    last: Option<Look>,
    /// Variance of ln s since the place began, as far as the links between its frames leave it open.
    wandered: f64,
}

impl Places {
    /// Where the next frame was taken. A place ends where frames do not link, or where the links together leave as much open as lies
    /// between any two places: `frame_sigma`, of ln s. `rest` is a camera at rest, with what is known of tau and the lens.
    #[must_use]
    pub fn of(&mut self, look: Look, rest: &Motion, frame_sigma: f64) -> Place {
        let linked = self.last.as_ref().and_then(|last| link(last, &look, rest));
        self.last = Some(look);
        self.wandered += linked.map_or(f64::INFINITY, |link| link.sigma * link.sigma);
        if self.wandered < frame_sigma * frame_sigma {
            return Place::Same;
        }
        self.wandered = 0.0;
        Place::New
    }
}
