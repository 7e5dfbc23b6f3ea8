//! How far a run is: on a terminal a bar for each step, with bytes, rate and expected end; elsewhere a line a minute, also while nothing
//! moves. Never a bar in a log, and never a log line through a bar: [`Beside`] takes the bars away for it.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::size;
use crate::error::plain;

/// The bars, where somebody sees them.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// How often a step tells where nobody sees bars: a night of hours is some hundred lines.
const PACE: Duration = Duration::from_secs(60);

const TICK: Duration = Duration::from_millis(250);

/// No colours: what they would say, the words say.
const KNOWN: &str =
    "{prefix}  {wide_bar}  {decimal_bytes} of about {decimal_total_bytes}, {decimal_bytes_per_sec}{left} ";
const UNKNOWN: &str = "{prefix}  {decimal_bytes}, {decimal_bytes_per_sec}, {elapsed} ";

/// Shows bars from now on, if standard error is a terminal.
pub(super) fn show() {
    if io::stderr().is_terminal() {
        BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
    }
}

/// A step that moves bytes. Its bar goes with it.
pub struct Step {
    bar: Option<ProgressBar>,
    moved: Arc<Moved>,
    /// Tells once a minute, where there is no bar.
    teller: Option<JoinHandle<()>>,
}

struct Moved {
    item: String,
    began: Instant,
    so_far: Mutex<SoFar>,
}

struct SoFar {
    bytes: u64,
    /// How many there may be in all, the best guess first.
    guesses: Vec<u64>,
}

impl SoFar {
    /// The best guess that was not passed: what was passed is no end.
    fn expected(&self) -> Option<u64> {
        self.guesses.iter().copied().find(|guess| *guess > 0 && *guess >= self.bytes)
    }
}

impl Step {
    /// A step that begins now. `guesses` are bytes that it may take in all, the best one first; each may be too small.
    pub fn begin(item: impl Into<String>, guesses: impl IntoIterator<Item = u64>) -> Step {
        let so_far = SoFar { bytes: 0, guesses: guesses.into_iter().collect() };
        let expected = so_far.expected();
        let moved = Arc::new(Moved { item: item.into(), began: Instant::now(), so_far: Mutex::new(so_far) });
        let bar = BARS.get().map(|bars| {
            // Dressed before it is shown for the first time.
            let bar = ProgressBar::hidden().with_prefix(plain(&moved.item));
            length(&bar, expected);
            let bar = bars.add(bar);
            bar.enable_steady_tick(TICK);
            bar
        });
        let runtime = if bar.is_none() { Handle::try_current().ok() } else { None };
        let teller = runtime.map(|runtime| runtime.spawn(tell(Arc::clone(&moved)).in_current_span()));
        Step { bar, moved, teller }
    }

    /// So many bytes more.
    pub fn advance(&self, bytes: u64) {
        self.change(|so_far| so_far.bytes += bytes);
    }

    /// So many bytes in all; and how many there will be, if that is known by now.
    pub fn reached(&self, bytes: u64, expected: Option<u64>) {
        self.change(|so_far| {
            so_far.bytes = bytes;
            if let Some(expected) = expected.filter(|bytes| *bytes > 0) {
                so_far.guesses = vec![expected];
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut SoFar)) {
        let mut so_far = self.moved.so_far();
        let before = so_far.expected();
        change(&mut so_far);
        if let Some(bar) = &self.bar {
            let expected = so_far.expected();
            if expected != before {
                length(bar, expected);
            }
            bar.set_position(so_far.bytes);
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(teller) = &self.teller {
            teller.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Moved {
    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let (bytes, expected) = {
            let so_far = self.so_far();
            (so_far.bytes, so_far.expected())
        };
        let (item, seconds) = (&self.item, self.began.elapsed().as_secs_f64());
        tracing::info!(item, bytes, seconds, "{item}: {}", line(bytes, expected, seconds));
    }
}

/// For as long as the step lasts: one that waits tells so, too.
async fn tell(moved: Arc<Moved>) {
    loop {
        tokio::time::sleep(PACE).await;
        moved.tell();
    }
}

/// With an end in sight, or without.
fn length(bar: &ProgressBar, expected: Option<u64>) {
    let template = match expected {
        Some(bytes) => {
            bar.set_length(bytes);
            KNOWN
        }
        None => {
            bar.unset_length();
            UNKNOWN
        }
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = match (state.len(), state.eta()) {
                (_, Duration::ZERO) => Ok(()),
                (Some(expected), eta) if has_a_rate(state.pos(), expected) => write!(out, ", {}", left(eta)),
                _ => Ok(()),
            };
        };
        bar.set_style(style.with_key("left", left).progress_chars("=> "));
    }
}

/// Whether it can be told how long the rest takes: of the first hundredth most of the time is that of beginning, or of waiting.
fn has_a_rate(bytes: u64, expected: u64) -> bool {
    bytes > 0 && bytes >= expected / 100
}

/// `1.2 GB so far (20.0 MB/s), about 3 min left`
fn line(bytes: u64, expected: Option<u64>, seconds: f64) -> String {
    let so_far = format!("{} so far{}", size(bytes), super::rate(bytes, seconds));
    match expected.filter(|expected| *expected > bytes && has_a_rate(bytes, *expected)) {
        Some(expected) => {
            let seconds = seconds * (expected - bytes) as f64 / bytes as f64;
            format!("{so_far}, {}", left(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
        }
        None => so_far,
    }
}

/// `about 3 min left`: as coarse as it is uncertain.
fn left(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    match minutes {
        0 | 1 => format!("about {} s left", time.as_secs().max(1)),
        2..120 => format!("about {minutes} min left"),
        _ => format!("about {} h left", minutes.div_ceil(60)),
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
        assert_eq!(line(9_999, Some(1_000_000), 60.0), "9.9 kB so far (166 B/s)", "hours, by a rate that is none");
        assert!(line(10_000, Some(1_000_000), 60.0).ends_with(", about 99 min left"));
        assert!(line(u64::MAX / 50, Some(u64::MAX), f64::MAX).contains(", about "));
    }

    #[test]
    fn what_is_left_is_told_as_coarsely_as_it_is_known() {
        let told = [0, 1, 59, 60, 61, 600, 7140, 7141, 90_000].map(|seconds| left(Duration::from_secs(seconds)));
        let left = ["1 s", "1 s", "59 s", "60 s", "2 min", "10 min", "119 min", "2 h", "25 h"];
        assert_eq!(told, left.map(|left| format!("about {left} left")));
    }

    #[test]
    fn a_guess_that_was_passed_is_no_end_and_the_next_one_may_be() {
        let step = Step::begin("database shop", [10, 5, 30]);
        let expected = || step.moved.so_far().expected();
        assert_eq!(expected(), Some(10));
        step.advance(12);
        assert_eq!(expected(), Some(30));
        step.reached(20, Some(0));
        assert_eq!(expected(), Some(30));
        step.reached(20, Some(25));
        assert_eq!(expected(), Some(25));
        step.advance(20);
        assert_eq!(expected(), None);
    }
}
