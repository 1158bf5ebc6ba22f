//! Camera images as they come: borrowed bytes with a size, a pixel format and a stride, checked once.

use crate::{Error, Result};

/// Largest image accepted anywhere, in pixels: 64 Mpx, far above any camera a robot carries.
pub const MAX_PIXELS: usize = 64 << 20;

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// A size of `width` by `height` pixels, not checked against any limit.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    #[must_use]
    pub const fn area(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// This size if it is between 1 x 1 and [`MAX_PIXELS`].
    ///
    /// # Errors
    /// [`Error::BadSize`] otherwise.
    pub const fn checked(self) -> Result<Self> {
        if self.width == 0 || self.height == 0 || self.area() > MAX_PIXELS {
            return Err(Error::BadSize { width: self.width, height: self.height, limit_px: MAX_PIXELS });
        }
        Ok(self)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// How a camera lays its pixels out in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// 3 bytes a pixel: red, green, blue.
    Rgb8,
    /// 3 bytes a pixel: blue, green, red (OpenCV's order).
    Bgr8,
    /// 4 bytes a pixel: red, green, blue, alpha (ignored).
    Rgba8,
    /// 1 byte a pixel; red = green = blue.
    Gray8,
    /// A luma plane of `height` rows, then `height / 2` rows of interleaved U, V at half resolution. BT.601, limited range.
    Nv12,
    /// 2 bytes a pixel: Y0 U Y1 V for each pair of pixels. BT.601, limited range.
    Yuyv,
}

impl PixelFormat {
    /// All formats, for tests and tables.
    pub const ALL: [Self; 6] = [Self::Rgb8, Self::Bgr8, Self::Rgba8, Self::Gray8, Self::Nv12, Self::Yuyv];

    /// The usual name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rgb8 => "RGB8",
            Self::Bgr8 => "BGR8",
            Self::Rgba8 => "RGBA8",
            Self::Gray8 => "GRAY8",
            Self::Nv12 => "NV12",
            Self::Yuyv => "YUYV",
        }
    }

    /// Bytes of one row (of the first plane) without padding.
    #[must_use]
    pub const fn row_bytes(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            Self::Rgb8 | Self::Bgr8 => 3 * width,
            Self::Rgba8 => 4 * width,
            Self::Gray8 | Self::Nv12 => width,
            Self::Yuyv => 2 * width,
        }
    }

    /// Rows of memory an image of `height` rows takes, all planes.
    #[must_use]
    pub const fn rows(self, height: u32) -> usize {
        match self {
            Self::Nv12 => height as usize + height as usize / 2,
            _ => height as usize,
        }
    }
}

/// One image, borrowed. Origin top left, rows from top to bottom.
///
/// ```
/// use fathom_core::frame::{Frame, PixelFormat, Size};
/// let pixels = [255, 0, 0, 0, 255, 0]; // one red, one green pixel
/// let frame = Frame::new(&pixels, Size::new(2, 1), PixelFormat::Rgb8, 6)?;
/// assert_eq!(frame.row(0), &pixels);
/// # Ok::<(), fathom_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    size: Size,
    format: PixelFormat,
    stride_bytes: usize,
}

impl<'a> Frame<'a> {
    /// Describes `bytes` as an image whose rows start `stride_bytes` apart. The last row needs no padding behind it.
    /// NV12: both planes share the stride, the chroma plane follows the luma plane at `stride_bytes * height`.
    ///
    /// # Errors
    /// [`Error::BadSize`], [`Error::OddSize`] (NV12: both sides even; YUYV: even width), [`Error::BadStride`], or
    /// [`Error::Length`] if `bytes` is too short for the description.
    pub fn new(bytes: &'a [u8], size: Size, format: PixelFormat, stride_bytes: usize) -> Result<Self> {
        size.checked()?;
        let odd = |axis, got| Err(Error::OddSize { format: format.name(), axis, got });
        if matches!(format, PixelFormat::Nv12 | PixelFormat::Yuyv) && size.width % 2 == 1 {
            return odd("width", size.width);
        }
        if format == PixelFormat::Nv12 && size.height % 2 == 1 {
            return odd("height", size.height);
        }
        let row_bytes = format.row_bytes(size.width);
        if stride_bytes < row_bytes {
            return Err(Error::BadStride { stride_bytes, row_bytes });
        }
        let expected = (format.rows(size.height) - 1).saturating_mul(stride_bytes).saturating_add(row_bytes);
        if bytes.len() < expected {
            return Err(Error::Length { what: "frame bytes", got: bytes.len(), expected });
        }
        Ok(Self { bytes, size, format, stride_bytes })
    }

    /// A frame without padding between rows.
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn packed(bytes: &'a [u8], size: Size, format: PixelFormat) -> Result<Self> {
        Self::new(bytes, size, format, format.row_bytes(size.width))
    }

    /// Width and height.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Pixel format.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Bytes from one row to the next.
    #[must_use]
    pub const fn stride_bytes(&self) -> usize {
        self.stride_bytes
    }

    /// The bytes of memory row `y`, without padding; NV12's chroma rows follow its luma rows.
    ///
    /// # Panics
    /// If `y` is not below [`PixelFormat::rows`] of the height.
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y * self.stride_bytes;
        &self.bytes[start..start + self.format.row_bytes(self.size.width)]
    }
}

/// An owned image of 8-bit red, green, blue, `[height, width, 3]`, no padding: what renders and resizes produce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    size: Size,
    pixels: Vec<[u8; 3]>,
}

impl RgbImage {
    /// Takes `pixels`, row-major.
    ///
    /// # Errors
    /// [`Error::BadSize`], or [`Error::Length`] if there are not `size.area()` pixels.
    pub fn new(size: Size, pixels: Vec<[u8; 3]>) -> Result<Self> {
        size.checked()?;
        if pixels.len() != size.area() {
            return Err(Error::Length { what: "pixels", got: pixels.len(), expected: size.area() });
        }
        Ok(Self { size, pixels })
    }

    /// Width and height.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Pixels, row-major.
    #[must_use]
    pub fn pixels(&self) -> &[[u8; 3]] {
        &self.pixels
    }

    /// The same memory as a [`Frame`].
    #[must_use]
    pub fn as_frame(&self) -> Frame<'_> {
        let stride_bytes = PixelFormat::Rgb8.row_bytes(self.size.width);
        Frame { bytes: self.pixels.as_flattened(), size: self.size, format: PixelFormat::Rgb8, stride_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_refused_when_its_buffer_ends_one_byte_early() {
        let bytes = vec![0; 2 * 10 + 9];
        let size = Size::new(3, 3);
        assert!(Frame::new(&bytes, size, PixelFormat::Rgb8, 10).is_ok());
        let error = Frame::new(&bytes[1..], size, PixelFormat::Rgb8, 10).unwrap_err();
        assert_eq!(error, Error::Length { what: "frame bytes", got: 28, expected: 29 });
    }

    #[test]
    fn hostile_descriptions_are_errors_that_name_the_value() {
        let bytes = [0; 64];
        let refuse = |width, height, format, stride| Frame::new(&bytes, Size::new(width, height), format, stride).unwrap_err();
        assert!(matches!(refuse(0, 4, PixelFormat::Gray8, 8), Error::BadSize { width: 0, .. }));
        assert!(matches!(refuse(u32::MAX, u32::MAX, PixelFormat::Gray8, 8), Error::BadSize { .. }));
        assert!(matches!(refuse(4, 4, PixelFormat::Rgb8, 11), Error::BadStride { stride_bytes: 11, row_bytes: 12 }));
        assert!(matches!(refuse(4, 2, PixelFormat::Gray8, usize::MAX), Error::Length { .. }));
        assert!(matches!(refuse(3, 2, PixelFormat::Yuyv, 8), Error::OddSize { axis: "width", got: 3, .. }));
        assert!(matches!(refuse(4, 3, PixelFormat::Nv12, 8), Error::OddSize { axis: "height", got: 3, .. }));
    }

    #[test]
    fn nv12_counts_the_chroma_plane() {
        let bytes = vec![0; 4 * 6];
        assert!(Frame::packed(&bytes, Size::new(4, 4), PixelFormat::Nv12).is_ok());
        assert!(Frame::packed(&bytes[1..], Size::new(4, 4), PixelFormat::Nv12).is_err());
    }
}
