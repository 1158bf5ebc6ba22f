//! `--range [FILE:]U,V,METRES`: a distance that was measured at a pixel; `--ranges LOG`: a file of them, one a line.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use fathom_calibration::anchors::range::RangePoint;
use fathom_calibration::anchors::spot::Spot;
use serde::Serialize;

/// `--range [FILE:]U,V,METRES`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RangeFlag {
    frame: Option<String>,
    point: RangePoint,
}

/// One sigma of a range finder's distance, relative: small ones state 1 to 3 percent.
const RANGE_SIGMA: f64 = 0.02;

/// Largest log: half a million distances.
const LOG_BYTES: u64 = 16 << 20;

impl RangeFlag {
    /// Reads the flag's value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
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

    /// The frame's name, if one was given.
    fn frame(&self) -> &str {
        self.frame.as_deref().unwrap_or("")
    }

    /// Whether it was measured in the frame at `index`, which is the file `path`.
    fn belongs_to(&self, index: usize, path: &Path) -> bool {
        self.frame.as_ref().map_or(index == 0, |name| is_named(path, name))
    }

    /// Whether its frame is there.
    fn names_one_of(&self, paths: &[PathBuf]) -> bool {
        paths.iter().enumerate().any(|(index, path)| self.belongs_to(index, path))
    }
}

/// Where a distance is asked for, pixels of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Asked {
    pub(crate) image: String,
    pub(crate) u_px: u32,
    pub(crate) v_px: u32,
}

impl Asked {
    /// `image` as it was given: names alone may be those of two pictures in two folders.
    pub(crate) fn at(image: impl Into<String>, spot: Spot) -> Self {
        Self { image: image.into(), u_px: spot.u_px.round() as u32, v_px: spot.v_px.round() as u32 }
    }

    /// The flag that answers it, but for the distance.
    pub(crate) fn flag(&self) -> String {
        format!("--range {}:{},{},METRES", self.image, self.u_px, self.v_px)
    }
}

/// Whether a file is meant by a name: its own, or its whole path.
pub(crate) fn is_named(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|file| file == name) || path == Path::new(name)
}

/// The distances given as flags and those of a log, all of frames that are there.
pub(crate) fn all(flags: &[RangeFlag], log: Option<&Path>, paths: &[PathBuf]) -> anyhow::Result<Vec<RangeFlag>> {
    let logged = log.map(|log| read_log(log).with_context(|| format!("reading {}", log.display()))).transpose()?;
    let all: Vec<RangeFlag> = flags.iter().cloned().chain(logged.into_iter().flatten()).collect();
    match all.iter().find(|range| !range.names_one_of(paths)) {
        Some(unknown) => bail!("a distance names the frame {:?}, which is not among the frames", unknown.frame()),
        None => Ok(all),
    }
}

/// One distance a line, written as the flag takes it; empty lines and those that begin with `#` are skipped.
fn read_log(path: &Path) -> anyhow::Result<Vec<RangeFlag>> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > LOG_BYTES {
        bail!("it holds {bytes} bytes, the limit is {LOG_BYTES}");
    }
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(index, line)| RangeFlag::parse(line).map_err(|e| anyhow!("line {}: {e}", index + 1))).collect()
}

/// Whether something was measured in every picture.
pub(crate) fn measured_in_all(flags: &[RangeFlag], paths: &[PathBuf]) -> bool {
    paths.iter().enumerate().all(|(index, path)| flags.iter().any(|flag| flag.belongs_to(index, path)))
}

/// The points measured in the picture at `index`, which is the file `path`.
pub(crate) fn points(flags: &[RangeFlag], index: usize, path: &Path) -> Vec<RangePoint> {
    flags.iter().filter(|flag| flag.belongs_to(index, path)).map(|flag| flag.point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_the_flag_takes() {
        let asked = Asked::at("x/b.png", Spot { u_px: 319.6, v_px: 240.2 });
        assert_eq!(asked.flag(), "--range x/b.png:320,240,METRES");
        let answer = RangeFlag::parse(asked.flag().replace("--range ", "").replace("METRES", "1.5").as_str()).unwrap();
        assert!(answer.belongs_to(3, Path::new("x/b.png")) && !answer.belongs_to(3, Path::new("y/b.png")));
        assert_eq!((answer.point.u_px, answer.point.v_px, answer.point.metres), (320.0, 240.0, 1.5));
    }

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
    fn a_log_adds_to_the_flags_and_a_bad_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.csv");
        std::fs::write(&log, "# laser\n\nb.png:1,2,3\n  a.png: 4, 5, 6\n").unwrap();
        let (flags, paths) = ([RangeFlag::parse("7,8,9").unwrap()], [PathBuf::from("x/a.png"), PathBuf::from("x/b.png")]);
        let found = all(&flags, Some(&log), &paths).unwrap();
        assert_eq!(found.iter().map(|range| range.point.metres).collect::<Vec<_>>(), [9.0, 3.0, 6.0]);
        assert_eq!(points(&found, 0, &paths[0]).len(), 2);
        assert_eq!(all(&flags, None, &paths).unwrap(), flags);
        let refused = |text: &str, words: &str| {
            std::fs::write(&log, text).unwrap();
            let error = format!("{:#}", all(&flags, Some(&log), &paths).unwrap_err());
            assert!(error.contains(words), "{error}");
        };
        refused("a.png:1,2,3\na.png:1,2\n", "line 2: \"a.png:1,2\"");
        refused("c.png:1,2,3", "\"c.png\"");
        std::fs::remove_file(&log).unwrap();
        let error = format!("{:#}", all(&flags, Some(&log), &paths).unwrap_err());
        assert!(error.contains("log.csv"), "{error}");
    }
}
