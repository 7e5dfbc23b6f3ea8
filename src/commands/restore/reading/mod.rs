//! Stored SQL as one stream: fetched and unpacked in a task of its own, so that neither waits for psql.
//!
//! A bucket has roles and databases in one piece; a restic repository has a piece for each. The stream is the same: pieces one
//! after the other, with a `\connect` before those that do not say their database themselves.

mod again;
mod prefix;
mod sealed;
mod sealed_sql;
mod spans;
mod tree;

use std::sync::{Arc, Mutex};

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::commands::catalog::Dump;
use crate::commands::store_failure;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report::progress::Step;
use crate::repository::bucket::store::Store;
use crate::repository::bucket::unpack::Unpacker;
use crate::repository::restic::{Reading, Repository};
use crate::sources::Item;
use crate::sources::postgres::lexer::{DumpError, Meta};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::rewrite::{Policy, Rewriter};
use crate::sources::postgres::seal::Seal;
use crate::sources::postgres::survey::{Survey, Surveyor};

pub use self::again::Stretch;
use self::again::{Pinned, Shared, locked};
use self::sealed_sql::SealedSql;
use self::spans::Span;

/// Pieces of SQL that wait for the reader; each is what a chunk of the store unpacks to.
const AHEAD: usize = 4;

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

/// What comes out of it.
enum Portion {
    /// A piece begins.
    Begin,
    /// SQL that was added between pieces.
    Between(Bytes),
    /// SQL of the piece.
    Sql(Bytes),
    /// Rows, which come next unless they are taken.
    Stretch(Box<Stretch>),
}

type Tell = mpsc::Sender<Result<Portion>>;

/// SQL, bit by bit.
pub struct Sql {
    told: mpsc::Receiver<Result<Portion>>,
    /// What people call it.
    name: String,
    /// For whoever watches how far it is.
    step: Arc<Step>,
    compared: Compared,
}

/// What all of it is to be.
enum Compared {
    /// Whatever it is: the first reading.
    No,
    /// What another reading was.
    All(Box<blake3::Hasher>, blake3::Hash),
    /// What its seal says.
    Sealed(Shared),
}

/// What comes next.
pub enum Coming {
    /// SQL.
    Sql(Bytes),
    /// Rows that may be read elsewhere.
    Stretch(Box<Stretch>),
}

/// Begins to read what was read before: [`Sql::prove`] says whether it was the same.
pub fn again(stored: &Stored, read: &Read) -> Sql {
    match &read.first {
        First::Sql(digest) => Sql { compared: Compared::All(Box::default(), *digest), ..open(stored, None) },
        First::Sealed { spans, bytes, digest } => {
            let sealed = Arc::new(Mutex::new(SealedSql::new(*bytes, digest, spans)));
            let sql = open(stored, Some((spans.clone(), sealed.clone())));
            Sql { compared: Compared::Sealed(sealed), ..sql }
        }
    }
}

fn open(stored: &Stored, sealed: Option<(Arc<[Span]>, Shared)>) -> Sql {
    let (tell, told) = mpsc::channel(AHEAD);
    let (step, name) = (Arc::new(stored.step()), stored.name.clone());
    let (stored, watched) = (stored.clone(), step.clone());
    tokio::spawn(async move {
        let mut ahead = None;
        for (at, piece) in stored.pieces.iter().enumerate() {
            let begun = ahead.take().map_or_else(|| piece.begin(), Ok);
            // Roles are soon read: the databases' restic opens the repository meanwhile.
            ahead = stored.pieces.get(at + 1).and_then(|next| next.begin().ok());
            let sent = match (begun, &sealed, &piece.place) {
                (Ok(_), Some((spans, sealed)), Source::Object(store, dump)) => {
                    let (name, version) = (dump.name.clone(), dump.version.clone());
                    let object = Pinned { store: store.clone(), name, version };
                    again::send(&object, spans, &tell, (sealed, &watched)).await
                }
                (Ok(begun), ..) => send(piece, begun, &tell).await,
                (Err(error), ..) => Err(error),
            };
            match sent {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let _ = tell.send(Err(error)).await;
                    return;
                }
            }
        }
    });
    Sql { told, name, step, compared: Compared::No }
}

impl Piece {
    /// Begins to read what takes a program to read it.
    fn begin(&self) -> Result<Option<Reading>> {
        match &self.place {
            Source::Object(..) => Ok(None),
            Source::Snapshot(repository, id, file) => repository.read(id, file).map(Some),
        }
    }
}

/// Sends one piece; false when nobody reads any more.
async fn send(piece: &Piece, begun: Option<Reading>, tell: &Tell) -> Result<bool> {
    if let Some(database) = &piece.database
        && tell.send(Ok(Portion::Between(Meta::connect_line(&Name::from(database.clone())).into()))).await.is_err()
    {
        return Ok(false);
    }
    if tell.send(Ok(Portion::Begin)).await.is_err() {
        return Ok(false);
    }
    let mut unpacker = match (&piece.place, &piece.seal) {
        (Source::Object(..), Some(_)) => Unpacker::of_sealed(),
        _ => Unpacker::default(),
    };
    match (begun, &piece.place) {
        (None, Source::Object(store, dump)) => {
            let mut download = store.read(&dump.name, None, dump.version.as_ref()).await.map_err(store_failure)?;
            while let Some(stored) = download.next().await.map_err(store_failure)? {
                unpacker.push(&stored);
                if !unpacked(&mut unpacker, tell).await? {
                    return Ok(false);
                }
            }
        }
        (None, Source::Snapshot(..)) => bail!("{} is not being read", piece.name),
        (Some(mut reading), _) => {
            let mut buffer = BytesMut::new();
            while reading.read(&mut buffer).await? > 0 {
                unpacker.push(&buffer);
                buffer.clear();
                if !unpacked(&mut unpacker, tell).await? {
                    return Ok(false);
                }
            }
        }
    }
    while let Some(sql) = unpacker.rest().await? {
        if tell.send(Ok(Portion::Sql(sql))).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends what is unpacked already; false when nobody reads any more.
async fn unpacked(unpacker: &mut Unpacker, tell: &Tell) -> Result<bool> {
    while let Some(sql) = unpacker.next().await? {
        if tell.send(Ok(Portion::Sql(sql))).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A store names what it could not read; a damage inside does not.
fn of(name: &str, error: anyhow::Error) -> anyhow::Error {
    match format!("{error:#}").contains(name) {
        true => error,
        false => error.context(name.to_owned()),
    }
}

impl Sql {
    async fn portion(&mut self) -> Result<Option<Portion>> {
        let portion = self.told.recv().await.transpose().map_err(|error| of(&self.name, error))?;
        if let Some(Portion::Between(sql) | Portion::Sql(sql)) = &portion {
            self.step.advance(sql.len() as u64);
        }
        Ok(portion)
    }

    /// The next bit; nothing at the end of SQL that was read whole, and was what it is to be.
    ///
    /// # Errors
    /// When the store fails or the gzip is damaged, and when it was something else at the first reading.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.coming().await? {
                Some(Coming::Sql(sql)) => return Ok(Some(sql)),
                // Left to this reading.
                Some(Coming::Stretch(_)) => {}
                None => return self.prove().map(|()| None),
            }
        }
    }

    /// The next bit, or what comes next where that may be read elsewhere; nothing at the end. Whoever has read that proves all.
    ///
    /// # Errors
    /// When the store fails or the gzip is damaged.
    pub async fn coming(&mut self) -> Result<Option<Coming>> {
        loop {
            match self.portion().await? {
                None => return Ok(None),
                Some(Portion::Begin) => {}
                Some(Portion::Stretch(stretch)) => return Ok(Some(Coming::Stretch(stretch))),
                Some(Portion::Between(sql) | Portion::Sql(sql)) => {
                    match &mut self.compared {
                        Compared::No => {}
                        Compared::All(hasher, _) => {
                            hasher.update(&sql);
                        }
                        Compared::Sealed(sealed) => locked(sealed).push(&sql),
                    }
                    return Ok(Some(Coming::Sql(sql)));
                }
            }
        }
    }

    /// Compares what was read, here and elsewhere, with what the first reading found.
    ///
    /// # Errors
    /// When it was something else.
    pub fn prove(&self) -> Result<()> {
        match &self.compared {
            Compared::No => Ok(()),
            Compared::All(hasher, first) if hasher.finalize() == *first => Ok(()),
            Compared::All(..) => bail!(another_dump()),
            Compared::Sealed(sealed) => locked(sealed).prove(),
        }
    }
}

fn another_dump() -> Failure {
    Failure::new("the store gave another dump at the second reading than at the first")
        .hint("nothing live was touched; run bkp check --read-data")
        .exit(Exit::ProofFailed)
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
