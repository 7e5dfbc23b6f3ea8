//! One of several psql that load the same side database: fed by a task of its own, so that whoever reads the dump reads on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use anyhow::{Context, Error, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::frozen::Frozen;
use crate::sources::postgres::load::{Broken, Loader};
use crate::sources::postgres::rewrite::Begun;

/// With so many jobs in hand a lane has no room for rows. Each has a mebibyte of them, the first of a table two; they keep what they were
/// unpacked with, of ours 2 MiB at most.
const IN_HAND: usize = 5;

/// Rows that whoever loads them reads as well. Ends well only when all of them came as they are to be.
pub type Stretch = BoxStream<'static, Result<Bytes>>;

/// What a lane writes.
pub enum Part {
    /// A statement begins; so many COPYs have come before it, in all lanes.
    Begins(Begun, usize),
    /// What comes next begins in this line of the dump; nothing: it is ours.
    At(Option<u64>),
    /// Rows come next; the block's first row is in this line of the dump.
    Rows(u64),
    /// Bytes.
    Sql(Bytes),
    /// A COPY begins whose rows are frozen, where they may be.
    Frozen(Box<Frozen>),
    /// It ends, with this line.
    FrozenEnd(Bytes),
    /// So many bytes of rows, which the lane reads by itself.
    Stretch(u64, Stretch),
}

impl Part {
    fn bytes(&self) -> u64 {
        match self {
            Part::Sql(sql) => sql.len() as u64,
            Part::Stretch(bytes, _) => *bytes,
            _ => 0,
        }
    }
}

/// A few parts that go together.
#[derive(Default)]
pub struct Job {
    /// What is written.
    pub parts: Vec<Part>,
    /// The statements' numbers, which are told when they are over; nothing for rows.
    pub numbers: Vec<u64>,
}

impl Job {
    /// A statement, before which so many COPYs have come.
    pub fn of(begun: Begun, come: usize, sql: Bytes) -> Job {
        let line = begun.line;
        Job { parts: vec![Part::Begins(begun, come), Part::At(line), Part::Sql(sql)], numbers: Vec::new() }
    }
}

/// What a lane tells.
#[derive(Debug)]
pub enum Over {
    /// The lane of this number has done the statements of these numbers.
    Done(usize, Vec<u64>),
    /// A lane has ended badly.
    Failed,
}

/// Where lanes tell what happens.
#[derive(Clone)]
pub struct Tell {
    /// There may be room.
    pub room: Arc<Notify>,
    /// Something is over.
    pub over: UnboundedSender<Over>,
    /// Whether a lane has ended badly.
    pub has_failed: Arc<AtomicBool>,
}

/// What a lane was given and has not written.
#[derive(Default)]
struct InHand {
    jobs: AtomicUsize,
    bytes: AtomicU64,
}

/// One psql, and who takes its place for large tables. At rest it is nobody's; at work a task has it.
pub struct Lane {
    /// Its number, by which it tells.
    pub at: usize,
    rest: Option<Loader>,
    jobs: Option<UnboundedSender<Job>>,
    task: Option<JoinHandle<Result<Loader>>>,
    tell: Tell,
    in_hand: Arc<InHand>,
    /// Which COPYs of the dump it has got, in order.
    pub blocks: Vec<usize>,
    /// Whether it is at a statement.
    pub busy: bool,
}

impl Lane {
    /// A lane at rest.
    pub fn new(at: usize, loader: Loader, blocks: Vec<usize>, tell: Tell) -> Lane {
        Lane { at, rest: Some(loader), jobs: None, task: None, tell, in_hand: Arc::default(), blocks, busy: false }
    }

    /// Its psql, when it is at rest.
    pub fn loader(&mut self) -> Option<&mut Loader> {
        self.rest.as_mut()
    }

    /// How many jobs it has in hand, when it has room for more rows.
    pub fn room(&self) -> Option<usize> {
        Some(self.in_hand.jobs.load(Ordering::SeqCst)).filter(|jobs| *jobs < IN_HAND)
    }

    /// How many bytes it has in hand.
    pub fn backlog(&self) -> u64 {
        self.in_hand.bytes.load(Ordering::SeqCst)
    }

    /// Gives it a job. Whoever gives rows has looked for room.
    ///
    /// # Errors
    /// When its psql has ended: [`Lane::rest`] says why.
    pub fn give(&mut self, job: Job) -> Result<(), Broken> {
        if let Some(loader) = self.rest.take() {
            let (jobs, given) = unbounded_channel();
            self.jobs = Some(jobs);
            let tells = (self.tell.clone(), self.in_hand.clone());
            self.task = Some(tokio::spawn(work(self.at, loader, given, tells)));
        }
        self.in_hand.jobs.fetch_add(1, Ordering::SeqCst);
        self.in_hand.bytes.fetch_add(job.parts.iter().map(Part::bytes).sum(), Ordering::SeqCst);
        match &self.jobs {
            Some(jobs) => jobs.send(job).map_err(|_| Broken),
            None => Err(Broken),
        }
    }

    /// Lets it come to rest: everything that it was given is done then.
    ///
    /// # Errors
    /// When something of it failed, in psql's words.
    pub async fn rest(&mut self) -> Result<()> {
        self.jobs = None;
        if let Some(task) = &mut self.task {
            let ended = task.await;
            self.task = None;
            self.rest = Some(ended.context("a session of the load")??);
        } else if let Some(loader) = &mut self.rest
            && loader.settled().await.is_err()
            && let Some(loader) = self.rest.take()
        {
            return Err(loader.failure().await);
        }
        Ok(())
    }

    /// Whether it has ended by itself, which is never well.
    pub fn has_ended(&self) -> bool {
        self.task.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Ends it where it stands; its psql is killed.
    pub async fn stop(&mut self) {
        self.jobs = None;
        self.rest = None;
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Its psql, for good.
    pub fn take(&mut self) -> Option<Loader> {
        self.rest.take()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Tells of a bad end, of a task that panics, too.
struct Told {
    tell: Tell,
    is_well: bool,
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.is_well {
            self.tell.has_failed.store(true, Ordering::SeqCst);
            self.tell.room.notify_one();
            let _ = self.tell.over.send(Over::Failed);
        }
    }
}

/// Why a lane does not go on.
enum Stopped {
    /// Its psql has ended, and says why.
    Psql,
    /// Rows that it was to read by itself could not be.
    Rows(Error),
}

impl From<Broken> for Stopped {
    fn from(_: Broken) -> Stopped {
        Stopped::Psql
    }
}

async fn work(
    at: usize,
    mut loader: Loader,
    mut jobs: UnboundedReceiver<Job>,
    (tell, in_hand): (Tell, Arc<InHand>),
) -> Result<Loader> {
    let mut told = Told { tell, is_well: false };
    while let Some(Job { parts, numbers }) = jobs.recv().await {
        for part in parts {
            match write(&mut loader, part, (&told.tell, &in_hand)).await {
                Ok(()) => {}
                Err(Stopped::Psql) => return Err(loader.failure().await),
                // Its psql is killed with what it has.
                Err(Stopped::Rows(error)) => return Err(error),
            }
        }
        if !numbers.is_empty() {
            if loader.settled().await.is_err() {
                return Err(loader.failure().await);
            }
            let _ = told.tell.over.send(Over::Done(at, numbers));
        }
        in_hand.jobs.fetch_sub(1, Ordering::SeqCst);
        told.tell.room.notify_one();
    }
    loader.ends_direct();
    match loader.settled().await {
        Ok(()) => {
            told.is_well = true;
            Ok(loader)
        }
        Err(Broken) => Err(loader.failure().await),
    }
}

async fn write(loader: &mut Loader, part: Part, (tell, in_hand): (&Tell, &InHand)) -> Result<(), Stopped> {
    let is_written = |sql: &Bytes| {
        in_hand.bytes.fetch_sub(sql.len() as u64, Ordering::SeqCst);
    };
    match part {
        Part::Begins(begun, come) => {
            loader.come(come);
            loader.begins(begun).await?;
        }
        Part::At(line) => loader.at(line),
        Part::Rows(first) => loader.rows(first),
        Part::Frozen(copy) => copy.begin(loader).await?,
        Part::FrozenEnd(mark) => Frozen::end(loader, &mark).await?,
        Part::Sql(sql) => {
            loader.write_rows(sql.clone()).await?;
            is_written(&sql);
        }
        Part::Stretch(_, mut rows) => {
            while let Some(rows) = rows.try_next().await.map_err(Stopped::Rows)? {
                loader.write_rows(rows.clone()).await?;
                is_written(&rows);
                // Whoever waits until it has little left.
                tell.room.notify_one();
            }
        }
    }
    Ok(())
}
