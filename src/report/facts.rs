//! What a run has done, in figures: the same that its record on standard output tells. Commands put it here; who is told of a run's end
//! takes it from here, also where the run failed afterwards.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Error;
use jiff::Timestamp;

use crate::exit::Exit;

/// All that is known so far.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The run's id.
    pub run: Option<String>,
    /// What a backup has saved; nothing while nothing is.
    pub saved: Option<Saved>,
    /// What a drill has found; nothing while nothing was tried.
    pub tried: Option<Tried>,
}

/// What is saved.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// Each item.
    pub items: Vec<SavedItem>,
    /// What was read of databases and files, in bytes.
    pub bytes: u64,
    /// What the stores grew by, in bytes.
    pub stored_bytes: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Files that could not be read.
    pub unreadable: u64,
    /// How many old runs were forgotten.
    pub forgotten: u64,
    /// Whether forgetting failed; nothing where it was not tried, as after a backup that shrank.
    pub retention_failed: Option<bool>,
}

/// One item; what its store does not tell is not there.
#[derive(Debug, Clone, Default)]
pub struct SavedItem {
    /// `database shop`, `files /var/www`.
    pub item: String,
    /// What was read to save it.
    pub bytes: Option<u64>,
    /// What its repository grew by.
    pub added_bytes: Option<u64>,
    /// Rows of its tables.
    pub rows: Option<u64>,
}

/// What a drill has found.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    /// Whether everything that was tried is proven.
    pub proven: bool,
    /// Whether that was all that the backup holds.
    pub whole: bool,
    /// When the backup was taken.
    pub taken: Option<Timestamp>,
    /// How long a restore would take, up to its swap.
    pub restore_seconds: Option<f64>,
}

/// Where a command puts its facts; clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<Facts>>);

impl Told {
    /// Changes what is known.
    pub fn tell(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is known now.
    pub fn facts(&self) -> Facts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The end of a run.
#[derive(Debug)]
pub struct Ended<'a> {
    /// `backup`
    pub command: &'static str,
    /// The application; none when the settings do not say it rightly.
    pub app: Option<&'a str>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub exit: Exit,
    /// Why, if it failed.
    pub error: Option<&'a Error>,
    /// What it did.
    pub facts: Facts,
}

impl Ended<'_> {
    /// How long it took.
    pub fn seconds(&self) -> f64 {
        self.ended.duration_since(self.began).as_secs_f64()
    }

    /// Whether it did what it is there for. A backup whose retention failed is one: what it saved is whole, and the retention has an
    /// alarm of its own. One that lacks files is none.
    pub fn is_success(&self) -> bool {
        matches!(self.exit, Exit::Done | Exit::RetentionFailed)
    }
}
