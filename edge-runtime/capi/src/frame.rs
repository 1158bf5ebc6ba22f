//! Camera images handed over by C.

use fathom_core::frame::{Frame, PixelFormat, Size};

use crate::error::Failure;
use crate::status::FathomStatus;

/// How pixels lie in memory.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FathomPixelFormat {
    /// 3 bytes a pixel: red, green, blue.
    Rgb8 = 0,
    /// 3 bytes a pixel: blue, green, red.
    Bgr8 = 1,
    /// 4 bytes a pixel; the fourth is ignored.
    Rgba8 = 2,
    /// 1 byte a pixel.
    Gray8 = 3,
    /// A luma plane, then interleaved U, V at half resolution, same stride. Even width and height.
    Nv12 = 4,
    /// Y0 U Y1 V. Even width.
    Yuyv = 5,
}

/// One image, borrowed for a call. Rows from top to bottom.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FathomFrame {
    /// The first byte of the top row.
    pub data: *const u8,
    /// Bytes that may be read at `data`.
    pub length: usize,
    /// Bytes from one row to the next; 0 means rows without padding.
    pub stride_bytes: usize,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// A `FathomPixelFormat`.
    pub format: u32,
}

impl FathomFrame {
    /// Checks everything that can be checked and borrows the bytes.
    ///
    /// # Safety
    /// `data` is null or valid for reading `length` bytes for as long as `'a` lasts.
    pub(crate) unsafe fn borrow<'a>(&self) -> Result<Frame<'a>, Failure> {
        if self.data.is_null() {
            return Err(Failure::null("frame->data"));
        }
        let format = PixelFormat::ALL.get(self.format as usize).copied();
        let format = format.ok_or_else(|| Failure::new(FathomStatus::BadArgument, format!("pixel format {} is not known", self.format)))?;
        if self.length > isize::MAX as usize {
            return Err(Failure::new(FathomStatus::BufferTooSmall, format!("frame length {} is above {}", self.length, isize::MAX)));
        }
        // SAFETY: non-null, at most isize::MAX bytes, and valid for `length` bytes by the contract above.
        let bytes = unsafe { std::slice::from_raw_parts(self.data, self.length) };
        let stride_bytes = if self.stride_bytes == 0 { format.row_bytes(self.width) } else { self.stride_bytes };
        Ok(Frame::new(bytes, Size::new(self.width, self.height), format, stride_bytes)?)
    }
}

const _: () = {
    // The C numbers index `PixelFormat::ALL`.
    assert!(FathomPixelFormat::Rgb8 as usize == 0 && matches!(PixelFormat::ALL[0], PixelFormat::Rgb8));
    assert!(FathomPixelFormat::Bgr8 as usize == 1 && matches!(PixelFormat::ALL[1], PixelFormat::Bgr8));
    assert!(FathomPixelFormat::Rgba8 as usize == 2 && matches!(PixelFormat::ALL[2], PixelFormat::Rgba8));
    assert!(FathomPixelFormat::Gray8 as usize == 3 && matches!(PixelFormat::ALL[3], PixelFormat::Gray8));
    assert!(FathomPixelFormat::Nv12 as usize == 4 && matches!(PixelFormat::ALL[4], PixelFormat::Nv12));
    assert!(FathomPixelFormat::Yuyv as usize == 5 && matches!(PixelFormat::ALL[5], PixelFormat::Yuyv));
};
