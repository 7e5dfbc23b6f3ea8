//! The replay of one database's part of a dump, by one psql or several. Which statements may leave the dump's order is said in the
//! module's doc ([`super`]); here is who gets what, and when all have to wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::facts::{self, Dealt, Facts};
use super::lane::{Job, Lane, Over, Part, Tell};
use super::rows::Block;
use super::rows::Cut;
use super::schedule::{Hold, Schedule};
use super::touches::{self, Qualified, Rows, Thing, Touched, Way};
use super::{failures, settings};
use crate::error::statements::Failed;
use crate::settings::Postgres;
use crate::sources::postgres::clients::Client;
use crate::sources::postgres::load::{Broken, Loaded, Loader};
use crate::sources::postgres::rewrite::Begun;
use crate::sources::postgres::server::literal;
use crate::sources::postgres::statement::Manner;

/// How many statements are looked at before the first of them is begun: enough to find the largest, few enough to hold.
const AHEAD: usize = 256;
/// The longest list of what sets a session that is kept for sessions that come later, in bytes.
const SESSION_MAX: usize = 1 << 20;
/// How often the catalogue is asked again, because tables or keys were made between rows.
const ASKED_MAX: usize = 16;

/// What a replay needs to know.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub postgres: Postgres,
    /// Its client programs.
    pub client: Client,
    /// The database.
    pub database: String,
    /// The name of all its sessions.
    pub session_name: String,
    /// The dump's encoding of it.
    pub encoding: Option<String>,
    /// How many COPYs come.
    pub blocks: usize,
    /// How many sessions load at most.
    pub jobs: usize,
}

/// What a replay has loaded.
#[derive(Debug, Default)]
pub struct Taken {
    /// Rows of each COPY, in the dump's order, as the server counted them; without the first session's.
    rows: BTreeMap<usize, u64>,
    /// Which COPYs the first session got.
    first: Vec<usize>,
    /// Statements that failed and are none the worse for it, with the reason.
    pub spared: Vec<(Failed, &'static str)>,
}

impl Taken {
    /// Rows of each COPY, with what the first session has counted.
    ///
    /// # Errors
    /// When the sessions did not answer as many COPYs as they were given.
    pub fn rows(&self, counted: &[u64]) -> Result<Vec<u64>> {
        let mut rows = self.rows.clone();
        add(&mut rows, &self.first, counted)?;
        Ok(rows.into_values().collect())
    }
}

fn add(rows: &mut BTreeMap<usize, u64>, blocks: &[usize], counted: &[u64]) -> Result<()> {
    if blocks.len() != counted.len() {
        bail!("{} COPYs were sent to a session, and it answered {}", blocks.len(), counted.len());
    }
    for (block, counted) in blocks.iter().zip(counted) {
        *rows.entry(*block).or_default() += counted;
    }
    Ok(())
}

/// A replay that goes on.
pub struct Replay {
    target: Target,
    mode: Mode,
    taken: Taken,
    /// What sets a session, so far.
    session: Vec<u8>,
    in_transaction: bool,
    /// COPYs that have begun.
    begun: usize,
    /// Whether what the catalogue said may be old.
    stale: bool,
    asked: usize,
    block: Option<Block>,
    bytes: BTreeMap<Qualified, u64>,
}

enum Mode {
    /// One session; perhaps several when rows come.
    Before(Loader),
    /// One session to the end.
    Serial(Loader),
    /// Several.
    Several(Box<Several>),
    /// It has failed, or is over.
    Over,
}

struct Several {
    facts: Facts,
    lanes: Vec<Lane>,
    tell: Tell,
    over: UnboundedReceiver<Over>,
    schedule: Schedule<Thing, Job>,
    /// Which table each index that was made is on.
    indexes: BTreeMap<Qualified, Qualified>,
    /// Whether the first lane alone is written to, directly.
    alone: bool,
    /// The lane that was given rows last.
    last: usize,
    /// Whether the first lane alone is written to, to the end.
    for_good: bool,
}

impl Replay {
    /// A replay by a psql that has just started.
    ///
    /// # Errors
    /// When that has ended already.
    pub async fn new(target: Target, mut first: Loader) -> Result<Replay> {
        let mode = match target.jobs > 1 && first.answers() {
            true if first.write(settings::FASTER.as_bytes()).await.is_err() => return Err(first.failure().await),
            true => Mode::Before(first),
            false => Mode::Serial(first),
        };
        Ok(Replay {
            target,
            mode,
            taken: Taken::default(),
            session: Vec::new(),
            in_transaction: false,
            begun: 0,
            stale: false,
            asked: 0,
            block: None,
            bytes: BTreeMap::new(),
        })
    }

    /// A whole statement, or the beginning of a long one.
    ///
    /// # Errors
    /// When a statement has failed. No session is left then.
    pub async fn statement(&mut self, begun: Begun, at: Option<u64>, sql: &[u8]) -> Result<()> {
        let is_rows = begun.subject.manner == Manner::Rows && begun.subject.act == "COPY";
        let way = match &self.mode {
            Mode::Serial(_) | Mode::Over => None,
            Mode::Several(several) if several.for_good => None,
            _ => Some(self.way(&begun, sql)),
        };
        let is_before = matches!(self.mode, Mode::Before(_));
        match way {
            Some(Way::Serial) => self.one_session("a statement that may change its session").await?,
            Some(Way::Rows(rows)) if is_before && !self.in_transaction => {
                self.several().await?;
                if matches!(self.mode, Mode::Several(_)) {
                    return self.rows_come(rows, begun, sql).await;
                }
            }
            Some(Way::Session) if is_before => {
                self.session.extend_from_slice(sql);
                self.session.push(b'\n');
                if self.session.len() > SESSION_MAX {
                    self.one_session("too much sets its sessions").await?;
                }
            }
            Some(way) if !is_before => return self.among_several(way, begun, at, sql).await,
            _ => {}
        }
        self.direct(begun, at, sql, is_rows).await
    }

    /// Where the way of a statement is known, with what it says of transactions taken in.
    fn way(&mut self, begun: &Begun, sql: &[u8]) -> Way {
        let way = touches::way(sql, true);
        let is_long = begun.lines.is_none() && begun.subject.act != "COPY";
        let way = match way {
            Way::Alone { .. } if is_long => Way::Alone { changes: true },
            // Only its beginning was read.
            _ if is_long => Way::Serial,
            Way::Session if self.in_transaction => Way::Serial,
            way => way,
        };
        match way {
            Way::Begin => self.in_transaction = true,
            Way::End => self.in_transaction = false,
            _ => {}
        }
        way
    }

    /// To the first session, which is the only one or has been left alone.
    async fn direct(&mut self, begun: Begun, at: Option<u64>, sql: &[u8], is_rows: bool) -> Result<()> {
        let come = self.begun;
        if is_rows {
            self.first_gets_block();
            self.block = None;
        }
        let loader = self.first()?;
        loader.come(come);
        let begins = loader.begins(begun).await;
        self.goes_on(begins).await?;
        let loader = self.first()?;
        if at.is_some() {
            loader.at(at);
        }
        let written = loader.write(sql).await;
        self.goes_on(written).await
    }

    fn first_gets_block(&mut self) {
        let block = self.begun;
        self.begun += 1;
        match &mut self.mode {
            Mode::Several(several) => several.lanes[0].blocks.push(block),
            _ => self.taken.first.push(block),
        }
    }

    /// What stands between statements: white space and comments.
    ///
    /// # Errors
    /// When a statement has failed.
    pub async fn gap(&mut self, sql: &[u8]) -> Result<()> {
        if self.is_direct() { self.write(sql).await } else { Ok(()) }
    }

    /// More of a statement, or another INSERT.
    ///
    /// # Errors
    /// When a statement has failed.
    pub async fn more(&mut self, sql: &[u8]) -> Result<()> {
        if !self.is_direct() {
            bail!("a statement that nobody announced; this is a defect of bkp");
        }
        self.write(sql).await
    }

    /// What comes next begins in this line of the dump.
    pub fn at(&mut self, line: u64) {
        if self.is_direct()
            && let Ok(loader) = self.first()
        {
            loader.at(Some(line));
        }
    }

    /// Whether what comes is written to the first session at once.
    fn is_direct(&self) -> bool {
        match &self.mode {
            Mode::Several(several) => several.alone && self.block.is_none(),
            _ => true,
        }
    }

    /// Bytes of rows, the first of them in this line.
    ///
    /// # Errors
    /// When a statement has failed.
    pub async fn rows(&mut self, line: u64, rows: Vec<u8>) -> Result<()> {
        if let Some(block) = &mut self.block {
            let bytes = rows.len() as u64;
            if let Some(table) = &block.table {
                *self.bytes.entry(table.clone()).or_default() += bytes;
            }
            block.push(line, rows);
            while let Some(piece) = self.block.as_mut().and_then(Block::cut) {
                self.deal(piece).await?;
            }
            return Ok(());
        }
        let loader = self.first()?;
        loader.rows(line);
        self.write(&rows).await
    }

    /// The line that ends rows.
    ///
    /// # Errors
    /// When a statement has failed.
    pub async fn rows_end(&mut self, mark: &[u8]) -> Result<()> {
        let Some(mut block) = self.block.take() else { return self.write(mark).await };
        if let Some(piece) = block.last() {
            self.block = Some(block);
            self.deal(piece).await?;
            let Some(dealt) = self.block.take() else { return Ok(()) };
            block = dealt;
        }
        let Mode::Several(several) = &mut self.mode else { return Ok(()) };
        // All at once: a lane may have to wait for the end of what another one has.
        let ends = several.lanes.iter_mut().enumerate().filter(|(at, _)| block.is_open(*at));
        let ended = try_join_all(ends.map(|(_, lane)| lane.give(Job { parts: vec![block.end()], number: None }))).await;
        self.goes_on(ended.map(|_| ())).await
    }

    /// What does not come from the dump, to the first session, after all that does.
    ///
    /// # Errors
    /// When a statement has failed.
    pub async fn ours(&mut self, begun: Option<Begun>, sql: &[u8]) -> Result<()> {
        self.alone().await?;
        let come = self.begun;
        let loader = self.first()?;
        loader.come(come);
        loader.at(None);
        if let Some(begun) = begun {
            let begins = loader.begins(begun).await;
            self.goes_on(begins).await?;
        }
        self.write(sql).await
    }

    /// From here on the first error ends a session. Everything before is done then, and nothing of it has failed.
    ///
    /// # Errors
    /// With all that has failed, in all sessions.
    pub async fn strict(&mut self) -> Result<()> {
        if !matches!(self.mode, Mode::Several(_)) {
            let strict = self.first()?.strict().await;
            return self.goes_on(strict).await;
        }
        self.rest().await?;
        let Mode::Several(several) = &mut self.mode else { return Ok(()) };
        let mut errors = Vec::new();
        for lane in &mut several.lanes {
            if let Some(loader) = lane.loader()
                && loader.strict().await.is_err()
                && let Some(loader) = lane.take()
            {
                errors.push(loader.failure().await);
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        self.mode = Mode::Over;
        Err(failures::together(errors))
    }

    /// Takes statistics of all tables.
    ///
    /// # Errors
    /// When that fails.
    pub async fn analyze(&mut self) -> Result<()> {
        self.rest().await?;
        let target = &self.target;
        let Mode::Several(several) = &mut self.mode else { return self.ours(None, b"\nANALYZE;\n").await };
        let statements = match facts::analyzes((&target.postgres, &target.database, &target.session_name)).await {
            Ok(statements) => statements,
            // Names in another encoding, say: they need not be spelled.
            Err(_) => return self.ours(None, b"\nANALYZE;\n").await,
        };
        several.alone = false;
        let ours = |sql: &str| Job { parts: vec![Part::At(None), Part::Sql(sql.as_bytes().to_vec())], number: None };
        let session = "\nRESET SESSION AUTHORIZATION;\nSET client_encoding = 'UTF8';\n";
        let given = try_join_all(several.lanes.iter_mut().map(|lane| lane.give(ours(session)))).await;
        for (sql, bytes) in &statements {
            several.schedule.add(ours(sql), [], *bytes);
        }
        self.goes_on(given.map(|_| ())).await?;
        self.rest().await?;
        let encoding = self.target.encoding.as_deref().map_or("DEFAULT".to_owned(), literal);
        self.ours(None, format!("\nSET client_encoding = {encoding};\n").as_bytes()).await
    }

    /// Ends all sessions; what the first of them has loaded, and what the others have.
    ///
    /// # Errors
    /// When a statement has failed.
    pub async fn finish(mut self) -> Result<(Loaded, Taken)> {
        self.retire().await?;
        match std::mem::replace(&mut self.mode, Mode::Over) {
            Mode::Before(loader) | Mode::Serial(loader) => Ok((loader.finish().await?, self.taken)),
            _ => bail!("the load is over"),
        }
    }

    /// Whether several sessions have loaded.
    pub fn was_several(&self) -> bool {
        self.asked > 0
    }

    fn first(&mut self) -> Result<&mut Loader> {
        match &mut self.mode {
            Mode::Before(loader) | Mode::Serial(loader) => Some(loader),
            Mode::Several(several) => several.lanes[0].loader(),
            Mode::Over => None,
        }
        .context("the load is over")
    }

    async fn write(&mut self, sql: &[u8]) -> Result<()> {
        let written = self.first()?.write(sql).await;
        self.goes_on(written).await
    }

    /// Why a session does not go on, when one does not. All are gone then.
    async fn goes_on(&mut self, fed: Result<(), Broken>) -> Result<()> {
        match fed {
            Ok(()) => Ok(()),
            Err(Broken) => Err(self.failure(None).await),
        }
    }

    async fn failure(&mut self, known: Option<anyhow::Error>) -> anyhow::Error {
        let mut errors: Vec<anyhow::Error> = known.into_iter().collect();
        match std::mem::replace(&mut self.mode, Mode::Over) {
            Mode::Before(loader) | Mode::Serial(loader) => errors.push(loader.failure().await),
            Mode::Several(mut several) => {
                let none_known = errors.is_empty();
                for lane in &mut several.lanes {
                    if lane.has_ended()
                        && let Err(error) = lane.rest().await
                    {
                        errors.push(error);
                    }
                }
                // Written to directly, or just about to end.
                if errors.is_empty() && none_known {
                    errors.push(several.first_failure().await);
                }
                for lane in &mut several.lanes {
                    lane.stop().await;
                }
            }
            Mode::Over => {}
        }
        failures::earliest(errors)
    }

    /// Opens the further sessions, when rows may come in any order.
    async fn several(&mut self) -> Result<()> {
        let loader = self.first()?;
        let strict = loader.strict().await;
        self.goes_on(strict).await?;
        let settled = self.first()?.settled().await;
        self.goes_on(settled).await?;
        let Some(facts) = self.facts().await else { return self.one_session("").await };
        let Mode::Before(_) = &self.mode else { return Ok(()) };
        let (over_tell, over) = unbounded_channel();
        let tell = Tell { room: Arc::default(), over: over_tell, has_failed: Arc::default() };
        let mut more = Vec::new();
        for _ in 1..self.target.jobs {
            match settings::open(&self.target, &self.session).await {
                Ok(loader) => more.push(loader),
                Err(error) => {
                    tracing::warn!(
                        "loading with {} sessions, because no more can be opened: {error:#}",
                        more.len() + 1
                    );
                    break;
                }
            }
        }
        let Mode::Before(first) = std::mem::replace(&mut self.mode, Mode::Over) else { return Ok(()) };
        if more.is_empty() {
            self.mode = Mode::Serial(first);
            return Ok(());
        }
        let blocks = std::mem::take(&mut self.taken.first);
        let mut lanes = vec![Lane::new(0, first, blocks, tell.clone())];
        lanes.extend(more.into_iter().zip(1..).map(|(loader, at)| Lane::new(at, loader, Vec::new(), tell.clone())));
        tracing::info!("rows are loaded by {} sessions", lanes.len());
        let schedule = Schedule::default();
        self.mode = Mode::Several(Box::new(Several {
            facts,
            lanes,
            tell,
            over,
            schedule,
            indexes: BTreeMap::new(),
            alone: false,
            last: 0,
            for_good: false,
        }));
        Ok(())
    }

    /// What the catalogue says; nothing when the dump's order has to be kept, which is said.
    async fn facts(&mut self) -> Option<Facts> {
        self.asked += 1;
        self.stale = false;
        let target = &self.target;
        let encoding = target.encoding.as_deref().unwrap_or("UTF8");
        match Facts::ask((&target.postgres, &target.database, &target.session_name), encoding).await {
            Ok(Ok(facts)) => Some(facts),
            Ok(Err(what)) => {
                tracing::info!("one session loads the rest of {}: {what} is there before the data", target.database);
                None
            }
            Err(error) => {
                tracing::info!("one session loads the rest of {}: {error:#}", target.database);
                None
            }
        }
    }

    /// From here on one session loads; what the others have collected of failures is told at the end.
    async fn one_session(&mut self, why: &str) -> Result<()> {
        self.alone().await?;
        match std::mem::replace(&mut self.mode, Mode::Over) {
            Mode::Before(loader) => self.mode = Mode::Serial(loader),
            Mode::Several(mut several) => {
                tracing::info!("one session loads the rest of {}: {why}", self.target.database);
                several.for_good = true;
                self.mode = Mode::Several(several);
            }
            other => self.mode = other,
        }
        Ok(())
    }

    /// Ends all sessions but the first.
    async fn retire(&mut self) -> Result<()> {
        self.strict().await?;
        match std::mem::replace(&mut self.mode, Mode::Over) {
            Mode::Several(mut several) => {
                let mut lanes = several.lanes.drain(..);
                let first = lanes.next().and_then(|mut lane| Some((lane.take()?, std::mem::take(&mut lane.blocks))));
                let (first, blocks) = first.context("the first session is at work")?;
                self.taken.first = blocks;
                for mut lane in lanes {
                    let loaded = lane.take().context("a session is at work")?.finish().await?;
                    add(&mut self.taken.rows, &lane.blocks, &loaded.rows)?;
                    self.taken.spared.extend(loaded.spared);
                }
                self.mode = Mode::Serial(first);
            }
            Mode::Before(loader) => self.mode = Mode::Serial(loader),
            other => self.mode = other,
        }
        Ok(())
    }

    /// Waits until all that was begun or waits is done. All lanes are at rest then.
    async fn rest(&mut self) -> Result<()> {
        let Mode::Several(several) = &mut self.mode else { return Ok(()) };
        if let Err(error) = several.rest().await {
            return Err(self.failure(error).await);
        }
        Ok(())
    }

    async fn among_several(&mut self, way: Way, begun: Begun, at: Option<u64>, sql: &[u8]) -> Result<()> {
        let come = self.begun;
        let is_rows = matches!(way, Way::Rows(_));
        if self.in_transaction || matches!(way, Way::End) {
            // The dump's own transaction is one session's.
            self.alone().await?;
            self.stale = true;
            return self.direct(begun, at, sql, is_rows).await;
        }
        let line = begun.line;
        let job = |begun, sql: &[u8]| {
            let sql = Part::Sql([sql, b"\n"].concat());
            Job { parts: vec![Part::Begins(begun, come), Part::At(line), sql], number: None }
        };
        match way {
            Way::Rows(rows) => return self.rows_come(rows, begun, sql).await,
            Way::Session => {
                let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                if !several.schedule.is_empty() {
                    self.rest().await?;
                }
                let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                let is_alone = several.alone;
                let lanes = several.lanes.iter_mut().skip(usize::from(is_alone));
                let given = try_join_all(lanes.map(|lane| lane.give(job(begun.clone(), sql)))).await.map(|_| ());
                self.goes_on(given).await?;
                return if is_alone { self.direct(begun, at, sql, false).await } else { Ok(()) };
            }
            Way::Free => {
                let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                if several.alone {
                    return self.direct(begun, at, sql, false).await;
                }
                if several.schedule.is_empty() {
                    let at = self.room().await?;
                    let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                    let given = several.lanes[at].give(job(begun, sql)).await;
                    return self.goes_on(given).await;
                }
                several.schedule.add(job(begun, sql), [], 0);
                return Ok(());
            }
            Way::Beside(touched) => {
                if self.stale && !self.look_again().await? {
                    return self.direct(begun, at, sql, false).await;
                }
                let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                if several.alone || several.schedule.is_empty() {
                    // Rows are all there before the first of these.
                    self.rest().await?;
                }
                let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                if let Some(things) = several.things(&touched) {
                    several.alone = false;
                    let table = touched.tables.first().map(|(table, _)| table);
                    let weight = table.and_then(|table| self.bytes.get(table)).copied().unwrap_or_default();
                    several.schedule.add(job(begun, sql), things, weight);
                    if several.schedule.waiting() >= AHEAD
                        && let Err(error) = several.begin_until(AHEAD / 2).await
                    {
                        return Err(self.failure(error).await);
                    }
                    return Ok(());
                }
            }
            Way::Alone { changes } => self.stale |= changes,
            Way::Begin | Way::End | Way::Serial => {}
        }
        self.alone().await?;
        self.direct(begun, at, sql, is_rows).await
    }

    /// The first lane is written to directly from here on, and nothing goes on beside it.
    async fn alone(&mut self) -> Result<()> {
        if matches!(&self.mode, Mode::Several(several) if !several.alone) {
            self.rest().await?;
        }
        if let Mode::Several(several) = &mut self.mode {
            several.alone = true;
        }
        Ok(())
    }

    /// Asks the catalogue again; false when one session goes on.
    async fn look_again(&mut self) -> Result<bool> {
        self.rest().await?;
        let facts = if self.asked < ASKED_MAX { self.facts().await } else { None };
        let is_known = facts.is_some();
        match (facts, &mut self.mode) {
            (Some(facts), Mode::Several(several)) => several.facts = facts,
            _ => self.one_session("tables and rows come by turns, or what was made between them").await?,
        }
        Ok(is_known)
    }

    async fn rows_come(&mut self, rows: Rows, begun: Begun, sql: &[u8]) -> Result<()> {
        if self.stale && !self.look_again().await? {
            return self.direct(begun.clone(), begun.line, sql, true).await;
        }
        let Mode::Several(several) = &mut self.mode else { bail!("the load is over") };
        if several.alone || !several.schedule.is_empty() {
            self.rest().await?;
        }
        let Mode::Several(several) = &mut self.mode else { bail!("the load is over") };
        match several.facts.dealt(&rows) {
            Dealt::Alone => {
                self.alone().await?;
                self.direct(begun.clone(), begun.line, sql, true).await
            }
            dealt => {
                several.alone = false;
                let number = self.begun;
                self.begun += 1;
                self.block = Some(Block::new(number, rows.table, begun, sql, dealt == Dealt::Out));
                Ok(())
            }
        }
    }

    /// Gives a piece of rows to its lane, or to one that has room.
    async fn deal(&mut self, piece: Cut) -> Result<()> {
        let at = match piece.lane {
            Some(at) => at,
            None => self.room().await?,
        };
        let (Mode::Several(several), Some(block)) = (&mut self.mode, &mut self.block) else { return Ok(()) };
        let lane = &mut several.lanes[at];
        let job = Job { parts: block.parts(at, piece, &mut lane.blocks), number: None };
        let given = lane.give(job).await;
        self.goes_on(given).await
    }

    /// The lane that has least in hand, of equal ones the next in turn, as soon as one has room.
    async fn room(&mut self) -> Result<usize> {
        let Mode::Several(several) = &mut self.mode else { bail!("the load is over") };
        loop {
            if several.tell.has_failed.load(Ordering::SeqCst) {
                return Err(self.failure(None).await);
            }
            let (count, last) = (several.lanes.len(), several.last);
            let free = several.lanes.iter().enumerate().filter_map(|(at, lane)| Some((lane.in_hand()?, at)));
            match free.min_by_key(|(in_hand, at)| (*in_hand, (at + count - last - 1) % count)) {
                Some((_, at)) => {
                    several.last = at;
                    return Ok(at);
                }
                None => several.tell.room.notified().await,
            }
        }
    }
}

impl Several {
    /// What a statement touches, by what stands for it; nothing when that is not known.
    fn things(&mut self, touched: &Touched) -> Option<Vec<(Thing, Hold)>> {
        let mut things: Vec<(Thing, Hold)> =
            touched.tables.iter().map(|(table, hold)| (self.facts.thing(table), *hold)).collect();
        for index in &touched.indexes {
            things.push((self.facts.thing(self.indexes.get(index)?), touched.through));
            things.push((Thing::Index(index.clone()), Hold::Alone));
        }
        if let Some((index, table)) = &touched.makes {
            things.push((Thing::Index(index.clone()), Hold::Alone));
            self.indexes.insert(index.clone(), table.clone());
        }
        Some(things)
    }

    /// Begins what may begin until no more than so many wait.
    async fn begin_until(&mut self, waiting: usize) -> Result<(), Option<anyhow::Error>> {
        loop {
            while let Some(at) = self.lanes.iter().position(|lane| !lane.busy) {
                let Some((number, mut job)) = self.schedule.begin() else { break };
                job.number = Some(number);
                self.lanes[at].busy = true;
                self.lanes[at].give(job).await.map_err(|Broken| None)?;
            }
            let is_done = if waiting == 0 { self.schedule.is_empty() } else { self.schedule.waiting() <= waiting };
            if is_done {
                return Ok(());
            }
            match self.over.recv().await {
                Some(Over::Done(at, number)) => {
                    self.lanes[at].busy = false;
                    self.schedule.over(number);
                }
                Some(Over::Failed) | None => return Err(None),
            }
        }
    }

    async fn rest(&mut self) -> Result<(), Option<anyhow::Error>> {
        self.begin_until(0).await?;
        try_join_all(self.lanes.iter_mut().map(Lane::rest)).await.map_err(Some)?;
        Ok(())
    }

    /// The failure of a lane that is written to directly, or that is about to end.
    async fn first_failure(&mut self) -> anyhow::Error {
        if self.alone
            && let Some(loader) = self.lanes[0].take()
        {
            return loader.failure().await;
        }
        match try_join_all(self.lanes.iter_mut().map(Lane::rest)).await {
            Err(error) => error,
            Ok(_) => anyhow::anyhow!("a session of the load ended early"),
        }
    }
}
