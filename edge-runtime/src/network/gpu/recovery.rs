//! A lost device is set up once more, and no more than once.

use crate::{Error, Result};

/// What `attempt` gives; if the device is lost meanwhile, what it gives after `rebuild`. Lost again, that is the error.
pub(super) fn once_more<E, T>(
    executor: &mut E,
    rebuild: impl FnOnce(&mut E) -> Result<()>,
    mut attempt: impl FnMut(&mut E) -> Result<T>,
) -> Result<T> {
    match attempt(executor) {
        Err(Error::Gpu(fathom_gpu::Error::Lost { message, .. })) => {
            log::warn!("device lost ({message}); setting it up once more");
            rebuild(executor)?;
            attempt(executor)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(why: &str) -> Error {
        fathom_gpu::Error::Lost { adapter: "test".into(), message: why.into() }.into()
    }

    /// Runs attempts that end as listed; returns the result and how often was attempted and rebuilt.
    fn run(ends: Vec<Result<u8>>, rebuilt: Result<()>) -> (Result<u8>, [usize; 2]) {
        let (mut counts, mut ends, mut rebuilt) = ([0, 0], ends.into_iter(), Some(rebuilt));
        let result = once_more(
            &mut counts,
            |counts| {
                counts[1] += 1;
                rebuilt.take().unwrap_or(Ok(()))
            },
            |counts| {
                counts[0] += 1;
                ends.next().unwrap_or(Ok(0))
            },
        );
        (result, counts)
    }

    #[test]
    fn a_device_that_is_lost_once_is_rebuilt_and_one_that_is_lost_again_is_an_error() {
        let (result, counts) = run(vec![Ok(7)], Ok(()));
        assert_eq!((result.ok(), counts), (Some(7), [1, 0]));
        let (result, counts) = run(vec![Err(lost("first")), Ok(7)], Ok(()));
        assert_eq!((result.ok(), counts), (Some(7), [2, 1]));
        let (result, counts) = run(vec![Err(lost("first")), Err(lost("second")), Ok(7)], Ok(()));
        assert_eq!(counts, [2, 1]);
        assert_eq!(result.map_err(|error| error.to_string()), Err(lost("second").to_string()));
    }

    #[test]
    fn what_is_no_loss_and_a_rebuild_that_fails_are_errors_at_once() {
        let refused = || Error::Gpu(fathom_gpu::Error::Refused { what: "a command".into(), message: "no".into() });
        let (result, counts) = run(vec![Err(refused()), Ok(7)], Ok(()));
        assert_eq!((result.is_err(), counts), (true, [1, 0]));
        let (result, counts) = run(vec![Err(lost("first")), Ok(7)], Err(refused()));
        assert_eq!(counts, [1, 1]);
        assert_eq!(result.map_err(|error| error.to_string()), Err(refused().to_string()));
    }
}
