//! Exit codes: 0 ok, 1 failed, 2 usage (clap's own), 3 refused.

use fathom_calibration::Error as CalibrationError;
use fathom_runtime::Error as RuntimeError;

/// What was asked for could be done, but its result could not be trusted or is not supported.
#[derive(Debug, thiserror::Error)]
#[error("refused: {0}")]
pub(crate) struct Refusal(pub(crate) String);

/// Something failed.
pub(crate) const FAILED: u8 = 1;
/// See [`Refusal`].
pub(crate) const REFUSED: u8 = 3;

/// The exit code that an error deserves.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    let refused = error.chain().any(|cause| {
        cause.is::<Refusal>()
            || cause.downcast_ref::<RuntimeError>().is_some_and(is_refusal)
            || matches!(cause.downcast_ref(), Some(CalibrationError::Foreign { .. }))
    });
    if refused { REFUSED } else { FAILED }
}

fn is_refusal(error: &RuntimeError) -> bool {
    match error {
        RuntimeError::UnsupportedOp { .. } => true,
        #[cfg(feature = "gpu")]
        RuntimeError::Gpu(error) => matches!(error, fathom_gpu::Error::SoftwareOnly { .. }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_operator_is_a_refusal_however_deep_it_lies() {
        let error = RuntimeError::UnsupportedOp { op: "NonZero".into(), node: "n".into(), detail: String::new() };
        assert_eq!(code_of(&anyhow::Error::from(error).context("reading a.onnx")), REFUSED);
        assert_eq!(code_of(&Refusal("no".into()).into()), REFUSED);
        assert_eq!(code_of(&anyhow::anyhow!("disk full")), FAILED);
    }
}
