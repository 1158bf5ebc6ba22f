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
    /// The bytes are not an ONNX file, or one that ends too early.
    #[error("not a readable ONNX file: {0}")]
    Malformed(String),
    /// A node or value of the file breaks a rule of ONNX, or asks for what is not supported.
    #[error("{place}: {message}")]
    BadGraph {
        /// `node "conv1" (Conv)`, `value "w"` or `graph`.
        place: String,
        /// What is wrong, with the number that is.
        message: String,
    },
    /// A file asks for more than [`Limits`](crate::network::import::Limits) allow.
    #[error("{place}: {what} is {got}, the limit is {limit}")]
    OverLimit {
        /// As in [`Error::BadGraph`].
        place: String,
        /// The quantity.
        what: &'static str,
        /// Its value.
        got: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// Facts about the model are neither in the file, nor in a card beside it, nor given.
    #[error(
        "the model card is incomplete; missing: {}. Put them in the file's metadata (`fathom.KEY`), in a TOML beside it, or give the flags {}",
        .missing.join(", "),
        .missing.iter().map(|key| format!("--{}", key.replace('_', "-"))).collect::<Vec<_>>().join(" ")
    )]
    CardIncomplete {
        /// Keys as the TOML and the metadata spell them.
        missing: Vec<&'static str>,
    },
    /// A fact of the model card cannot be read.
    #[error("model card: {key} is {got:?}, expected {expected}")]
    BadCard {
        /// The key.
        key: String,
        /// What it holds.
        got: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// tract could not load or run the network.
    #[cfg(feature = "tract")]
    #[error("tract: {0}")]
    Tract(String),
    /// An output of the network is missing, misshapen or not finite.
    #[error("output {output:?}: {message}")]
    BadOutput {
        /// Name, or what it stands for.
        output: String,
        /// What is wrong, with the number that is.
        message: String,
    },
    /// The backend that was asked for is not to be had.
    #[error("backend {wanted}: {message}")]
    Backend {
        /// `gpu` or `cpu`.
        wanted: &'static str,
        /// What stands in the way.
        message: String,
    },
    /// The GPU refused, failed or is gone.
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Gpu(#[from] fathom_gpu::Error),
    /// A value, shape or frame broke a rule of core.
    #[error(transparent)]
    Core(#[from] fathom_core::Error),
}
