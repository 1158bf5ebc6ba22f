//! Point clouds as binary little-endian PLY: position and colour of each point.

use std::io::Write as _;
use std::path::Path;

use fathom_core::depth::PointCloud;

/// Writes a cloud; `comments` say in the file what its numbers mean, one line each.
pub(crate) fn write(path: &Path, cloud: &PointCloud, comments: &[String]) -> anyhow::Result<()> {
    super::write_file(path, |file| {
        writeln!(file, "ply\nformat binary_little_endian 1.0")?;
        for comment in comments {
            writeln!(file, "comment {}", comment.replace(['\n', '\r'], " "))?;
        }
        writeln!(file, "element vertex {}", cloud.points.len())?;
        for axis in ["x", "y", "z"] {
            writeln!(file, "property float {axis}")?;
        }
        for colour in ["red", "green", "blue"] {
            writeln!(file, "property uchar {colour}")?;
        }
        writeln!(file, "end_header")?;
        for (point, colour) in cloud.points.iter().zip(&cloud.colours) {
            for coordinate in point {
                file.write_all(&coordinate.to_le_bytes())?;
            }
            file.write_all(colour)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vertex_is_three_floats_and_three_bytes_after_the_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ply");
        let cloud = PointCloud { points: vec![[1.0, -2.0, 3.0]], colours: vec![[7, 8, 9]] };
        write(&path, &cloud, &["unit:\nmetres".into()]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let header = b"ply\nformat binary_little_endian 1.0\ncomment unit: metres\nelement vertex 1\n";
        assert!(bytes.starts_with(header), "{}", String::from_utf8_lossy(&bytes));
        let body = &bytes[bytes.len() - 15..];
        assert_eq!(body[4..8], (-2.0_f32).to_le_bytes());
        assert_eq!(body[12..], [7, 8, 9]);
    }
}
