//! The C example, compiled by a real C compiler with every warning an error and run under the address and
//! undefined-behaviour sanitizers, gives the numbers that the Rust library gives.
//!
//! The compiler is the `cc` that Rust itself links with, so it is there wherever this test was built.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use fathom_core::frame::{Frame, PixelFormat, Size};
use fathom_runtime::backend::EngineConfig;
use fathom_runtime::engine::Engine;

const NETWORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/fathom-small.int8.onnx");

/// The folder in which cargo put `libfathom.so` for this test: beside the test's own program.
fn library_folder() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    assert!(folder.join("libfathom.so").exists(), "no libfathom.so in {}", folder.display());
    folder
}

/// Compiles the example into `work` and returns the program; run it with `LD_LIBRARY_PATH` set to `work`.
fn compile(work: &Path) -> PathBuf {
    let (library, program) = (library_folder().join("libfathom.so"), work.join("depth"));
    // The loader looks for the library's own name, libfathom.so.MAJOR.
    std::os::unix::fs::symlink(&library, work.join(concat!("libfathom.so.", env!("CARGO_PKG_VERSION_MAJOR")))).unwrap();
    let output = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/depth.c"))
        .arg(concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include"))
        .args([&library, Path::new("-o"), &program])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

#[test]
fn the_c_example_gives_the_numbers_of_the_library_under_the_sanitizers() {
    let work = tempfile::tempdir().unwrap();
    let program = compile(work.path());

    let size = Size::new(64, 48);
    let pixels: Vec<u8> = (0..size.area() * 3).map(|i| (i * i / 7 % 256) as u8).collect();
    let image = work.path().join("image.ppm");
    std::fs::write(&image, [b"P6 64 48 255\n".as_slice(), &pixels].concat()).unwrap();
    let relative = work.path().join("relative.f32");
    let output = Command::new(&program).env("LD_LIBRARY_PATH", work.path()).arg(NETWORK).args([&image, &relative]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.starts_with(b"64x48 on cpu"), "{}", String::from_utf8_lossy(&output.stdout));

    let mut engine = Engine::from_onnx(&std::fs::read(NETWORK).unwrap(), Default::default(), &EngineConfig::cpu()).unwrap();
    let frame = Frame::packed(&pixels, size, PixelFormat::Rgb8).unwrap();
    let expected: Vec<u8> = engine.infer(&frame).unwrap().relative.values().iter().flat_map(|v| v.to_ne_bytes()).collect();
    assert!(std::fs::read(&relative).unwrap() == expected, "C and Rust differ");
}

#[test]
fn the_c_example_fails_with_a_text_when_the_network_is_damaged() {
    let work = tempfile::tempdir().unwrap();
    let program = compile(work.path());
    let (network, image) = (work.path().join("network.onnx"), work.path().join("image.ppm"));
    std::fs::write(&network, b"damaged").unwrap();
    std::fs::write(&image, [b"P6 1 1 255\n".as_slice(), &[0; 3]].concat()).unwrap();
    let output = Command::new(&program).env("LD_LIBRARY_PATH", work.path()).args([&network, &image]).arg("out.f32").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("fathom_engine_create") && text.contains("damaged"), "{text}");
}
