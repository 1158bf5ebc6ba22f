//! onnxruntime as the oracle: runs a file on images by a small Python script and reads back what it says.

use std::path::Path;
use std::process::Command;

use fathom_core::tensor::Tensor;

use crate::fixtures::floats;
use crate::require::root;

/// How onnxruntime runs a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optimisation {
    /// As users run it: QDQ fused to integers where it can be.
    All,
    /// Operator by operator, as the file says.
    None,
}

/// Runs `model`, optimised, on `images`, all of one shape; gives each image's first output.
///
/// # Errors
/// What the script says if it fails, or files that cannot be written or read.
pub fn first_outputs(python: &Path, model: &Path, images: &[Tensor]) -> std::io::Result<Vec<Vec<f32>>> {
    first_outputs_at(Optimisation::All, python, model, images)
}

/// As [`first_outputs`], optimised or not.
///
/// # Errors
/// As [`first_outputs`].
pub fn first_outputs_at(level: Optimisation, python: &Path, model: &Path, images: &[Tensor]) -> std::io::Result<Vec<Vec<f32>>> {
    let level = if level == Optimisation::All { "all" } else { "none" };
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out.f32");
    let mut command = Command::new(python);
    command.arg(root().join("tests/oracle/run_onnxruntime.py")).arg(level).arg(model).arg(&out);
    for (index, image) in images.iter().enumerate() {
        let path = folder.path().join(format!("{index}.f32"));
        let values = image.as_f32().map_err(std::io::Error::other)?;
        std::fs::write(&path, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
        command.arg(path);
    }
    let run = command.output()?;
    if !run.status.success() {
        return Err(std::io::Error::other(String::from_utf8_lossy(&run.stderr).into_owned()));
    }
    let said: serde_json::Value = serde_json::from_slice(&run.stdout)?;
    let sizes: Vec<usize> = said["shapes"].as_array().into_iter().flatten().map(elements).collect();
    let all = floats(&out)?;
    let (first, whole) = (sizes.first().copied().unwrap_or(0), sizes.iter().sum::<usize>().max(1));
    Ok(all.chunks(whole).map(|outputs| outputs[..first.min(outputs.len())].to_vec()).collect())
}

fn elements(shape: &serde_json::Value) -> usize {
    shape.as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).product::<u64>() as usize
}
