//! One frame: the network's answers to its views, reduced to what they say.

use fathom_core::camera::Intrinsics;
use fathom_core::depth::RelativeDepth;
use fathom_core::frame::{Frame, Size};
use fathom_core::model::{DepthModel, FovEstimate};

use crate::Result;
use crate::consistency::guard::{self, Fault, LEAST_SHOWN, Thumbnail};
use crate::consistency::rotation::{Moments, STRIDE, changes};
use crate::render::{Source, turned, view_camera};
use crate::scene::{Spread, comparable};
use crate::views::{ROTATION_RAD, View, rotations};

/// What the network says about a frame as it is: the input of the anchors.
#[derive(Debug, Clone)]
pub struct Glance {
    /// The frame, resampled for rendering.
    pub source: Source,
    /// Size of the frame itself.
    pub frame: Size,
    /// Raw output for the whole frame, at the network's resolution.
    pub output: RelativeDepth,
    /// The network's estimate of the field of view, if it makes one.
    pub fov: Option<FovEstimate>,
}

/// Runs the network once on a frame.
///
/// # Errors
/// Those of the network.
pub fn glance(model: &mut dyn DepthModel, frame: &Frame<'_>) -> Result<Glance> {
    let source = Source::new(frame, model.card().input)?;
    let prediction = model.predict(frame)?;
    Ok(Glance { source, frame: frame.size(), output: prediction.relative, fov: prediction.fov })
}

/// What one frame's turned views say, for each focal length tried.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameEvidence {
    /// To tell it from others.
    pub thumbnail: Thumbnail,
    /// Mean and spread of the reference output.
    pub spread: Spread,
    /// First percentile of the reference output where it is comparable: the farthest (inverse depth) or nearest points.
    pub lowest: f64,
    /// By ascending focal length.
    pub tried: Vec<FocalEvidence>,
}

/// What the views rendered with one focal length say.
#[derive(Debug, Clone, PartialEq)]
pub struct FocalEvidence {
    /// Natural logarithm of the focal length in pixels of the frame.
    pub ln_focal: f64,
    /// One per view, in the order of [`rotations`].
    pub views: [Moments; 4],
}

impl FocalEvidence {
    /// All views together.
    #[must_use]
    pub fn pooled(&self) -> Moments {
        let [a, b, c, d] = self.views;
        a + b + c + d
    }
}

/// Asks the network about one frame's turned views, for each of some focal lengths (`ln_focals`, ascending): one run for
/// the reference, four for each focal length.
///
/// The inner result is a [`Fault`] if the frame cannot carry information.
///
/// # Errors
/// Those of the network and of rendering.
pub fn observe(model: &mut dyn DepthModel, glance: &Glance, ln_focals: &[f64]) -> Result<std::result::Result<FrameEvidence, Fault>> {
    if let Some(fault) = guard::picture_fault(&glance.source) {
        return Ok(Err(fault));
    }
    let input = model.card().input;
    let camera_of = |ln_focal: f64| Intrinsics::centred(glance.frame, ln_focal.exp());
    let Some(&first) = ln_focals.first() else { return Ok(Err(Fault::Hidden { share: 0.0, limit: LEAST_SHOWN })) };
    // The zoomed frame itself looks the same through every focal length.
    let frame_camera = camera_of(first)?;
    let camera = view_camera(&frame_camera, input);
    let reference = turned(&glance.source, &frame_camera, &camera, &nalgebra::UnitQuaternion::identity())?;
    let x = model.predict(&reference.image.as_frame())?.relative;
    let keep = comparable(&x);
    if let Some(fault) = guard::output_fault(&x, &keep, &camera) {
        return Ok(Err(fault));
    }
    let kept = keep.iter().filter(|k| **k).count().max(1) as f64;
    let mut tried = Vec::with_capacity(ln_focals.len());
    for &ln_focal in ln_focals {
        let frame_camera = camera_of(ln_focal)?;
        let camera = view_camera(&frame_camera, input);
        let mut views = Vec::with_capacity(4);
        for View { view_from_frame, .. } in rotations(ROTATION_RAD) {
            let picture = turned(&glance.source, &frame_camera, &camera, &view_from_frame.rotation)?;
            let answer = model.predict(&picture.image.as_frame())?.relative;
            let keep_answer: Vec<bool> = comparable(&answer).iter().zip(&picture.shown).map(|(a, b)| *a && *b).collect();
            let compared = changes(&x, &keep, &answer, &keep_answer, &camera, &view_from_frame.rotation);
            let share = (compared.len() * STRIDE * STRIDE) as f64 / kept;
            if share < LEAST_SHOWN {
                return Ok(Err(Fault::Hidden { share, limit: LEAST_SHOWN }));
            }
            views.push(Moments::robust(&compared));
        }
        if let Ok(views) = views.try_into() {
            tried.push(FocalEvidence { ln_focal, views });
        }
    }
    let lowest = first_percentile(x.values().iter().zip(&keep).filter(|(_, k)| **k).map(|(v, _)| *v).collect());
    Ok(Ok(FrameEvidence { thumbnail: Thumbnail::of(&glance.source), spread: Spread::of(x.values()), lowest, tried }))
}

fn first_percentile(mut values: Vec<f32>) -> f64 {
    let index = values.len() / 100;
    if values.is_empty() { 0.0 } else { f64::from(*values.select_nth_unstable_by(index, f32::total_cmp).1) }
}
