//! What stands around every function that can fail: a panic becomes a status, an error becomes a status and a text.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Failure, remember};
use crate::status::FathomStatus;

/// Runs `call`; whatever it throws stays on this side of the border.
pub(crate) fn guard(call: impl FnOnce() -> Result<(), Failure>) -> FathomStatus {
    // A handle whose call panicked is only good for destroying, which the status says.
    let outcome = catch_unwind(AssertUnwindSafe(call));
    let failure = match outcome {
        Ok(Ok(())) => return FathomStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(payload) => Failure::new(FathomStatus::Panic, format!("panic: {}", message(payload.as_ref()))),
    };
    remember(failure.text);
    failure.status
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::fathom_last_error;

    fn last_error() -> String {
        let mut buffer = [0_u8; 64];
        // SAFETY: the buffer is valid for its length.
        let length = unsafe { fathom_last_error(buffer.as_mut_ptr().cast(), buffer.len()) };
        String::from_utf8_lossy(&buffer[..length.min(63)]).into_owned()
    }

    #[test]
    fn a_panic_becomes_a_status_and_its_text_is_kept() {
        assert_eq!(guard(|| panic!("seven")), FathomStatus::Panic);
        assert_eq!(last_error(), "panic: seven");
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_its_whole_length_returned() {
        assert_eq!(guard(|| Err(Failure::new(FathomStatus::Failed, "aé"))), FathomStatus::Failed);
        let mut buffer = [1_u8; 3];
        // SAFETY: the buffer is valid for its length.
        let length = unsafe { fathom_last_error(buffer.as_mut_ptr().cast(), buffer.len()) };
        assert_eq!((length, buffer), (3, [b'a', 0, 1]));
    }
}
