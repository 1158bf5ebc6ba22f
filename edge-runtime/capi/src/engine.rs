//! The noun `engine`: a network made ready to run, and what it says of a frame.

use std::ffi::{CStr, c_char};

use fathom_core::depth::OutputKind;
use fathom_runtime::backend::{Backend, EngineConfig};
use fathom_runtime::engine::Engine;
use fathom_runtime::network::import::ImportOptions;

use crate::error::{Failure, copy_text};
use crate::frame::FathomFrame;
use crate::guard::guard;
use crate::status::FathomStatus;

/// Where the network runs.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FathomBackend {
    /// A hardware GPU if there is one, else the CPU; `fathom_engine_backend` says which.
    Auto = 0,
    /// A GPU, or an error. A software device only if `adapter` names it.
    Gpu = 1,
    /// The CPU.
    Cpu = 2,
}

/// What the numbers of a network mean. Relative output is no distance: it has no unit, and an unknown shift and scale.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FathomOutputKind {
    /// `1 / depth = scale (x + shift)`: larger is nearer.
    RelativeInverseDepth = 0,
    /// `depth = scale (x + shift)`: larger is farther.
    RelativeDepth = 1,
    /// Metres, as the network itself claims.
    MetricDepth = 2,
}

/// What `fathom_engine_infer` says beside the map.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FathomInference {
    /// A `FathomOutputKind`.
    pub kind: u32,
    /// Width of the map: the frame's.
    pub width: u32,
    /// Height of the map: the frame's.
    pub height: u32,
    /// Horizontal field of view as the network sees it, radians; 0 if it has no such output.
    pub fov_rad: f32,
    /// One sigma of ln(focal length); 0 if the network has no such output.
    pub ln_focal_sigma: f32,
}

/// A network made ready to run. Opaque.
pub struct FathomEngine {
    engine: Engine,
}

/// Makes a network ready to run.
///
/// `onnx`: `onnx_length` bytes of an ONNX file; borrowed for the call.
/// `card_toml`: the model card as TOML text, ended by a zero byte; null if the file carries its own.
/// `backend`: a `FathomBackend`.
/// `adapter`: part of the name of the device to use, ended by a zero byte; null for any hardware device.
/// `engine`: receives the handle, to be given to `fathom_engine_destroy`; written only on `FATHOM_STATUS_OK`.
/// Thread-safe.
///
/// # Safety
/// Each pointer is null or valid as said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fathom_engine_create(
    onnx: *const u8,
    onnx_length: usize,
    card_toml: *const c_char,
    backend: u32,
    adapter: *const c_char,
    engine: *mut *mut FathomEngine,
) -> FathomStatus {
    guard(|| {
        if engine.is_null() {
            return Err(Failure::null("engine"));
        }
        if onnx.is_null() {
            return Err(Failure::null("onnx"));
        }
        if onnx_length > isize::MAX as usize {
            return Err(Failure::new(FathomStatus::BufferTooSmall, format!("onnx_length {onnx_length} is above {}", isize::MAX)));
        }
        // SAFETY: non-null and valid for `onnx_length` bytes by the contract above.
        let bytes = unsafe { std::slice::from_raw_parts(onnx, onnx_length) };
        // SAFETY: null or ended by a zero byte, by the contract above.
        let (card_toml, adapter) = unsafe { (text(card_toml, "card_toml")?, text(adapter, "adapter")?) };
        let config = EngineConfig { backend: backend_of(backend)?, adapter: adapter.map(str::to_owned), threads: None };
        let options = ImportOptions { card_toml, ..ImportOptions::default() };
        let made = Engine::from_onnx(bytes, options, &config)?;
        let handle = Box::into_raw(Box::new(FathomEngine { engine: made }));
        // SAFETY: non-null and valid for writing by the contract above.
        unsafe { engine.write(handle) };
        Ok(())
    })
}

/// Runs the network on one frame.
///
/// `frame`: the image; borrowed for the call.
/// `relative`: room for `capacity` floats; receives `frame->width * frame->height` values of the network, row by row, every
/// one finite. They are relative: `info->kind` says how, and no unit is implied.
/// `info`: receives what else there is to say; may be null.
/// Both are written only on `FATHOM_STATUS_OK`. Not thread-safe for one engine.
///
/// # Safety
/// `engine` comes from `fathom_engine_create` and is not destroyed; the other pointers are null or valid as said above and do
/// not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fathom_engine_infer(
    engine: *mut FathomEngine,
    frame: *const FathomFrame,
    relative: *mut f32,
    capacity: usize,
    info: *mut FathomInference,
) -> FathomStatus {
    guard(|| {
        // SAFETY: null or a live handle used by this thread alone, by the contract above.
        let engine = unsafe { engine.as_mut() }.ok_or_else(|| Failure::null("engine"))?;
        // SAFETY: null or valid by the contract above.
        let frame = unsafe { frame.as_ref() }.ok_or_else(|| Failure::null("frame"))?;
        if relative.is_null() {
            return Err(Failure::null("relative"));
        }
        // SAFETY: `data` is null or valid for `length` bytes by the contract above; used within this call only.
        let image = unsafe { frame.borrow()? };
        let needed = image.size().area();
        if capacity < needed {
            return Err(Failure::new(FathomStatus::BufferTooSmall, format!("relative holds {capacity} floats, the frame needs {needed}")));
        }
        let inference = engine.engine.infer(&image)?;
        let values = inference.relative.values();
        debug_assert_eq!(values.len(), needed);
        // SAFETY: non-null, room for `capacity >= needed` floats, and no overlap with our own memory.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), relative, needed) };
        // SAFETY: null or valid for writing by the contract above.
        if let Some(info) = unsafe { info.as_mut() } {
            *info = FathomInference {
                kind: kind_of(inference.relative.kind()) as u32,
                width: image.size().width,
                height: image.size().height,
                fov_rad: inference.fov.map_or(0.0, |f| f.fov_rad as f32),
                ln_focal_sigma: inference.fov.map_or(0.0, |f| f.ln_focal_sigma as f32),
            };
        }
        Ok(())
    })
}

/// Copies a line that says which backend and device the engine runs on, ended by a zero byte, into `buffer`.
///
/// Returns the length of the whole text without the zero byte; 0 if `engine` is null. `buffer` may be null if `capacity` is 0.
///
/// # Safety
/// `engine` is null or a live handle; `buffer` is null or valid for `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fathom_engine_backend(engine: *const FathomEngine, buffer: *mut c_char, capacity: usize) -> usize {
    let mut length = 0;
    guard(|| {
        // SAFETY: null or a live handle, by the contract above.
        let engine = unsafe { engine.as_ref() }.ok_or_else(|| Failure::null("engine"))?;
        let report = engine.engine.backend();
        let device = report.adapter.as_deref().map_or(String::new(), |adapter| format!(" {adapter}"));
        let text = format!("{}{device} ({}): {}", report.backend, report.executor, report.reason);
        // SAFETY: null or valid for `capacity` bytes, by the contract above.
        unsafe { copy_text(&text, buffer, capacity) };
        length = text.len();
        Ok(())
    });
    length
}

/// Frees an engine. Null does nothing.
///
/// # Safety
/// `engine` is null, or comes from `fathom_engine_create` and was not destroyed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fathom_engine_destroy(engine: *mut FathomEngine) {
    if !engine.is_null() {
        guard(|| {
            // SAFETY: made by `Box::into_raw` in `fathom_engine_create`, and freed once by the contract above.
            drop(unsafe { Box::from_raw(engine) });
            Ok(())
        });
    }
}

fn backend_of(number: u32) -> Result<Backend, Failure> {
    match number {
        0 => Ok(Backend::Auto),
        1 => Ok(Backend::Gpu),
        2 => Ok(Backend::Cpu),
        _ => Err(Failure::new(FathomStatus::BadArgument, format!("backend {number} is not known"))),
    }
}

const fn kind_of(kind: OutputKind) -> FathomOutputKind {
    match kind {
        OutputKind::InverseDepth => FathomOutputKind::RelativeInverseDepth,
        OutputKind::Depth => FathomOutputKind::RelativeDepth,
        OutputKind::MetricDepth => FathomOutputKind::MetricDepth,
    }
}

/// A text of the caller; `None` if null.
///
/// # Safety
/// `pointer` is null, or points to a text ended by a zero byte that outlives `'a`.
unsafe fn text<'a>(pointer: *const c_char, argument: &str) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: non-null and ended by a zero byte, by the contract above.
    let text = unsafe { CStr::from_ptr(pointer) }.to_str();
    text.map(Some).map_err(|_| Failure::new(FathomStatus::BadArgument, format!("{argument} is not UTF-8")))
}
