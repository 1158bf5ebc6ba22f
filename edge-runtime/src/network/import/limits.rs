//! What an ONNX file may ask for. A file above a limit is refused with the limit's name and value.

/// Bounds on untrusted files. [`Limits::STANDARD`] fits every network that a robot's board runs.
///
/// Two of them are not here because they follow from the file: small messages of the protobuf are bounded by its size
/// (one per eight bytes), and so is what constant folding may produce ([`Limits::folded_bytes`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file, and of all external data together.
    pub file_bytes: u64,
    /// Nodes in the file.
    pub nodes: u64,
    /// Axes of a value.
    pub rank: u64,
    /// Elements of one value that depends on the image, whatever the image's size.
    pub elements: u64,
    /// Elements of one value that depends on the image, for each element of the image (at least 2^20 are always allowed).
    /// The largest in published depth networks is about 45 (a 32-channel map at full size in Depth Anything V2).
    pub elements_per_input: u64,
    /// Elements of all values together, for each element of the image.
    pub total_elements_per_input: u64,
    /// Multiplications or window taps of all nodes together, for each element of the image. LeReS ResNet-50 has about 160,000.
    pub macs_per_input: u64,
    /// Largest extent of a window, stride, dilation, padding or group count.
    pub window: u64,
}

impl Limits {
    /// The limits that apply unless a caller gives others.
    pub const STANDARD: Self = Self {
        file_bytes: 1 << 30,
        nodes: 1 << 16,
        rank: 8,
        elements: 1 << 28,
        elements_per_input: 1 << 10,
        total_elements_per_input: 1 << 16,
        macs_per_input: 1 << 22,
        window: 1 << 14,
    };

    /// Bytes that constant folding may produce in total for a file of `file_bytes`: four times its size and one MiB.
    ///
    /// The MiB lets tiny files hold the shape arithmetic that exporters write; the factor lets each weight be cast,
    /// transposed and reshaped once.
    #[must_use]
    pub const fn folded_bytes(file_bytes: u64) -> u64 {
        file_bytes.saturating_mul(4).saturating_add(1 << 20)
    }

    /// Messages (nodes, attributes, tensors, inputs) that a file of `file_bytes` may hold. The shortest sensible one takes 13 bytes.
    #[must_use]
    pub const fn messages(file_bytes: u64) -> u64 {
        file_bytes / 8 + 64
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::STANDARD
    }
}
