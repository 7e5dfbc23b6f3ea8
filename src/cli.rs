//! Arguments and help.

pub mod generated;
mod help;

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use crate::settings::DrillServer;

/// Backup and restore of an application: its PostgreSQL databases and its files.
#[derive(Debug, Parser)]
#[command(name = "bkp", version = crate::VERSION, about, max_term_width = 110, after_help = help::BKP)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Print the result as JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

impl Cli {
    /// Takes the arguments apart.
    ///
    /// # Errors
    /// Help and version, which were asked for, and what is wrong with the arguments; `use_stderr` tells which.
    pub fn of(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Said> {
        Cli::try_parse_from(arguments)
    }
}

/// What there is to say instead of doing something.
pub type Said = clap::Error;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the repositories that are not there; safe to repeat
    #[command(after_help = help::INIT)]
    Init {
        /// Make restic repositories as older scripts have them: files, pg-database and pg-role under one base
        #[arg(long)]
        split: bool,
    },
    /// Save the application: its databases as a sealed dump or sealed snapshots, and its files
    #[command(after_help = help::BACKUP)]
    Backup {
        /// Say what would be saved, and save nothing
        #[arg(long)]
        dry_run: bool,
        /// Tag restic's snapshots with this besides (repeatable)
        #[arg(long = "tag", value_name = "TAG", value_parser = tag)]
        tags: Vec<String>,
        /// Take it as it is if it is much smaller than before (BKP_SHRINK_LIMIT), and measure what comes by it
        #[arg(long)]
        allow_shrink: bool,
    },
    /// Load a backup beside what is live, prove it, then swap
    #[command(after_help = help::RESTORE)]
    Restore(Restore),
    /// List what there is to restore, newest first
    #[command(after_help = help::LIST)]
    List(List),
    /// Prove that what is stored is what was sealed
    #[command(after_help = help::CHECK)]
    Check {
        /// Read everything to its end instead of ends and structures only
        #[arg(long)]
        read_data: bool,
    },
    /// Prove that a backup restores: load it beside what is live or into a throwaway server, compare, check, drop it all; touches nothing live
    #[command(after_help = help::DRILL)]
    Drill(Drill),
    /// Give every restic repository the password of RESTIC_NEW_PASSWORD_FILE; safe to repeat
    #[command(after_help = help::CHANGE_PASSWORD)]
    ChangePassword,
    /// Try everything that a backup and a restore will need, change nothing, and say what mends what is wrong
    ///
    /// Looks at the settings and their secret files, the server and the role's rights, the bucket (by a small object that is removed again),
    /// restic, the directories, free space, locks, what dead runs left, the rights in Kubernetes, and the clocks. One line each: ok, warning
    /// or fault, and below it what mends it. Exit code 0 with warnings, 2 with a fault.
    #[command(after_help = help::DOCTOR)]
    Doctor {
        /// How long an area may take before that is its fault
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = crate::settings::span::duration)]
        within: std::time::Duration,
    },
    /// Give back what a dead run left: paused applications, half-made restores
    #[command(after_help = help::RESUME)]
    Resume,
    /// Apply the retention rules by hand; a backup applies them after success
    #[command(after_help = help::FORGET)]
    Forget {
        /// Name what would be forgotten, and forget nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Rewrite a dump from standard input to standard output, as a restore would
    #[command(after_help = help::REWRITE)]
    Rewrite(Rewrite),
    /// Idle until TERM, so that commands can be run beside it
    #[command(after_help = help::WAIT)]
    Wait,
    /// Print what a shell reads to complete the command lines of bkp
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Which shell
        shell: generated::Shell,
    },
    /// Write a manual page for each command
    #[command(after_help = help::MAN)]
    Man {
        /// Where to: a directory, which is made
        directory: std::path::PathBuf,
    },
}

impl Command {
    /// What the run is called by those who are told of its end; nothing for what changes and proves nothing.
    #[must_use]
    pub fn told_as(&self) -> Option<&'static str> {
        match self {
            Command::Backup { dry_run: false, .. } => Some("backup"),
            Command::Restore(Restore { dry_run: false, .. }) => Some("restore"),
            Command::Check { .. } => Some("check"),
            Command::Drill(_) => Some("drill"),
            Command::Forget { dry_run: false } => Some("forget"),
            Command::ChangePassword => Some("change-password"),
            _ => None,
        }
    }
}

/// What the run would have been called ([`Command::told_as`]) if its arguments were not wrong; the first of them is the program. Nothing where
/// the command itself cannot be told.
#[must_use]
pub fn meant(arguments: &[OsString]) -> Option<&'static str> {
    let mut words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let command = words.find(|word| !word.starts_with('-'))?;
    let is_rehearsal = arguments.iter().any(|word| word == "--dry-run");
    TOLD.into_iter().find(|told| *told == command && !is_rehearsal)
}

/// Commands whose end is told.
const TOLD: [&str; 6] = ["backup", "restore", "check", "drill", "forget", "change-password"];

/// Arguments of `restore`.
#[derive(Debug, Default, Args)]
pub struct Restore {
    /// A run's or snapshot's id, an object's name, a day (2026-11-20), a time in UTC ("2026-11-20 13:00"), an age ("2h ago") or latest
    #[arg(default_value = "latest")]
    pub when: String,
    /// Restore only this database, only `files`, or only `roles` (`database:NAME` where a database is called like that)
    #[arg(long, value_name = "DATABASE|files|roles")]
    pub only: Option<String>,
    /// Restore only this file or directory, in its place or, with --to, into DIR; absolute or below the directory of BKP_FILES
    #[arg(long, value_name = "PATH", conflicts_with_all = ["only", "tables", "under"])]
    pub path: Option<String>,
    /// Restore only this table, beside the live one as NAME_bkp_RUN, or as itself if it is gone (repeatable)
    #[arg(long = "table", value_name = "SCHEMA.TABLE", conflicts_with_all = ["to", "under"])]
    pub tables: Vec<String>,
    /// With --table: replace the rows of the live table, and keep the old ones as NAME_was_RUN
    #[arg(long, requires = "tables", conflicts_with_all = ["path", "to", "under"])]
    pub in_place: bool,
    /// Take this snapshot for what it holds, whatever else is chosen (repeatable)
    #[arg(long = "snapshot", value_name = "ID")]
    pub snapshots: Vec<String>,
    /// Take only snapshots of this host
    #[arg(long)]
    pub host: Option<String>,
    /// Restore the files into this new or empty directory and touch nothing else; with --path into any
    #[arg(long, value_name = "DIR", conflicts_with_all = ["only", "under"])]
    pub to: Option<std::path::PathBuf>,
    /// Take a run that lacks some of what it set out to save
    #[arg(long)]
    pub incomplete: bool,
    /// Load the database under this new name and touch nothing else
    #[arg(long = "as", value_name = "NAME")]
    pub under: Option<String>,
    /// Bring back what the last restore replaced, databases and files, as one; undoes an undo, too
    #[arg(long, conflicts_with_all = UNDO_TAKES_NONE)]
    pub undo: bool,
    /// Show the plan and what would be rewritten; do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Take a dump that does not end as a dump ends, or that seems to hold only a part of the database
    #[arg(long)]
    pub allow_unproven: bool,
    /// Take a backup that says it is of another application
    #[arg(long)]
    pub allow_other_app: bool,
}

/// Arguments of `list`.
#[derive(Debug, Default, Args)]
pub struct List {
    /// List only what is not older than this: an age (7d), a day (2026-11-20) or a time in UTC ("2026-11-20 13:00")
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// List only what is older than this, said as for --since
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,
    /// List only what holds this item: a database's name, `files`, `roles`, or a directory
    #[arg(long, value_name = "ITEM")]
    pub item: Option<String>,
    /// Of restic's snapshots, only those of this host
    #[arg(long)]
    pub host: Option<String>,
    /// List only what restores put aside and is still there, with its size
    #[arg(long, conflicts_with_all = ["host", "since", "before", "item"])]
    pub replaced: bool,
}

/// Arguments of `drill`.
#[derive(Debug, Default, Args)]
pub struct Drill {
    /// Which backup, said as for `restore`
    #[arg(default_value = "latest")]
    pub when: String,
    /// Write the evidence, as JSON, to this file (BKP_DRILL_EVIDENCE)
    #[arg(long, value_name = "FILE")]
    pub evidence: Option<std::path::PathBuf>,
    /// Restore files into this directory, which is new or empty; they are removed again (BKP_DRILL_SCRATCH)
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<std::path::PathBuf>,
    /// Load databases into a PostgreSQL made for it in the scratch directory, or into the configured one (BKP_DRILL_SERVER)
    #[arg(long, value_name = "throwaway|configured", value_parser = DrillServer::parse)]
    pub server: Option<DrillServer>,
}

/// There is one last restore, and all of it goes back.
const UNDO_TAKES_NONE: [&str; 12] = [
    "when",
    "only",
    "path",
    "tables",
    "in_place",
    "snapshots",
    "host",
    "to",
    "incomplete",
    "under",
    "allow_unproven",
    "allow_other_app",
];

/// restic takes a comma for the end of a tag.
fn tag(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(',') {
        true => Err("a tag must not be empty or hold a comma".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Arguments of `rewrite`.
#[derive(Debug, Default, Args)]
pub struct Rewrite {
    /// A role that the target has already: its CREATE ROLE is left out (repeatable)
    #[arg(long = "existing-role", value_name = "ROLE")]
    pub existing_roles: Vec<String>,
    /// Rename a database on the way (repeatable)
    #[arg(long = "database", value_name = "OLD=NEW")]
    pub databases: Vec<String>,
    /// Change roles that exist too
    #[arg(long)]
    pub all_roles: bool,
    /// Say on standard error what was changed, and why
    #[arg(long)]
    pub explain: bool,
    /// Take an input that does not end as a dump ends
    #[arg(long)]
    pub allow_unproven: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn what_was_meant_is_told_as_what_would_have_run() {
        for told in TOLD {
            let line = format!("bkp --json {told}");
            assert_eq!(Cli::of(words(&line)).expect("right").command.told_as(), Some(told));
            assert_eq!(meant(&words(&format!("{line} --frob"))), Some(told));
        }
        for line in ["bkp bakcup", "bkp list --frob", "bkp --frob", "bkp", "bkp backup --dry-run --frob"] {
            assert_eq!(meant(&words(line)), None, "{line}");
        }
    }
}
