//! What is kept in numbers of a run's end, for Prometheus: `names` says what there is, `values` makes it of a run, `text` is the form,
//! `file` the textfile collector's way. The Pushgateway's is a notifier ([`super::notify`]).
//!
//! Everything is a gauge: a run is a process that ends, so there is nobody who counts.

pub mod file;
pub mod names;
pub mod text;
mod values;

pub use names::{Family, Scope};
pub use values::of;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Which metric.
    pub family: &'static Family,
    /// Of which item, where it is of one.
    pub item: Option<String>,
    /// The value.
    pub value: f64,
}
