//! What the surroundings say, read once and turned into plain data.
//!
//! Raw strings end here: no command sees an `Option<String>` of the environment, and nothing else in bkp reads it.

pub mod address;
pub mod bucket;
pub mod doubt;
pub mod environment;
pub mod fault;
pub mod files;
pub mod names;
pub mod notify;
pub mod passfile;
pub mod pause;
pub mod postgres;
mod reader;
mod resolve;
pub mod restic;
pub mod retention;
pub mod scaled;
pub mod secret;
pub mod span;
mod unknown;
pub mod words;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use address::BucketAddress;
pub use bucket::Bucket;
pub use environment::{Environment, Process};
pub use fault::{Fault, Faults};
pub use files::Files;
pub use notify::Notify;
pub use pause::Pause;
pub use postgres::{Databases, Host, Postgres};
pub use reader::Overrides;
pub use resolve::{inspect, log_form, notify_at_least, resolve};
pub use restic::Restic;
pub use retention::Retention;
pub use secret::Secret;
pub use span::Span;

/// Directories with PostgreSQL's programs, in this order; all are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientDirs {
    /// Before the usual places: what the operator names.
    pub named: Vec<PathBuf>,
    /// After them, as distributions put programs there that choose among several majors: `PATH`.
    pub path: Vec<PathBuf>,
}

/// Everything that a command may need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The application's stable name; letters, digits, `.`, `_` and `-`, at most 63 of them.
    pub app: String,
    /// The server; none when only files are saved.
    pub postgres: Option<Postgres>,
    /// Which roles are saved with the databases.
    pub saved_roles: SavedRoles,
    /// Which files; none when only databases are saved.
    pub files: Option<Files>,
    /// Where dumps go. There is a bucket, a restic repository, or both.
    pub bucket: Option<Bucket>,
    /// How hard dumps for the bucket are compressed, from 1 to 12.
    pub gzip_level: u8,
    /// How many sessions work on one database at once; at least 1.
    pub jobs: usize,
    /// Where snapshots go.
    pub restic: Option<Restic>,
    /// How the application is brought to rest.
    pub pause: Pause,
    /// Where it is noted what a run has paused.
    pub state_dir: PathBuf,
    /// What may be forgotten.
    pub retention: Retention,
    /// By how many percent a backup may be smaller than the one before it; none: by as much as it is.
    pub shrink_limit: Option<u8>,
    /// How a restore treats what is there.
    pub restore: Restore,
    /// How restores are tried.
    pub drill: Drill,
    /// Who is told how a run ended.
    pub notify: Notify,
    /// How long to wait for another run of the same application.
    pub lock_wait: Duration,
    /// How long a backup waits for a table that somebody holds; nothing: as long as it takes.
    pub table_wait: Option<Duration>,
    /// What keeps a standby from cancelling a dump.
    pub standby: Standby,
    /// How lines are written.
    pub log: Log,
    /// Where to look for PostgreSQL's programs besides the places where distributions install them.
    pub client_dirs: ClientDirs,
    /// What is odd and does not stop a run; for the log.
    pub warnings: Vec<String>,
}

/// How a restore treats what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restore {
    /// Which roles come back.
    pub roles: Roles,
    /// How long a replaced database stays.
    pub keep_replaced: KeepReplaced,
    /// Whether it first saves what it is about to replace.
    pub safety_backup: SafetyBackup,
}

/// When a restore first saves what it is about to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafetyBackup {
    /// When nothing else could bring it back: a database is loaded in place.
    InPlace,
    /// Before every restore.
    Always,
    /// Not at all.
    Never,
}

/// How restores are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drill {
    /// Queries that must give true.
    pub checks: Option<String>,
    /// Where the evidence goes, if anywhere.
    pub evidence: Option<PathBuf>,
    /// Where files are restored to and a throwaway server is made, if it is said.
    pub scratch: Option<PathBuf>,
    /// Where databases are loaded, if it is said.
    pub server: Option<DrillServer>,
}

/// Where a drill loads databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrillServer {
    /// Into a server that is made for it; nothing connects to the configured one.
    Throwaway,
    /// Beside the live databases.
    Configured,
}

impl DrillServer {
    /// As flags and variables have it.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<DrillServer, String> {
        match text {
            "throwaway" => Ok(DrillServer::Throwaway),
            "configured" => Ok(DrillServer::Configured),
            _ => Err("must be throwaway or configured".to_owned()),
        }
    }
}

/// Which roles are saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedRoles {
    /// Those that the saved databases use, by owner, grant, default privilege or membership.
    Used,
    /// All of the server.
    All,
    /// None.
    None,
    /// Those whose names begin like this, and the groups that they are in.
    Prefix(String),
}

/// Which roles a restore brings back. The connecting one is never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    /// Those that the server lacks.
    Missing,
    /// Also changes those that are there.
    All,
    /// None.
    None,
}

/// How long a replaced database stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepReplaced {
    /// Until a sealed backup of what replaced it exists.
    UntilBackup,
    /// Until someone drops it.
    Always,
    /// It goes when the swap is done.
    Never,
}

/// What keeps a standby from cancelling a dump whose rows the primary has vacuumed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standby {
    /// Its replay is paused for the dump.
    Pause,
    /// It tells the primary which rows it still needs (`hot_standby_feedback`).
    Feedback,
    /// Nothing; a cancelled dump is done again.
    None,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// For people.
    Text,
    /// For collectors: one object a line.
    Json,
}
