//! Progress bars on stderr; nothing where stderr is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `steps` items, with the time left and a message.
pub(crate) fn bar(steps: usize, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    let style = ProgressStyle::with_template("{prefix:>12} {bar:32} {pos}/{len} {eta} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(what.to_owned());
    bar
}
