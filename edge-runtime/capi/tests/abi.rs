//! Each function of the ABI with null, bad and good arguments, called as C calls it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::CStr;
use std::ptr::{null, null_mut};

use fathom::engine::{
    FathomBackend, FathomEngine, FathomInference, fathom_engine_backend, fathom_engine_create, fathom_engine_destroy, fathom_engine_infer,
};
use fathom::error::fathom_last_error;
use fathom::frame::{FathomFrame, FathomPixelFormat};
use fathom::status::{FathomStatus, fathom_status_text, fathom_version};

const NETWORK: &[u8] = include_bytes!("../../../fixtures/models/fathom-small.int8.onnx");

fn last_error() -> String {
    let mut buffer = [0_u8; 512];
    // SAFETY: the buffer is valid for its length.
    let length = unsafe { fathom_last_error(buffer.as_mut_ptr().cast(), buffer.len()) };
    assert!(length < buffer.len());
    CStr::from_bytes_until_nul(&buffer).unwrap().to_str().unwrap().to_owned()
}

fn create(onnx: &[u8], backend: u32) -> (FathomStatus, *mut FathomEngine) {
    let mut engine = null_mut();
    // SAFETY: the slice is valid for its length, the texts are null, `engine` is a local.
    let status = unsafe { fathom_engine_create(onnx.as_ptr(), onnx.len(), null(), backend, null(), &raw mut engine) };
    (status, engine)
}

fn frame(pixels: &[u8], width: u32, height: u32, stride_bytes: usize, format: u32) -> FathomFrame {
    FathomFrame { data: pixels.as_ptr(), length: pixels.len(), stride_bytes, width, height, format }
}

fn infer(engine: *mut FathomEngine, frame: &FathomFrame, relative: &mut [f32], info: *mut FathomInference) -> FathomStatus {
    // SAFETY: a live handle, a valid frame, and an output valid for its length.
    unsafe { fathom_engine_infer(engine, frame, relative.as_mut_ptr(), relative.len(), info) }
}

#[test]
fn an_engine_runs_a_frame_and_says_what_ran() {
    let (status, engine) = create(NETWORK, FathomBackend::Cpu as u32);
    assert_eq!(status, FathomStatus::Ok, "{}", last_error());
    let pixels: Vec<u8> = (0..40 * 30 * 3).map(|i| (i % 251) as u8).collect();
    let mut relative = vec![f32::NAN; 40 * 30];
    let mut info = FathomInference { kind: 9, width: 0, height: 0, fov_rad: -1.0, ln_focal_sigma: -1.0 };
    let status = infer(engine, &frame(&pixels, 40, 30, 0, FathomPixelFormat::Rgb8 as u32), &mut relative, &raw mut info);
    assert_eq!(status, FathomStatus::Ok, "{}", last_error());
    assert!(relative.iter().all(|v| v.is_finite()));
    assert_eq!((info.kind, info.width, info.height), (0, 40, 30));
    assert!(info.fov_rad > 0.2 && info.fov_rad < 3.0, "{}", info.fov_rad);
    let mut name = [0_u8; 128];
    // SAFETY: a live handle and a buffer valid for its length.
    let length = unsafe { fathom_engine_backend(engine, name.as_mut_ptr().cast(), name.len()) };
    assert!(name[..length.min(127)].starts_with(b"cpu"), "{}", String::from_utf8_lossy(&name));
    // SAFETY: made above, destroyed once.
    unsafe { fathom_engine_destroy(engine) };
}

#[test]
fn bad_frames_are_refused_by_status_and_nothing_is_written() {
    let (_, engine) = create(NETWORK, FathomBackend::Cpu as u32);
    let pixels = [0_u8; 8 * 8 * 3];
    let mut relative = [7.0_f32; 64];
    let rgb = FathomPixelFormat::Rgb8 as u32;
    let cases = [
        (frame(&pixels, 0, 8, 0, rgb), FathomStatus::BadSize),
        (frame(&pixels, u32::MAX, u32::MAX, usize::MAX, rgb), FathomStatus::BadSize),
        (frame(&pixels, 7, 8, 0, FathomPixelFormat::Yuyv as u32), FathomStatus::BadSize),
        (frame(&pixels, 8, 8, 23, rgb), FathomStatus::BadStride),
        (frame(&pixels, 8, 8, 25, rgb), FathomStatus::BufferTooSmall),
        (frame(&pixels[1..], 8, 8, 24, rgb), FathomStatus::BufferTooSmall),
        (frame(&pixels, 8, 8, 0, 6), FathomStatus::BadArgument),
        (FathomFrame { data: null(), ..frame(&pixels, 8, 8, 0, rgb) }, FathomStatus::NullArgument),
    ];
    for (bad, expected) in cases {
        assert_eq!(infer(engine, &bad, &mut relative, null_mut()), expected, "{bad:?}");
        assert!(!last_error().is_empty());
    }
    let good = frame(&pixels, 8, 8, 24, rgb);
    assert_eq!(infer(engine, &good, &mut relative[..63], null_mut()), FathomStatus::BufferTooSmall);
    assert!(last_error().contains("63"), "{}", last_error());
    assert!(relative.iter().all(|v| *v == 7.0));
    assert_eq!(infer(null_mut(), &good, &mut relative, null_mut()), FathomStatus::NullArgument);
    // SAFETY: null frame and null output are part of the contract; the handle is live, destroyed once, and null is allowed.
    unsafe {
        assert_eq!(fathom_engine_infer(engine, null(), relative.as_mut_ptr(), 64, null_mut()), FathomStatus::NullArgument);
        assert_eq!(fathom_engine_infer(engine, &raw const good, null_mut(), 64, null_mut()), FathomStatus::NullArgument);
        fathom_engine_destroy(engine);
        fathom_engine_destroy(null_mut());
    }
}

#[test]
fn bad_networks_and_arguments_are_refused_by_status() {
    assert_eq!(create(b"not a network", FathomBackend::Cpu as u32).0, FathomStatus::BadModel);
    assert_eq!(create(&NETWORK[..NETWORK.len() / 2], FathomBackend::Cpu as u32).0, FathomStatus::BadModel);
    let (status, engine) = create(NETWORK, 3);
    assert_eq!(status, FathomStatus::BadArgument);
    assert!(engine.is_null());
    let mut engine = null_mut();
    // SAFETY: null and non-UTF-8 texts are part of the contract; the slice is valid for its length.
    unsafe {
        assert_eq!(fathom_engine_create(null(), 0, null(), 2, null(), &raw mut engine), FathomStatus::NullArgument);
        assert_eq!(fathom_engine_create(NETWORK.as_ptr(), NETWORK.len(), null(), 2, null(), null_mut()), FathomStatus::NullArgument);
        let latin1 = c"\xe9".as_ptr();
        assert_eq!(fathom_engine_create(NETWORK.as_ptr(), NETWORK.len(), latin1, 2, null(), &raw mut engine), FathomStatus::BadArgument);
    }
    assert!(engine.is_null());
}

#[test]
fn texts_exist_for_every_number() {
    // SAFETY: the texts are static.
    let text = |status| unsafe { CStr::from_ptr(fathom_status_text(status)) }.to_str().unwrap();
    assert_eq!(text(0), "ok");
    assert_eq!(text(FathomStatus::Panic as u32), "a defect in Fathom (a panic was caught)");
    assert_eq!(text(999), "unknown status");
    assert_eq!(fathom_version(), 0x0000_0100);
    // SAFETY: null engine and null buffer are part of the contract.
    unsafe {
        assert_eq!(fathom_engine_backend(null(), null_mut(), 0), 0);
        fathom_last_error(null_mut(), 0);
    }
}
