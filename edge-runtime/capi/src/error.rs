//! The text of the last error on this thread, as C libraries keep it: the one piece of thread-local state in Fathom.

use std::cell::RefCell;
use std::ffi::c_char;

use crate::status::FathomStatus;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A status with its text, on the way to the caller.
pub(crate) struct Failure {
    pub(crate) status: FathomStatus,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: FathomStatus, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn null(argument: &str) -> Self {
        Self::new(FathomStatus::NullArgument, format!("{argument} is null"))
    }
}

impl From<fathom_core::Error> for Failure {
    fn from(error: fathom_core::Error) -> Self {
        use fathom_core::Error;
        let status = match error {
            Error::BadSize { .. } | Error::OddSize { .. } => FathomStatus::BadSize,
            Error::BadStride { .. } => FathomStatus::BadStride,
            Error::Length { .. } => FathomStatus::BufferTooSmall,
            Error::OutOfRange { .. } => FathomStatus::BadArgument,
            Error::Shape { .. } | Error::ElementType { .. } | Error::Model { .. } => FathomStatus::Failed,
        };
        Self::new(status, error.to_string())
    }
}

impl From<fathom_runtime::Error> for Failure {
    fn from(error: fathom_runtime::Error) -> Self {
        use fathom_runtime::Error;
        let status = match error {
            Error::Core(core) => return core.into(),
            Error::UnsupportedOp { .. } => FathomStatus::UnsupportedModel,
            Error::Malformed(_)
            | Error::BadGraph { .. }
            | Error::OverLimit { .. }
            | Error::CardIncomplete { .. }
            | Error::BadCard { .. } => FathomStatus::BadModel,
            Error::Backend { .. } => FathomStatus::NoDevice,
            #[cfg(feature = "gpu")]
            Error::Gpu(_) => FathomStatus::NoDevice,
            #[cfg(feature = "tract")]
            Error::Tract(_) => FathomStatus::Failed,
            Error::BadOutput { .. } => FathomStatus::Failed,
        };
        Self::new(status, error.to_string())
    }
}

pub(crate) fn remember(text: String) {
    LAST.with_borrow_mut(|last| *last = text);
}

/// Copies the text of this thread's last error, ended by a zero byte, into `buffer`; cut where `capacity` bytes end.
///
/// Returns the length of the whole text without the zero byte, so that a second call can bring a larger buffer.
/// `buffer` may be null if `capacity` is 0. Thread-safe.
///
/// # Safety
/// `buffer` is null with `capacity` 0, or valid for `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fathom_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    LAST.with_borrow(|last| {
        // SAFETY: the caller's contract is this function's own.
        unsafe { copy_text(last, buffer, capacity) };
        last.len()
    })
}

/// Copies `text` and a zero byte into `buffer`, cut at a character's border where `capacity` ends.
///
/// # Safety
/// `buffer` is null, or valid for `capacity` bytes.
pub(crate) unsafe fn copy_text(text: &str, buffer: *mut c_char, capacity: usize) {
    if buffer.is_null() || capacity == 0 {
        return;
    }
    let fits = text.floor_char_boundary((capacity - 1).min(text.len()));
    // SAFETY: `fits + 1 <= capacity` bytes are written, and the text does not overlap the caller's buffer.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), fits);
        buffer.add(fits).write(0);
    }
}
