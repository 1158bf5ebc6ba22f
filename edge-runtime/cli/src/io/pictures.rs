//! Image files as frames: any format the program knows, turned upright by their EXIF orientation, within limits.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fathom_core::frame::{RgbImage, Size};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

/// Names' endings of the formats that can be read.
const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "ppm", "pgm", "pnm"];

/// Largest image file, bytes: no compressed picture of the accepted area is larger.
const FILE_BYTES: u64 = 1 << 30;

/// Most memory a decoder may take, bytes: a picture of the largest accepted area in 16-bit RGBA.
const DECODER_BYTES: u64 = 8 * fathom_core::frame::MAX_PIXELS as u64;

/// Reads one picture, upright.
pub(crate) fn read(path: &Path) -> anyhow::Result<RgbImage> {
    as_frame(decode(path)?)
}

/// Reads one picture in its own pixel type, upright.
pub(crate) fn decode(path: &Path) -> anyhow::Result<DynamicImage> {
    let read = || -> anyhow::Result<DynamicImage> {
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            bail!("it is a folder, an image file was expected");
        }
        if metadata.len() > FILE_BYTES {
            bail!("it holds {} bytes, the limit is {FILE_BYTES}", metadata.len());
        }
        decode_bytes(&std::fs::read(path)?)
    };
    read().with_context(|| format!("reading {}", path.display()))
}

/// Reads one picture from bytes in memory, upright.
pub(crate) fn read_bytes(bytes: &[u8]) -> anyhow::Result<RgbImage> {
    as_frame(decode_bytes(bytes)?)
}

fn decode_bytes(bytes: &[u8]) -> anyhow::Result<DynamicImage> {
    let mut reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(DECODER_BYTES);
    reader.limits(limits);
    match reader.format() {
        None => bail!("it is none of the formats {}", ENDINGS.join(", ")),
        // The decoder paints what is missing of a torn file grey, and depth of that would look like depth.
        Some(ImageFormat::Jpeg) if is_torn(bytes) => bail!("the JPEG ends before its picture does"),
        Some(_) => from_decoder(reader.into_decoder()?),
    }
}

/// Whether no end marker follows the last scan. Neither marker can occur within a scan's data, where 0xff is escaped.
fn is_torn(jpeg: &[u8]) -> bool {
    const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
    const END: [u8; 2] = [0xff, 0xd9];
    let last = |marker: [u8; 2]| jpeg.windows(2).rposition(|pair| pair == marker);
    last(START_OF_SCAN).is_some_and(|scan| last(END).is_none_or(|end| end < scan))
}

fn as_frame(picture: DynamicImage) -> anyhow::Result<RgbImage> {
    let picture = picture.into_rgb8();
    let size = Size::new(picture.width(), picture.height());
    Ok(RgbImage::new(size, picture.as_raw().as_chunks().0.to_vec())?)
}

fn from_decoder(mut decoder: impl ImageDecoder) -> anyhow::Result<DynamicImage> {
    let (width, height) = decoder.dimensions();
    Size::new(width, height).checked()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// The files that `paths` mean: themselves, and for a folder the pictures in it, by name.
pub(crate) fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("reading the folder {}", path.display()))?;
        let mut found: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        found.retain(|file| file.is_file() && has_known_ending(file));
        if found.is_empty() {
            bail!("the folder {} holds no pictures (looked for {})", path.display(), ENDINGS.join(", "));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

fn has_known_ending(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}
