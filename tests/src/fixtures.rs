//! The ONNX fixtures: their files, and the image that their answers belong to.

use std::path::PathBuf;

use fathom_core::tensor::Tensor;

use crate::require::fixture;

/// The fixtures of a folder of `fixtures/onnx`, as (stem, path), sorted.
///
/// # Errors
/// If the folder cannot be read.
pub fn networks(folder: &str) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(fixture("onnx").join(folder))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "onnx") {
            found.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// The image of a shape for which `fixtures/onnx/make.py` asked onnxruntime: `(37 i + 11) mod 256 / 256 - 1/2`.
///
/// # Errors
/// If the shape's product overflows.
pub fn image(shape: &[usize]) -> fathom_core::Result<Tensor> {
    let value = |i: usize| ((i * 37 + 11) % 256) as f32 / 256.0 - 0.5;
    Tensor::f32(shape.to_vec(), (0..shape.iter().product()).map(value).collect())
}

/// Floats of a little-endian file.
///
/// # Errors
/// If the file cannot be read.
pub fn floats(path: &std::path::Path) -> std::io::Result<Vec<f32>> {
    Ok(std::fs::read(path)?.as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)).collect())
}
