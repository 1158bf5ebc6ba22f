//! The program's clock: the libraries have none and are timed from here.

use std::collections::BTreeMap;
use std::time::Instant;

/// Time since it was made or last asked.
pub(crate) struct Stopwatch {
    last: Instant,
}

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "the program owns the clock")]
    pub(crate) fn start() -> Self {
        Self { last: Instant::now() }
    }

    /// Milliseconds since the last lap, which goes on.
    pub(crate) fn elapsed_ms(&self) -> f64 {
        self.last.elapsed().as_secs_f64() * 1e3
    }

    /// Milliseconds since the last lap.
    pub(crate) fn lap_ms(&mut self) -> f64 {
        let ms = self.elapsed_ms();
        *self = Self::start();
        ms
    }
}

/// Milliseconds per stage, as JSON's `ms` holds them.
pub(crate) type StageTimes = BTreeMap<&'static str, f64>;

/// Seconds since 1970, or 0 where the machine's clock stands before that.
#[expect(clippy::disallowed_methods, reason = "the program owns the clock")]
pub(crate) fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
