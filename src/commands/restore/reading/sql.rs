//! Stored SQL as one stream: fetched and unpacked in a task of its own, so that neither waits for psql.

use std::sync::{Arc, Mutex};

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::sealed_sql::{SealedSql, Shared, locked};
use super::spans::Span;
use super::stretch::{self, Pinned, Stretch};
use super::{First, Piece, Read, Source, Stored};
use crate::commands::store_failure;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report::progress::Step;
use crate::repository::bucket::unpack::Unpacker;
use crate::repository::restic::Reading;
use crate::sources::postgres::lexer::Meta;
use crate::sources::postgres::name::Name;

/// Pieces of SQL that wait for the reader; each is what a chunk of the store unpacks to.
const AHEAD: usize = 4;

/// What comes out of it.
pub(super) enum Portion {
    /// A piece begins.
    Begin,
    /// SQL that was added between pieces.
    Between(Bytes),
    /// SQL of the piece.
    Sql(Bytes),
    /// Rows, which come next unless they are taken.
    Stretch(Box<Stretch>),
}

pub(super) type Tell = mpsc::Sender<Result<Portion>>;

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
    second(stored, &read.first, &[].into())
}

/// The same for several who read: rows that one of them may read by himself come as [`Coming::Stretch`].
pub fn for_several(stored: &Stored, read: &Read) -> Sql {
    match &read.first {
        First::Sealed { spans, .. } => second(stored, &read.first, spans),
        First::Sql(_) => again(stored, read),
    }
}

fn second(stored: &Stored, first: &First, spans: &Arc<[Span]>) -> Sql {
    match first {
        First::Sql(digest) => Sql { compared: Compared::All(Box::default(), *digest), ..open(stored, None) },
        First::Sealed { bytes, digest, .. } => {
            let sealed = Arc::new(Mutex::new(SealedSql::new(*bytes, digest, spans)));
            let sql = open(stored, Some((spans.clone(), sealed.clone())));
            Sql { compared: Compared::Sealed(sealed), ..sql }
        }
    }
}

pub(super) fn open(stored: &Stored, sealed: Option<(Arc<[Span]>, Shared)>) -> Sql {
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
                    stretch::send(&object, spans, &tell, (sealed, &watched)).await
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
    rest(&mut unpacker, tell).await
}

/// Sends what is unpacked already; false when nobody reads any more.
pub(super) async fn unpacked(unpacker: &mut Unpacker, tell: &Tell) -> Result<bool> {
    while let Some(sql) = unpacker.next().await? {
        if tell.send(Ok(Portion::Sql(sql))).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends the rest, when all that is stored has come; false when nobody reads any more.
pub(super) async fn rest(unpacker: &mut Unpacker, tell: &Tell) -> Result<bool> {
    while let Some(sql) = unpacker.rest().await? {
        if tell.send(Ok(Portion::Sql(sql))).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A store names what it could not read; a damage inside does not.
pub(super) fn of(name: &str, error: anyhow::Error) -> anyhow::Error {
    match format!("{error:#}").contains(name) {
        true => error,
        false => error.context(name.to_owned()),
    }
}

impl Sql {
    pub(super) async fn portion(&mut self) -> Result<Option<Portion>> {
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

pub(super) fn another_dump() -> Failure {
    Failure::new("the store gave another dump at the second reading than at the first")
        .hint("nothing live was touched; run bkp check --read-data")
        .exit(Exit::ProofFailed)
}
