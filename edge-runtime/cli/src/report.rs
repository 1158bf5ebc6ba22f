//! What a command found, printed once: as text for people or as one JSON object for programs.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use serde::Serialize;

/// The result of a command.
pub(crate) trait Report: Serialize {
    /// For people; ends without a newline.
    fn text(&self) -> String;

    /// What the program ends with.
    fn exit_code(&self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

/// Prints a report on stdout. A reader that went away (`| head`) is no error.
pub(crate) fn print(report: &impl Report, json: bool) -> anyhow::Result<ExitCode> {
    let text = if json { serde_json::to_string_pretty(report)? } else { report.text() };
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(report.exit_code()),
    }
}

/// Says on stderr why the program failed; with `--json` stdout gets an object too.
pub(crate) fn print_error(error: &anyhow::Error, code: u8, json: bool) {
    eprintln!("fathom: {error:#}");
    if json {
        let object = serde_json::json!({ "error": format!("{error:#}"), "exit_code": code });
        // Nothing is left to do if even this cannot be written.
        let _ = writeln!(std::io::stdout().lock(), "{object:#}");
    }
}

/// A table for people: columns aligned, the first to the left, the others to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |i: usize| rows.iter().map(move |row| row[i].chars().count()).chain([header[i].chars().count()]);
    let widths: Vec<usize> = (0..header.len()).map(|i| cells(i).max().unwrap_or(0)).collect();
    let line = |row: &[&str]| {
        let columns = row.iter().zip(&widths).enumerate();
        let padded = columns.map(|(i, (cell, &width))| if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rule = widths.iter().map(|&width| "-".repeat(width)).collect::<Vec<_>>().join("  ");
    let body = rows.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    [line(header), rule].into_iter().chain(body).collect::<Vec<_>>().join("\n")
}

/// A number with `decimals` digits behind the point, or a dash where it is not known.
pub(crate) fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.decimals$}"))
}

/// Bytes in the unit that reads best.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=9_999_999 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_table_are_as_wide_as_their_widest_cell() {
        let text = table(&["name", "n"], &[vec!["a".into(), "100".into()], vec!["longer".into(), "2".into()]]);
        assert_eq!(text, "name      n\n------  ---\na       100\nlonger    2");
    }
}
