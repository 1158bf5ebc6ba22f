//! `fathom depth --video --look-back`: the scale of every frame, with what the frames after it say too.

use std::path::PathBuf;

use anyhow::Context as _;
use fathom_calibration::track::{ScaleTrack, WINDOW};
use fathom_core::calibration::Calibration;
use fathom_runtime::engine::Engine;

use crate::calibration::Loaded;
use crate::io::pictures;
use crate::progress;
use crate::range_flag::{self, RangeFlag};

/// What was found of one frame of a video.
#[derive(Debug, Clone)]
pub(crate) struct FrameScale {
    /// With this frame's scale.
    pub(crate) calibration: Calibration,
    /// Whether it shows enough of the frame before.
    pub(crate) linked: bool,
}

/// Runs the network on all frames and keeps their scales alone, so that memory does not grow with the video's pictures. Each scale rests on
/// the frames before it and on the `WINDOW - 1` that follow.
pub(crate) fn scales(engine: &mut Engine, paths: &[PathBuf], camera: &Loaded, range: &[RangeFlag]) -> anyhow::Result<Vec<FrameScale>> {
    let spread = engine.card().assumed_scale_spread();
    let bar = progress::bar(paths.len(), "looking");
    let (mut track, mut found, mut linked) = (None, Vec::new(), Vec::new());
    for (index, path) in paths.iter().enumerate() {
        let name = path.display().to_string();
        bar.set_message(name.clone());
        let picture = pictures::read(path)?;
        let calibration = camera.for_size(picture.size())?;
        let track = match &mut track {
            Some(track) => track,
            None => track.insert(ScaleTrack::new(calibration, spread, picture.size())?),
        };
        let relative = engine.infer(&picture.as_frame()).with_context(|| name.clone())?.relative;
        track.add(&picture.as_frame(), &relative, &range_flag::points(range, index, path)).context(name)?;
        linked.push(index == 0 || track.is_linked());
        // The first of a full window is left behind by the next frame.
        if index + 1 >= WINDOW {
            found.extend(track.looking_back().into_iter().next());
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let last = track.map_or_else(Vec::new, |track| track.looking_back());
    let open = paths.len() - found.len();
    found.extend(last[last.len() - open..].iter().cloned());
    Ok(found.into_iter().zip(linked).map(|(calibration, linked)| FrameScale { calibration, linked }).collect())
}
