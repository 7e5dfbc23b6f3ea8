//! What a backup says at its end, to people and to machines.

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use crate::commands::Run;
use crate::error::hints_of;
use crate::report;
use crate::repository::bucket::store::Object;
use crate::sources::postgres::seal::Seal;

/// The record of a backup.
#[derive(Serialize)]
pub struct Record {
    command: &'static str,
    run: String,
    app: String,
    object: String,
    databases: Vec<String>,
    rows: u64,
    sql_bytes: u64,
    stored_bytes: u64,
    seconds: f64,
    forgotten: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_error: Option<String>,
    #[serde(skip)]
    retention_hints: Vec<String>,
}

impl Record {
    /// Gathers what happened.
    pub fn new(run: &Run, object: &Object, seal: &Seal, forgotten: &Result<Vec<String>>, now: Timestamp) -> Record {
        Record {
            command: "backup",
            run: run.id.clone(),
            app: seal.app.clone(),
            object: object.name.clone(),
            databases: seal.databases.keys().cloned().collect(),
            rows: seal.rows(),
            sql_bytes: seal.bytes,
            stored_bytes: object.bytes,
            seconds: now.duration_since(run.began).as_secs_f64(),
            forgotten: forgotten.as_ref().map_or_else(|_| Vec::new(), Clone::clone),
            retention_error: forgotten.as_ref().err().map(|error| format!("{error:#}")),
            retention_hints: forgotten.as_ref().err().map(hints_of).unwrap_or_default(),
        }
    }

    /// Says it.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn say(&self, json: bool) -> Result<()> {
        tracing::info!(
            "saved {} databases, {} rows, as {} ({} of SQL, {} stored) in {:.1} s; {} forgotten",
            self.databases.len(),
            self.rows,
            self.object,
            report::size(self.sql_bytes),
            report::size(self.stored_bytes),
            self.seconds,
            self.forgotten.len()
        );
        if let Some(error) = &self.retention_error {
            tracing::error!("the backup is saved, but old ones could not be forgotten: {error}");
        }
        for hint in &self.retention_hints {
            tracing::error!("hint: {hint}");
        }
        if json { report::json(self) } else { Ok(()) }
    }
}
