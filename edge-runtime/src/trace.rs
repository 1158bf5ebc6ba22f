//! The stages of one inference, so that a caller with a clock can time them: this library has none.

/// One stage. They run in the order of [`Stage::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Frame to tensor.
    Preprocess,
    /// The network itself.
    Network,
    /// Tensor to depth at the frame's size.
    Postprocess,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 3] = [Self::Preprocess, Self::Network, Self::Postprocess];

    /// Name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preprocess => "preprocess",
            Self::Network => "network",
            Self::Postprocess => "postprocess",
        }
    }
}

/// Told of each stage right after it ended.
pub type Observer<'a> = dyn FnMut(Stage) + 'a;
