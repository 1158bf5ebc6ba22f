//! The invariants of ARCHITECTURE.md, read off `cargo metadata` and the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use fathom_tests::require::root;

/// Every arrow that may exist between crates of the workspace (development dependencies aside).
const ARROWS: &[(&str, &[&str])] = &[
    ("fathom-core", &[]),
    ("fathom-boards", &["fathom-core"]),
    ("fathom-gpu", &["fathom-core"]),
    ("fathom-runtime", &["fathom-core", "fathom-boards", "fathom-gpu"]),
    ("fathom-calibration", &["fathom-core", "fathom-gpu"]),
    ("fathom-capi", &["fathom-core", "fathom-boards", "fathom-gpu", "fathom-runtime", "fathom-calibration"]),
    ("fathom-cli", &["fathom-core", "fathom-boards", "fathom-gpu", "fathom-runtime", "fathom-calibration"]),
    ("fathom-tests", &["fathom-core", "fathom-boards", "fathom-gpu", "fathom-runtime", "fathom-calibration", "fathom-capi", "fathom-cli"]),
];

/// What `fathom-core` may link: nothing else, so that firmware can.
const CORE_MAY_LINK: &[&str] = &["nalgebra", "thiserror"];

/// Crates that never enter, whatever asks for them.
const FORBIDDEN: &[&str] = &["tokio", "opencv", "openssl-sys", "ort", "tch", "candle-core", "burn"];

/// The boards' platform; the machine of a developer links nothing else.
const PLATFORM: &str = "aarch64-unknown-linux-gnu";

fn metadata() -> Metadata {
    let options = ["--locked", "--filter-platform", PLATFORM].map(String::from).to_vec();
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).other_options(options).exec().unwrap()
}

/// Normal dependencies of each workspace crate.
fn dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let of = |package: &cargo_metadata::Package| {
        let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
        normal.map(|d| d.name.clone()).collect()
    };
    metadata.workspace_packages().into_iter().map(|p| (p.name.to_string(), of(p))).collect()
}

#[test]
fn crates_point_only_along_the_arrows_of_the_design() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let found = dependencies(&metadata());
    assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), arrows.keys().copied().collect());
    for (package, dependencies) in &found {
        for dependency in dependencies.iter().filter(|d| d.starts_with("fathom-")) {
            assert!(arrows[package.as_str()].contains(&dependency.as_str()), "{package} must not depend on {dependency}");
        }
    }
}

#[test]
fn core_links_nothing_but_mathematics_and_errors() {
    let found = &dependencies(&metadata())["fathom-core"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), CORE_MAY_LINK);
}

#[test]
fn wgpu_and_tract_are_dependencies_of_one_crate_each_and_pinned_exactly() {
    let metadata = metadata();
    for (dependency, owner) in [("wgpu", "fathom-gpu"), ("tract-onnx", "fathom-runtime")] {
        for package in metadata.workspace_packages() {
            let Some(found) = package.dependencies.iter().find(|d| d.name == dependency) else {
                assert_ne!(package.name.as_str(), owner, "{owner} should depend on {dependency}");
                continue;
            };
            assert_eq!(package.name.as_str(), owner, "{dependency} belongs to {owner}");
            assert!(found.req.to_string().starts_with('='), "{dependency} must be pinned exactly, is {}", found.req);
        }
    }
}

#[test]
fn no_forbidden_or_copyleft_crate_is_in_the_tree() {
    for package in &metadata().packages {
        assert!(!FORBIDDEN.contains(&package.name.as_str()), "{} is forbidden", package.name);
        let licence = package.license.as_deref().unwrap_or("none");
        // cbindgen (MPL-2.0) is a tool of the tests and never linked into what is shipped.
        let copyleft = licence == "none" || (licence.contains("GPL") && !licence.contains("OR")) || licence.contains("MPL");
        assert!(!copyleft || package.name.as_str() == "cbindgen", "{} is under {licence}", package.name);
    }
}

/// Rust sources of the workspace, `(path from the root, text)`.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["core", "gpu-kernels", "edge-runtime", "calibration", "boards", "tests"].iter().map(|d| root().join(d)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() && entry.file_name().is_none_or(|name| name != "target") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                found.push((relative(&entry), std::fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    assert!(found.len() > 30, "only {} sources found", found.len());
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

/// The text without its test modules (`#[cfg(test)]` comes last in a file) and comments.
fn shipped(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end].lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether a file is part of what is linked into a robot: not a test, bench, example or build script.
fn is_shipped(path: &str) -> bool {
    !["/tests/", "/examples/", "/benches/", "/build.rs"].iter().any(|folder| path.contains(folder)) && !path.starts_with("tests/")
}

/// Fails on each shipped source that contains one of `words` outside the allowed folders or files.
fn only_in(words: &[&str], allowed: &[&str]) {
    let stray: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| {
            is_shipped(path) && !allowed.iter().any(|a| path.starts_with(a)) && words.iter().any(|w| shipped(text).contains(w))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(stray.is_empty(), "{words:?} outside {allowed:?}: {stray:#?}");
}

#[test]
fn wgpu_is_named_only_in_gpu_kernels() {
    only_in(&["wgpu::"], &["gpu-kernels/"]);
}

#[test]
fn tract_is_named_only_in_its_room() {
    only_in(&["tract_onnx"], &["edge-runtime/src/network/tract"]);
}

#[test]
fn unsafe_is_only_in_the_c_abi_and_the_fenced_gpu_module() {
    only_in(&["unsafe {", "unsafe fn", "unsafe extern", "unsafe impl"], &["edge-runtime/capi/", "gpu-kernels/src/trusted"]);
}

#[test]
fn files_environment_and_clocks_are_only_in_the_program_the_store_and_tests() {
    let allowed = ["edge-runtime/cli/", "calibration/src/store"];
    only_in(&["std::fs", "std::env::var", "Instant::now", "SystemTime::now"], &allowed);
}

#[test]
fn there_are_no_globals() {
    let words = ["static mut", "thread_local!", "OnceLock<", "LazyLock<", "lazy_static"];
    // The C ABI keeps the text of the last error per thread, as C libraries do.
    only_in(&words, &["edge-runtime/capi/src/error"]);
}

#[test]
fn every_source_says_what_it_is() {
    let bare: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.lines().take(3).any(|l| l.starts_with("//!") || l.starts_with("#![doc")))
        .map(|(path, _)| path)
        .collect();
    assert!(bare.is_empty(), "no module header: {bare:#?}");
}

#[test]
fn every_invariant_of_the_architecture_page_names_a_test_that_exists() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let all: String = sources().into_iter().map(|(_, text)| text).collect();
    let mut named = 0;
    for line in page.lines().filter(|l| l.contains("**Invariant.**")) {
        let test = line.rsplit_once("(`").and_then(|(_, rest)| rest.split_once("`)")).unwrap_or_else(|| panic!("no test named: {line}")).0;
        let name = test.rsplit("::").next().unwrap_or(test);
        assert!(all.contains(name), "ARCHITECTURE.md names the test {test}, which does not exist");
        named += 1;
    }
    assert!(named >= 8, "only {named} invariants");
}

#[test]
fn fixtures_stay_small() {
    let mut folders = vec![root().join("fixtures")];
    let mut bytes = 0;
    let tracked = std::process::Command::new("git").args(["ls-files", "-z", "fixtures"]).current_dir(root()).output();
    if let Ok(output) = tracked.map_err(|_| ()).and_then(|o| if o.status.success() { Ok(o.stdout) } else { Err(()) }) {
        folders.clear();
        for path in output.split(|&b| b == 0).filter(|p| !p.is_empty()) {
            bytes += std::fs::metadata(root().join(String::from_utf8_lossy(path).as_ref())).map_or(0, |m| m.len());
        }
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap()) {
            if entry.path().is_dir() { folders.push(entry.path()) } else { bytes += entry.metadata().unwrap().len() }
        }
    }
    assert!(bytes <= 25_000_000, "fixtures hold {bytes} bytes, limit 25,000,000");
}
