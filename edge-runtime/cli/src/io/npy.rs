//! NumPy arrays: float32, `[height, width]`.

use std::path::Path;

use fathom_core::frame::Size;
use npyz::WriterBuilder as _;

/// Writes a plane of numbers.
pub(crate) fn write(path: &Path, size: Size, values: &[f32]) -> anyhow::Result<()> {
    super::write_file(path, |file| {
        let shape = [u64::from(size.height), u64::from(size.width)];
        let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
        array.extend(values.iter().copied())?;
        Ok(array.finish()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_reads_back_with_height_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write(&path, Size::new(3, 2), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]).unwrap();
        let array = npyz::NpyFile::new(std::fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(array.shape(), [2, 3]);
        assert_eq!(array.into_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]);
    }
}
