//! Stored SQL: what it is, proven by a first reading, and a second one that acts on it.
//!
//! A bucket has roles and databases in one piece; a restic repository has a piece for each. The stream is the same: pieces one
//! after the other, with a `\connect` before those that do not say their database themselves.

mod prefix;
mod sealed;
mod sealed_sql;
mod spans;
mod sql;
mod stretch;
mod tree;

use std::sync::Arc;

use anyhow::Result;

use crate::commands::catalog::Dump;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report::progress::Step;
use crate::repository::bucket::store::Store;
use crate::repository::restic::Repository;
use crate::sources::Item;
use crate::sources::postgres::lexer::DumpError;
use crate::sources::postgres::rewrite::{Policy, Rewriter};
use crate::sources::postgres::seal::Seal;
use crate::sources::postgres::survey::{Survey, Surveyor};

use self::spans::Span;
pub use self::sql::{Coming, Sql, again, for_several};
use self::sql::{Portion, open};
pub use self::stretch::Stretch;

/// SQL that lies somewhere.
#[derive(Clone)]
pub struct Stored {
    /// What people call it.
    pub name: String,
    /// Its pieces, in the order in which they are replayed.
    pub pieces: Vec<Piece>,
}

/// A piece of it.
#[derive(Clone)]
pub struct Piece {
    /// What people call it.
    pub name: String,
    /// What it holds.
    pub item: Item,
    /// The run that it is said to be of, when one of ours made it: then it has a seal.
    pub run: Option<String>,
    /// Its seal, where that is known without reading it.
    pub seal: Option<Box<Seal>>,
    /// The database that it is of, when it does not say so itself.
    pub database: Option<String>,
    /// Where it is.
    pub place: Source,
}

/// Where a piece is.
#[derive(Clone)]
pub enum Source {
    /// An object of a bucket; pinned: another object of the same name is an error.
    Object(Store, Box<Dump>),
    /// A file of a snapshot.
    Snapshot(Repository, String, String),
}

impl Stored {
    /// One dump of a bucket.
    pub fn of_dump(store: &Store, dump: &Dump) -> Stored {
        let piece = Piece {
            name: dump.name.clone(),
            item: Item::Dump,
            run: dump.summary().map(|seal| seal.run.clone()),
            seal: dump.seal().cloned().map(Box::new),
            database: None,
            place: Source::Object(store.clone(), Box::new(dump.clone())),
        };
        Stored { name: dump.name.clone(), pieces: vec![piece] }
    }

    /// A reading of it, for whoever watches.
    fn step(&self) -> Step {
        let sealed = self.pieces.iter().map(|piece| piece.seal.as_ref().map(|seal| seal.bytes));
        Step::begin(format!("SQL of {}", self.name), sealed.sum::<Option<u64>>())
    }
}

/// What a reading to the end found.
pub struct Read {
    /// All pieces as one.
    pub survey: Survey,
    /// Each piece by itself, where there are several or something was added between them.
    parts: Vec<Survey>,
    /// What the second reading is to be the same as.
    first: First,
}

/// What a first reading has read.
enum First {
    /// All SQL, of this digest.
    Sql(blake3::Hash),
    /// What a seal is of: so many bytes of SQL with this digest, as the seal spells it, and many rows in these spans.
    Sealed { spans: Arc<[Span]>, bytes: u64, digest: String },
}

impl Read {
    /// What the `at`th piece is.
    pub fn part(&self, at: usize) -> &Survey {
        self.parts.get(at).unwrap_or(&self.survey)
    }

    /// The digest of all SQL, as a seal spells it.
    pub fn sql_digest(&self) -> String {
        match &self.first {
            First::Sql(_) => format!("blake3:{}", self.survey.digest),
            First::Sealed { digest, .. } => digest.clone(),
        }
    }

    /// Whether every piece has a seal, at its end or inside.
    pub fn is_sealed(&self, stored: &Stored) -> bool {
        let known = stored.pieces.iter().all(|piece| piece.seal.is_some());
        known || (0..stored.pieces.len()).all(|at| self.part(at).seal.is_some())
    }
}

/// Says what it is and proves it whole; unpacks no more of it than that takes.
///
/// # Errors
/// When it cannot be read to its end, or is no dump.
pub async fn prove(stored: &Stored) -> Result<Read> {
    match sealed::survey(stored).await? {
        Some(read) => Ok(read),
        // No such seal, or something else is stored by now: all of it tells what.
        None => survey(stored).await,
    }
}

/// Reads everything and says what it is.
///
/// # Errors
/// When it cannot be read to its end, or is no dump.
pub async fn survey(stored: &Stored) -> Result<Read> {
    let not_a_dump = |error| not_a_dump(&stored.name, error);
    let in_parts = stored.pieces.len() > 1 || stored.pieces.iter().any(|piece| piece.database.is_some());
    let (mut sql, mut whole, mut digest) = (open(stored, None), Surveyor::for_replay(), blake3::Hasher::new());
    let (mut part, mut parts) = (None::<Surveyor>, Vec::new());
    while let Some(portion) = sql.portion().await? {
        let bytes = match &portion {
            Portion::Begin => {
                if let Some(ended) = part.replace(Surveyor::for_replay()) {
                    parts.push(ended.finish().map_err(|error| not_a_dump(error.into()))?);
                }
                continue;
            }
            Portion::Stretch(_) => continue,
            Portion::Between(sql) => sql,
            Portion::Sql(sql) => {
                if let Some(part) = part.as_mut().filter(|_| in_parts) {
                    part.push(sql).map_err(|error| not_a_dump(error.into()))?;
                }
                sql
            }
        };
        digest.update(bytes);
        whole.push(bytes).map_err(|error| not_a_dump(error.into()))?;
    }
    match part {
        Some(part) if in_parts => parts.push(part.finish().map_err(|error| not_a_dump(error.into()))?),
        _ => {}
    }
    let survey = whole.finish().map_err(|error| not_a_dump(error.into()))?;
    if let Some(line) = survey.stray {
        // It would run in whatever database roles are made from.
        let what =
            "a statement before the first database of a dump of several, where only roles and tablespaces are made";
        return Err(not_a_dump(DumpError::Refused { line, what }.into()));
    }
    Ok(Read { survey, parts, first: First::Sql(digest.finalize()) })
}

fn not_a_dump(name: &str, error: anyhow::Error) -> anyhow::Error {
    Failure::new(format!("{name} cannot be restored"))
        .hint("nothing was touched; choose another one: bkp list")
        .exit(Exit::ProofFailed)
        .because(error)
        .into()
}

/// Says what the rewriter would change, and how many statements that are.
///
/// # Errors
/// When the dump cannot be read to its end, or is not what was read before.
pub async fn explain(stored: &Stored, read: &Read, policy: Policy) -> Result<u64> {
    let (mut sql, mut rewriter) = (again(stored, read), Rewriter::new(policy));
    while let Some(piece) = sql.next().await? {
        rewriter.push(&piece, &mut |_| Ok(()))?;
    }
    let report = rewriter.finish(&mut |_| Ok(()))?;
    for change in &report.changes {
        tracing::info!("line {}: {}: {}", change.line, change.what, change.why);
    }
    Ok(report.changes.len() as u64 + report.more)
}
