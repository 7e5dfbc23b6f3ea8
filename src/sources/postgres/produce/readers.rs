//! Sessions that read ranges of pages, each ahead of its time, and hand them out in order.

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use futures::future::try_join_all;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::large::{Large, quoted};
use super::pages::{Range, Ranges};
use super::still::{Names, are_still_there};
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::{literal, told};
use crate::sources::postgres::spare::OPENED_WITHIN;

/// Rows are handed on in pieces of about this length.
pub const PIECE_BYTES: usize = 256 << 10;

/// What a range that waits for its turn may hold, but for the row that it is at; and all of them together, where they are many.
const RANGE_KIB: u32 = 4 << 10;
const AHEAD_KIB: u32 = 20 << 10;

/// What pg_dump sets for its own session, so that every value is written as it would write it (what it leaves alone, like TimeZone or
/// bytea_output, both have from the server and PGOPTIONS); then that rows come in the order in which they lie, from exactly the
/// pages that are asked for. Time limits are none in every session of ours.
///
/// Of the transaction only: behind a pooler another client may have the session afterwards.
const AS_PG_DUMP: &str = "SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = POSTGRES; SET LOCAL extra_float_digits = 3; SET LOCAL row_security = off;
SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; SET LOCAL enable_tidscan = on;
SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off;
SELECT pg_catalog.set_config(name, 'view, foreign-table', true) FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind';";

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
    /// What the database's text is encoded in, and so the dump's.
    pub encoding: &'a str,
    /// The snapshot, which its session must hold until all have begun.
    pub snapshot: &'a str,
}

/// Opens sessions that see the snapshot; they hold no lock yet.
///
/// # Errors
/// When one cannot be had, or not soon: a pooler may let us wait as long as pg_dump has its last session.
pub async fn open(reading: &Reading<'_>, jobs: usize) -> Result<Vec<Session>> {
    let opening = try_join_all((0..jobs).map(|_| one(reading)));
    tokio::time::timeout(OPENED_WITHIN, opening).await.unwrap_or_else(|_| bail!("no further sessions were to be had"))
}

async fn one(reading: &Reading<'_>) -> Result<Session> {
    let session = Session::connect(reading.settings, reading.name, reading.session_name).await.map_err(told)?;
    super::leaves_with_us(&session).await;
    let (snapshot, encoding) = (literal(reading.snapshot), literal(reading.encoding));
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT {snapshot};
         SET LOCAL client_encoding = {encoding}; {AS_PG_DUMP}"
    );
    session.batch_execute(&begin).await.context("taking over the snapshot")?;
    Ok(session)
}

/// Locks the tables in every session, then lets them read.
///
/// # Errors
/// When a table or one of its indexes is wanted by somebody for himself, or he has had it, or it may not be read.
pub async fn start(sessions: Vec<Session>, tables: &[Large], ranges: Ranges) -> Result<Readers> {
    let mut locks = format!("SET LOCAL lock_timeout = '{LOCK_WAIT}';");
    for table in tables {
        let _ = write!(locks, "LOCK TABLE ONLY {} IN ACCESS SHARE MODE;", quoted(&table.schema, &table.name));
    }
    // Planning takes the locks of the indexes too, which REINDEX wants for itself while pg_dump does not need them. They are tried,
    // and not kept: whoever makes an index anew waits for no more than a range.
    locks.push_str("SAVEPOINT tried;");
    for table in tables {
        let _ = write!(locks, "SELECT FROM ONLY {} LIMIT 0;", quoted(&table.schema, &table.name));
    }
    locks.push_str("ROLLBACK TO tried; RELEASE tried; SET LOCAL lock_timeout = 0");
    try_join_all(sessions.iter().map(|session| session.batch_execute(&locks))).await.map_err(|error| {
        error.as_db_error().map_or_else(|| anyhow!("{error}"), |said| anyhow!("{}", said.message()))
    })?;
    // pg_dump may have ended already, and given its locks to somebody who rewrote a table before ours were had.
    if let Some(session) = sessions.first()
        && !are_still_there(session, tables).await?
    {
        bail!("a large table was made anew meanwhile");
    }

    let names = try_join_all(sessions.iter().map(|session| Names::new(session))).await?;
    let jobs = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
    let (turns, order) = mpsc::channel(sessions.len());
    let work = Arc::new(Work { tables: tables.to_vec(), next: Mutex::new((ranges, turns)), room: room(jobs) });
    let mut tasks = JoinSet::new();
    for session in sessions.into_iter().zip(names) {
        tasks.spawn(read_all(session, work.clone()));
    }
    Ok(Readers { order, turn: None, _tasks: tasks })
}

/// How many KiB each range may hold; one more range than there are sessions may wait.
fn room(jobs: u32) -> u32 {
    (AHEAD_KIB / jobs.saturating_add(1)).clamp(512, RANGE_KIB)
}

struct Work {
    tables: Vec<Large>,
    next: Mutex<(Ranges, mpsc::Sender<Turn>)>,
    room: u32,
}

/// One range, as it is read.
struct Turn {
    pieces: mpsc::UnboundedReceiver<Piece>,
    /// Whether the table ends with it.
    last: bool,
}

enum Piece {
    Rows(Rows),
    /// The server said that there are no more: a reader that is merely gone never says so.
    End,
    Failed(anyhow::Error),
}

/// Some rows, or one that is long.
pub struct Rows {
    /// What is left of them.
    pub bytes: Bytes,
    /// Their place among what may wait, which the next get when these are dropped.
    pub room: OwnedSemaphorePermit,
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
    pub async fn rows(&mut self) -> Result<Option<Rows>> {
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
async fn read_all((session, names): (Session, Names), work: Arc<Work>) {
    loop {
        // Who takes the next range takes its turn in the same step, and waits here while enough is read ahead.
        let (range, line) = {
            let mut next = work.next.lock().await;
            let Some(range) = next.0.next() else { return };
            let (pieces, turn) = mpsc::unbounded_channel();
            if next.1.send(Turn { pieces: turn, last: range.until.is_none() }).await.is_err() {
                return;
            }
            (range, Line { pieces, room: Arc::new(Semaphore::new(work.room as usize)), most: work.room })
        };
        let last = match read(&session, &names, &work.tables, range, &line).await {
            Ok(()) => Piece::End,
            Err(error) => Piece::Failed(error),
        };
        let failed = matches!(last, Piece::Failed(_));
        if line.pieces.send(last).is_err() || failed {
            return;
        }
    }
}

/// Where the rows of one range wait for its turn.
struct Line {
    pieces: mpsc::UnboundedSender<Piece>,
    /// In KiB.
    room: Arc<Semaphore>,
    most: u32,
}

impl Line {
    /// Hands on rows as soon as there is room for them; what is longer than all of it waits until nothing else does.
    async fn put(&self, bytes: Bytes) -> Result<()> {
        let room = u32::try_from(bytes.len().div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.most);
        let room = self.room.clone().acquire_many_owned(room).await?;
        // Nobody who listens any more wants the end of it either.
        let _ = self.pieces.send(Piece::Rows(Rows { bytes, room }));
        Ok(())
    }
}

async fn read(session: &Session, names: &Names, tables: &[Large], range: Range, line: &Line) -> Result<()> {
    let table = &tables[range.table];
    let shown = || format!("reading {}", quoted(&table.schema, &table.name));
    session.batch_execute(&range.begin()).await.with_context(shown)?;
    {
        let stream = session.copy_out(&table.copy(range.until.is_none())).await.with_context(shown)?;
        let mut stream = pin!(stream);
        let mut rows = BytesMut::with_capacity(PIECE_BYTES);
        while let Some(row) = stream.try_next().await.with_context(shown)? {
            // A row may be longer than a piece, and is handed on as it came.
            if rows.len() + row.len() > PIECE_BYTES && !rows.is_empty() {
                let full = std::mem::replace(&mut rows, BytesMut::with_capacity(PIECE_BYTES));
                line.put(full.freeze()).await?;
            }
            if row.len() > PIECE_BYTES {
                let _held = session.hold();
                line.put(row).await?;
            } else {
                rows.extend_from_slice(&row);
            }
        }
        if !rows.is_empty() {
            line.put(rows.freeze()).await?;
        }
    }
    session.batch_execute(Range::END).await.with_context(shown)?;
    names.still_mean(session, table).await
}
