//! The errors of `fathom-core`: every variant names the value and the limit it broke.

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a value could not be made or an operation not be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A buffer does not hold as many elements as its description says.
    #[error("{what} holds {got} elements, expected {expected}")]
    Length {
        /// The argument.
        what: &'static str,
        /// Elements it holds.
        got: usize,
        /// Elements its description asks for.
        expected: usize,
    },
    /// A width, height or area is zero or above the limit.
    #[error("size {width} x {height} is outside 1 x 1 .. {limit_px} pixels")]
    BadSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Largest area accepted, pixels.
        limit_px: usize,
    },
    /// A row stride is smaller than a row.
    #[error("stride of {stride_bytes} bytes is smaller than a row of {row_bytes} bytes")]
    BadStride {
        /// Stride given, bytes.
        stride_bytes: usize,
        /// Bytes of one row without padding.
        row_bytes: usize,
    },
    /// A chroma-subsampled format needs even dimensions.
    #[error("{format} needs an even {axis}, got {got}")]
    OddSize {
        /// Name of the pixel format.
        format: &'static str,
        /// `"width"` or `"height"`.
        axis: &'static str,
        /// The odd value.
        got: u32,
    },
    /// A number is outside the range that makes sense for it.
    #[error("{what} is {got}, allowed is {allowed}")]
    OutOfRange {
        /// The argument.
        what: &'static str,
        /// Its value, printed.
        got: String,
        /// The range, printed.
        allowed: &'static str,
    },
    /// Two shapes that must agree do not.
    #[error("{what}: shape {got:?} does not fit {expected:?}")]
    Shape {
        /// The operation and argument.
        what: &'static str,
        /// Shape given.
        got: Vec<usize>,
        /// Shape asked for.
        expected: Vec<usize>,
    },
    /// A tensor holds another element type than the operation takes.
    #[error("{what}: element type {got} where {expected} is needed")]
    ElementType {
        /// The operation and argument.
        what: &'static str,
        /// Element type given.
        got: &'static str,
        /// Element type asked for.
        expected: &'static str,
    },
    /// The model failed to predict (message of the executor, which core does not know).
    #[error("model {model:?} failed: {message}")]
    Model {
        /// Name in the model's card.
        model: String,
        /// What the executor said.
        message: String,
    },
}
