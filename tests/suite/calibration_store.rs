//! Stored calibrations: what is written comes back, what does not belong is refused, and a power cut harms nothing.
#![allow(clippy::disallowed_methods, reason = "a child process is told its file by the environment")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fathom_calibration::Error;
use fathom_calibration::store::{Identity, Stored, load, save};
use fathom_core::calibration::{Calibration, State};
use fathom_core::camera::Intrinsics;
use fathom_core::frame::Size;
use nalgebra::Matrix3;

fn identity() -> Identity {
    Identity { camera: "front".into(), network_sha256: "ab".repeat(32), resolution: Size::new(640, 480) }
}

fn stored(tau: f64) -> Stored {
    let mut covariance = Matrix3::from_diagonal(&[f64::INFINITY, 0.04, 0.01].into());
    (covariance[(1, 2)], covariance[(2, 1)]) = (0.01, 0.01);
    Stored {
        identity: identity(),
        calibration: Calibration {
            state: State::Calibrated,
            tau,
            ln_scale: None,
            camera: Some(Intrinsics::centred(Size::new(640, 480), 525.25).unwrap()),
            covariance,
        },
        made_unix_s: 1_790_000_000,
        frames: 8,
        complete: true,
        cues: vec![("consistency".into(), [0.0, 1.0, 0.0]), ("prior".into(), [0.0, 0.0, 1.0])],
    }
}

#[test]
fn what_is_saved_comes_back_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("front.toml");
    for tau in [0.5, 1.0 / 3.0, -7e-12] {
        save(&stored(tau), &path).unwrap();
        assert_eq!(load(&path).unwrap(), stored(tau));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn another_camera_network_or_resolution_is_refused_by_name() {
    let path = Path::new("front.toml");
    assert!(stored(0.5).belonging_to(&identity(), path).is_ok());
    let others = [
        ("camera", Identity { camera: "rear".into(), ..identity() }),
        ("network", Identity { network_sha256: "cd".repeat(32), ..identity() }),
        ("resolution", Identity { resolution: Size::new(1280, 720), ..identity() }),
    ];
    for (name, other) in others {
        let error = stored(0.5).belonging_to(&other, path).unwrap_err();
        assert!(matches!(error, Error::Foreign { what, .. } if what == name), "{error}");
    }
}

#[test]
fn a_file_with_any_byte_changed_is_refused() {
    let text = stored(0.5).to_text().unwrap();
    let path = Path::new("front.toml");
    assert!(Stored::from_text(&text, path).is_ok());
    for index in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[index] = if bytes[index] == b'1' { b'2' } else { b'1' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(matches!(Stored::from_text(&changed, path), Err(Error::Corrupt { .. })), "byte {index}");
        assert!(Stored::from_text(&text[..index], path).is_err(), "cut at {index}");
    }
}

/// A body with a checksum that fits: what a later version, or a hand, would write.
fn signed(body: &str) -> String {
    let first = stored(0.5).to_text().unwrap().lines().next().unwrap().to_owned();
    let (prefix, _) = first.rsplit_once(' ').unwrap();
    use sha2::Digest;
    let hex: String = sha2::Sha256::digest(body.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    format!("{prefix} {hex}\n{body}")
}

#[test]
fn later_formats_and_senseless_numbers_are_refused_even_with_a_fitting_checksum() {
    let path = Path::new("front.toml");
    let text = stored(0.5).to_text().unwrap();
    let body = text.split_once('\n').unwrap().1;
    assert!(Stored::from_text(&signed(body), path).is_ok());
    let newer = signed("format = 7\nshape = \"unheard of\"\n");
    assert!(matches!(Stored::from_text(&newer, path), Err(Error::Newer { got: 7, newest: 1, .. })));
    for (from, to) in [
        ("tau = 0.5", "tau = nan"),
        ("tau = 0.5", "tau = inf"),
        ("525.25", "-525.25"),
        ("[640, 480]", "[0, 480]"),
        ("state = \"calibrated\"", "state = \"splendid\""),
        ("0.04", "nan"),
    ] {
        assert!(body.contains(from), "{from} is not in {body}");
        let error = Stored::from_text(&signed(&body.replace(from, to)), path).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{to}: {error}");
    }
    assert!(Stored::from_text("", path).is_err());
    assert!(Stored::from_text("format = 1\n", path).is_err());
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no such folder").join("front.toml");
    assert!(matches!(save(&stored(0.5), &missing), Err(Error::File { .. })));
    assert!(matches!(load(&missing), Err(Error::File { action: "reading", .. })));
}

/// The child of the test below: stores one calibration after another until it is killed.
#[test]
#[ignore = "run by the kill test in a child process"]
fn child_stores_until_killed() {
    let Some(path) = std::env::var_os("FATHOM_TEST_STORE").map(PathBuf::from) else { return };
    for i in 0.. {
        save(&stored(f64::from(i)), &path).unwrap();
    }
}

#[test]
fn killing_the_writer_at_random_moments_leaves_the_old_file_or_the_new_one() {
    // 25 kills here; FATHOM_TEST_KILLS=200 for the long form.
    let kills = std::env::var("FATHOM_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(25);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("front.toml");
    save(&stored(-1.0), &path).unwrap();
    let mut state = 0x2545_f491_u32;
    let (mut written, mut last) = (0, -1.0);
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_stores_until_killed"])
            .env("FATHOM_TEST_STORE", &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_micros(10_000 + u64::from(state >> 15)));
        // SIGKILL on Unix.
        child.kill().unwrap();
        child.wait().unwrap();
        let found = load(&path).expect("the old file or the new one, whole");
        assert_eq!(found, stored(found.calibration.tau));
        written += usize::from(found.calibration.tau != last);
        last = found.calibration.tau;
    }
    assert!(written * 4 > kills, "the writer was killed before it wrote in {} of {kills} cases", kills - written);
    // The next writer is not disturbed by what a killed one left.
    save(&stored(0.25), &path).unwrap();
    assert_eq!(load(&path).unwrap(), stored(0.25));
}
