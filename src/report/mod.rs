//! What people and machines see: log lines on standard error, results on standard output. Nothing else prints.

pub mod facts;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod progress;
mod termination;

use std::io::{BufRead, ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::error::statements::{Failed, failures_of};
use crate::error::{advice_of, exit_of, plain};

pub use termination::{start as start_last_words, write as last_words};

/// Prints a result as JSON on standard output.
///
/// # Errors
/// When standard output takes nothing; a reader that went away early is none.
pub fn json(record: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_string(record)?;
    line.push('\n');
    text(&line)
}

/// Prints a result as text on standard output.
///
/// # Errors
/// When standard output takes nothing; a reader that went away early (`| head -1`) is none: what was done is done.
pub fn text(text: &str) -> Result<()> {
    let mut out = output();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_else(unless_gone)
}

/// Why standard output took nothing, unless its reader went away.
///
/// # Errors
/// That.
pub fn unless_gone(error: std::io::Error) -> Result<()> {
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error).context("writing to standard output") }
}

/// Standard output, for results that are longer than memory.
pub fn output() -> impl Write {
    std::io::stdout().lock()
}

/// An error and its causes, as one text.
pub fn said(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        // Libraries repeat their source in their own words.
        if !said.iter().any(|before| before.contains(&cause)) {
            said.push(cause);
        }
    }
    said.join(": ")
}

/// Whether whoever reads standard output sees colours, and wants to.
pub fn has_colours(no_color: bool) -> bool {
    !no_color && std::io::stdout().is_terminal()
}

/// Tells an error, its causes and what to do: once, at the edge.
pub fn error(error: &anyhow::Error) {
    let said = said(error);
    tracing::error!("{said}");
    let advice = advice_of(error);
    last_words(exit_of(error), &said, &advice);
    for one in failures_of(error).filter(|_| log::is_json()).iter().flat_map(|failures| &failures.listed) {
        let Failed { code, statement, kind, name, line, more, .. } = one;
        tracing::error!(code, statement, kind, name, line, more, "failed: {}", one.message);
    }
    for hint in advice {
        tracing::error!("hint: {hint}");
    }
}

/// Asks on a terminal; without one the answer is yes, because nobody is there, and because a restore can be gone back on.
///
/// # Errors
/// When the terminal is gone.
pub async fn confirmed(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(true);
    }
    let mut err = std::io::stderr();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    // A thread that nobody waits for: a signal at the question ends the run, and log lines are not kept from the terminal.
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let _ = tell.send(read.map(|_| answer));
    });
    let answer = told.await??;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

/// Lines of cells below a heading, each column as wide as its widest cell; those that say nothing (`-`) are left out.
pub fn table<const N: usize>(lines: impl Iterator<Item = [String; N]>) -> String {
    let lines: Vec<[String; N]> = lines.map(|line| line.map(|cell| plain(&cell))).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    // What a kind of repository does not know would be a column of dashes.
    let is_told = |column: &usize| lines.iter().skip(1).any(|line| line[*column] != "-");
    let columns: Vec<usize> = (0..N).filter(is_told).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            columns.iter().map(|&column| format!("{:width$}", line[column], width = widths[column])).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `1.5 GB`: decimal units, as stores bill them.
pub fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut unit, mut whole, mut tenths) = (0, bytes, 0);
    while whole >= 1000 && unit < units.len() - 1 {
        tenths = (whole % 1000) / 100;
        whole /= 1000;
        unit += 1;
    }
    if unit == 0 { format!("{whole} B") } else { format!("{whole}.{tenths} {}", units[unit]) }
}

/// `12.5 MB/s`; nothing of what was over at once, or empty.
pub fn rate(bytes: u64, seconds: f64) -> String {
    if bytes == 0 || seconds < 0.05 { String::new() } else { format!(" ({}/s)", size((bytes as f64 / seconds) as u64)) }
}

#[cfg(test)]
mod tests {
    use super::{rate, size};

    #[test]
    fn a_rate_is_told_where_there_is_one() {
        assert_eq!(rate(3_000_000, 2.0), " (1.5 MB/s)");
        assert_eq!(rate(3_000_000, 0.0) + &rate(0, 9.0), "");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!([0, 999, 1000, 1_550_000, 2_000_000_000].map(size), ["0 B", "999 B", "1.0 kB", "1.5 MB", "2.0 GB"]);
    }
}
