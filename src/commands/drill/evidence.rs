//! What a drill has to show: which backup, from where, compared how, with what result, how long. For people who were not there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::checks::Answer;
use crate::error::hints_of;
use crate::error::statements::{Failures, failures_of};
use crate::exit::Exit;

/// The evidence; a failed drill has some, too.
#[derive(Debug, Serialize)]
pub struct Evidence {
    /// Format of this document.
    pub format: u32,
    /// `drill`
    pub command: &'static str,
    /// The drill's own id.
    pub drill: String,
    /// The application.
    pub app: String,
    /// Version of bkp.
    pub bkp: &'static str,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub result: Outcome,
    /// Why it is not proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Statements that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failures>,
    /// What was tried.
    pub backup: Option<Backup>,
    /// Where it was loaded.
    pub server: Option<Server>,
    /// What was compared, by database.
    pub databases: BTreeMap<String, Compared>,
    /// The files, by the directory that they are of.
    pub files: BTreeMap<String, Tree>,
    /// The operator's checks.
    pub checks: Vec<Answer>,
    /// Parts of the backup that were not tried. With one of these the backup as a whole is not proven.
    pub not_tried: Vec<String>,
    /// Whether the proof is remembered beside the backup.
    pub remembered: bool,
    /// How long each step took.
    pub seconds: BTreeMap<&'static str, f64>,
    /// How long a restore would take up to its swap: reading, proving, loading.
    pub time_to_restore_seconds: Option<f64>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All that was tried is proven.
    Proven,
    /// A proof failed.
    Failed,
    /// It could not be tried, or not to its end.
    NotTried,
}

/// The backup.
#[derive(Debug, Serialize)]
pub struct Backup {
    /// What people call it.
    pub name: String,
    /// The run that made it.
    pub run: Option<String>,
    /// When it was taken.
    pub time: Timestamp,
    /// Where it came from, without passwords.
    pub from: Vec<String>,
    /// The object in the bucket.
    pub object: Option<String>,
    /// Its stored size.
    pub stored_bytes: Option<u64>,
    /// Snapshots in restic repositories.
    pub snapshots: Vec<String>,
    /// How much SQL it is.
    pub sql_bytes: Option<u64>,
    /// The digest of that SQL: what was loaded was compared with it.
    pub digest: Option<String>,
}

/// The server.
#[derive(Debug, Serialize)]
pub struct Server {
    /// Which one it was: `throwaway`, made for the drill, or `configured`.
    #[serde(rename = "where")]
    pub place: &'static str,
    /// Why a throwaway one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Its version.
    pub version: String,
    /// Version of the client programs.
    pub client: String,
    /// Roles that the drill made without any right, because the server and, where it loads them, the dump lack them.
    pub roles_made: Vec<String>,
    /// Roles that were loaded from the dump, with all that they may do: on a throwaway server alone.
    pub roles_loaded: Vec<String>,
}

/// What of a database was compared.
#[derive(Debug, Default, Serialize)]
pub struct Compared {
    /// The database that it was loaded into.
    pub loaded_as: String,
    /// Tables with rows, as the seal and the dump have them, which the server took all.
    pub tables: u64,
    /// Rows of those.
    pub rows: u64,
    /// Tables that the server counted afterwards, with the same result.
    pub counted_tables: u64,
    /// Rows of those.
    pub counted_rows: u64,
}

/// What of a directory was compared: restic read back every file and held it against the snapshot's hashes.
#[derive(Debug, Serialize)]
pub struct Tree {
    /// The snapshot.
    pub snapshot: String,
    /// Where it was restored.
    pub restored_into: String,
    /// Files that are there, as many as the snapshot says.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Directories, links and the like.
    pub others: u64,
    /// Whether the snapshot tells its figures: older restics do not, and then only hashes are compared.
    pub figures_compared: bool,
}

impl Evidence {
    /// At the beginning: nothing was tried yet.
    pub fn begin(drill: &str, app: &str, began: Timestamp) -> Evidence {
        Evidence {
            format: 1,
            command: "drill",
            drill: drill.to_owned(),
            app: app.to_owned(),
            bkp: crate::VERSION,
            began,
            ended: None,
            result: Outcome::NotTried,
            why: None,
            hints: Vec::new(),
            failed: None,
            backup: None,
            server: None,
            databases: BTreeMap::new(),
            files: BTreeMap::new(),
            checks: Vec::new(),
            not_tried: Vec::new(),
            remembered: false,
            seconds: BTreeMap::new(),
            time_to_restore_seconds: None,
        }
    }

    /// Takes down why it is not proven.
    pub fn failed(&mut self, error: &anyhow::Error, exit: Exit) {
        self.result = if exit == Exit::ProofFailed { Outcome::Failed } else { Outcome::NotTried };
        self.why = Some(format!("{error:#}"));
        self.hints = hints_of(error);
        self.failed = failures_of(error).cloned();
    }
}
