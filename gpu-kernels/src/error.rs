//! The errors of `fathom-gpu`: every variant names the device or kernel, the value and the limit.

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a device could not be opened or a frame not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No adapter fits the policy.
    #[error("no Vulkan device {wanted}; present: {present}")]
    NoAdapter {
        /// What was looked for.
        wanted: String,
        /// Names of the adapters that exist, or `none`.
        present: String,
    },
    /// Only software devices exist and none was asked for by name.
    #[error("the only Vulkan devices compute in software ({present}); name one to use it")]
    SoftwareOnly {
        /// Their names.
        present: String,
    },
    /// The adapter gave no device.
    #[error("device {adapter:?} could not be opened: {message}")]
    Open {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        message: String,
    },
    /// A buffer did not fit.
    #[error("{what} needs {needed_bytes} bytes, {}", allowance(*limit_bytes))]
    OutOfMemory {
        /// The buffer.
        what: String,
        /// Bytes asked for.
        needed_bytes: u64,
        /// The device's limit, or 0 where the driver ran out without naming one.
        limit_bytes: u64,
    },
    /// A launch exceeds a limit of the device.
    #[error("kernel {kernel} needs {needed} {what}, the device allows {limit}")]
    Limit {
        /// The kernel.
        kernel: &'static str,
        /// Which limit.
        what: &'static str,
        /// What the launch asks for.
        needed: u64,
        /// What the device allows.
        limit: u64,
    },
    /// A kernel wants what this device has not.
    #[error("kernel {kernel} needs {feature}, which {adapter:?} has not")]
    Feature {
        /// The kernel.
        kernel: &'static str,
        /// The feature's name.
        feature: &'static str,
        /// Name of the adapter.
        adapter: String,
    },
    /// The driver or wgpu refused a command: a bug of this crate or of the driver.
    #[error("{what} was refused: {message}")]
    Refused {
        /// The kernel or buffer.
        what: String,
        /// wgpu's message.
        message: String,
    },
    /// The device is gone; everything on it must be made anew.
    #[error("device {adapter:?} was lost: {message}")]
    Lost {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        message: String,
    },
    /// An argument does not have the length its description asks for.
    #[error("{what} holds {got} bytes, expected {expected}")]
    Length {
        /// The argument.
        what: &'static str,
        /// Bytes it holds.
        got: u64,
        /// Bytes asked for.
        expected: u64,
    },
}

/// What a device allows, in words.
fn allowance(limit_bytes: u64) -> String {
    if limit_bytes == 0 { "the device ran out of memory".to_owned() } else { format!("the device allows {limit_bytes}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_is_told_from_memory_that_is_not_allowed() {
        let error = |limit_bytes| Error::OutOfMemory { what: "arena".into(), needed_bytes: 9000, limit_bytes }.to_string();
        assert_eq!(error(4096), "arena needs 9000 bytes, the device allows 4096");
        assert_eq!(error(0), "arena needs 9000 bytes, the device ran out of memory");
    }
}
