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
//! pg_dump alone.

mod ahead;
mod large;
mod merge;
mod pages;
mod readers;
mod words;

use std::collections::VecDeque;

use anyhow::{Context, Result};
use bytes::BytesMut;

use self::ahead::Ahead;
use self::large::Large;
use self::merge::{Merger, Part};
use self::pages::Ranges;
use self::readers::{Readers, Reading};
use super::connect::Session;
use super::dump::{self, Job};
use crate::process::Producer;

/// Ends the rows of a table, as pg_dump does.
const ROWS_END: &[u8] = b"\\.\n\n\n";

/// The text of one database's dump, as it is made.
pub enum Production {
    /// By pg_dump alone.
    Alone(Box<Producer>),
    /// By pg_dump and sessions of ours.
    Shared(Box<Shared>),
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
}

impl Production {
    /// Opens a snapshot in `session`, which keeps it until its transaction ends, and starts whoever reads from it.
    ///
    /// # Errors
    /// When the snapshot cannot be had or pg_dump not started, or it ends badly at once.
    pub async fn start(job: &Job<'_>, name: &str, session: &Session) -> Result<Production> {
        let snapshot = open_snapshot(session).await?;
        let (tables, jobs) = large::of(session, job.jobs).await?;
        if tables.is_empty() || jobs < 2 {
            return alone(job, name, &snapshot);
        }
        let left_out: Vec<String> = tables.iter().map(|table| large::quoted(&table.schema, &table.name)).collect();
        let mut producer = Producer::start(&dump::program(job, name, &snapshot, &left_out))?;
        let mut piece = BytesMut::new();
        let reading = Reading { settings: job.settings, name, session_name: job.session_name, snapshot: &snapshot };
        let (opened, begun) = tokio::join!(readers::open(&reading, jobs), producer.read(&mut piece));
        begun?;
        // Whatever is in the way of reading with several sessions is in nobody's way when there is one.
        let readers = match opened {
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
                let snapshot = open_snapshot(session).await?;
                return alone(job, name, &snapshot);
            }
        };
        tracing::info!("database {name}: {jobs} sessions read its large tables, {} of them", tables.len());
        let mut merger = Merger::new(tables.iter().map(Large::key).collect());
        let mut parts = VecDeque::new();
        merger.push(&piece, &mut parts)?;
        Ok(Production::Shared(Box::new(Shared {
            producer: Ahead::of(producer),
            merger: Some(merger),
            parts,
            tables,
            readers,
            within: false,
        })))
    }

    /// Appends what comes next; 0 means that all is there.
    ///
    /// # Errors
    /// When anybody who reads ends badly.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize> {
        match self {
            Production::Alone(producer) => producer.read(buffer).await,
            Production::Shared(shared) => shared.read(buffer).await,
        }
    }
}

impl Shared {
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize> {
        let before = buffer.len();
        while buffer.len() == before {
            if self.within {
                match self.readers.rows().await? {
                    Some(rows) if before == 0 => *buffer = rows,
                    Some(rows) => buffer.extend_from_slice(&rows),
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

fn alone(job: &Job<'_>, name: &str, snapshot: &str) -> Result<Production> {
    Producer::start(&dump::program(job, name, snapshot, &[])).map(Box::new).map(Production::Alone)
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
