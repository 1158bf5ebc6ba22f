//! One room a command: its arguments, its report, and `run`, which makes the one from the other.

pub(crate) mod bench;
pub(crate) mod boards;
#[cfg(feature = "gpu")]
pub(crate) mod compare;
pub(crate) mod demo;
pub(crate) mod depth;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod inspect;
pub(crate) mod quantize;
