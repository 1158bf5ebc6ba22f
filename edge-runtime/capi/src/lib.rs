//! The C ABI of Fathom: `libfathom`, `include/fathom.h`.
//!
//! One shape for every function: arguments are checked, a panic becomes a status ([`status::FathomStatus::Panic`]), outputs are
//! written only on success, and [`error::fathom_last_error`] gives the text. Handles are created and destroyed by the
//! caller; a handle may be used by one thread at a time, different handles by different threads.
//!
//! The checked-in header is held to this source by `tests/header.rs`.

pub mod engine;
pub mod error;
pub mod frame;
mod guard;
pub mod status;
