//! What a test may need and not find: files beside the repository, onnxruntime, a device.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a need is not met, and whether the environment insists on it.
#[derive(Debug, Clone)]
pub struct Missing {
    /// For the reader of the test's output.
    pub why: String,
    /// Whether to fail instead of being ignored.
    pub required: bool,
}

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// A committed file, by its path below `fixtures/`.
#[must_use]
pub fn fixture(path: &str) -> PathBuf {
    root().join("fixtures").join(path)
}

/// A file or folder of `../shared`, which is not part of the repository (licences forbid it).
///
/// # Errors
/// [`Missing`] if it is not there.
pub fn shared(path: &str) -> Result<PathBuf, Missing> {
    let full = root().join("../shared").join(path);
    if full.exists() { Ok(full) } else { Err(Missing { why: format!("../shared/{path} is not here"), required: false }) }
}

/// A Python that can import onnxruntime: `$FATHOM_PYTHON`, or `python3`.
///
/// # Errors
/// [`Missing`] if there is none; required where `FATHOM_ORACLE_TESTS=required`.
pub fn onnxruntime() -> Result<PathBuf, Missing> {
    let python = std::env::var_os("FATHOM_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let found = Command::new(&python).args(["-c", "import onnxruntime, numpy"]).output().is_ok_and(|o| o.status.success());
    if found {
        return Ok(python);
    }
    let why = format!("{} cannot import onnxruntime and numpy (set FATHOM_PYTHON)", python.display());
    Err(Missing { why, required: insisted("FATHOM_ORACLE_TESTS") })
}

/// Whether the environment variable `name` is `required`.
#[must_use]
pub fn insisted(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| value == "required")
}
