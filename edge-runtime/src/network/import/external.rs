//! Tensors kept in files beside the network. The library opens no files: the caller hands it a reader, and this module
//! makes sure that what the reader is asked for stays in the network's folder and has the size the tensor needs.

use super::builder::value_error;
use super::onnx::TensorProto;
use crate::Result;

/// Reads a range of a file beside the network. The reader must check the range against the file's length before it
/// makes room for it.
pub type ExternalData<'a> = dyn Fn(&ExternalRange) -> std::io::Result<Vec<u8>> + 'a;

/// Bytes of a file beside the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalRange {
    /// Path relative to the network's folder, of plain names joined by `/`.
    pub location: String,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// The bytes of `tensor`, which must be `expected` many.
///
/// # Errors
/// [`crate::Error::BadGraph`] naming the tensor: no reader, a path that leaves the folder, a length that does not fit, or what
/// the reader said.
pub(super) fn read(tensor: &TensorProto, expected: u64, reader: Option<&ExternalData<'_>>) -> Result<Vec<u8>> {
    let fail = |message: String| value_error(&tensor.name, message);
    let range = range(tensor, expected)?;
    let reader =
        reader.ok_or_else(|| fail(format!("is kept in {:?}, and no reader of files beside the network was given", range.location)))?;
    let bytes = reader(&range).map_err(|e| fail(format!("reading {expected} bytes at {} of {:?}: {e}", range.offset, range.location)))?;
    if bytes.len() as u64 != expected {
        return Err(fail(format!("{:?} gave {} bytes at {}, expected {expected}", range.location, bytes.len(), range.offset)));
    }
    Ok(bytes)
}

fn range(tensor: &TensorProto, expected: u64) -> Result<ExternalRange> {
    let fail = |message: String| value_error(&tensor.name, message);
    let mut range = ExternalRange { location: String::new(), offset: 0, length: expected };
    for entry in &tensor.external_data {
        let number = || {
            entry.value.parse::<u64>().map_err(|_| fail(format!("external data's {} is {:?}, expected a number", entry.key, entry.value)))
        };
        match entry.key.as_str() {
            "location" => range.location.clone_from(&entry.value),
            "offset" => range.offset = number()?,
            "length" => range.length = number()?,
            _ => {}
        }
    }
    if !stays_inside(&range.location) {
        return Err(fail(format!("external data's path {:?} must be relative, without `..`, `\\` or drive", range.location)));
    }
    if range.length != expected {
        return Err(fail(format!("external data holds {} bytes, its shape needs {expected}", range.length)));
    }
    if range.offset.checked_add(expected).is_none() {
        return Err(fail(format!("external data's offset {} is beyond any file", range.offset)));
    }
    Ok(range)
}

/// Whether a path is plain names joined by `/`: no root, no parent, no drive, no other system's separator, no control character.
fn stays_inside(location: &str) -> bool {
    let plain = |name: &str| !matches!(name, "" | "." | "..");
    !location.contains(['\\', ':']) && !location.chars().any(char::is_control) && location.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_below_the_folder_are_followed() {
        for good in ["w.bin", "weights/w.bin", "..hidden", "a b"] {
            assert!(stays_inside(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../w", "a/../../w", "a\\..\\w", "C:w", "a//b", ".", "a/", "w\0", "\\\\host\\share"] {
            assert!(!stays_inside(bad), "{bad:?}");
        }
    }
}
