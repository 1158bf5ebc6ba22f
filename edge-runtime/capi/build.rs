//! Names the shared library for the loader: `libfathom.so.MAJOR`.
#![allow(clippy::disallowed_methods, reason = "cargo talks to build scripts through the environment")]

fn main() {
    let major = std::env!("CARGO_PKG_VERSION_MAJOR");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfathom.so.{major}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
