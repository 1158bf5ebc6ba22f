//! Runs the real program, as a user would.

#![allow(dead_code, reason = "each suite uses what it needs")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Rgb, RgbImage};
use serde_json::Value;

/// What a run of the program left behind.
pub(crate) struct Ended {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// Runs `fathom` with these arguments.
pub(crate) fn fathom<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_fathom")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs `fathom ... --json` and reads the one object on stdout; panics unless it ends with 0.
pub(crate) fn json<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Value {
    let mut all: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    all.push("--json".as_ref());
    let ended = fathom(&all);
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

/// Keys of an object, sorted.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A frame that comes with the program.
pub(crate) fn frame() -> PathBuf {
    root().join("fixtures/frames/livingroom-00000.jpg")
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// A file beside the repository, or `None` and a word on stderr.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let full = root().join("../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("SKIPPED: ../shared/{path} is not here");
    None
}

/// A small picture with slopes in it.
pub(crate) fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, 90]))
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
