//! The other commands: their JSON objects, their exit codes, and what they say to wrong usage.

mod program;

use std::fs;

use image::{ImageBuffer, Luma};
use program::{fathom, frame, json, keys, picture, root, shared};

#[test]
fn inspect_holds_what_the_design_names() {
    let object = json(&["inspect", "--plan"]);
    for key in ["model", "sha256", "card", "ops", "macs", "weights_bytes", "steps", "plan", "boards"] {
        assert!(keys(&object).contains(&key), "{key} is missing: {object:#}");
    }
    assert_eq!(object["card"]["output_kind"], "inverse-depth");
    assert!(object["ops"]["Conv"].as_u64().unwrap() > 10, "{}", object["ops"]);
    let steps = object["steps"].as_u64().unwrap();
    assert!(steps > 10 && object["macs"].as_u64().unwrap() > 10_000_000, "{steps} steps");
    let nano = object["boards"].as_array().unwrap().iter().find(|board| board["board"] == "jetson-nano").unwrap();
    assert!(nano["least_ms"].as_f64().unwrap() >= nano["memory_ms"].as_f64().unwrap());
    assert!(fathom(&["inspect", "--plan"]).stdout.contains("GMAC"));
}

#[test]
fn bench_holds_what_the_design_names() {
    let object = json(&["bench", "--runs", "3", "--backend", "cpu"]);
    let named = [
        "model",
        "backend",
        "adapter",
        "runs",
        "median_ms",
        "p99_ms",
        "first_frame_ms",
        "dispatches",
        "arena_bytes",
        "arena_lower_bound_bytes",
        "weights_bytes",
        "peak_rss_bytes",
    ];
    for key in named {
        assert!(keys(&object).contains(&key), "{key} is missing: {object:#}");
    }
    assert_eq!(object["runs"], 3);
    assert!(object["median_ms"].as_f64() <= object["p99_ms"].as_f64() && object["median_ms"].as_f64() > Some(0.0));
    assert!(object["arena_bytes"].as_u64() >= object["arena_lower_bound_bytes"].as_u64());
    assert_eq!(fathom(&["bench", "--runs", "0"]).code, 2);
}

#[test]
fn doctor_runs_the_network_and_says_how_it_went() {
    let object = json(&["doctor"]);
    assert_eq!(object["healthy"], true, "{object:#}");
    let verdict = |name: &str| object["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap()["verdict"].clone();
    assert_eq!((verdict("network"), verdict("on the cpu")), ("ok".into(), "ok".into()));
    for check in object["checks"].as_array().unwrap() {
        assert!(check["verdict"] == "ok" || !check["advice"].as_array().unwrap().is_empty(), "no advice: {check}");
    }
}

#[test]
fn boards_are_listed_and_shown_and_an_unknown_one_is_answered_with_the_known() {
    assert!(json(&["boards"])["boards"].as_array().unwrap().len() >= 7);
    assert_eq!(json(&["boards", "jetson-nano"])["boards"][0]["peak"]["dram_gb_s"], 25.6);
    let unknown = fathom(&["boards", "jetson-pluto"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("jetson-pluto") && unknown.stderr.contains("jetson-orin-nano"), "{}", unknown.stderr);
}

#[test]
fn threads_are_those_of_the_cpu() {
    let bench = |threads| json(&["bench", "--runs", "1", "--backend", "cpu", "--threads", threads]);
    assert_eq!((bench("1")["backend"].as_str(), bench("0")["backend"].as_str()), (Some("cpu"), Some("cpu")));
    let refused = fathom(&["bench", "--runs", "1", "--backend", "gpu", "--threads", "2"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("2 threads"), "{}", refused.stderr);
}

#[test]
fn demo_writes_previews_and_says_what_they_mean() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("fathom-demo");
    let object = json(&["demo", "--out", folder.to_str().unwrap(), "--backend", "cpu"]);
    assert_eq!(object["images"].as_array().unwrap().len(), 6);
    assert!(["calibrated", "default", "not-observable"].contains(&object["calibration"]["state"].as_str().unwrap()), "{object:#}");
    for file in object["files"].as_array().unwrap() {
        assert!(fs::metadata(file.as_str().unwrap()).unwrap().len() > 100, "{file}");
    }
    let names: Vec<_> = object["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned()).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with(".preview.png")).count(), 6);
    assert!(names.iter().any(|name| name.ends_with(".ply")), "{names:?}");
}

#[test]
fn eval_prints_the_table_of_a_small_manifest() {
    let folder = tempfile::tempdir().unwrap();
    for group in ["near", "far"] {
        fs::create_dir(folder.path().join(group)).unwrap();
        picture(64, 48).save(folder.path().join(group).join("1.png")).unwrap();
        let depth = ImageBuffer::<Luma<u16>, _>::from_fn(64, 48, |x, y| Luma([if x == 0 { 0 } else { (1000 + 40 * x + 20 * y) as u16 }]));
        depth.save(folder.path().join(group).join("1d.png")).unwrap();
    }
    let line = |group: &str| format!("{group}/1.png\t{group}/1d.png\tpng16/1000 m\t60\t60\t32\t24\t64\t48\n");
    let manifest = folder.path().join("MANIFEST.tsv");
    let header = "file\tdepth_file\tdepth_encoding\tfx\tfy\tcx\tcy\twidth\theight\n";
    fs::write(&manifest, [header, &line("near"), &line("far")].concat()).unwrap();
    let object = json(&["eval", manifest.to_str().unwrap(), "--limit", "1"]);
    assert_eq!(keys(&object["groups"]), ["far", "near"]);
    for key in ["frames", "absrel_scale", "delta1_scale", "absrel_affine", "delta1_affine", "spearman", "lsiv"] {
        let (group, overall) = (&object["groups"]["far"][key], &object["overall"][key]);
        assert!(group.is_number() && overall.is_number(), "{key}: {object:#}");
        if key != "frames" {
            // Both groups are the same frame, so the mean over groups is the group's value.
            assert!((group.as_f64().unwrap() - overall.as_f64().unwrap()).abs() < 1e-12, "{key}");
        }
    }
    assert!(object["overall"]["absrel_affine"].as_f64() <= object["overall"]["absrel_scale"].as_f64());

    fs::write(&manifest, header).unwrap();
    let ended = fathom(&["eval", manifest.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stderr.contains("lists no frames")), (1, true), "{}", ended.stderr);
}

#[test]
fn eval_reads_the_manifest_of_the_evaluation_frames() {
    let Some(manifest) = shared("data/eval-dev/MANIFEST.tsv") else { return };
    let object = json(&["eval", manifest.to_str().unwrap(), "--limit", "1"]);
    assert_eq!(object["groups"].as_object().unwrap().len(), 12);
    assert!(object["overall"]["absrel_affine"].as_f64().unwrap() < 1.0, "{object:#}");
}

#[test]
fn quantize_writes_a_network_that_inspect_reads_and_says_what_it_cost() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("q.onnx");
    let fp32 = root().join("fixtures/onnx/valid/weights_typed.onnx");
    let frames = root().join("fixtures/frames");
    let (fp32, frames, file) = (fp32.to_str().unwrap(), frames.to_str().unwrap(), out.to_str().unwrap());
    let object = json(&["quantize", fp32, "--frames", frames, "-o", file, "--limit", "2"]);
    assert_eq!((object["frames"].as_u64(), object["file"].as_str()), (Some(2), Some(file)));
    assert!(object["correlation"].as_f64().unwrap() > 0.9, "{object:#}");
    let ops = json(&["inspect", file])["ops"].clone();
    assert!(ops["QuantizeLinear"].as_u64() > Some(0) && ops["DequantizeLinear"].as_u64() > Some(0), "{ops}");

    let twice = fathom(&["quantize", file, "--frames", frames, "-o", file]);
    assert_eq!((twice.code, twice.stderr.contains("quantized already")), (1, true), "{}", twice.stderr);
}

#[test]
fn wrong_usage_ends_with_two_and_help_with_zero() {
    assert_eq!(fathom::<&str>(&[]).code, 2);
    assert_eq!(fathom(&["depth"]).code, 2);
    assert_eq!(fathom(&["depth", "a.png", "--backend", "tpu"]).code, 2);
    assert_eq!(fathom(&["depth", "a.png", "--input-size", "0x4"]).code, 2);
    for threads in ["two", "-1", "257"] {
        let refused = fathom(&["depth", "a.png", "--threads", threads]);
        assert_eq!(refused.code, 2);
        assert!(refused.stderr.contains("0 for all cores, or 1 to 256"), "{}", refused.stderr);
    }
    for command in ["depth", "eval", "inspect", "bench", "boards", "doctor", "demo", "calibrate", "quantize"] {
        let help = fathom(&[command, "--help"]);
        assert_eq!((help.code, help.stdout.contains("Usage: fathom")), (0, true), "{command}");
    }
}

#[test]
fn an_adapter_that_is_not_there_is_an_error_and_no_silent_fall_back() {
    let ended = fathom(&["bench", "--runs", "1", "--adapter", "no such adapter"]);
    assert_ne!(ended.code, 0, "{}", ended.stdout);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let contradiction = fathom(&["bench", "--runs", "1", "--backend", "cpu", "--adapter", "llvmpipe"]);
    assert_eq!(contradiction.code, 1);
    assert!(contradiction.stderr.contains("llvmpipe"), "{}", contradiction.stderr);
}

#[test]
fn a_file_that_is_no_network_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let poem = folder.path().join("poem.onnx");
    fs::write(&poem, "roses are red, violets are blue").unwrap();
    for path in [poem, folder.path().to_path_buf(), folder.path().join("absent.onnx")] {
        let ended = fathom(&["depth", frame().to_str().unwrap(), "--model", path.to_str().unwrap()]);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(path.to_str().unwrap()) && !ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}
