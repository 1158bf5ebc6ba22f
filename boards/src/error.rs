//! The errors of `fathom-boards`.

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No embedded profile has this name.
    #[error("no board is called {name:?}; known are {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A text is not a profile.
    #[error("board profile: {0}")]
    Profile(#[from] toml::de::Error),
    /// A number of a profile makes no sense.
    #[error("board {board:?}: {key} is {got}, allowed is {allowed}")]
    OutOfRange {
        /// Name of the profile.
        board: String,
        /// The key.
        key: &'static str,
        /// Its value.
        got: String,
        /// What it may be.
        allowed: &'static str,
    },
}
