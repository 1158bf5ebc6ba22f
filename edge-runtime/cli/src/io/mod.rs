//! Files in and out: pictures with their orientation, arrays, 16-bit depth, point clouds. Each file is written whole or not at all.

pub(crate) mod npy;
pub(crate) mod pictures;
pub(crate) mod ply;
pub(crate) mod png16;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;

/// Writes `path` through a temporary file beside it, so that a reader sees the old file or the new one and never half of one.
pub(crate) fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut name = path.file_name().with_context(|| format!("{} names no file", path.display()))?.to_owned();
    name.push(".part");
    let temporary = path.with_file_name(name);
    let written = || -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(&temporary)?);
        write(&mut file)?;
        file.flush()?;
        Ok(fs::rename(&temporary, path)?)
    };
    written().inspect_err(|_| drop(fs::remove_file(&temporary))).with_context(|| format!("writing {}", path.display()))
}

/// Makes `folder` and what leads to it.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))
}
