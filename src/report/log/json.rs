//! One JSON object a line, flat: `timestamp`, `level`, `message`, what the event tells, and what it belongs to: `command`, `app`, `run`, `item`.
//!
//! Not tracing-subscriber's own: its objects hold spans as a list of lists, where a collector cannot ask for the lines of one run.

use std::fmt;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The span that the whole process is: what is said beside it, by tasks of its own, belongs to it, too.
const RUN: &str = "run";

/// Writes lines to standard error.
#[derive(Default)]
pub struct Lines {
    run: Mutex<Map<String, Value>>,
}

impl Lines {
    fn run(&self) -> std::sync::MutexGuard<'_, Map<String, Value>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of an event with what its spans tell; the nearest word holds.
    fn line(&self, level: &str, event: Map<String, Value>, spans: impl Iterator<Item = Map<String, Value>>) -> String {
        let mut time = String::new();
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let mut event = event;
        let message = event.remove("message").unwrap_or_default();
        let mut line =
            format!("{{\"timestamp\":{},\"level\":{},\"message\":{message}", Value::from(time), Value::from(level));
        for (name, value) in spans.chain(std::iter::once(self.run().clone())).flatten() {
            event.entry(name).or_insert(value);
        }
        for (name, value) in event {
            line.push_str(&format!(",{}:{value}", Value::from(name)));
        }
        line.push_str("}\n");
        line
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut told = Told::default();
        attributes.record(&mut told);
        let Some(span) = context.span(id) else { return };
        match span.name() {
            RUN => self.run().extend(told.0),
            _ => drop(span.extensions_mut().replace(told)),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut told = Told::default();
        values.record(&mut told);
        if context.span(id).is_some_and(|span| span.name() == RUN) {
            self.run().extend(told.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        let spans = context.event_scope(event).into_iter().flatten();
        let spans = spans.filter_map(|span| span.extensions().get::<Told>().map(|told| told.0.clone()));
        let line = self.line(event.metadata().level().as_str(), told.0, spans);
        // In one piece, so that lines of several threads stay lines; nobody is left to be told that this fails.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Fields as JSON has them.
#[derive(Default)]
struct Told(Map<String, Value>);

impl Told {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_flat_object_and_the_nearest_word_holds() {
        let map = |text: &str| serde_json::from_str::<Map<String, Value>>(text).expect("an object");
        let lines = Lines::default();
        lines.run().extend(map(r#"{"run":"R","app":"shop"}"#));
        let event = map(r#"{"message":"a \"b\"\nc","bytes":3,"app":"other"}"#);
        let line = lines.line("INFO", event, std::iter::once(map(r#"{"item":"files /x"}"#)));
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        let line = map(&line);
        assert_eq!(
            (&line["message"], &line["item"], &line["run"]),
            (&"a \"b\"\nc".into(), &"files /x".into(), &"R".into())
        );
        assert_eq!((&line["app"], &line["bytes"], &line["level"]), (&"other".into(), &3.into(), &"INFO".into()));
    }
}
