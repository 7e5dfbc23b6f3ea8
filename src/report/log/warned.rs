//! Warnings, gathered for the end: among a night's lines nobody sees one in the middle.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// More than these are counted only: a directory may have thousands of files that cannot be read.
const SHOWN: usize = 20;

/// What was warned of; clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Warned(Arc<Mutex<Vec<String>>>);

impl Warned {
    /// What fills it, whatever the log's filter lets through.
    pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        // What libraries warn of is theirs, and often of no consequence. Without a filter, everything finer would be made for nobody.
        Gather(self.clone()).with_filter(Targets::new().with_target("bkp", LevelFilter::WARN))
    }

    /// Says them once more: as information, so that who counts warnings counts each once.
    pub fn again(&self) {
        for line in lines(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            tracing::info!("{line}");
        }
    }
}

/// `1 warning: …`; of several each has its number.
fn lines(warned: &[String]) -> Vec<String> {
    let count = warned.len();
    let mut lines: Vec<String> = match warned {
        [one] => vec![format!("1 warning: {one}")],
        several => {
            let numbered = several.iter().take(SHOWN).enumerate();
            numbered.map(|(at, one)| format!("warning {} of {count}: {one}", at + 1)).collect()
        }
    };
    if count > SHOWN {
        lines.push(format!("{} more warnings stand above", count - SHOWN));
    }
    lines
}

struct Gather(Warned);

impl<S: Subscriber> Layer<S> for Gather {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() != Level::WARN {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        let mut warned = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned.contains(&message.0) {
            warned.push(message.0);
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_warning_is_a_line_and_thousands_are_counted() {
        let warned = |count: usize| -> Vec<String> { (0..count).map(|number| format!("w{number}")).collect() };
        assert!(lines(&warned(0)).is_empty());
        assert_eq!(lines(&warned(1)), ["1 warning: w0"]);
        assert_eq!(lines(&warned(2)), ["warning 1 of 2: w0", "warning 2 of 2: w1"]);
        assert_eq!(lines(&warned(5000)).last().map(String::as_str), Some("4980 more warnings stand above"));
        assert_eq!(lines(&warned(5000)).len(), SHOWN + 1);
    }
}
