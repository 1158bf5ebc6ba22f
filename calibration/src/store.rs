//! Stored calibrations: versioned TOML with a checksum, written so that a power cut leaves the old file or the new one.
//!
//! The first line is a comment with the sha256 of everything after it. A file is written beside its place under another
//! name, flushed to the disk, renamed over the old one, and the folder is flushed too.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use fathom_core::calibration::{Calibration, State};
use fathom_core::camera::Intrinsics;
use fathom_core::frame::Size;
use nalgebra::Matrix3;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::verdict::Outcome;
use crate::{Error, Result};

/// What a calibration belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the camera.
    pub camera: String,
    /// sha256 of the network file, hexadecimal.
    pub network_sha256: String,
    /// Size of the frames.
    pub resolution: Size,
}

/// A calibration with where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// What it belongs to.
    pub identity: Identity,
    /// The values.
    pub calibration: Calibration,
    /// When it was made, seconds since 1970; 0 if not known.
    pub made_unix_s: u64,
    /// Frames that carried information.
    pub frames: usize,
    /// Whether all frames were used, not only those the time budget allowed.
    pub complete: bool,
    /// Names of the cues that spoke, with their shares of the information about `(ln s, tau, ln f)`.
    pub cues: Vec<(String, [f64; 3])>,
}

impl Stored {
    /// What a run ended with.
    #[must_use]
    pub fn new(identity: Identity, outcome: &Outcome, made_unix_s: u64) -> Self {
        let cues = outcome.cues.iter().map(|cue| (cue.name.to_owned(), cue.share)).collect();
        let (calibration, frames, complete) = (outcome.calibration.clone(), outcome.frames.0, outcome.complete);
        Self { identity, calibration, made_unix_s, frames, complete, cues }
    }

    /// Refuses a calibration of another camera, network or resolution. `path` is for the message.
    ///
    /// # Errors
    /// [`Error::Foreign`] naming the first that differs.
    pub fn belonging_to(self, identity: &Identity, path: &Path) -> Result<Self> {
        let own = &self.identity;
        for (what, got, expected) in [
            ("camera", own.camera.clone(), identity.camera.clone()),
            ("network", own.network_sha256.clone(), identity.network_sha256.clone()),
            ("resolution", own.resolution.to_string(), identity.resolution.to_string()),
        ] {
            if got != expected {
                return Err(Error::Foreign { path: path.to_owned(), what, got, expected });
            }
        }
        Ok(self)
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the values cannot be written as TOML.
    pub fn to_text(&self) -> Result<String> {
        let body = toml::to_string(&Text::from(self)).map_err(|e| Error::Corrupt { path: PathBuf::new(), reason: e.to_string() })?;
        Ok(format!("{CHECKSUM}{}\n{body}", digest(&body)))
    }

    /// Reads a file's text; `path` is for the message.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for anything that this crate did not write, [`Error::Newer`] for a later format.
    pub fn from_text(text: &str, path: &Path) -> Result<Self> {
        let corrupt = |reason: String| Error::Corrupt { path: path.to_owned(), reason };
        let (first, body) = text.split_once('\n').ok_or_else(|| corrupt("it has no second line".into()))?;
        let claimed = first.strip_prefix(CHECKSUM).ok_or_else(|| corrupt(format!("it does not start with {CHECKSUM:?}")))?;
        if digest(body) != claimed.trim_end() {
            return Err(corrupt("its checksum does not fit its contents".into()));
        }
        let version: Version = toml::from_str(body).map_err(|e| corrupt(e.to_string()))?;
        if version.format > FORMAT {
            return Err(Error::Newer { path: path.to_owned(), got: version.format, newest: FORMAT });
        }
        let text: Text = toml::from_str(body).map_err(|e| corrupt(e.to_string()))?;
        text.into_stored().map_err(corrupt)
    }
}

/// Reads a stored calibration.
///
/// # Errors
/// [`Error::File`] if it cannot be read or is longer than a megabyte; those of [`Stored::from_text`].
pub fn load(path: &Path) -> Result<Stored> {
    let failed = |cause| Error::File { action: "reading", path: path.to_owned(), cause };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MOST_BYTES {
        return Err(Error::Corrupt { path: path.to_owned(), reason: format!("it has {length} bytes, the limit is {MOST_BYTES}") });
    }
    let bytes = fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::Corrupt { path: path.to_owned(), reason: "it is not UTF-8".into() })?;
    Stored::from_text(&text, path)
}

/// Writes a calibration so that at any moment the old file or the new one is there, whole.
///
/// # Errors
/// [`Error::File`] naming the step that failed; the old file stands then.
pub fn save(stored: &Stored, path: &Path) -> Result<()> {
    let text = stored.to_text()?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = folder.join(name);
    let failed = |action| {
        let path = path.to_owned();
        move |cause| Error::File { action, path, cause }
    };
    let written = (|| {
        let mut file = File::create(&beside).map_err(failed("creating a file beside"))?;
        file.write_all(text.as_bytes()).map_err(failed("writing"))?;
        file.sync_all().map_err(failed("flushing"))?;
        fs::rename(&beside, path).map_err(failed("replacing"))
    })();
    if written.is_err() {
        // The old file stands; what was written beside it is worth nothing.
        let _ = fs::remove_file(&beside);
    }
    written?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("flushing the folder of"))
}

const CHECKSUM: &str = "# fathom calibration, sha256 of what follows: ";

/// Newest format this version reads; it writes this one.
const FORMAT: i64 = 1;

const MOST_BYTES: u64 = 1 << 20;

fn digest(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Deserialize)]
struct Version {
    format: i64,
}

#[derive(Serialize, Deserialize)]
struct Text {
    format: i64,
    camera: String,
    network_sha256: String,
    resolution_px: [u32; 2],
    made_unix_s: u64,
    state: String,
    frames: usize,
    complete: bool,
    tau: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ln_scale: Option<f64>,
    /// `fx, fy, cx, cy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    intrinsics_px: Option<[f64; 4]>,
    /// Of `(ln s, tau, ln f)`; infinity where nothing is known.
    covariance: [[f64; 3]; 3],
    #[serde(default)]
    cue: Vec<CueText>,
}

#[derive(Serialize, Deserialize)]
struct CueText {
    name: String,
    share: [f64; 3],
}

impl From<&Stored> for Text {
    fn from(stored: &Stored) -> Self {
        let Calibration { state, tau, ln_scale, camera, covariance } = &stored.calibration;
        let Size { width, height } = stored.identity.resolution;
        Self {
            format: FORMAT,
            camera: stored.identity.camera.clone(),
            network_sha256: stored.identity.network_sha256.clone(),
            resolution_px: [width, height],
            made_unix_s: stored.made_unix_s,
            state: state.name().to_owned(),
            frames: stored.frames,
            complete: stored.complete,
            tau: *tau,
            ln_scale: *ln_scale,
            intrinsics_px: camera.map(|c| [c.fx_px, c.fy_px, c.cx_px, c.cy_px]),
            covariance: [0, 1, 2].map(|i| [covariance[(i, 0)], covariance[(i, 1)], covariance[(i, 2)]]),
            cue: stored.cues.iter().map(|(name, share)| CueText { name: name.clone(), share: *share }).collect(),
        }
    }
}

impl Text {
    /// Checks every number: the checksum guards against accidents, not against a hand that edits both.
    fn into_stored(self) -> std::result::Result<Stored, String> {
        let states = [State::Calibrated, State::Kept, State::Default, State::NotObservable];
        let state = states.into_iter().find(|s| s.name() == self.state).ok_or_else(|| format!("state {:?} is not known", self.state))?;
        let [width, height] = self.resolution_px;
        let resolution = Size::new(width, height).checked().map_err(|e| e.to_string())?;
        let finite = |what: &str, value: f64| value.is_finite().then_some(()).ok_or_else(|| format!("{what} is {value}"));
        finite("tau", self.tau)?;
        self.ln_scale.map_or(Ok(()), |s| finite("ln_scale", s))?;
        if let Some([fx, fy, cx, cy]) = self.intrinsics_px
            && !(fx > 0.0 && fy > 0.0 && [fx, fy, cx, cy].iter().all(|v| v.is_finite()))
        {
            return Err(format!("intrinsics are {fx}, {fy}, {cx}, {cy}"));
        }
        let covariance = Matrix3::from_fn(|i, j| self.covariance[i][j]);
        if covariance.iter().any(|c| c.is_nan()) || covariance.diagonal().iter().any(|c| *c < 0.0) {
            return Err("the covariance has NaN or a negative variance".into());
        }
        let camera = self.intrinsics_px.map(|[fx_px, fy_px, cx_px, cy_px]| Intrinsics { size: resolution, fx_px, fy_px, cx_px, cy_px });
        Ok(Stored {
            identity: Identity { camera: self.camera, network_sha256: self.network_sha256, resolution },
            calibration: Calibration { state, tau: self.tau, ln_scale: self.ln_scale, camera, covariance },
            made_unix_s: self.made_unix_s,
            frames: self.frames,
            complete: self.complete,
            cues: self.cue.into_iter().map(|c| (c.name, c.share)).collect(),
        })
    }
}
