//! One database, read by several sessions at once: the text is the one that pg_dump writes by itself, byte for byte.
//!
//! pg_dump reads one table after the other in one session, and that session is the limit of a backup. Here it leaves out the rows of
//! the large tables ([`large`]), which sessions of ours read in ranges of pages ([`pages`], [`readers`]) from the snapshot that
//! pg_dump reads from, each range ahead of its time and in order; [`merge`] puts them in where pg_dump would have written them.
//! Nothing of the text depends on how many sessions there are.
//!
//! Locks, in an order in which nobody can wait for us while we wait for him: pg_dump locks all its tables first, as it does alone.
//! Only when it has begun to write, our sessions lock the large ones once more, all of them before any reads, and wait for
//! none. Where somebody has meanwhile asked for a table for himself, or has had it, he gets it, and then all of it is begun anew, from a new snapshot, by
//! pg_dump alone. A table that was rewritten before pg_dump had its lock is empty for the snapshot: then, too, all of it is begun anew.

mod ahead;
mod large;
mod merge;
mod pages;
mod readers;
mod still;
mod words;

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};

use self::ahead::Ahead;
use self::large::Large;
use self::merge::{Merger, Part};
use self::pages::Ranges;
use self::readers::{PIECE_BYTES, Readers, Reading, Rows};
use super::connect::Session;
use super::dump::{self, Job, Taken};
use crate::error::Failure;
use crate::process::Producer;

/// How often a dump is begun while tables are rewritten as fast as it begins.
const ATTEMPTS: u32 = 5;

/// Ends the rows of a table, as pg_dump does.
const ROWS_END: &[u8] = b"\\.\n\n\n";

/// The text of one database's dump, as it is made.
pub enum Production {
    /// By pg_dump alone.
    Alone(Box<Alone>),
    /// By pg_dump and sessions of ours.
    Shared(Box<Shared>),
}

/// A dump of which pg_dump writes all.
pub struct Alone {
    producer: Producer,
    /// What it had written when it was looked at.
    begun: BytesMut,
}

/// A dump that is put together.
pub struct Shared {
    producer: Ahead,
    merger: Option<Merger>,
    parts: VecDeque<Part>,
    tables: Vec<Large>,
    readers: Readers,
    /// Whether the rows of a table are being written.
    within: bool,
    /// What is left of them.
    rows: Option<Rows>,
}

/// What came of an attempt.
enum Begun {
    /// It stands.
    Well(Production),
    /// It must be made anew, by pg_dump alone when it was not.
    InTheWay,
    /// This table was emptied or rewritten after the snapshot and before it was locked.
    Rewritten(String),
}

impl Production {
    /// Opens a snapshot in `session`, which keeps it until its transaction ends, and starts whoever reads from it.
    ///
    /// # Errors
    /// When the snapshot cannot be had or pg_dump not started, or it ends badly at once; when tables are rewritten each time that the
    /// dump begins.
    pub async fn start(job: &Job<'_>, name: &str, session: &Session) -> Result<Production> {
        let encoding = dump::encoding_of(session).await?;
        if session.server_version_major() >= CONNECTION_CHECK_MAJOR {
            leaves_with_us(session).await;
        }
        let (mut jobs, mut attempts) = (job.jobs, 0);
        loop {
            match attempt(job, jobs, name, &encoding, session).await? {
                Begun::Well(production) => return Ok(production),
                Begun::InTheWay => jobs = 1,
                Begun::Rewritten(table) if attempts < ATTEMPTS => {
                    attempts += 1;
                    tracing::info!("database {name}: {table} was emptied or made anew while the dump began; it is begun once more");
                }
                Begun::Rewritten(table) => bail!(
                    Failure::new(format!(
                        "{table} was emptied or made anew (TRUNCATE, ALTER TABLE, VACUUM FULL) each time that the dump began, and would be empty in it; nothing was saved"
                    ))
                    .hint("run the backup at another time, or let what empties the table pause")
                ),
            }
        }
    }

    /// Appends what comes next; 0 means that all is there.
    ///
    /// # Errors
    /// When anybody who reads ends badly.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize> {
        match self {
            Production::Alone(alone) if alone.begun.is_empty() => alone.producer.read(buffer).await,
            Production::Alone(alone) => {
                let begun = alone.begun.split();
                buffer.extend_from_slice(&begun);
                Ok(begun.len())
            }
            Production::Shared(shared) => shared.read(buffer).await,
        }
    }

    /// The tables that were put into pg_dump's text, as it spells their names.
    pub fn put_in(&self) -> Vec<String> {
        match self {
            Production::Alone(_) => Vec::new(),
            Production::Shared(shared) => shared.tables.iter().map(Large::spelled).collect(),
        }
    }
}

async fn attempt(job: &Job<'_>, jobs: usize, name: &str, encoding: &str, session: &Session) -> Result<Begun> {
    let sizes = large::sizes(session, jobs).await?;
    let snapshot = open_snapshot(session).await?;
    let (tables, jobs) = large::of(session, &sizes, jobs).await?;
    let tables = if jobs < 2 { Vec::new() } else { tables };
    let left_out: Vec<String> = tables.iter().map(|table| large::quoted(&table.schema, &table.name)).collect();
    let taken = Taken { snapshot: &snapshot, encoding, left_out: &left_out };
    let mut producer = Producer::start(&dump::program(job, name, &taken))?;
    let mut begun = BytesMut::new();
    if tables.is_empty() {
        producer.read(&mut begun).await?;
        if let Some(table) = still::rewritten(session).await? {
            drop(producer);
            session.batch_execute("ROLLBACK").await.context("closing the snapshot")?;
            return Ok(Begun::Rewritten(table));
        }
        return Ok(Begun::Well(Production::Alone(Box::new(Alone { producer, begun }))));
    }
    let reading =
        Reading { settings: job.settings, name, session_name: job.session_name, encoding, snapshot: &snapshot };
    // pg_dump has its session first, should there be no room for more.
    producer.read(&mut begun).await?;
    // Whatever is in the way of reading with several sessions is in nobody's way when there is one.
    let readers = match readers::open(&reading, jobs).await {
        Ok(sessions) => readers::start(sessions, &tables, Ranges::new(&tables)).await,
        Err(error) => Err(error),
    };
    let readers = match readers {
        Ok(readers) => readers,
        Err(error) => {
            tracing::info!("database {name} is read by pg_dump alone, which takes longer: {error:#}");
            drop(producer);
            session.batch_execute("ROLLBACK").await.context("closing the snapshot")?;
            wait_for(session, &left_out).await?;
            return Ok(Begun::InTheWay);
        }
    };
    if let Some(table) = still::rewritten(session).await? {
        drop((producer, readers));
        session.batch_execute("ROLLBACK").await.context("closing the snapshot")?;
        return Ok(Begun::Rewritten(table));
    }
    let large = tables.len();
    tracing::info!(
        "database {name}: {jobs} sessions read its {large} large table{}",
        if large == 1 { "" } else { "s" }
    );
    let mut merger = Merger::new(tables.iter().map(Large::key).collect());
    let mut parts = VecDeque::new();
    merger.push(&begun, &mut parts)?;
    let (producer, merger) = (Ahead::of(producer), Some(merger));
    let shared = Shared { producer, merger, parts, tables, readers, within: false, rows: None };
    Ok(Begun::Well(Production::Shared(Box::new(shared))))
}

impl Shared {
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize> {
        let before = buffer.len();
        while buffer.len() == before {
            if let Some(rows) = &mut self.rows {
                // A long row is handed on in pieces: whoever comes next holds each of them more than once.
                let piece = rows.bytes.len().min(PIECE_BYTES);
                buffer.extend_from_slice(&rows.bytes[..piece]);
                rows.bytes.advance(piece);
                if rows.bytes.is_empty() {
                    self.rows = None;
                }
                continue;
            }
            if self.within {
                match self.readers.rows().await? {
                    Some(Rows { bytes, room }) if bytes.len() <= PIECE_BYTES && before == 0 => {
                        match bytes.try_into_mut() {
                            Ok(bytes) => *buffer = bytes,
                            Err(bytes) => self.rows = Some(Rows { bytes, room }),
                        }
                    }
                    Some(rows) => self.rows = Some(rows),
                    None => {
                        self.within = false;
                        buffer.extend_from_slice(ROWS_END);
                    }
                }
                continue;
            }
            match self.parts.pop_front() {
                Some(Part::Text(text)) => buffer.extend_from_slice(&text),
                Some(Part::Table(at)) => {
                    buffer.extend_from_slice(self.tables[at].begin().as_bytes());
                    self.within = true;
                }
                None => {
                    let Some(mut merger) = self.merger.take() else { break };
                    match self.producer.next().await? {
                        Some(piece) => {
                            merger.push(&piece, &mut self.parts)?;
                            self.merger = Some(merger);
                        }
                        None => merger.finish(&mut self.parts)?,
                    }
                }
            }
        }
        Ok(buffer.len() - before)
    }
}

/// The first major that looks whether a client is still there while it makes that wait.
const CONNECTION_CHECK_MAJOR: u32 = 14;

/// Lets the server end the session soon after we are gone, however we went, even while it waits for a lock: nobody who waits for us
/// then waits for long. Best effort: few systems cannot look.
async fn leaves_with_us(session: &Session) {
    let _ = session.batch_execute("SET client_connection_check_interval = '1s'").await;
}

/// Waits until whoever wants one of these tables for himself has had it. A snapshot from before that would see it empty, if he
/// rewrote it; and nothing is held afterwards, because pg_dump comes next and must not have to wait behind somebody who waits for us.
async fn wait_for(session: &Session, tables: &[String]) -> Result<()> {
    let lock = format!("BEGIN; LOCK TABLE ONLY {} IN ACCESS SHARE MODE; ", tables.join(", ONLY "));
    if let Err(error) = session.batch_execute(&lock).await {
        // Gone, or not ours to read: pg_dump says it better.
        tracing::debug!(%error, "large tables were not waited for");
    }
    session.batch_execute("ROLLBACK").await.context("giving tables back")
}

async fn open_snapshot(session: &Session) -> Result<String> {
    session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await.context("opening a snapshot")?;
    let exported = session.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]).await;
    Ok(exported.context("exporting the snapshot")?.get(0))
}
