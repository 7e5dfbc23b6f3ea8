//! Sessions that read ranges of pages, each ahead of its time, and hand them out in order.

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use bytes::BytesMut;
use futures::TryStreamExt;
use futures::future::try_join_all;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::large::{Large, are_still_there, quoted};
use super::pages::{Range, Ranges};
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::{literal, told};

/// Rows are handed on in pieces of about this length.
const PIECE_BYTES: usize = 256 << 10;

/// What all ranges that wait for their turn may hold together, but for the rest of the row that each is at.
const AHEAD_BYTES: usize = 20 << 20;

/// What pg_dump sets for its own session, so that every value is written as it would write it; then that rows come in the order in
/// which they lie, from exactly the pages that are asked for.
const AS_PG_DUMP: &str = "SET DateStyle = ISO; SET IntervalStyle = POSTGRES; SET extra_float_digits = 3; SET row_security = off;
SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0; SET jit = off; SET enable_tidscan = on; SET enable_seqscan = off;
SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off;
SELECT pg_catalog.set_config(name, 'view, foreign-table', false) FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind';";

/// How long a table that somebody wants for himself is waited for. He waits for pg_dump.
const LOCK_WAIT: &str = "1s";

/// Where to read.
pub struct Reading<'a> {
    /// The server.
    pub settings: &'a Postgres,
    /// The database.
    pub name: &'a str,
    /// How our sessions are called.
    pub session_name: &'a str,
    /// The snapshot, which its session must hold until all have begun.
    pub snapshot: &'a str,
}

/// Opens sessions that see the snapshot; they hold no lock yet.
///
/// # Errors
/// When one cannot be had.
pub async fn open(reading: &Reading<'_>, jobs: usize) -> Result<Vec<Session>> {
    try_join_all((0..jobs).map(|_| one(reading))).await
}

async fn one(reading: &Reading<'_>) -> Result<Session> {
    let session = Session::connect(reading.settings, reading.name, reading.session_name).await.map_err(told)?;
    let row = session.query_one("SELECT pg_catalog.getdatabaseencoding()::text", &[]).await;
    let encoding: String = row.context("asking for the encoding")?.get(0);
    let set = format!("{AS_PG_DUMP} SET client_encoding = {}", literal(&encoding));
    session.batch_execute(&set).await.context("setting up a session that reads")?;
    let snapshot = literal(reading.snapshot);
    let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT {snapshot}");
    session.batch_execute(&begin).await.context("taking over the snapshot")?;
    Ok(session)
}

/// Locks the tables in every session, then lets them read.
///
/// # Errors
/// When a table or one of its indexes is wanted by somebody for himself, or he has had it, or it may not be read.
pub async fn start(sessions: Vec<Session>, tables: &[Large], ranges: Ranges) -> Result<Readers> {
    // Planning takes the locks of the indexes too, which REINDEX wants for itself while pg_dump does not need them.
    let mut locks = format!("SET LOCAL lock_timeout = '{LOCK_WAIT}';");
    for table in tables {
        let _ = write!(locks, "SELECT FROM ONLY {} LIMIT 0;", quoted(&table.schema, &table.name));
    }
    locks.push_str("SET LOCAL lock_timeout = 0");
    try_join_all(sessions.iter().map(|session| session.batch_execute(&locks))).await.map_err(|error| {
        error.as_db_error().map_or_else(|| anyhow!("{error}"), |said| anyhow!("{}", said.message()))
    })?;
    // pg_dump may have ended already, and given its locks to somebody who rewrote a table before ours were had.
    if let Some(session) = sessions.first()
        && !are_still_there(session, tables).await?
    {
        bail!("a large table was made anew meanwhile");
    }

    let jobs = sessions.len();
    let (turns, order) = mpsc::channel(jobs);
    let work = Arc::new(Work { tables: tables.to_vec(), next: Mutex::new((ranges, turns)), ahead: ahead(jobs) });
    let mut tasks = JoinSet::new();
    for session in sessions {
        tasks.spawn(read_all(session, work.clone()));
    }
    Ok(Readers { order, turn: None, _tasks: tasks })
}

/// How many pieces each range may hold; one more range than there are sessions may wait.
fn ahead(jobs: usize) -> usize {
    (AHEAD_BYTES / PIECE_BYTES / (jobs + 1)).max(2)
}

struct Work {
    tables: Vec<Large>,
    next: Mutex<(Ranges, mpsc::Sender<Turn>)>,
    ahead: usize,
}

/// One range, as it is read.
struct Turn {
    pieces: mpsc::Receiver<Piece>,
    /// Whether the table ends with it.
    last: bool,
}

enum Piece {
    Rows(BytesMut),
    /// The server said that there are no more: a reader that is merely gone never says so.
    End,
    Failed(anyhow::Error),
}

/// Hands out the rows of all tables, in order.
pub struct Readers {
    order: mpsc::Receiver<Turn>,
    turn: Option<Turn>,
    /// Dropped, they end, and their sessions with them.
    _tasks: JoinSet<()>,
}

impl Readers {
    /// The next rows of the table whose turn it is; nothing when it has no more, and then the next table's turn has come.
    ///
    /// # Errors
    /// When they could not be read to their end.
    pub async fn rows(&mut self) -> Result<Option<BytesMut>> {
        let lost = || anyhow!("a session that reads tables was lost");
        loop {
            let turn = match &mut self.turn {
                Some(turn) => turn,
                None => self.turn.insert(self.order.recv().await.ok_or_else(lost)?),
            };
            match turn.pieces.recv().await.ok_or_else(lost)? {
                Piece::Rows(rows) => return Ok(Some(rows)),
                Piece::Failed(error) => return Err(error),
                Piece::End => {
                    if self.turn.take().is_some_and(|turn| turn.last) {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

/// One session's work: range after range, until there is none or nobody wants them.
async fn read_all(session: Session, work: Arc<Work>) {
    loop {
        // Who takes the next range takes its turn in the same step, and waits here while enough is read ahead.
        let (range, pieces) = {
            let mut next = work.next.lock().await;
            let Some(range) = next.0.next() else { return };
            let (pieces, turn) = mpsc::channel(work.ahead);
            if next.1.send(Turn { pieces: turn, last: range.until.is_none() }).await.is_err() {
                return;
            }
            (range, pieces)
        };
        let last = match read(&session, &work.tables, range, &pieces).await {
            Ok(()) => Piece::End,
            Err(error) => Piece::Failed(error),
        };
        let failed = matches!(last, Piece::Failed(_));
        if pieces.send(last).await.is_err() || failed {
            return;
        }
    }
}

async fn read(session: &Session, tables: &[Large], range: Range, pieces: &mpsc::Sender<Piece>) -> Result<()> {
    let table = &tables[range.table];
    let shown = || format!("reading {}", quoted(&table.schema, &table.name));
    let stream = session.copy_out(&table.copy(range.from, range.until)).await.with_context(shown)?;
    let mut stream = pin!(stream);
    let mut rows = BytesMut::with_capacity(PIECE_BYTES);
    while let Some(row) = stream.try_next().await.with_context(shown)? {
        // A row may be longer than a piece, and is handed on as it came.
        if rows.len() + row.len() > PIECE_BYTES && !rows.is_empty() {
            let full = std::mem::replace(&mut rows, BytesMut::with_capacity(PIECE_BYTES));
            if pieces.send(Piece::Rows(full)).await.is_err() {
                return Ok(());
            }
        }
        if row.len() > PIECE_BYTES {
            if pieces.send(Piece::Rows(row.into())).await.is_err() {
                return Ok(());
            }
        } else {
            rows.extend_from_slice(&row);
        }
    }
    if !rows.is_empty() {
        // Nobody who listens any more wants the end of it either.
        let _ = pieces.send(Piece::Rows(rows)).await;
    }
    Ok(())
}
