//! Status numbers and their meaning. A number is never reused.

use std::ffi::{CStr, c_char};

/// What a call came to. 0 is success.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FathomStatus {
    /// Done; outputs are written.
    Ok = 0,
    /// A required pointer is null.
    NullArgument = 1,
    /// A width or height is zero, too large, or odd where the pixel format needs it even.
    BadSize = 2,
    /// A row stride is smaller than a row.
    BadStride = 3,
    /// A buffer is shorter than its description, or an output buffer too small.
    BufferTooSmall = 4,
    /// An enumeration holds a number that has no meaning, or a text is not UTF-8.
    BadArgument = 5,
    /// The network's file or card is damaged, incomplete or beyond a limit.
    BadModel = 6,
    /// The network uses something that is not supported.
    UnsupportedModel = 7,
    /// The backend or adapter asked for is not on this machine.
    NoDevice = 8,
    /// The network could not be run.
    Failed = 9,
    /// A defect in Fathom: a panic was caught. Destroy the handle; please report it.
    Panic = 10,
}

impl FathomStatus {
    /// One line for a person.
    const fn text(self) -> &'static CStr {
        match self {
            Self::Ok => c"ok",
            Self::NullArgument => c"a required pointer is null",
            Self::BadSize => c"a width or height is zero, too large, or odd where it must be even",
            Self::BadStride => c"a row stride is smaller than a row",
            Self::BufferTooSmall => c"a buffer is too small",
            Self::BadArgument => c"an argument has no meaning",
            Self::BadModel => c"the network's file or card is damaged, incomplete or beyond a limit",
            Self::UnsupportedModel => c"the network uses something that is not supported",
            Self::NoDevice => c"the backend or adapter asked for is not on this machine",
            Self::Failed => c"the network could not be run",
            Self::Panic => c"a defect in Fathom (a panic was caught)",
        }
    }

    const ALL: [Self; 11] = [
        Self::Ok,
        Self::NullArgument,
        Self::BadSize,
        Self::BadStride,
        Self::BufferTooSmall,
        Self::BadArgument,
        Self::BadModel,
        Self::UnsupportedModel,
        Self::NoDevice,
        Self::Failed,
        Self::Panic,
    ];
}

/// The meaning of a status: a static text, never null, not to be freed. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fathom_status_text(status: u32) -> *const c_char {
    let known = FathomStatus::ALL.into_iter().find(|s| *s as u32 == status);
    known.map_or(c"unknown status", FathomStatus::text).as_ptr()
}

/// Version of the library and of this interface, `major << 16 | minor << 8 | patch`. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fathom_version() -> u32 {
    let part = |text: &str| text.parse::<u32>().unwrap_or(0);
    part(env!("CARGO_PKG_VERSION_MAJOR")) << 16 | part(env!("CARGO_PKG_VERSION_MINOR")) << 8 | part(env!("CARGO_PKG_VERSION_PATCH"))
}
