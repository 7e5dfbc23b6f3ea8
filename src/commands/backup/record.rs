//! What a backup says at its end, to people and to machines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::parts::Kept;
use super::plan::Plan;
use super::{Saved, databases_of};
use crate::commands::{Context, Run};
use crate::error::hints_of;
use crate::exit::Exit;
use crate::report;
use crate::report::facts::{self, SavedItem};
use crate::sources::Item;

/// The record of a backup.
#[derive(Serialize)]
pub struct Record<'a> {
    command: &'static str,
    run: &'a str,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Kept]>::is_empty")]
    snapshots: &'a [Kept],
    databases: Vec<String>,
    #[serde(skip_serializing_if = "<[PathBuf]>::is_empty")]
    files: &'a [PathBuf],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    unreadable: &'a [String],
    rows: u64,
    sql_bytes: u64,
    stored_bytes: u64,
    seconds: f64,
    forgotten: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_error: Option<String>,
    #[serde(skip)]
    retention_hints: Vec<String>,
    #[serde(skip)]
    saved: &'a Saved,
}

impl<'a> Record<'a> {
    /// Gathers what happened.
    pub fn new(
        run: &'a Run,
        app: &'a str,
        plan: &'a Plan,
        saved: &'a Saved,
        forgotten: &'a Result<Vec<String>>,
        now: Timestamp,
    ) -> Record<'a> {
        let mut databases = databases_of(saved);
        databases.sort_unstable();
        databases.dedup();
        let in_restic: u64 = saved.kept.iter().map(|kept| kept.added_bytes).sum();
        let object = saved.object.as_ref();
        let of_items = saved.kept.iter().filter(|kept| !matches!(kept.item, Item::Files(_)));
        let read: u64 = of_items.map(|kept| kept.bytes).sum();
        Record {
            command: "backup",
            run: &run.id,
            app,
            object: object.map(|(object, _)| object.name.as_str()),
            snapshots: &saved.kept,
            databases,
            files: &plan.roots,
            unreadable: &saved.unreadable,
            rows: saved.rows,
            sql_bytes: object.map_or(read, |(_, seal)| seal.bytes),
            stored_bytes: object.map_or(0, |(object, _)| object.bytes) + in_restic,
            seconds: now.duration_since(run.began).as_secs_f64(),
            forgotten: forgotten.as_deref().unwrap_or_default(),
            retention_error: forgotten.as_ref().err().map(|error| format!("{error:#}")),
            retention_hints: forgotten.as_ref().err().map(hints_of).unwrap_or_default(),
            saved,
        }
    }

    fn file_bytes(&self) -> u64 {
        let trees = self.snapshots.iter().filter(|kept| matches!(kept.item, Item::Files(_)));
        trees.map(|kept| kept.bytes).sum()
    }

    /// What was read.
    fn bytes(&self) -> u64 {
        self.sql_bytes + self.file_bytes()
    }

    /// The same in figures, for metrics and whoever else is told of the run's end.
    fn facts(&self, exit: Exit) -> facts::Saved {
        let mut items: BTreeMap<String, SavedItem> = BTreeMap::new();
        let sealed = self.saved.object.iter();
        let sealed = sealed.flat_map(|(_, seal)| seal.databases.iter().map(move |one| (seal, one)));
        for (seal, (name, database)) in sealed {
            let item = Item::Database(name.clone()).to_string();
            let (rows, bytes) = (Some(database.tables.values().sum()), seal.database_bytes.get(name).copied());
            items.insert(item.clone(), SavedItem { item, bytes, rows, added_bytes: None });
        }
        for Kept { item, bytes, added_bytes, rows, .. } in self.snapshots {
            let item = item.to_string();
            let (bytes, added_bytes) = (Some(*bytes), Some(*added_bytes));
            items.insert(item.clone(), SavedItem { item, bytes, added_bytes, rows: *rows });
        }
        facts::Saved {
            items: items.into_values().collect(),
            bytes: self.bytes(),
            stored_bytes: self.stored_bytes,
            rows: self.rows,
            unreadable: self.unreadable.len() as u64,
            forgotten: self.forgotten.len() as u64,
            retention_failed: (exit != Exit::Failed).then_some(self.retention_error.is_some()),
        }
    }

    /// Says it, to whoever watches or asks Kubernetes too. As JSON only where the run did not fail: then the error is its end.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn say(&self, context: &Context, exit: Exit) -> Result<()> {
        context.told.tell(|facts| facts.saved = Some(self.facts(exit)));
        let saved = self.sentence();
        tracing::info!(
            bytes = self.bytes(),
            stored_bytes = self.stored_bytes,
            rows = self.rows,
            seconds = self.seconds,
            forgotten = self.forgotten.join(", "),
            "{saved}"
        );
        let (mut faults, mut hints) = (Vec::new(), Vec::new());
        if !self.unreadable.is_empty() {
            let count = self.unreadable.len();
            faults.push(format!("the backup is saved, but {count} files are not in it, as told above"));
            hints.push("give the account the right to read them, or leave them out with BKP_FILES_EXCLUDE".to_owned());
        }
        if let Some(error) = &self.retention_error {
            faults.push(format!("the backup is saved, but old ones could not be forgotten: {error}"));
        }
        hints.extend_from_slice(&self.retention_hints);
        for fault in &faults {
            tracing::error!("{fault}");
        }
        for hint in &hints {
            tracing::error!("hint: {hint}");
        }
        faults.insert(0, saved);
        report::last_words(exit, &faults.join("\n"), &hints);
        if context.json && exit != Exit::Failed { report::json(self) } else { Ok(()) }
    }

    /// The run in one line.
    fn sentence(&self) -> String {
        format!(
            "saved {} as {} ({} stored) in {:.1} s{}; {} forgotten",
            self.content().join(" and "),
            self.object.unwrap_or(self.run),
            report::size(self.stored_bytes),
            self.seconds,
            report::rate(self.bytes(), self.seconds),
            self.forgotten.len()
        )
    }

    /// What was saved, and how much that is: `2 databases (1000 rows, 1.2 MB of SQL)`, `1 directory (3.0 GB)`.
    fn content(&self) -> Vec<String> {
        let mut content = Vec::new();
        if !self.databases.is_empty() {
            let count = counted(self.databases.len(), "database", "databases");
            content.push(format!("{count} ({} rows, {} of SQL)", self.rows, report::size(self.sql_bytes)));
        }
        if !self.files.is_empty() {
            let bytes = report::size(self.file_bytes());
            content.push(format!("{} ({bytes})", counted(self.files.len(), "directory", "directories")));
        }
        content
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
