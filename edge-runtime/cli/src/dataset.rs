//! Manifests of frames with ground truth: tab-separated, one frame a line, named columns.
//!
//! Needed columns: `file`, `depth_file`, `depth_encoding`, `fx`, `fy`, `cx`, `cy`, `width`, `height`; paths are relative to the
//! manifest. A frame's group is the first folder of its file. Encodings are named as [`Encoding::parse`] reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fathom_core::camera::Intrinsics;
use fathom_core::frame::Size;

use crate::io::pictures;

/// A frame with ground truth, not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) group: String,
    pub(crate) picture: PathBuf,
    pub(crate) camera: Intrinsics,
    depth: PathBuf,
    encoding: Encoding,
}

/// True depth, `[height, width]`, metres; 0 where there is none.
pub(crate) struct Truth {
    pub(crate) size: Size,
    pub(crate) depth_m: Vec<f32>,
}

/// How a 16-bit picture holds depth.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Encoding {
    /// Value over `per_metre`; 0 and, where said so, 65535 are no depth.
    Linear { per_metre: f32, largest_is_none: bool },
    /// SUN RGB-D: the value's bits rotated right by three, in millimetres.
    RotatedMillimetres,
}

impl Entry {
    /// Reads the ground truth.
    pub(crate) fn truth(&self) -> anyhow::Result<Truth> {
        let picture = pictures::decode(&self.depth)?;
        let size = Size::new(picture.width(), picture.height());
        let Some(values) = picture.as_luma16() else {
            bail!("{} is no 16-bit grey picture, as depth has to be", self.depth.display());
        };
        Ok(Truth { size, depth_m: values.as_raw().iter().map(|&value| self.encoding.metres(value)).collect() })
    }
}

impl Encoding {
    /// `png16/1000 m`, `pgm16/5000 m (65535/0=invalid)`, `SUNRGBD bit-rotated`.
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with("SUNRGBD bit-rotated") {
            return Some(Self::RotatedMillimetres);
        }
        let (_, rest) = text.split_once('/').filter(|(kind, _)| ["png16", "pgm16"].contains(kind))?;
        let per_metre: f32 = rest.split(' ').next()?.parse().ok()?;
        let sensible = per_metre.is_finite() && per_metre > 0.0;
        sensible.then_some(Self::Linear { per_metre, largest_is_none: rest.contains("65535") })
    }

    fn metres(self, value: u16) -> f32 {
        match self {
            Self::Linear { largest_is_none: true, .. } if value == u16::MAX => 0.0,
            Self::Linear { per_metre, .. } => f32::from(value) / per_metre,
            Self::RotatedMillimetres => f32::from(value.rotate_right(3)) / 1000.0,
        }
    }
}

/// Reads a manifest.
pub(crate) fn read(manifest: &Path) -> anyhow::Result<Vec<Entry>> {
    let place = || format!("reading the manifest {}", manifest.display());
    let text = std::fs::read_to_string(manifest).with_context(place)?;
    parse(&text, manifest.parent().unwrap_or(Path::new(""))).with_context(place)
}

fn parse(text: &str, folder: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((_, header)) = lines.next() else { bail!("it is empty") };
    let columns: BTreeMap<&str, usize> = header.split('\t').enumerate().map(|(i, name)| (name.trim(), i)).collect();
    let entries = lines.map(|(i, line)| entry(&columns, line, folder).with_context(|| format!("line {}", i + 1)));
    let entries: Vec<Entry> = entries.collect::<anyhow::Result<_>>()?;
    if entries.is_empty() {
        bail!("it lists no frames");
    }
    Ok(entries)
}

fn entry(columns: &BTreeMap<&str, usize>, line: &str, folder: &Path) -> anyhow::Result<Entry> {
    let cells: Vec<&str> = line.split('\t').collect();
    let cell = |name: &str| {
        let column = columns.get(name).with_context(|| format!("there is no column {name:?}"))?;
        cells.get(*column).map(|cell| cell.trim()).with_context(|| format!("the line ends before column {name:?}"))
    };
    let number = |name: &str| {
        let text = cell(name)?;
        text.parse::<f64>().ok().filter(|x| x.is_finite()).with_context(|| format!("{name} is {text:?}, expected a number"))
    };
    let size = Size::new(number("width")? as u32, number("height")? as u32).checked()?;
    let camera = Intrinsics { size, fx_px: number("fx")?, fy_px: number("fy")?, cx_px: number("cx")?, cy_px: number("cy")? };
    let encoding = cell("depth_encoding")?;
    let file = cell("file")?;
    Ok(Entry {
        group: file.split_once('/').map_or(".", |(group, _)| group).to_owned(),
        picture: folder.join(file),
        camera,
        depth: folder.join(cell("depth_file")?),
        encoding: Encoding::parse(encoding).with_context(|| format!("depth_encoding {encoding:?} is not known"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "file\tdepth_file\tdepth_encoding\tfx\tfy\tcx\tcy\twidth\theight";

    #[test]
    fn encodings_become_metres() {
        let metres = |text, value| Encoding::parse(text).unwrap().metres(value);
        assert_eq!(metres("png16/1000 m", 2500), 2.5);
        assert_eq!(metres("png16/256 m (0=invalid, sparse lidar acc.)", 512), 2.0);
        assert_eq!(metres("png16/1000 m (65535/0=invalid)", 65535), 0.0);
        assert_eq!(metres("pgm16/5000 m", 65535), 13.107);
        // 1000 mm stored shifted left by three.
        assert_eq!(metres("SUNRGBD bit-rotated", 8000), 1.0);
        assert_eq!(Encoding::parse("exr"), None);
        assert_eq!(Encoding::parse("png16/0 m"), None);
    }

    #[test]
    fn a_frames_group_is_its_first_folder() {
        let text = format!("{HEADER}\nkitti/a/1.png\tkitti/1d.png\tpng16/256 m\t700\t700\t600\t180\t1242\t375\n");
        let entries = parse(&text, Path::new("data")).unwrap();
        assert_eq!((entries[0].group.as_str(), entries[0].depth.as_path()), ("kitti", Path::new("data/kitti/1d.png")));
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_said_by_line_and_column() {
        let wrong = |text: String| format!("{:#}", parse(&text, Path::new("")).unwrap_err());
        assert!(wrong(String::new()).contains("empty"));
        assert!(wrong(HEADER.into()).contains("no frames"));
        assert!(wrong("file\na.png\n".into()).contains("no column \"width\""));
        assert!(wrong(format!("{HEADER}\na.png\td.png\tpng16/1 m\tx\t1\t1\t1\t4\t4\n")).contains("line 2: fx is \"x\""));
        assert!(wrong(format!("{HEADER}\na.png\td.png\texr\t1\t1\t1\t1\t4\t4\n")).contains("\"exr\" is not known"));
    }
}
