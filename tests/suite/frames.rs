//! Hostile frames: 10,000 mutated descriptions and contents, seeded, through the whole engine. Each is refused or gives finite
//! depth of the frame's own size; nothing panics. And the extremes by name: nothing, too much, all black, all white.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fathom_core::Error;
use fathom_core::calibration::Calibration;
use fathom_core::frame::{Frame, MAX_PIXELS, PixelFormat, Size};
use fathom_runtime::backend::EngineConfig;
use fathom_runtime::engine::Engine;
use fathom_runtime::network::import::ImportOptions;
use fathom_tests::random::Random;
use fathom_tests::require::fixture;

const MUTANTS: usize = 10_000;

/// A network of a few convolutions over an image of 12 x 8.
fn small_engine() -> Engine {
    let bytes = std::fs::read(fixture("onnx/valid/qdq_tensor_u8.onnx")).unwrap();
    Engine::from_onnx(&bytes, ImportOptions::default(), &EngineConfig::cpu()).unwrap()
}

/// The network that the program carries.
fn embedded_engine() -> Engine {
    let bytes = std::fs::read(fixture("models/fathom-small.int8.onnx")).unwrap();
    Engine::from_onnx(&bytes, ImportOptions::default(), &EngineConfig::cpu()).unwrap()
}

/// Runs a frame through the engine and a calibration; whatever is not refused must be finite and of the frame's size.
fn run(engine: &mut Engine, frame: &Frame<'_>) {
    let relative = engine.infer(frame).unwrap().relative;
    assert_eq!(relative.size(), frame.size());
    assert!(relative.values().iter().all(|value| value.is_finite()));
    let depth = Calibration::from_default_tau(0.25).apply(&relative).unwrap();
    assert!(depth.values().iter().all(|value| value.is_finite() && *value >= 0.0));
}

#[test]
fn mutated_frames_are_refused_or_give_finite_depth() {
    let mut engine = small_engine();
    let mut random = Random(0x5eed_f00d);
    let mut ran = 0;
    for mutant in 0..MUTANTS {
        let format = random.one_of(&PixelFormat::ALL);
        let side = |random: &mut Random| match random.below(40) {
            0 => random.one_of(&[0, 1, u32::MAX, 1 << 31, 1 << 16, MAX_PIXELS as u32]),
            1 => random.below(2000) as u32,
            _ => 2 * random.below(24) as u32 + random.below(10) as u32 / 9,
        };
        let size = Size::new(side(&mut random), side(&mut random));
        let row = format.row_bytes(size.width);
        let stride = match random.below(8) {
            0 => random.one_of(&[0, 1, usize::MAX, usize::MAX / 2, row.wrapping_sub(1)]),
            1..4 => row + random.below(32),
            _ => row,
        };
        let needed = stride.saturating_mul(format.rows(size.height)).min(1 << 20);
        let length = match random.below(8) {
            0 => needed.saturating_sub(1 + random.below(64)),
            1 => needed + random.below(64),
            _ => needed,
        };
        let flat = random.one_of(&[None, None, Some(0), Some(255)]);
        let bytes: Vec<u8> = (0..length).map(|_| flat.unwrap_or_else(|| random.bits() as u8)).collect();
        let described = format!("mutant {mutant}: {} {size}, stride {stride}, {length} bytes", format.name());
        let outcome = catch_unwind(AssertUnwindSafe(|| match Frame::new(&bytes, size, format, stride) {
            Ok(frame) => {
                run(&mut engine, &frame);
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }));
        ran += usize::from(outcome.unwrap_or_else(|_| panic!("{described}")));
    }
    assert!((MUTANTS / 4..MUTANTS * 9 / 10).contains(&ran), "{ran} of {MUTANTS} mutants were frames: the mutator tests one side only");
}

#[test]
fn black_and_white_frames_of_every_format_give_finite_depth_from_the_embedded_network() {
    let mut engine = embedded_engine();
    let size = Size::new(96, 64);
    for format in PixelFormat::ALL {
        for value in [0, 255] {
            let bytes = vec![value; format.row_bytes(size.width) * format.rows(size.height)];
            run(&mut engine, &Frame::packed(&bytes, size, format).unwrap());
        }
    }
}

#[test]
fn a_frame_of_a_hundred_megapixels_is_refused_with_the_limit() {
    let error = Frame::packed(&[0; 16], Size::new(10_000, 10_000), PixelFormat::Gray8).unwrap_err();
    assert_eq!(error, Error::BadSize { width: 10_000, height: 10_000, limit_px: MAX_PIXELS });
}

#[test]
fn the_largest_frame_accepted_is_run_and_one_row_more_is_not() {
    let mut engine = small_engine();
    let size = Size::new(8192, 8192);
    let bytes = vec![128; size.area()];
    run(&mut engine, &Frame::packed(&bytes, size, PixelFormat::Gray8).unwrap());
    assert!(Frame::packed(&bytes, Size::new(8192, 8193), PixelFormat::Gray8).is_err());
}

#[test]
fn the_same_picture_in_every_rgb_layout_gives_the_same_depth() {
    let mut engine = embedded_engine();
    let size = Size::new(64, 48);
    let rgb: Vec<[u8; 3]> = (0..size.area()).map(|i| [(i * 7) as u8, (i / 64 * 5) as u8, (i % 64 * 4) as u8]).collect();
    let bgr: Vec<u8> = rgb.iter().flat_map(|&[r, g, b]| [b, g, r]).collect();
    let rgba: Vec<u8> = rgb.iter().flat_map(|&[r, g, b]| [r, g, b, 77]).collect();
    let mut depth = |bytes: &[u8], format| engine.infer(&Frame::packed(bytes, size, format).unwrap()).unwrap().relative;
    let reference = depth(rgb.as_flattened(), PixelFormat::Rgb8);
    assert_eq!(depth(&bgr, PixelFormat::Bgr8), reference);
    assert_eq!(depth(&rgba, PixelFormat::Rgba8), reference);
    assert!(reference.values().iter().any(|value| *value != reference.values()[0]), "a constant answer proves nothing");
}

#[test]
fn the_frames_of_the_demo_are_those_that_their_page_names() {
    use sha2::{Digest as _, Sha256};

    let page = std::fs::read_to_string(fixture("frames/README.md")).unwrap();
    let mut named = 0;
    for entry in std::fs::read_dir(fixture("frames")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_none_or(|ending| ending != "jpg") {
            continue;
        }
        let digest: String = Sha256::digest(std::fs::read(&entry).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        assert!(page.contains(&format!("| {name} | {digest} |")), "{name} is not what README.md says");
        named += 1;
    }
    assert_eq!(named, 6);
}
