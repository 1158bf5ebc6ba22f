//! `report.html`: one page that needs no other file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use fathom_calibration::anchors::spot::{Spot, best_spots};
use fathom_calibration::report::{CloseUp, Curves, close_up};
use fathom_calibration::verdict::Outcome;
use fathom_core::calibration::Calibration;
use fathom_core::camera::Intrinsics;
use fathom_core::frame::RgbImage;
use fathom_core::ops::image::resize::resize_frame;
use fathom_runtime::engine::Engine;

use super::{pictures, plots};
use crate::io;

/// Writes the page for an outcome into `folder`; returns its path.
pub(super) fn write(
    folder: &Path,
    engine: &mut Engine,
    paths: &[PathBuf],
    old: &Calibration,
    outcome: &Outcome,
    curves: &Curves,
) -> anyhow::Result<String> {
    io::make_folder(folder)?;
    let shown = io::pictures::read(&paths[paths.len() / 2])?;
    let taus = shifts(old, outcome).map(|(_, tau)| tau).collect::<Vec<_>>();
    let look = close_up(engine, &shown.as_frame(), outcome.theta.ln_focal, &taus)?;
    let mut body = String::new();
    headline(&mut body, old, outcome)?;
    curve_section(&mut body, old, outcome, curves)?;
    picture_section(&mut body, &shown, &look, old, outcome)?;
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Calibration</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    );
    let path = folder.join("report.html");
    io::write_file(&path, |file| Ok(file.write_all(page.as_bytes())?))?;
    Ok(path.display().to_string())
}

/// Text as HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn headline(body: &mut String, old: &Calibration, outcome: &Outcome) -> anyhow::Result<()> {
    let found = &outcome.calibration;
    let state = found.state.name();
    write!(body, "<h1>Calibration <span class=\"state {state}\">{state}</span></h1>")?;
    let (used, offered) = outcome.frames;
    let cut = if outcome.complete { "" } else { ", cut short by the time budget" };
    write!(body, "<p>{used} of {offered} frames carried information; {} runs of the network{cut}.</p>", outcome.network_runs)?;
    let row = |body: &mut String, name: &str, before: String, now: String, sigma: f64| {
        let sigma = if sigma.is_finite() { format!("&plusmn; {sigma:.4}") } else { String::new() };
        write!(body, "<tr><th>{name}</th><td>{before}</td><td>{now}</td><td>{sigma}</td></tr>")
    };
    let or_dash = |value: Option<f64>, decimals: usize| value.map_or_else(|| "&ndash;".to_owned(), |v| format!("{v:.decimals$}"));
    body.push_str("<table><tr><th></th><th>before</th><th>now</th><th>one sigma</th></tr>");
    row(body, "shift tau, network units", format!("{:.4}", old.tau), format!("{:.4}", found.tau), found.tau_sigma())?;
    let focal = |c: &Calibration| or_dash(c.camera.map(|c| c.fx_px), 1);
    let focal_sigma = found.camera.map_or(f64::INFINITY, |c| c.fx_px * found.ln_focal_sigma());
    row(body, "focal length, px", focal(old), focal(found), focal_sigma)?;
    let scale = |c: &Calibration| or_dash(c.ln_scale.map(f64::exp), 4);
    let scale_sigma = found.ln_scale.map_or(f64::INFINITY, |s| s.exp() * found.ln_scale_sigma());
    row(body, "scale", scale(old), scale(found), scale_sigma)?;
    body.push_str("</table>");
    if !outcome.reasons.is_empty() {
        body.push_str("<h2>What is not known, and why</h2><ul>");
        for reason in &outcome.reasons {
            write!(body, "<li>{}</li>", escaped(&reason.to_string()))?;
        }
        body.push_str("</ul>");
    }
    if !outcome.cues.is_empty() {
        body.push_str(
            "<h2>What each cue knew</h2><table><tr><th>cue</th><th>rows</th><th>of tau</th><th>of focal length</th><th>of scale</th></tr>",
        );
        for cue in &outcome.cues {
            let [scale, tau, focal] = cue.share.map(|share| format!("<meter value=\"{share:.3}\"></meter> {:.0}%", 100.0 * share));
            write!(body, "<tr><th>{}</th><td>{}</td><td>{tau}</td><td>{focal}</td><td>{scale}</td></tr>", cue.name, cue.rows)?;
        }
        body.push_str("</table>");
    }
    Ok(())
}

fn curve_section(body: &mut String, old: &Calibration, outcome: &Outcome, curves: &Curves) -> anyhow::Result<()> {
    if curves.tau.is_empty() {
        return Ok(());
    }
    let sigma = |i: usize| outcome.covariance[(i, i)].sqrt();
    let estimate = |value: f64, sigma: f64| sigma.is_finite().then_some(plots::Estimate { value, sigma });
    body.push_str("<h2>Loss over tau</h2><p>Mean squared disagreement between what turned views should and do look like, over the variance of the network's output. Orange: what single frames say. Blue: the estimate and one sigma of it, spread of the network's response included. Dashed: before.</p>");
    body.push_str(&plots::curve("tau, network units", &curves.tau, estimate(outcome.theta.tau, sigma(1)), Some(old.tau), &curves.frames)?);
    if curves.focal.len() > 1 {
        let focal = outcome.theta.ln_focal.exp();
        body.push_str("<h2>Loss over focal length</h2><p>The same at each focal length's own best tau. It carries no weight: over cameras of known focal length its least lay no nearer to the truth than a constant guess. The estimate comes from the cues above.</p>");
        body.push_str(&plots::curve(
            "focal length, px",
            &curves.focal,
            estimate(focal, focal * sigma(2)),
            old.camera.map(|c| c.fx_px),
            &[],
        )?);
    }
    Ok(())
}

fn picture_section(body: &mut String, shown: &RgbImage, look: &CloseUp, old: &Calibration, outcome: &Outcome) -> anyhow::Result<()> {
    let size = look.output.size();
    let small: Vec<[u8; 3]> =
        resize_frame(&shown.as_frame(), size)?.into_iter().map(|p| p.map(|c| c.round().clamp(0.0, 255.0) as u8)).collect();
    let small = RgbImage::new(size, small)?;
    let camera = Intrinsics::centred(shown.size(), outcome.theta.ln_focal.exp())?.resized(size);
    let title = if outcome.is_calibrated() { "Before and now" } else { "As it was, and stays" };
    let tau = if outcome.is_calibrated() { outcome.calibration.tau } else { old.tau };
    let frame = match best_spots(&look.output, tau, shown.size(), 1).as_slice() {
        [Spot { u_px, v_px }] => {
            let at = [u_px / f64::from(shown.size().width), v_px / f64::from(shown.size().height)];
            let caption = format!("frame; a distance measured at {u_px:.0},{v_px:.0} tells most about its metres");
            pictures::tag(&pictures::ringed(&small, at)?, &caption)?
        }
        _ => pictures::tag(&small, "frame")?,
    };
    write!(body, "<h2>{title}</h2><div class=\"pictures\">{frame}")?;
    let mut above = String::new();
    for (name, tau) in shifts(old, outcome) {
        let depth = Calibration::from_default_tau(tau).apply(&look.output)?;
        let (near, far) = reach(depth.values());
        body.push_str(&pictures::tag(&pictures::depth(&depth, near)?, &format!("depth {name}, tau {tau:.3}"))?);
        above.push_str(&pictures::tag(&pictures::from_above(&depth, &camera, &small, far)?, &format!("from above, {name}"))?);
    }
    write!(body, "</div><div class=\"pictures\">{above}</div>")?;
    body.push_str("<h2>Residuals</h2><p>Where the network's answer to a view turned by 10 degrees differs from what tau says it should be, in units of the output's spread: red above, blue below, grey not compared.</p><div class=\"pictures\">");
    let limit = look.residuals.iter().map(|map| map.rms).fold(0.0, f64::max).max(1e-6) as f32 * 2.0;
    for map in &look.residuals {
        let side = if map.view == 0 { "right" } else { "left" };
        let caption = format!("turned {side}, tau {:.3}: rms {:.3}", map.tau, map.rms);
        body.push_str(&pictures::tag(&pictures::residuals(size, &map.values, limit)?, &caption)?);
    }
    body.push_str("</div>");
    Ok(())
}

/// The shifts worth showing: a refused one is not.
fn shifts(old: &Calibration, outcome: &Outcome) -> impl Iterator<Item = (&'static str, f64)> {
    let found = outcome.is_calibrated().then_some(("now", outcome.calibration.tau));
    std::iter::once(("before", old.tau)).chain(found)
}

/// The nearest and farthest twentieth of depths.
fn reach(depths: &[f32]) -> (f32, f32) {
    let mut known: Vec<f32> = depths.iter().copied().filter(|z| *z > 0.0).collect();
    known.sort_by(f32::total_cmp);
    let at = |share: f64| known.get((known.len() as f64 * share) as usize).copied().unwrap_or(1.0);
    (at(0.05), at(0.95) * 1.1)
}

const STYLE: &str = "\
body{margin:0;background:#f6f7f9;color:#1f2937;font:15px/1.5 system-ui,sans-serif}\
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}\
h1{font-size:28px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 8px}\
p{max-width:70ch;margin:4px 0 12px;color:#4b5563}\
table{border-collapse:collapse;background:#fff;border-radius:8px;box-shadow:0 1px 2px #0002;margin:12px 0}\
th,td{padding:7px 16px;text-align:right;border-bottom:1px solid #eef0f4;font-variant-numeric:tabular-nums}\
th:first-child{text-align:left}tr:last-child>*{border-bottom:0}\
.state{font-size:15px;padding:3px 12px;border-radius:99px;background:#e5e7eb;vertical-align:middle}\
.calibrated,.kept{background:#cfecf3;color:#0b5566}.not-observable{background:#fde6c8;color:#8a4b04}\
svg{background:#fff;border-radius:8px;box-shadow:0 1px 2px #0002;max-width:100%}\
.pictures{display:flex;flex-wrap:wrap;gap:16px;margin:12px 0}\
figure{margin:0}img{display:block;width:320px;border-radius:8px}\
figcaption{font-size:13px;color:#4b5563;margin-top:4px}meter{width:64px}";
