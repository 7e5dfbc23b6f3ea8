//! What is saved, and how it is brought back. Knows no repository.

pub mod act;
pub mod files;
pub mod postgres;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;

use anyhow::Result;

use postgres::seal::Sealed;

/// One thing of an application that is saved, and that can be restored on its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// Roles, their memberships and settings.
    Roles,
    /// Roles and databases in one piece, as `pg_dumpall` writes them.
    Dump,
    /// A database.
    Database(String),
    /// What is in a directory.
    Files(PathBuf),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Roles => f.write_str("roles"),
            Item::Dump => f.write_str("dump"),
            Item::Database(name) => write!(f, "database {name}"),
            Item::Files(root) => write!(f, "files {}", root.display()),
        }
    }
}

/// Takes what a source produces, part by part. A part is one item, whole by itself; a sink may keep them apart or in one piece.
pub trait Sink {
    /// A part begins.
    ///
    /// # Errors
    /// When it cannot be taken; the source ends then, and what was written is no backup. The same holds for all that follow.
    fn begin(&mut self, item: &Item) -> impl Future<Output = Result<()>> + Send;

    /// Takes the next bytes of the part.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<()>> + Send;

    /// The part is whole: its producer ended well and showed its own last line. `closing` ends it where it stands alone.
    fn end(&mut self, rows: Sealed, closing: &[u8]) -> impl Future<Output = Result<()>> + Send;

    /// Takes what ties the parts together where they are kept in one piece.
    fn between(&mut self, bytes: &[u8]) -> impl Future<Output = Result<()>> + Send;
}
