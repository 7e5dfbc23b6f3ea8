//! Every metric, in one place: the table in `docs/metrics.md` is made from this one and a test compares the two.

use std::fmt::Write as _;

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// `bkp_…`, with its unit last.
    pub name: &'static str,
    /// What it says, as one line.
    pub help: &'static str,
    /// What it is told apart by.
    pub scope: Scope,
    /// Which commands write it.
    pub by: &'static str,
}

/// What a value is told apart by, besides the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: one command alone writes it.
    App,
    /// The command.
    Command,
    /// The item.
    Item,
}

macro_rules! families {
    ($( $constant:ident, $name:literal, $scope:ident, $by:literal, $help:literal; )*) => {
        $( #[doc = $help] pub static $constant: Family =
            Family { name: $name, help: $help, scope: Scope::$scope, by: $by }; )*

        /// All of them, in the document's order.
        pub static FAMILIES: &[&Family] = &[ $( &$constant, )* ];
    };
}

families! {
    LAST_RUN, "bkp_last_run_timestamp_seconds", Command, "all",
        "When the last run ended, whatever came of it, in seconds since 1970.";
    LAST_EXIT, "bkp_last_run_exit_status", Command, "all",
        "The exit code of the last run; 0 is done.";
    LAST_DURATION, "bkp_last_run_duration_seconds", Command, "all",
        "How long the last run took.";
    LAST_SUCCESS, "bkp_last_success_timestamp_seconds", Command, "all",
        "When a run last did what it is there for, in seconds since 1970.";
    SIZE, "bkp_backup_size_bytes", App, "backup",
        "What the last backup that was saved read: SQL and files.";
    STORED, "bkp_backup_stored_bytes", App, "backup",
        "What the stores grew by with that backup: compressed, and without what restic had already.";
    ROWS, "bkp_backup_rows", App, "backup",
        "Rows of all tables in that backup.";
    ITEMS, "bkp_backup_items", App, "backup",
        "Items in that backup: roles, databases, directories.";
    UNREADABLE, "bkp_backup_unreadable_files", App, "backup",
        "Files that could not be read, and are not in that backup.";
    FORGOTTEN, "bkp_backup_forgotten_runs", App, "backup",
        "Old backups that the retention forgot after that backup.";
    RETENTION_FAILING, "bkp_retention_failing", App, "backup",
        "Whether old backups could not be forgotten after that backup (1) or could (0).";
    ITEM_SIZE, "bkp_item_size_bytes", Item, "backup",
        "What was read to save the item.";
    ITEM_ADDED, "bkp_item_added_bytes", Item, "backup",
        "What the restic repository grew by with the item.";
    ITEM_ROWS, "bkp_item_rows", Item, "backup",
        "Rows of the database's tables.";
    LAST_PROOF, "bkp_last_proof_timestamp_seconds", App, "drill",
        "When a backup was last proven to restore, all of it, in seconds since 1970.";
    PROVEN_BACKUP, "bkp_proven_backup_timestamp_seconds", App, "drill",
        "When the backup that was last proven was taken, in seconds since 1970.";
    DRILL_SUCCESS, "bkp_drill_success", App, "drill",
        "Whether the last drill proved its backup (1) or did not (0).";
    DRILL_DURATION, "bkp_drill_duration_seconds", App, "drill",
        "How long the last drill took.";
    DRILL_RESTORE, "bkp_drill_restore_seconds", App, "drill",
        "How long a restore of that backup would take, up to its swap.";
}

/// The document's table.
pub fn table() -> String {
    let mut text = String::from("| name | labels | written by | what it says |\n| --- | --- | --- | --- |\n");
    for Family { name, help, scope, by } in FAMILIES {
        let labels = match scope {
            Scope::App => "`app`",
            Scope::Command => "`app`, `command`",
            Scope::Item => "`app`, `item`",
        };
        let _ = writeln!(text, "| `{name}` | {labels} | {by} | {help} |");
    }
    text
}
