//! Stored calibrations: loading one, and refusing what belongs to another network or frame size.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fathom_calibration::store::{self, Identity, Stored};
use fathom_core::calibration::Calibration;
use fathom_core::frame::Size;
use fathom_runtime::engine::Engine;

/// A calibration from a file, for the network that runs.
pub(crate) struct Loaded {
    path: PathBuf,
    stored: Stored,
    sha256: String,
}

impl Loaded {
    /// Reads what `fathom calibrate` stored.
    pub(crate) fn open(path: &Path, engine: &Engine) -> anyhow::Result<Self> {
        let stored = store::load(path).with_context(|| format!("loading the calibration {}", path.display()))?;
        Ok(Self { path: path.to_owned(), stored, sha256: engine.sha256().to_owned() })
    }

    /// Whether it brings metres.
    pub(crate) fn has_scale(&self) -> bool {
        self.stored.calibration.ln_scale.is_some()
    }

    /// The calibration, if it was made with this network for frames of this size.
    pub(crate) fn for_size(&self, resolution: Size) -> anyhow::Result<Calibration> {
        let camera = self.stored.identity.camera.clone();
        let identity = Identity { camera, network_sha256: self.sha256.clone(), resolution };
        Ok(self.stored.clone().belonging_to(&identity, &self.path)?.calibration)
    }
}
