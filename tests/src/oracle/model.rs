//! A network that perceives any valid picture of its room exactly, and looks at nothing but the picture.
//!
//! It reads from the colours which world point each pixel shows, finds the projective camera that takes those points to
//! those pixels, and reports the depth along that camera's axis of the room's surface behind every pixel. A picture of the
//! room through a true camera gives true depth; a picture of a room distorted by a wrong focal length or a wrong shift is
//! a picture through *some* projective camera, and gets the depth that camera implies: what the design's table assumes.

use fathom_core::Error;
use fathom_core::depth::{OutputKind, RelativeDepth};
use fathom_core::frame::{Frame, Size};
use fathom_core::model::{DepthModel, ModelCard, Prediction, Response};

use crate::oracle::resection::{Match, ProjectiveCamera, resect};
use crate::oracle::room::Room;

/// The perfect network of one room.
#[derive(Debug, Clone)]
pub struct Oracle {
    card: ModelCard,
    room: Room,
    /// `1 / d = scale (x + tau)` or `d = scale (x + tau)`: the truth that calibration is to find.
    pub scale: f64,
    /// True shift.
    pub tau: f64,
    /// How often it was asked.
    pub runs: usize,
}

impl Oracle {
    /// A perfect network for `room` at an input size, whose output hides depth behind `scale` and `tau`.
    #[must_use]
    pub fn new(room: Room, input: Size, output_kind: OutputKind, scale: f64, tau: f64) -> Self {
        let card = ModelCard { kappa: Some(Response { value: 1.0, sigma: 0.01 }), ..ModelCard::new("oracle", input, output_kind) };
        Self { card, room, scale, tau, runs: 0 }
    }

    /// The same network with another card.
    #[must_use]
    pub fn with_card(mut self, change: impl FnOnce(&mut ModelCard)) -> Self {
        change(&mut self.card);
        self
    }

    /// Raw output for a picture taken by a known projective camera.
    ///
    /// # Panics
    /// If the room is not closed around the camera.
    #[must_use]
    pub fn output(&self, camera: &ProjectiveCamera, size: Size) -> RelativeDepth {
        let width = size.width as usize;
        let centre = camera.centre();
        let value = |i: usize| {
            let direction = camera.direction((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
            let z = self.room.trace(&centre, &direction).unwrap_or(f64::INFINITY);
            match self.card.output_kind {
                OutputKind::InverseDepth => (1.0 / (z * self.scale) - self.tau) as f32,
                _ => (z.min(1e3) / self.scale - self.tau) as f32,
            }
        };
        RelativeDepth::new(size, self.card.output_kind, (0..size.area()).map(value).collect()).expect("finite")
    }

    fn perceive(&self, image: &Frame<'_>) -> Option<ProjectiveCamera> {
        let size = image.size();
        let mut matches = Vec::with_capacity(size.area() / 4);
        for y in (0..size.height as usize).step_by(2) {
            for (x, pixel) in image.row(y).chunks_exact(3).enumerate().step_by(2) {
                let point = self.room.point([pixel[0], pixel[1], pixel[2]]);
                matches.push(Match { pixel: [x as f64 + 0.5, y as f64 + 0.5], point });
            }
        }
        resect(&matches)
    }
}

impl DepthModel for Oracle {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn predict(&mut self, image: &Frame<'_>) -> Result<Prediction, Error> {
        self.runs += 1;
        // What shows no room is seen as something flat.
        let relative = match self.perceive(image) {
            Some(camera) => self.output(&camera, image.size()),
            None => RelativeDepth::new(image.size(), self.card.output_kind, vec![1.0; image.size().area()])?,
        };
        Ok(Prediction { relative, fov: None })
    }
}
