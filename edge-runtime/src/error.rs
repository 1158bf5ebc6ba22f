//! The errors of `fathom-runtime`: every variant names the node or value and the limit it broke.

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a network could not be imported, planned or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The graph asks for an operator outside the supported set.
    #[error("operator {op:?} (node {node:?}) is not supported{detail}; `fathom inspect` lists what a file uses")]
    UnsupportedOp {
        /// Operator as the file spells it.
        op: String,
        /// Node's name.
        node: String,
        /// Empty, or what about it is not supported, starting with `: `.
        detail: String,
    },
    /// A value, shape or frame broke a rule of core.
    #[error(transparent)]
    Core(#[from] fathom_core::Error),
}
