//! The errors of `fathom-calibration`. Data that holds too little is no error but a [`Reason`](crate::verdict::Reason).

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a calibration could not be computed, stored or loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value broke a rule of core, or the network failed.
    #[error(transparent)]
    Core(#[from] fathom_core::Error),
    /// A frame is not of the size this calibration works at.
    #[error("frame is {got}, this calibration takes {expected}")]
    FrameSize {
        /// Size given.
        got: fathom_core::frame::Size,
        /// Size of the frames before.
        expected: fathom_core::frame::Size,
    },
    /// The network's output is no affine depth: there is nothing to calibrate.
    #[error("model {model:?} claims metric depth; only affine depth and affine inverse depth have a shift to find")]
    NothingToCalibrate {
        /// Name in the card.
        model: String,
    },
    /// An anchor's number is outside the range that makes sense.
    #[error("{anchor}: {what} is {got}, allowed is {allowed}")]
    Anchor {
        /// Which anchor.
        anchor: &'static str,
        /// Which of its numbers.
        what: &'static str,
        /// The number.
        got: f64,
        /// The range, printed.
        allowed: &'static str,
    },
    /// Reading or writing a stored calibration failed.
    #[error("{action} {path:?}: {cause}")]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said; part of the text, so not given once more as this error's source.
        cause: std::io::Error,
    },
    /// A stored calibration cannot be read.
    #[error("{path:?} is no stored calibration: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored calibration has a form this version does not know.
    #[error("{path:?} has format {got}, this version reads up to {newest}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Format of the file.
        got: i64,
        /// Newest format known here.
        newest: i64,
    },
    /// A stored calibration belongs to something else.
    #[error("{path:?} was made for {what} {got:?}, not for {expected:?}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `"camera"`, `"network"` or `"resolution"`.
        what: &'static str,
        /// What the file names.
        got: String,
        /// What runs here.
        expected: String,
    },
}
