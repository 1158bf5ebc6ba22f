//! The program on a Vulkan device, software too: `--adapter` names it, `FATHOM_GPU_ADAPTER` says which.
//!
//! Ignored, visibly, where there is none; `FATHOM_GPU_TESTS=required` makes that a failure.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests read the environment and files")]

mod program;

use std::process::ExitCode;

use fathom_gpu::{AdapterPolicy, Gpu};
use libtest_mimic::{Arguments, Trial};

use program::{fathom, frame, json, keys, root};

/// A case, given the device's name.
type Case = (&'static str, fn(&str));

fn main() -> ExitCode {
    let policy = std::env::var("FATHOM_GPU_ADAPTER").map_or(AdapterPolicy::Any, AdapterPolicy::Named);
    let cases: [Case; 3] = [
        ("compare_finds_no_difference_between_cpu_and_gpu", compare_finds_no_difference),
        ("depth_names_the_device_and_gives_what_the_cpu_gives", depth_names_the_device),
        ("bench_runs_on_the_device_named_and_lists_what_is_present_otherwise", bench_runs_on_the_device),
    ];
    let trials = match Gpu::open(&policy) {
        Ok(gpu) => {
            let adapter = gpu.report().name.clone();
            let trial = |(name, case): Case| {
                let adapter = adapter.clone();
                Trial::test(name, move || {
                    case(&adapter);
                    Ok(())
                })
            };
            cases.into_iter().map(trial).collect()
        }
        Err(missing) => {
            eprintln!("SKIPPED: {missing}");
            let required = std::env::var("FATHOM_GPU_TESTS").is_ok_and(|value| value == "required");
            let trial = |(name, _): Case| {
                let why = format!("required by the environment, but {missing}");
                Trial::test(name, move || Err(why.into())).with_ignored_flag(!required)
            };
            cases.into_iter().map(trial).collect()
        }
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn compare_finds_no_difference(adapter: &str) {
    for name in ["fathom-small.int8.onnx", "fathom-small.onnx"] {
        let network = root().join("fixtures/models").join(name);
        let found = json(&["compare".as_ref(), network.as_os_str(), frame().as_os_str(), "--adapter".as_ref(), adapter.as_ref()]);
        assert_eq!(keys(&found), ["adapter", "equal", "first", "model", "sha256", "steps"]);
        assert!(found["adapter"].as_str().unwrap().contains(adapter), "{}", found["adapter"]);
        assert_eq!(found["equal"], true, "{name}: {}", found["first"]);
        let steps = found["steps"].as_array().unwrap();
        assert!(steps.len() > 50, "{name}: {} steps", steps.len());
        let bytes_differ = |step: &&serde_json::Value| step["element"] != "f32" && step["differing"] != 0;
        assert!(!steps.iter().any(|step| bytes_differ(&step)), "{name}: {:?}", steps.iter().find(bytes_differ));
    }
}

fn depth_names_the_device(adapter: &str) {
    let folder = tempfile::tempdir().unwrap();
    let run = |backend: &[&str], out: &str| {
        let out = folder.path().join(out);
        let mut arguments = vec!["depth".to_owned(), frame().display().to_string(), "--format".into(), "npy".into(), "--out".into()];
        arguments.push(out.display().to_string());
        arguments.extend(backend.iter().map(|&word| word.to_owned()));
        (json(&arguments), out)
    };
    let (on_gpu, gpu_out) = run(&["--adapter", adapter], "gpu");
    let (on_cpu, cpu_out) = run(&["--backend", "cpu"], "cpu");
    assert_eq!(on_gpu["backend"], "gpu");
    assert!(on_gpu["adapter"].as_str().unwrap().contains(adapter), "{}", on_gpu["adapter"]);
    assert_eq!(on_cpu["backend"], "cpu");
    let read = |out: &std::path::Path| {
        let file = std::fs::read_dir(out).unwrap().next().unwrap().unwrap().path();
        npyz::NpyFile::new(std::fs::File::open(file).unwrap()).unwrap().into_vec::<f32>().unwrap()
    };
    let (ours, theirs) = (read(&gpu_out), read(&cpu_out));
    assert_eq!(ours.len(), theirs.len());
    let range = theirs.iter().copied().fold(0.0_f32, |most, value| most.max(value.abs()));
    let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    // The network is exact; only the float rounding of pre- and postprocessing may differ, by a byte step of the input at the most.
    assert!(worst <= 0.02 * range, "{worst} of {range}");
}

fn bench_runs_on_the_device(adapter: &str) {
    let found = json(&["bench", "--runs", "2", "--adapter", adapter]);
    assert!(found["dispatches"].as_u64().is_some_and(|count| (1..=60).contains(&count)), "{}", found["dispatches"]);
    let absent = fathom(&["bench", "--runs", "1", "--adapter", "no such adapter"]);
    assert_eq!(absent.code, 1);
    assert!(absent.stderr.contains(adapter), "what is present is listed: {}", absent.stderr);
}
