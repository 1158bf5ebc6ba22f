//! From the command line to a network: which file, which card, which device.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fathom_runtime::backend::{Backend, EngineConfig};
use fathom_runtime::engine::Engine;
use fathom_runtime::network::card::CardFacts;
use fathom_runtime::network::import::{ExternalRange, ImportOptions, Limits, Model, import};

use crate::args::{BackendName, CardArgs, DeviceArgs, NetworkArgs};

/// The network that the program carries: int8, trained in `fixtures/train`, described by its own card.
const EMBEDDED: &[u8] = include_bytes!("../../../fixtures/models/fathom-small.int8.onnx");

/// How the embedded network is called where a file's path would stand.
pub(crate) const EMBEDDED_NAME: &str = "embedded";

/// A network's file and what lies beside it.
pub(crate) struct Source {
    /// The file's path, or [`EMBEDDED_NAME`].
    pub(crate) name: String,
    bytes: Cow<'static, [u8]>,
    folder: Option<PathBuf>,
    card_toml: Option<String>,
}

impl Source {
    /// Reads `path`, or takes the embedded network.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self { name: EMBEDDED_NAME.into(), bytes: Cow::Borrowed(EMBEDDED), folder: None, card_toml: None });
        };
        let bytes = read_limited(path).with_context(|| format!("reading the network {}", path.display()))?;
        let card_toml = beside(path)?;
        let folder = path.parent().map(Path::to_path_buf);
        Ok(Self { name: path.display().to_string(), bytes: Cow::Owned(bytes), folder, card_toml })
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Imports the network, with the card's facts from the file, the TOML beside it and the flags.
    pub(crate) fn import(&self, card: &CardArgs) -> anyhow::Result<Model> {
        let overrides = overrides(card);
        let named = card.file.as_deref().map(read_card).transpose()?;
        let external = |range: &ExternalRange| match &self.folder {
            Some(folder) => read_range(folder, range),
            None => Err(std::io::Error::other("the embedded network has no files beside it")),
        };
        let options = ImportOptions {
            card_toml: named.as_deref().or(self.card_toml.as_deref()),
            card: Some(&overrides),
            external: Some(&external),
            limits: Limits::STANDARD,
        };
        import(&self.bytes, options).with_context(|| format!("importing {}", self.name))
    }
}

/// A network that runs, and how its file is called.
pub(crate) fn open(args: &NetworkArgs) -> anyhow::Result<(Engine, String)> {
    let source = Source::open(args.model.as_deref())?;
    let model = source.import(&args.card)?;
    // The file's bytes are given back before the executor asks for memory.
    let name = source.name.clone();
    drop(source);
    Ok((start(model, &args.device)?, name))
}

/// Starts an imported network on the device that was asked for; says on stderr where that needs saying.
pub(crate) fn start(model: Model, device: &DeviceArgs) -> anyhow::Result<Engine> {
    let engine = Engine::from_model(model, &config(device)).context("starting the network")?;
    let report = engine.backend();
    log::info!("{} through {}: {}", report.adapter.as_deref().unwrap_or(report.backend), report.executor, report.reason);
    Ok(engine)
}

/// What the device flags ask for.
pub(crate) fn config(device: &DeviceArgs) -> EngineConfig {
    let backend = match device.backend {
        BackendName::Auto => Backend::Auto,
        BackendName::Gpu => Backend::Gpu,
        BackendName::Cpu => Backend::Cpu,
    };
    EngineConfig { backend, adapter: device.adapter.clone(), threads: NonZeroUsize::new(device.threads) }
}

fn overrides(card: &CardArgs) -> CardFacts {
    CardFacts {
        input_width: card.input_size.map(|(width, _)| width).or(card.input_width),
        input_height: card.input_size.map(|(_, height)| height).or(card.input_height),
        channel_order: card.channel_order,
        mean: card.mean,
        std: card.std,
        output_kind: card.output_kind,
        output: card.output.clone(),
        fov_output: card.fov_output.clone(),
        default_tau: card.default_tau,
        ..CardFacts::default()
    }
}

fn read_limited(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        bail!("it is a folder, an ONNX file was expected");
    }
    let limit = Limits::STANDARD.file_bytes;
    if metadata.len() > limit {
        bail!("it holds {} bytes, the limit is {limit}", metadata.len());
    }
    let mut bytes = Vec::with_capacity((metadata.len() as usize).max(ROOM_BYTES));
    // A pipe has no length; it is cut off one byte above the limit, which import then refuses.
    file.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Room reserved for a network's file. What is not filled costs nothing, and glibc learns nothing from giving back a block of more
/// than 32 MiB: given back 8 MB, it would keep up to 16 MB of whatever is freed later, weights above all, for itself (`mallopt(3)`,
/// `M_MMAP_THRESHOLD`).
const ROOM_BYTES: usize = 33 << 20;

/// The card beside the file, if there is one: `m.toml` for `m.onnx`.
fn beside(path: &Path) -> anyhow::Result<Option<String>> {
    let card = path.with_extension("toml");
    card.is_file().then(|| read_card(&card)).transpose()
}

fn read_card(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading the card {}", path.display()))
}

/// Reads part of a file in `folder`; links that lead out of it are refused, and no room is made for bytes the file does not hold.
fn read_range(folder: &Path, range: &ExternalRange) -> std::io::Result<Vec<u8>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let path = folder.join(&range.location).canonicalize()?;
    if !path.starts_with(folder.canonicalize()?) {
        return Err(std::io::Error::other(format!("{} leads out of the network's folder", range.location)));
    }
    let mut file = File::open(path)?;
    let held = file.metadata()?.len();
    if range.offset.checked_add(range.length).is_none_or(|end| end > held) {
        return Err(std::io::Error::other(format!("the file holds {held} bytes, asked were {} at {}", range.length, range.offset)));
    }
    file.seek(SeekFrom::Start(range.offset))?;
    let mut bytes = Vec::with_capacity(range.length as usize);
    file.take(range.length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(location: &str, offset: u64, length: u64) -> ExternalRange {
        ExternalRange { location: location.into(), offset, length }
    }

    #[test]
    fn external_data_is_read_from_the_folder_and_from_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("models");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("w.bin"), [1, 2, 3, 4]).unwrap();
        std::fs::write(folder.path().join("secret"), [9; 4]).unwrap();
        assert_eq!(read_range(&inside, &range("w.bin", 1, 2)).unwrap(), [2, 3]);
        assert!(read_range(&inside, &range("w.bin", 3, 2)).unwrap_err().to_string().contains("holds 4 bytes"));
        assert!(read_range(&inside, &range("w.bin", u64::MAX, 2)).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("secret"), inside.join("link")).unwrap();
            assert!(read_range(&inside, &range("link", 0, 4)).unwrap_err().to_string().contains("leads out"));
        }
    }
}
