//! Anchors from the command line: distances at pixels, gravity from a file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fathom_calibration::anchors::range::RangePoint;

/// `--range [FILE:]U,V,METRES`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RangeFlag {
    frame: Option<String>,
    point: RangePoint,
}

/// One sigma of a range finder's distance, relative: small ones state 1 to 3 percent.
const RANGE_SIGMA: f64 = 0.02;

impl RangeFlag {
    /// Reads the flag's value.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (frame, numbers) = match text.rsplit_once(':') {
            Some((frame, numbers)) => (Some(frame.to_owned()), numbers),
            None => (None, text),
        };
        let values: Option<Vec<f64>> = numbers.split(',').map(|part| part.trim().parse().ok().filter(|v: &f64| v.is_finite())).collect();
        match values.as_deref() {
            Some(&[u_px, v_px, metres]) => Ok(Self { frame, point: RangePoint { u_px, v_px, metres, relative_sigma: RANGE_SIGMA } }),
            _ => Err(format!("{text:?} is not U,V,METRES, as in 320,240,1.84")),
        }
    }

    /// The measured point.
    pub(super) const fn point(&self) -> RangePoint {
        self.point
    }

    /// The frame's name, if one was given.
    pub(super) fn frame(&self) -> &str {
        self.frame.as_deref().unwrap_or("")
    }

    /// Whether it was measured in the frame at `index`, which is the file `path`.
    pub(super) fn belongs_to(&self, index: usize, path: &Path) -> bool {
        self.frame.as_ref().map_or(index == 0, |name| is_named(path, name))
    }

    /// Whether its frame is there.
    pub(super) fn names_one_of(&self, paths: &[PathBuf]) -> bool {
        paths.iter().enumerate().any(|(index, path)| self.belongs_to(index, path))
    }
}

fn is_named(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|file| file == name) || path == Path::new(name)
}

/// Gravity for each frame, from lines `file,gx,gy,gz` or, in the frames' order, `gx,gy,gz`. A first line without numbers is a header.
pub(super) fn gravities(file: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<Option<[f64; 3]>>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    parse_gravities(&text, paths).with_context(|| file.display().to_string())
}

fn parse_gravities(text: &str, paths: &[PathBuf]) -> anyhow::Result<Vec<Option<[f64; 3]>>> {
    let mut gravities = vec![None; paths.len()];
    let mut next = 0;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let name = (cells.len() == 4).then(|| cells[0]);
        let numbers: Option<Vec<f64>> =
            cells[usize::from(name.is_some())..].iter().map(|c| c.parse().ok().filter(|v: &f64| v.is_finite())).collect();
        let vector = match numbers.as_deref() {
            Some(&[x, y, z]) => [x, y, z],
            _ if number == 0 => continue,
            _ => bail!("line {} is neither file,gx,gy,gz nor gx,gy,gz: {line:?}", number + 1),
        };
        match name {
            Some(name) => {
                for (slot, _) in gravities.iter_mut().zip(paths).filter(|(_, path)| is_named(path, name)) {
                    *slot = Some(vector);
                }
            }
            None => {
                let Some(slot) = gravities.get_mut(next) else { bail!("more lines than the {} frames", paths.len()) };
                *slot = Some(vector);
                next += 1;
            }
        }
    }
    Ok(gravities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_belongs_to_the_first_frame_or_to_the_one_it_names() {
        let plain = RangeFlag::parse("320, 240,1.5").unwrap();
        let named = RangeFlag::parse("b.png:1,2,3").unwrap();
        let (a, b) = (Path::new("x/a.png"), Path::new("x/b.png"));
        assert!(plain.belongs_to(0, a) && !plain.belongs_to(1, b));
        assert!(!named.belongs_to(0, a) && named.belongs_to(1, b));
        assert!(!named.names_one_of(&[a.to_owned()]));
        for bad in ["", "1,2", "1,2,x", "1,2,nan", "1,2,3,4"] {
            assert!(RangeFlag::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn gravity_comes_by_name_or_in_order_and_a_broken_line_is_named() {
        let paths = [PathBuf::from("x/a.png"), PathBuf::from("x/b.png")];
        let by_name = parse_gravities("file,gx,gy,gz\nb.png,0,9.8,1\n", &paths).unwrap();
        assert_eq!(by_name, [None, Some([0.0, 9.8, 1.0])]);
        let in_order = parse_gravities("0,1,0\n\n0,2,0\n", &paths).unwrap();
        assert_eq!(in_order, [Some([0.0, 1.0, 0.0]), Some([0.0, 2.0, 0.0])]);
        assert!(parse_gravities("0,1,0\n0,1\n", &paths).unwrap_err().to_string().contains("line 2"));
        assert!(parse_gravities("0,1,0\n0,1,0\n0,1,0\n", &paths).is_err());
    }
}
