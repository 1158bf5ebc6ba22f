//! `fathom depth`: what it prints, what it writes, what it refuses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;

use std::fs;

use fathom_calibration::store::{self, Identity, Stored};
use fathom_calibration::track::WINDOW;
use fathom_core::calibration::{Calibration, State};
use fathom_core::frame::Size;
use program::{fathom, frame, json, keys, picture, root, shared, text};

#[test]
fn the_json_object_holds_what_the_design_names() {
    let out = tempfile::tempdir().unwrap();
    let object = json(&["depth", text(&frame()), "--out", text(out.path()), "--backend", "cpu"]);
    for key in ["model", "sha256", "backend", "adapter", "width", "height", "unit", "min", "median", "max", "ms", "files"] {
        assert!(keys(&object).contains(&key), "{key} is missing: {object:#}");
    }
    assert_eq!((object["width"].as_u64(), object["height"].as_u64()), (Some(640), Some(480)));
    assert_eq!((object["unit"].as_str(), object["backend"].as_str()), (Some("relative-inverse-depth"), Some("cpu")));
    assert!(object["adapter"].is_null() && object["model"] == "embedded");
    assert!(object["min"].as_f64() < object["median"].as_f64() && object["median"].as_f64() < object["max"].as_f64());
    for stage in ["read", "preprocess", "network", "postprocess", "write"] {
        assert!(object["ms"][stage].as_f64().is_some_and(|ms| ms >= 0.0), "{stage}: {object:#}");
    }
}

#[test]
fn every_format_is_written_and_a_second_run_overwrites_it() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("deep/results");
    for _ in 0..2 {
        let object = json(&["depth", text(&frame()), "--out", text(&folder), "--format", "npy,ply,preview"]);
        let mut names: Vec<String> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["livingroom-00000.depth.npy", "livingroom-00000.ply", "livingroom-00000.preview.png"]);
        assert_eq!(object["files"].as_array().unwrap().len(), 3);
    }
    let array = npyz::NpyFile::new(fs::File::open(folder.join("livingroom-00000.depth.npy")).unwrap()).unwrap();
    assert_eq!(array.shape(), [480, 640]);
    assert!(array.into_vec::<f32>().unwrap().iter().all(|value| value.is_finite()));
    let preview = image::open(folder.join("livingroom-00000.preview.png")).unwrap();
    assert!(preview.width() > 2 * 640 && preview.height() > 480, "{}x{}", preview.width(), preview.height());
    let cloud = fs::read(folder.join("livingroom-00000.ply")).unwrap();
    let header = String::from_utf8_lossy(&cloud[..600]).into_owned();
    assert!(header.starts_with("ply\nformat binary_little_endian 1.0\n") && header.contains("up-to-scale"), "{header}");
}

#[test]
fn millimetres_are_refused_for_relative_depth_and_written_for_metres() {
    let out = tempfile::tempdir().unwrap();
    let frame = frame();
    let depth = ["depth", text(&frame), "--out", text(out.path()), "--format", "png16"];
    let refused = fathom(&depth);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("--calibration"), "{}", refused.stderr);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);

    // The same network, taken at its word as metric: what lies behind the camera has no depth.
    let object = json(&[&depth[..], &["--output-kind", "metric-depth"]].concat());
    assert_eq!(object["unit"], "metres");
    let written = image::open(out.path().join("livingroom-00000.depth.png")).unwrap();
    assert_eq!((written.color(), written.width(), written.height()), (image::ColorType::L16, 640, 480));
}

#[test]
fn a_calibration_makes_metres_and_one_of_another_network_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let relative = json(&["depth", text(&frame()), "--out", text(out.path())]);
    let mut calibration = Calibration::from_default_tau(1.0 - relative["min"].as_f64().unwrap());
    (calibration.state, calibration.ln_scale) = (State::Calibrated, Some(0.0));
    let store = |sha256: &str, resolution: Size, name: &str| {
        let identity = Identity { camera: "test".into(), network_sha256: sha256.into(), resolution };
        let stored = Stored { identity, calibration: calibration.clone(), made_unix_s: 0, frames: 1, complete: true, cues: vec![] };
        store::save(&stored, &out.path().join(name)).unwrap();
        out.path().join(name)
    };
    let sha256 = relative["sha256"].as_str().unwrap();
    let own = store(sha256, Size::new(640, 480), "own.toml");
    let metric = json(&["depth", text(&frame()), "--out", text(out.path()), "--calibration", text(&own), "--format", "npy,png16"]);
    assert_eq!(metric["unit"], "metres");
    // 1 / d = x + tau and min x + tau = 1: the farthest pixel is at 1 m.
    assert!((metric["max"].as_f64().unwrap() - 1.0).abs() < 1e-4, "{metric:#}");
    let written = image::open(out.path().join("livingroom-00000.depth.png")).unwrap();
    let millimetres: Vec<f64> = written.as_luma16().unwrap().iter().map(|&mm| f64::from(mm)).collect();
    let middle = metric["median"].as_f64().unwrap() * 1000.0;
    assert!(millimetres.iter().all(|mm| (1.0..=1000.0).contains(mm)) && millimetres.iter().any(|mm| (mm - middle).abs() < 2.0), "{middle}");

    // A distance measured in the picture itself moves its scale; the sigma says what either is worth.
    let picture = frame();
    let calibrated = ["depth", text(&picture), "--out", text(out.path()), "--calibration", text(&own), "--format", "npy"];
    let moved = json(&[&calibrated[..], &["--range", "320,240,1000"]].concat());
    assert!(moved["median"].as_f64().unwrap() > 10.0 * metric["median"].as_f64().unwrap(), "{moved:#}");
    assert!((0.05..0.5).contains(&moved["scale_sigma"].as_f64().unwrap()), "{moved:#}");
    for (value, code) in [("9999,240,2", 1), ("320,240", 2), ("other.png:320,240,2", 1)] {
        let refused = fathom(&[&calibrated[..], &["--range", value]].concat());
        assert_eq!(refused.code, code, "{value}: {}", refused.stderr);
    }

    let absent = fathom(&["depth", text(&frame()), "--out", text(out.path()), "--calibration", "absent.toml"]);
    assert_eq!((absent.code, absent.stderr.matches("os error 2").count()), (1, 1), "{}", absent.stderr);

    for (foreign, what) in [
        (store(&"0".repeat(64), Size::new(640, 480), "net.toml"), "network"),
        (store(sha256, Size::new(320, 240), "size.toml"), "resolution"),
    ] {
        let refused = fathom(&["depth", text(&frame()), "--out", text(out.path()), "--calibration", text(&foreign)]);
        assert_eq!(refused.code, 3, "{}", refused.stderr);
        assert!(refused.stderr.contains(what), "{}", refused.stderr);
    }
}

#[test]
fn in_a_video_a_distance_measured_in_one_frame_serves_those_that_show_the_same() {
    let out = tempfile::tempdir().unwrap();
    // A camera that pans over a photograph, then a cut.
    let photograph = image::open(frame()).unwrap();
    let cut = image::open(root().join("fixtures/frames/livingroom-00198.jpg")).unwrap();
    let paths: Vec<String> = (0..5)
        .map(|i| {
            let path = out.path().join(format!("{i}.png"));
            let from = if i == 4 { &cut } else { &photograph };
            from.crop_imm(40 + 6 * i, 40, 480, 360).save(&path).unwrap();
            text(&path).to_owned()
        })
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let relative = json(&["depth", paths[0], "--out", text(out.path())]);
    let mut calibration = Calibration::from_default_tau(1.0 - relative["min"].as_f64().unwrap());
    calibration.state = State::Calibrated;
    let identity =
        Identity { camera: "test".into(), network_sha256: relative["sha256"].as_str().unwrap().into(), resolution: Size::new(480, 360) };
    let stored = Stored { identity, calibration, made_unix_s: 0, frames: 1, complete: true, cues: vec![] };
    let file = out.path().join("c.toml");
    store::save(&stored, &file).unwrap();
    let options = ["--out", text(out.path()), "--calibration", text(&file), "--format", "npy", "--range", "0.png:240,180,2"];
    let depth = |paths: &[&str], more: &[&str]| json(&[&["depth"], paths, &options[..], more].concat());

    let images = depth(&paths, &["--video"])["images"].as_array().unwrap().clone();
    let of = |key: &str| images.iter().map(|image| image[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("unit"), ["metres", "metres", "metres", "metres", "up-to-scale"], "{images:#?}");
    let sigmas: Vec<f64> = of("scale_sigma")[..4].iter().map(|sigma| sigma.as_f64().unwrap()).collect();
    assert!(sigmas.is_sorted() && sigmas[0] > 0.1 && sigmas[3] < 0.5, "{sigmas:?}");
    let medians: Vec<f64> = of("median")[..4].iter().map(|median| median.as_f64().unwrap()).collect();
    assert!(medians.iter().all(|median| (median / medians[0] - 1.0).abs() < 0.1), "{medians:?}");
    assert!(images[4]["notes"].to_string().contains("anew") && images[1]["notes"] == serde_json::json!([]), "{images:#?}");
    // Where it has no scale the program says where to measure; a distance there gives it one.
    assert!(images[0]["measure_at"].is_null(), "{images:#?}");
    let asked = &images[4]["measure_at"];
    assert_eq!(asked["image"], paths[4], "{images:#?}");
    let answer = format!("{}:{},{},2", paths[4], asked["u_px"], asked["v_px"]);
    let answered = depth(&paths, &["--video", "--range", &answer]);
    assert_eq!(answered["images"][4]["unit"], "metres", "{answered:#}");
    // A camera's scale is no picture's own: where to measure is said of each that has no distance.
    let mut scaled = stored.clone();
    (scaled.calibration.ln_scale, scaled.calibration.covariance[(0, 0)]) = (Some(0.3), 0.04);
    store::save(&scaled, &file).unwrap();
    let images = depth(&paths, &[])["images"].as_array().unwrap().clone();
    let asked: Vec<bool> = images.iter().map(|image| image["measure_at"].is_object()).collect();
    assert_eq!(asked, [false, true, true, true, true], "{images:#?}");
    assert!(images.iter().all(|image| image["unit"] == "metres"), "{images:#?}");
    store::save(&stored, &file).unwrap();
    // Looked back on, a distance serves the frames before it too.
    let later = ["--range", "3.png:240,180,2"];
    let unit = |more: &[&str]| -> Vec<serde_json::Value> {
        let found = json(&[&["depth"], &paths[..], &options[..6], &later, more].concat());
        found["images"].as_array().unwrap().iter().map(|image| image["unit"].clone()).collect()
    };
    assert_eq!(unit(&["--video"]), ["up-to-scale", "up-to-scale", "up-to-scale", "metres", "up-to-scale"]);
    assert_eq!(unit(&["--video", "--look-back"]), ["metres", "metres", "metres", "metres", "up-to-scale"]);
    let both = [&["--video"][..], &later].concat();
    let (seen, looked_back) = (depth(&paths, &both), depth(&paths, &[&both[..], &["--look-back"]].concat()));
    let sigma = |found: &serde_json::Value, i: usize| found["images"][i]["scale_sigma"].as_f64().unwrap();
    assert!(sigma(&looked_back, 0) < sigma(&seen, 0) && (sigma(&looked_back, 3) / sigma(&seen, 3) - 1.0).abs() < 1e-6, "{looked_back:#}");
    assert!(looked_back["images"][4]["notes"].to_string().contains("anew"), "{looked_back:#}");
    // Pictures that are not a video have the first one's distance for themselves.
    assert_eq!(depth(&paths, &[])["images"][1]["unit"], "up-to-scale");

    photograph.crop_imm(0, 0, 400, 300).save(out.path().join("small.png")).unwrap();
    let small = out.path().join("small.png");
    for (arguments, code, named) in [
        (vec![paths[0], "--video"], 2, "--calibration"),
        ([&[paths[0], "--look-back"], &options[..]].concat(), 2, "--video"),
        ([&[paths[0], text(&small), "--video"], &options[..]].concat(), 3, "400x300"),
        ([&[paths[0], paths[4], "--video"], &options[..5], &["png16"], &options[6..]].concat(), 3, "png16"),
    ] {
        let refused = fathom(&[&["depth"], &arguments[..]].concat());
        assert_eq!(refused.code, code, "{}", refused.stderr);
        assert!(refused.stderr.contains(named), "{}", refused.stderr);
    }
}

#[test]
fn a_look_back_reaches_as_far_as_the_window_of_the_track() {
    let out = tempfile::tempdir().unwrap();
    let photograph = image::open(frame()).unwrap();
    let count = WINDOW + 4;
    for i in 0..count {
        photograph.crop_imm(40 + 2 * i as u32, 40, 320, 240).save(out.path().join(format!("{i:02}.png"))).unwrap();
    }
    let network = json(&["inspect"])["sha256"].as_str().unwrap().to_owned();
    let identity = Identity { camera: "test".into(), network_sha256: network, resolution: Size::new(320, 240) };
    let calibration = Calibration { state: State::Calibrated, ..Calibration::from_default_tau(3.2) };
    let stored = Stored { identity, calibration, made_unix_s: 0, frames: 1, complete: true, cues: vec![] };
    let file = out.path().join("c.toml");
    store::save(&stored, &file).unwrap();
    let (results, log) = (out.path().join("results"), out.path().join("laser.log"));
    fs::write(&log, format!("# metres\n{:02}.png:160,120,2\n", count - 1)).unwrap();
    let options = ["--calibration", text(&file), "--out", text(&results), "--format", "npy", "--ranges", text(&log)];
    let found = json(&[&["depth", text(out.path()), "--video", "--look-back"], &options[..]].concat());
    let units: Vec<&str> = found["images"].as_array().unwrap().iter().map(|image| image["unit"].as_str().unwrap()).collect();
    assert_eq!(units, [vec!["up-to-scale"; 4], vec!["metres"; WINDOW]].concat());
}

#[test]
fn a_photograph_held_upright_comes_out_upright() {
    let out = tempfile::tempdir().unwrap();
    let mut jpeg = Vec::new();
    picture(64, 32).write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
    // EXIF with one entry, orientation 6 (turn right by 90 degrees), behind the start marker.
    let tiff = [b"MM\0*\0\0\0\x08\0\x01".as_slice(), b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0", b"\0\0\0\0"].concat();
    let body = [b"Exif\0\0".as_slice(), &tiff].concat();
    let segment = [&[0xff, 0xe1][..], &(body.len() as u16 + 2).to_be_bytes(), &body].concat();
    jpeg.splice(2..2, segment);
    let path = out.path().join("upright.jpg");
    fs::write(&path, jpeg).unwrap();
    let object = json(&["depth", text(&path), "--out", text(out.path()), "--format", "npy"]);
    assert_eq!((object["width"].as_u64(), object["height"].as_u64()), (Some(32), Some(64)));
}

#[test]
fn a_folder_means_its_pictures_and_each_gets_an_entry() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("frames");
    fs::create_dir(&folder).unwrap();
    picture(40, 30).save(folder.join("b.png")).unwrap();
    picture(30, 40).save(folder.join("a.PPM")).unwrap();
    fs::write(folder.join("notes.txt"), "not a picture").unwrap();
    let object = json(&["depth", text(&folder), "--out", text(&out.path().join("o")), "--format", "npy"]);
    let widths: Vec<_> = object["images"].as_array().unwrap().iter().map(|image| image["width"].as_u64().unwrap()).collect();
    assert_eq!(widths, [30, 40]);
    assert!(object.get("width").is_none(), "two pictures have no common width");
}

#[test]
fn bad_input_is_named_with_its_path_and_what_is_wrong() {
    let out = tempfile::tempdir().unwrap();
    let empty = out.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let torn = out.path().join("torn.jpg");
    fs::write(&torn, &fs::read(frame()).unwrap()[..2000]).unwrap();
    let poem = out.path().join("poem.png");
    fs::write(&poem, "roses are red").unwrap();
    let huge = out.path().join("huge.ppm");
    fs::write(&huge, "P6\n100000 100000\n255\nabc").unwrap();
    for (path, words) in [
        (out.path().join("absent.png"), "absent.png"),
        (empty, "holds no pictures"),
        (torn, "torn.jpg"),
        (poem, "poem.png"),
        (huge, "100000 x 100000"),
    ] {
        let ended = fathom(&["depth", text(&path), "--out", text(out.path()), "--json"]);
        assert_eq!(ended.code, 1, "{}: {}", path.display(), ended.stderr);
        assert!(ended.stderr.contains(words) && !ended.stderr.contains("panicked"), "{}: {}", path.display(), ended.stderr);
        let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(object["exit_code"], 1);
    }
}

#[test]
fn a_network_without_a_card_is_answered_with_the_flags_to_give() {
    let Some(model) = shared("models/pydnetpp.onnx") else { return };
    let out = tempfile::tempdir().unwrap();
    let ended = fathom(&["depth", text(&frame()), "--model", text(&model), "--out", text(out.path())]);
    assert_eq!(ended.code, 1);
    for flag in ["--channel-order", "--mean", "--std", "--output-kind", "TOML"] {
        assert!(ended.stderr.contains(flag), "{flag}: {}", ended.stderr);
    }
}

/// The design's bound: three times the weights and the activations, the program itself included. Measured on a network of 8 MB of
/// weights: 68.9 MB of 69.5: 45.9 MB of arena, 8 MB of packed weights, 12 MB of code and the C library (28 MB with GPU and tract
/// built in, a part of it touched), the frame, and the threads' buffers.
#[test]
fn peak_memory_stays_below_three_times_the_weights_and_the_activations() {
    let Some(model) = shared("models/pydnetpp.onnx") else { return };
    let out = tempfile::tempdir().unwrap();
    let card = ["--channel-order", "rgb", "--mean", "0", "--std", "1", "--output-kind", "depth"];
    let frame = frame();
    let run = [&["depth", text(&frame), "--model", text(&model), "--out", text(out.path()), "--backend", "cpu"], &card[..]].concat();
    let Some(peak) = json(&run)["peak_rss_bytes"].as_u64() else {
        eprintln!("SKIPPED: this system does not say how much memory a process took");
        return;
    };
    let plan = json(&[&["inspect", text(&model)], &card[..]].concat());
    let (weights, activations) = (plan["weights_bytes"].as_u64().unwrap(), plan["arena_lower_bound_bytes"].as_u64().unwrap());
    let limit = 3 * weights + activations;
    assert!(peak <= limit, "peak {peak}, limit {limit} = 3 x {weights} + {activations}");
}
