//! How far a run is: on a terminal a bar for each step, with bytes, rate and expected end; elsewhere a line a minute. Never a bar in a log,
//! and never a log line through a bar: [`Beside`] takes the bars away for it.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::size;
use crate::error::plain;

/// The bars, where somebody sees them.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// How often a step tells where nobody sees bars: a night of hours is some hundred lines.
const PACE: Duration = Duration::from_secs(60);

const TICK: Duration = Duration::from_millis(250);

/// No colours: what they would say, the words say.
const KNOWN: &str = "{prefix}  {wide_bar}  {bytes} of about {total_bytes}, {bytes_per_sec}, {eta} left ";
const UNKNOWN: &str = "{prefix}  {bytes}, {bytes_per_sec}, {elapsed} ";

/// Shows bars from now on, if standard error is a terminal.
pub(super) fn show() {
    if io::stderr().is_terminal() {
        BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
    }
}

/// A step that moves bytes. Its bar goes with it.
pub struct Step {
    item: String,
    bar: Option<ProgressBar>,
    began: Instant,
    so_far: Mutex<SoFar>,
}

struct SoFar {
    bytes: u64,
    expected: Option<u64>,
    told: Instant,
}

impl Step {
    /// A step that begins now; `expected` bytes are a guess, which may be too small.
    pub fn begin(item: impl Into<String>, expected: Option<u64>) -> Step {
        let (item, began) = (item.into(), Instant::now());
        let expected = expected.filter(|bytes| *bytes > 0);
        let bar = BARS.get().map(|bars| {
            // Dressed before it is shown for the first time.
            let bar = ProgressBar::hidden().with_prefix(plain(&item));
            length(&bar, expected);
            let bar = bars.add(bar);
            bar.enable_steady_tick(TICK);
            bar
        });
        Step { item, bar, began, so_far: Mutex::new(SoFar { bytes: 0, expected, told: began }) }
    }

    /// So many bytes more.
    pub fn advance(&self, bytes: u64) {
        self.change(|so_far| so_far.bytes += bytes);
    }

    /// So many bytes in all; and how many there will be, if that is known by now.
    pub fn reached(&self, bytes: u64, expected: Option<u64>) {
        self.change(|so_far| {
            so_far.bytes = bytes;
            so_far.expected = expected.filter(|bytes| *bytes > 0).or(so_far.expected);
        });
    }

    fn change(&self, change: impl FnOnce(&mut SoFar)) {
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        let before = so_far.expected;
        change(&mut so_far);
        if let Some(bar) = &self.bar {
            // What was expected was a guess: an end that was passed is none.
            let expected = so_far.expected.filter(|expected| *expected >= so_far.bytes);
            if expected != before || expected.is_none() {
                so_far.expected = expected;
                length(bar, expected);
            }
            bar.set_position(so_far.bytes);
        } else if so_far.told.elapsed() >= PACE {
            so_far.told = Instant::now();
            let (bytes, seconds) = (so_far.bytes, self.began.elapsed().as_secs_f64());
            tracing::info!(
                item = self.item,
                bytes,
                seconds,
                "{}: {}",
                self.item,
                line(bytes, so_far.expected, seconds)
            );
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// With an end in sight, or without.
fn length(bar: &ProgressBar, expected: Option<u64>) {
    let (template, length) = match expected {
        Some(bytes) => (KNOWN, Some(bytes)),
        None => (UNKNOWN, None),
    };
    match length {
        Some(bytes) => bar.set_length(bytes),
        None => bar.unset_length(),
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

/// `1.2 GB so far (20.0 MB/s), about 3 min left`
fn line(bytes: u64, expected: Option<u64>, seconds: f64) -> String {
    let so_far = format!("{} so far{}", size(bytes), super::rate(bytes, seconds));
    match expected.filter(|expected| *expected > bytes && bytes > 0) {
        Some(expected) => {
            let left = seconds * (expected - bytes) as f64 / bytes as f64;
            format!("{so_far}, about {:.0} min left", (left / 60.0).ceil())
        }
        None => so_far,
    }
}

/// Standard error, beside the bars.
pub(super) struct Beside;

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write_all(bytes).map(|()| bytes.len());
        match BARS.get() {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_left_while_that_can_be_told() {
        assert_eq!(line(600_000_000, Some(2_400_000_000), 60.0), "600.0 MB so far (10.0 MB/s), about 3 min left");
        assert_eq!(line(600_000_000, Some(500_000_000), 60.0), "600.0 MB so far (10.0 MB/s)");
        assert_eq!(line(0, Some(5), 60.0), "0 B so far");
    }

    #[test]
    fn a_guess_that_was_passed_is_no_end() {
        let step = Step::begin("database shop", Some(10));
        step.advance(4);
        step.advance(8);
        step.reached(20, Some(0));
        assert_eq!(step.so_far.lock().expect("a step").bytes, 20);
    }
}
