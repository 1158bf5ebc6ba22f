//! The checked-in header is what cbindgen makes of the sources.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

#[test]
fn the_header_is_what_the_sources_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in ["status.rs", "error.rs", "frame.rs", "engine.rs"] {
        builder = builder.with_src(root.join("src").join(source));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let checked_in = std::fs::read_to_string(root.join("include/fathom.h")).unwrap_or_default();
    if made != checked_in {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fathom.h");
        std::fs::write(&fresh, made).unwrap();
        panic!("include/fathom.h differs from the sources; review and copy {}", fresh.display());
    }
}
