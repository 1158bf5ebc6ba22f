//! Whether consistency alone tells the focal length: the least of the curve over a grid of focal lengths, against the truth.
//!
//! Two curves for each camera, tau in closed form at every focal length: the residual of turned views, and the two-way objective
//! of orbits (25 degrees about the median depth, depth there and image back). A curve that tells something has its least near
//! the truth: closer than the best constant, and rising and falling with the truth from camera to camera.

use fathom_calibration::calibrator::{Calibrator, FrameAnchors, Options};
use fathom_calibration::consistency::frame::glance;
use fathom_calibration::consistency::two_way::two_way;
use fathom_calibration::views::{ORBIT_RAD, orbits};
use fathom_core::calibration::Calibration;
use fathom_core::camera::Intrinsics;
use fathom_core::measures::median;
use fathom_core::model::{DepthModel, ModelCard, Response};

use crate::cameras::CameraFrames;
use crate::campaign::Carded;

/// `(ln f, loss)` by ascending focal length.
type Curve = Vec<(f64, f64)>;

/// Where one camera's curves are least, and where they should be: ln of focal length over width.
pub(crate) struct Searched {
    truth: f64,
    turned: Option<f64>,
    orbits: Option<f64>,
}

/// Searches one camera's focal length on its first frames.
pub(crate) fn search(model: &mut dyn DepthModel, camera: &CameraFrames) -> Searched {
    let card = ModelCard { kappa: Some(Response { value: 1.0, sigma: 0.0 }), ..model.card().clone() };
    let mut carded = Carded { model, card };
    let pictures: Vec<_> = camera.shots.iter().take(FRAMES).map(crate::cameras::Shot::picture).collect();
    let size = pictures[0].size();
    let options = Options { frame: size, old: Calibration::from_default_tau(0.0), focal: None, camera_height_m: None };
    let mut calibrator = Calibrator::new(&mut carded, options).expect("options are good");
    for picture in &pictures {
        calibrator.add_frame(&picture.as_frame(), &FrameAnchors::default()).expect("the network runs");
    }
    let pool = calibrator.pool().clone();
    let mut grid: Vec<f64> = pool.frames().first().map_or(Vec::new(), |f| f.tried.iter().map(|t| t.ln_focal).collect());
    grid.sort_by(f64::total_cmp);
    let turned: Curve = grid.iter().filter_map(|&f| Some((f, pool.loss(pool.estimate(f)?.tau, f)?))).collect();
    let default_tau = carded.card.default_tau;
    let mut moved: Curve = Vec::new();
    for &ln_focal in &grid {
        let frame_camera = Intrinsics::centred(size, ln_focal.exp()).expect("the focal length is good");
        // Where turned views say nothing of tau, the card does.
        let tau = pool.estimate(ln_focal).map_or(default_tau, |e| e.tau);
        let mut losses = Vec::new();
        for picture in &pictures {
            let glance = glance(&mut carded, &picture.as_frame()).expect("the network runs");
            for side in [0, 1] {
                let seen = two_way(&mut carded, &glance, &frame_camera, tau, |depth| orbits(ORBIT_RAD, depth)[side]);
                losses.extend(seen.expect("the network runs").map(|s| s.depth + IMAGE_WEIGHT * s.image));
            }
        }
        moved.extend(median(losses).map(|loss| (ln_focal, loss)));
    }
    let width = f64::from(size.width).ln();
    let truth = camera.focal_px.ln() - width;
    Searched { truth, turned: least(&turned).map(|f| f - width), orbits: least(&moved).map(|f| f - width) }
}

/// Prints how the least of either curve compares with the truth and with the best constant.
pub(crate) fn print(searched: &[Searched]) {
    let truths: Vec<f64> = searched.iter().map(|s| s.truth).collect();
    let middle = median(truths.clone()).unwrap_or(0.0);
    println!("least of                     cameras  median |error| of ln f  the best constant's  rank correlation with the truth");
    let row = |name: &str, of: &dyn Fn(&Searched) -> Option<f64>| {
        let both: Vec<(f64, f64)> = searched.iter().filter_map(|s| Some((of(s)?, s.truth))).collect();
        let error = median(both.iter().map(|(f, t)| (f - t).abs()).collect()).unwrap_or(f64::NAN);
        let constant = median(both.iter().map(|(_, t)| (middle - t).abs()).collect()).unwrap_or(f64::NAN);
        println!("{name:<28} {:>7}  {error:>22.3}  {constant:>19.3}  {:>10.2}", both.len(), rank_correlation(&both));
    };
    row("turned views", &|s| s.turned);
    row("orbits, depth and image", &|s| s.orbits);
}

/// The least of a curve: of the parabola through the lowest point and its neighbours, or that point at either end.
fn least(curve: &[(f64, f64)]) -> Option<f64> {
    let lowest = (0..curve.len()).min_by(|a, b| curve[*a].1.total_cmp(&curve[*b].1))?;
    let around = lowest.checked_sub(1).and_then(|first| curve.get(first..first + 3));
    let Some(&[(x0, y0), (x1, y1), (x2, y2)]) = around else { return Some(curve[lowest].0) };
    let (below, above) = ((y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1));
    let bend = (above - below) / (x2 - x0);
    Some(if bend > 0.0 { (x0 + x1) / 2.0 - below / (2.0 * bend) } else { x1 })
}

/// Spearman's.
fn rank_correlation(pairs: &[(f64, f64)]) -> f64 {
    let rank = |value: f64, of: &dyn Fn(&(f64, f64)) -> f64| {
        let below = pairs.iter().filter(|p| of(p) < value).count();
        let equal = pairs.iter().filter(|p| of(p) == value).count();
        below as f64 + equal as f64 / 2.0
    };
    let middle = pairs.len() as f64 / 2.0;
    let (mut one, mut two, mut both) = (0.0, 0.0, 0.0);
    for pair in pairs {
        let (a, b) = (rank(pair.0, &|p| p.0) - middle, rank(pair.1, &|p| p.1) - middle);
        one += a * a;
        two += b * b;
        both += a * b;
    }
    both / (one * two).sqrt()
}

/// Frames of each camera.
const FRAMES: usize = 4;

/// Weight of the image that comes back against the depth residual: small, as it adds no new observability.
const IMAGE_WEIGHT: f64 = 0.1;
