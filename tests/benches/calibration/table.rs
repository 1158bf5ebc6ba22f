//! What is printed: one line a camera, then the figures over all of them.

use fathom_core::measures::accuracy::gap_closed;
use fathom_core::measures::camera::{Claim, coverage};
use fathom_core::measures::median;
use fathom_core::model::ScaleSpread;

use crate::campaign::{Metres, Scored, scale_spread};
use crate::turns::Found;

/// Prints one line a camera and the figures over all of them.
pub(crate) fn print(scores: &[Scored]) {
    println!(
        "camera      group         fov   tau*    mean   kappa  yaw    pitch  tau            E_def  E-40   E+40   E_cal  E_best m1     m/frame"
    );
    scores.iter().for_each(line);
    println!("\ncameras {}, accepted {}", scores.len(), scores.iter().filter(|s| s.tau.is_some()).count());
    let over = |name: &str, value: &dyn Fn(&Scored) -> Option<f64>| {
        let values: Vec<f64> = scores.iter().filter_map(value).collect();
        let count = values.len();
        show(&format!("{name} ({count})"), median(values));
    };
    over("E_default / E_domain-oracle, median", &|s| Some(s.e_default / s.e_oracle));
    over("  of the accepted", &|s| s.tau.map(|_| s.e_default / s.e_oracle));
    over("E_calibrated / E_domain-oracle, median (target 1.10)", &|s| Some(s.e_calibrated? / s.e_oracle));
    over("E_frames-alone / E_domain-oracle, median", &|s| Some(s.e_alone? / s.e_oracle));
    over("E_end / E_default, median (refused: the default stands)", &|s| Some(s.e_calibrated.unwrap_or(s.e_default) / s.e_default));
    for (i, start) in ["-40%", "+40%"].iter().enumerate() {
        over(&format!("gap closed from {start}, median (target 0.7)"), &|s| gap_closed(s.e_start[i], s.e_calibrated?, s.e_oracle));
    }
    over("|tau - tau*| / (mean + tau*), median", &|s| Some((s.tau?.0 - s.tau_true).abs() / (s.mean_x + s.tau_true)));
    let claim = |s: &Scored| s.tau.map(|(estimate, sigma)| Claim { estimate, sigma, truth: s.tau_true });
    let claims: Vec<Claim> = scores.iter().filter_map(claim).collect();
    show("share within 1 sigma (target 0.55 .. 0.80)", coverage(&claims, 1.0));
    show("share within 2 sigma", coverage(&claims, 2.0));
    for (i, points) in ["one range point", "one range point a frame"].iter().enumerate() {
        let ratio = |error: fn(&Metres) -> f64| move |s: &Scored| Some(error(s.metres[i].as_ref()?) / s.e_calibrated?);
        over(&format!("metres, {points} / scale only, median (target 1.10)"), &ratio(|m| m.error));
        over("  each frame's own point joined to that", &ratio(|m| m.error_with_own_point));
        over("  each frame's own point where it is asked for, joined to that", &ratio(|m| m.error_with_asked_point));
        over("  that point alone", &ratio(|m| m.error_by_asked_point));
        over("  with the camera's best scale instead", &ratio(|m| m.error_of_best));
        over("  AbsRel after scale only, by the shift that all tell together", &ratio(|m| m.error_of_shape));
        type Claims = fn(&Metres) -> Vec<Claim>;
        let frames = ("ln scale of frames by the point that is asked for", (|m| m.scales_by_asked_point.clone()) as Claims);
        for (name, of) in [("ln scale", (|m| vec![m.scale]) as Claims), ("that shift", |m| vec![m.tau]), frames] {
            let claims: Vec<Claim> = scores.iter().filter_map(|s| s.metres[i].as_ref()).flat_map(of).collect();
            show(&format!("  {name}, median of its sigma"), median(claims.iter().map(|c| c.sigma).collect()));
            show("  share within 1 sigma", coverage(&claims, 1.0));
            show("  share within 2 sigma", coverage(&claims, 2.0));
        }
    }
    if let Some(ScaleSpread { frame, pixel }) = scale_spread(scores.iter()) {
        println!("scale of frames about their camera's, of pixels about their frame's (1 sigma of ln): {frame:.3}, {pixel:.3}");
    }
    focal_lengths(scores);
}

fn line(s: &Scored) {
    let tau = s.tau.map_or("refused".to_owned(), |(tau, sigma)| format!("{tau:.3}+-{sigma:.3}"));
    let dash = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.3}"));
    println!(
        "{:<11} {:<12} {:>4.0} {:>7.3} {:>6.3} {:>6} {:>6} {:>6} {:<14} {:.3}  {:.3}  {:.3}  {:<6} {:.3}  {:<6} {}",
        s.name,
        s.group,
        s.fov_deg,
        s.tau_true,
        s.mean_x,
        dash(s.kappa),
        dash(s.kappa_by_direction[0]),
        dash(s.kappa_by_direction[1]),
        tau,
        s.e_default,
        s.e_start[0],
        s.e_start[1],
        dash(s.e_calibrated),
        s.e_oracle,
        dash(s.metres[0].as_ref().map(|m| m.error)),
        dash(s.metres[1].as_ref().map(|m| m.error))
    );
}

/// Median error, claimed sigma and coverage of each way to a focal length.
fn focal_lengths(scores: &[Scored]) {
    println!("\nfocal length by                               cameras  median error  claimed sigma  within 1 sigma  within 2");
    let row = |name: &str, found: &[Found]| {
        let claims: Vec<Claim> = found.iter().map(|(off, sigma)| Claim { estimate: *off, sigma: *sigma, truth: 0.0 }).collect();
        let errors = median(found.iter().map(|(off, _)| off.exp_m1().abs()).collect());
        let sigma = median(found.iter().map(|(_, sigma)| *sigma).collect());
        let text = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.3}"));
        let (one, two) = (coverage(&claims, 1.0), coverage(&claims, 2.0));
        println!("{name:<46} {:>6}  {:>12}  {:>13}  {:>14}  {:>8}", found.len(), text(errors), text(sigma), text(one), text(two));
    };
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in scores.iter().flat_map(|s| &s.focal) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    for name in names {
        let found: Vec<Found> = scores.iter().flat_map(|s| &s.focal).filter(|(n, _)| *n == name).map(|(_, found)| *found).collect();
        row(name, &found);
    }
    row("single images' field of view", &scores.iter().flat_map(|s| s.singles.clone()).collect::<Vec<_>>());
    for (i, name) in ["the guess FOV 55", "the guess FOV 60"].iter().enumerate() {
        row(name, &scores.iter().map(|s| (s.guesses[i], f64::INFINITY)).collect::<Vec<_>>());
    }
}

fn show(name: &str, value: Option<f64>) {
    println!("{name:<66} {}", value.map_or("-".to_owned(), |v| format!("{v:.3}")));
}
