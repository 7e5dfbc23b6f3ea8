//! bkp: backup and restore of an application, its PostgreSQL databases and its files.
//!
//! # The way of a backup ([`commands::backup`])
//! settings → repositories → locks → give back what dead runs left → plan → pause → roles, then each database from one exported
//! snapshot (a standby's replay is paused meanwhile), through the lexer that counts and checks → seal → commit; each directory by restic → resume → drop what restores
//! replaced → retention → report.
//!
//! # The way of a restore ([`commands::restore`])
//! choose one run → prove it, by what is stored or by all its SQL → locks → give back → preflight → plan → pause → missing roles → each
//! database into a side database, through the rewriter and several psql → prove its rows → stage the files → exchange the files → swap the
//! databases in one transaction → resume → report. The way back, `--undo`: locks → give back → find the last act → plan → pause →
//! announce on the files → turn the files → rename the databases in one transaction → conclude → resume → report.
//!
//! # The way of a drill ([`commands::drill`])
//! which server, the configured one or a throwaway one → lock of its own → drop what dead drills left → choose one run → read and
//! prove it → look for room → load under names of its own → count → ask the operator's checks → drop it all → remember the proof →
//! evidence.
//!
//! # Where things are
//! | module | what it is |
//! | --- | --- |
//! | [`commands`] | one story a command; retention, choice and plan are pure functions beside it |
//! | [`sources::postgres`] | the dump, the lexer, the rewriter, the seal, the replay, the swap, single tables, the lock |
//! | [`sources::files`] | what of a directory is saved; the restore beside it, the exchange by rename and its undo |
//! | [`pause`] | the application held still, and given back whatever happens |
//! | [`repository::bucket`] | names, gzip with a seal at its end, object stores and directories |
//! | [`repository::restic`] | the restic program, driven: streams that are whole or not there, trees, keys, locks |
//! | [`settings`] | the environment, resolved once into plain data; the only reader of it |
//! | [`process`] | children, pipes and signals; the only place that starts programs |
//! | [`report`] | the only place that prints; metrics and heartbeats |
//! | [`authorities`] | whom TLS trusts: for stores, notifiers and the cluster's API |
//! | [`error`], [`exit`] | what people are told, and what machines are |
//!
//! Imports run one way: main → commands → sources, repository, pause → process, settings, report, error.
//!
//! # What never happens
//! - Sources and repositories never see each other.
//! - A dump without its producer's good end, its trailer and our seal is never committed.
//! - Nothing that is stored is ever overwritten, and nothing live is changed before its successor is proven.
//! - No meta-command of a dump reaches psql, and psql's input is never closed before it is known to be whole.
//! - No secret is printed: it has a type that cannot be.

pub mod aliases;
pub mod authorities;
pub mod cli;
pub mod commands;
pub mod error;
pub mod exit;
pub mod pause;
pub mod process;
pub mod report;
pub mod repository;
pub mod settings;
pub mod sources;

/// Version, commit and build target, as `bkp --version` says them.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BKP_BUILD"), ")");
