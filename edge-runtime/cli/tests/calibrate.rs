//! `fathom calibrate`: what it finds on the frames that come with the program, what it refuses, and what it leaves alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;

use std::fs;
use std::path::PathBuf;

use program::{fathom, json, keys, root, text};

/// Six frames of one room.
fn frames() -> PathBuf {
    root().join("fixtures/frames")
}

fn jpegs() -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(frames())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "jpg"))
        .map(|path| path.display().to_string())
        .collect();
    found.sort();
    found
}

fn command<'a>(frames: &'a [String], options: &[&'a str]) -> Vec<&'a str> {
    let frames = frames.iter().map(String::as_str);
    std::iter::once("calibrate").chain(frames).chain(options.iter().copied()).collect()
}

/// What a range finder reads (`fixtures/frames/README.md`).
const READINGS: [&str; 6] = [
    "livingroom-00000.jpg:320,300,2.19",
    "livingroom-00045.jpg:320,300,1.58",
    "livingroom-00081.jpg:320,300,1.64",
    "livingroom-00126.jpg:320,300,1.77",
    "livingroom-00162.jpg:320,300,1.88",
    "livingroom-00198.jpg:320,300,2.08",
];

#[test]
fn frames_a_data_sheet_and_readings_give_metres_and_a_page() {
    let out = tempfile::tempdir().unwrap();
    let (file, page) = (out.path().join("c.toml"), out.path().join("page"));
    let frames = jpegs();
    let mut options = vec!["-o", text(&file), "--focal-px", "525", "--report", text(&page)];
    READINGS.iter().for_each(|reading| options.extend(["--range", reading]));
    let object = json(&command(&frames, &options));
    let named =
        ["state", "camera", "tau", "tau_sigma", "focal_px", "focal_sigma_px", "scale", "scale_sigma", "cues", "network_runs", "seconds"];
    for key in named {
        assert!(keys(&object).contains(&key), "{key} is missing: {object:#}");
    }
    assert_eq!((&object["state"], &object["complete"]), (&"calibrated".into(), &true.into()));
    let number = |key: &str| object[key].as_f64().unwrap_or_else(|| panic!("{key}: {object:#}"));
    assert!((number("focal_px") - 525.0).abs() < 3.0 * number("focal_sigma_px"));
    assert!((0.05..0.3).contains(&(number("scale_sigma") / number("scale"))), "{object:#}");
    assert_eq!(object["measure_at"].as_array().map(Vec::len), Some(0), "metres are known: {object:#}");
    // The wall of frame 00126 is 1.805 m away; frames differ in scale by more than this calibration's sigma.
    let depth = json(&["depth", &frames[3], "--calibration", text(&file), "--out", text(out.path()), "--format", "npy,png16"]);
    let median = depth["median"].as_f64().unwrap();
    assert!(depth["unit"] == "metres" && (0.6..4.0).contains(&median), "{depth:#}");
    let html = fs::read_to_string(page.join("report.html")).unwrap();
    for foreign in ["src=\"http", "href=\"http", "@import", "src=\"//"] {
        assert!(!html.contains(foreign), "the page needs {foreign}");
    }
    assert!(html.contains("<svg") && html.contains("data:image/"), "no curves or no pictures");
}

#[test]
fn one_reading_is_no_scale_and_the_answer_says_how_many_would_be() {
    let out = tempfile::tempdir().unwrap();
    let (frames, file) = (jpegs(), out.path().join("c.toml"));
    let object = json(&command(&frames, &["-o", text(&file), "--focal-px", "525", "--range", READINGS[0]]));
    assert!(object["scale"].is_null() && object["state"] == "calibrated", "{object:#}");
    let reasons = object["reasons"].to_string();
    assert!(reasons.contains("scale is known to 0.") && reasons.contains("would do"), "{reasons}");
    // And where to measure, in each frame.
    let asked = object["measure_at"].as_array().unwrap();
    let images: Vec<&str> = asked.iter().map(|spot| spot["image"].as_str().unwrap()).collect();
    assert_eq!(images, frames, "{object:#}");
    for spot in asked {
        assert!((40..600).contains(&spot["u_px"].as_u64().unwrap()) && (40..440).contains(&spot["v_px"].as_u64().unwrap()), "{spot}");
    }
    let said = fathom(&command(&frames, &["-o", text(&file), "--focal-px", "525"])).stdout;
    assert_eq!(said.matches(",METRES").count(), 4, "{said}");
}

#[test]
fn dark_frames_hold_nothing_and_the_stored_calibration_stays() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("c.toml");
    json(&command(&jpegs(), &["-o", text(&file), "--focal-px", "525"]));
    let stored = fs::read(&file).unwrap();
    let dark: Vec<String> = (0..4)
        .map(|i| {
            let path = out.path().join(format!("dark{i}.png"));
            image::RgbImage::new(640, 480).save(&path).unwrap();
            path.display().to_string()
        })
        .collect();
    let ended = fathom(&command(&dark, &["-o", text(&file), "--focal-px", "525", "--json"]));
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(object["state"], "not-observable");
    assert!(!object["reasons"].as_array().unwrap().is_empty() && object["file"].is_null(), "{object:#}");
    assert_eq!(fs::read(&file).unwrap(), stored);
}

#[test]
fn a_budget_is_kept_and_wrong_input_is_named() {
    let out = tempfile::tempdir().unwrap();
    let (frames, file) = (jpegs(), out.path().join("c.toml"));
    let ended = fathom(&command(&frames, &["-o", text(&file), "--budget-s", "0.001", "--json"]));
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &object["complete"]), (3, &false.into()), "{object:#}");
    for (options, code, words) in [
        (&["--range", "absent.jpg:1,2,3"][..], 1, "absent.jpg"),
        (&["--range", "999,2,3"][..], 1, "999"),
        (&["--range", "1,2"][..], 2, "U,V,METRES"),
        (&["--camera-height", "1.2"][..], 2, "--gravity"),
        (&["--focal-px", "-5"][..], 2, ""),
    ] {
        let refused = fathom(&command(&frames, &[&["-o", text(&file)], options].concat()));
        assert!(refused.code == code && refused.stderr.contains(words), "{options:?}: {} {}", refused.code, refused.stderr);
        assert!(!file.exists());
    }
}
