//! Log lines on standard error: text for people, JSON for collectors, and every warning once more at the end.

mod json;
mod warned;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

pub use self::warned::Warned;
use super::progress::{self, Beside};
use crate::error::is_unprintable;
use crate::settings::Log;

/// Whether log lines are JSON: then what people read in one list is told one by one, too, with names for its parts.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Parts of events that their words have told already; for JSON alone.
const IN_WORDS: [&str; 8] = ["item", "bytes", "added_bytes", "stored_bytes", "rows", "seconds", "forgotten", "warning"];

/// How lines are to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Their form.
    pub form: Log,
    /// `RUST_LOG`: `debug`, or `bkp=debug,opendal=trace`; without it bkp's own lines, and warnings of what it is made of.
    pub filter: Option<&'a str>,
    /// Whether colours may be; they are on a terminal alone.
    pub colours: bool,
}

/// Sends log lines to standard error, and remembers the warnings.
pub fn start(wanted: Wanted) -> Warned {
    let usual = || Targets::new().with_default(LevelFilter::WARN).with_target("bkp", LevelFilter::INFO);
    let filter: Targets = wanted.filter.and_then(|filter| filter.parse().ok()).unwrap_or_else(usual);
    AS_JSON.store(wanted.form == Log::Json, Ordering::Relaxed);
    let warned = Warned::default();
    if wanted.form == Log::Text {
        progress::show();
    }
    let lines = match wanted.form {
        // Spans are what a line belongs to: a collector needs that in each, whatever is filtered.
        Log::Json => {
            let spans = filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("bkp"));
            let spans = spans.with_max_level_hint(LevelFilter::INFO);
            json::Lines::default().with_filter(filter.or(spans)).boxed()
        }
        // For people, the words name it.
        Log::Text => fmt::layer()
            .with_writer(|| Beside)
            .with_target(false)
            // It would panic where the terminal is gone.
            .log_internal_errors(false)
            .with_ansi(wanted.colours && std::io::stderr().is_terminal())
            .fmt_fields(debug_fn(|writer, field, value| match field.name() {
                "message" => write!(writer, "{}", printable(&format!("{value:?}"))),
                name if IN_WORDS.contains(&name) => Ok(()),
                name => write!(writer, " {name}={}", printable(&format!("{value:?}"))),
            }))
            .with_filter(filter.and(filter_fn(|metadata| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE)))
            .boxed(),
    };
    // A second start, as tests do, keeps the first.
    let _ = registry().with(lines).with(warned.layer()).try_init();
    warned
}

/// What a line of text says, of which a part may be somebody else's: names, a server's words.
fn printable(said: &str) -> String {
    said.replace(|character| is_unprintable(character) && !matches!(character, '\n' | '\t'), "?")
}

/// Whether log lines are JSON.
pub fn is_json() -> bool {
    AS_JSON.load(Ordering::Relaxed)
}
