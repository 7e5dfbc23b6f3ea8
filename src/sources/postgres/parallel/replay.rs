//! The replay of one database's part of a dump, by one psql or several. Which statements may leave the dump's order is said in the
//! module's doc ([`super`]); here is who gets what, and when all have to wait.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use bytes::Bytes;

use super::end::Taken;
use super::failures::By;
use super::lane::Job;
use super::rows::Block;
use super::several::Several;
use super::touches::{self, Qualified, Way};
use super::{failures, settings, shapes, statistics};
use crate::settings::Postgres;
use crate::sources::postgres::clients::Client;
use crate::sources::postgres::load::{Broken, Loader};
use crate::sources::postgres::rewrite::Begun;
use crate::sources::postgres::statement::Manner;

/// The longest list of what sets a session that is kept for sessions that come later, in bytes.
const SESSION_MAX: usize = 1 << 20;
/// The longest statement that may wait with others, in bytes.
const HELD_MAX: usize = 1 << 16;
/// From so many tables with rows on several sessions make them: what that saves is more than asking the catalogue once more.
const MANY: usize = 200;
/// So often all sessions wait for one before the data; then that one makes all the rest.
const TURNS_MAX: usize = 64;

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

/// A replay that goes on.
pub struct Replay {
    pub(super) target: Target,
    pub(super) mode: Mode,
    pub(super) taken: Taken,
    /// What sets a session, so far.
    pub(super) session: Vec<u8>,
    pub(super) in_transaction: bool,
    /// COPYs that have begun.
    pub(super) begun: usize,
    /// Whether statements name all that is not the server's own with its schema.
    pub(super) qualifies: bool,
    /// Whether rows have come that several sessions take.
    pub(super) rows_came: bool,
    /// How often what makes tables had to wait for what goes alone.
    pub(super) turns: usize,
    /// Whether what the catalogue said may be old.
    pub(super) stale: bool,
    /// Whether it may be old for rows.
    pub(super) changed: bool,
    pub(super) asked: usize,
    pub(super) block: Option<Block>,
    pub(super) bytes: BTreeMap<Qualified, u64>,
    /// Whether what comes may be done as another account, or in another encoding.
    pub(super) is_other: bool,
    /// Numbers of the tables whose statistics are taken, or soon are; none before all rows are there.
    pub(super) analyzed: Option<BTreeSet<u32>>,
    pub(super) loaded_by: Option<By>,
}

/// Who loads.
pub enum Mode {
    /// One session; perhaps several when rows come.
    Before(Loader),
    /// One session to the end.
    Serial(Loader),
    /// Several.
    Several(Box<Several>),
    /// It has failed, or is over.
    Over,
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
            qualifies: false,
            rows_came: false,
            turns: 0,
            stale: false,
            changed: false,
            asked: 0,
            block: None,
            bytes: BTreeMap::new(),
            is_other: false,
            analyzed: None,
            loaded_by: None,
        })
    }

    /// A whole statement, or the beginning of a long one.
    ///
    /// # Errors
    /// When a statement has failed. No session is left then.
    pub async fn statement(&mut self, begun: Begun, at: Option<u64>, sql: &[u8]) -> Result<()> {
        let is_rows = begun.manner == Manner::Rows && begun.act == "COPY";
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
            Some(Way::Shapes(things)) if is_before => {
                let settled = self.first()?.settled().await;
                self.goes_on(settled).await?;
                if self.first()?.is_well() {
                    self.several().await?;
                } else {
                    // It fails in any case, and one session tells all that does.
                    self.makes_no_more();
                }
                if matches!(self.mode, Mode::Several(_)) {
                    return self.among_several(Way::Shapes(things), begun, at, sql).await;
                }
            }
            Some(Way::Session) if is_before => self.remember(sql).await?,
            Some(way) if !is_before => return self.among_several(way, begun, at, sql).await,
            _ => {}
        }
        self.direct(begun, at, sql, is_rows).await
    }

    /// Keeps what sets a session for those that come later.
    pub(super) async fn remember(&mut self, sql: &[u8]) -> Result<()> {
        self.session.extend_from_slice(sql);
        self.session.push(b'\n');
        if self.session.len() > SESSION_MAX {
            self.one_session("too much sets its sessions").await?;
        }
        Ok(())
    }

    /// One session makes what tables still come.
    pub(super) fn makes_no_more(&mut self) {
        self.turns = TURNS_MAX;
    }

    /// Where the way of a statement is known, with what it says of transactions taken in.
    fn way(&mut self, begun: &Begun, sql: &[u8]) -> Way {
        let way = touches::way(sql, true);
        let is_long = begun.lines.is_none() && begun.act != "COPY";
        let makes_many = self.begun == 0 && self.target.blocks >= MANY;
        let is_known = self.turns < TURNS_MAX && self.qualifies && !self.in_transaction;
        let may_wait = makes_many && is_known && !is_long && sql.len() <= HELD_MAX;
        if way == Way::Session
            && let Some(qualifies) = shapes::path(sql)
        {
            self.qualifies = qualifies;
        }
        self.is_other |= way == Way::Session && statistics::makes_other(sql, self.begun > 0);
        let way = match way {
            Way::Alone { .. } | Way::Beside(_) if may_wait && let Some(things) = shapes::shaped(sql) => {
                Way::Shapes(things)
            }
            // What it touches may wait to be made.
            Way::Beside(_) | Way::Free if makes_many && !is_long => Way::Alone { changes: true },
            Way::Alone { .. } if is_long => Way::Alone { changes: true },
            // Only its beginning was read.
            _ if is_long => Way::Serial,
            // Many may have to be held.
            Way::Beside(_) | Way::Free if sql.len() > HELD_MAX => Way::Alone { changes: true },
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
    pub(super) async fn direct(&mut self, begun: Begun, at: Option<u64>, sql: &[u8], is_rows: bool) -> Result<()> {
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
    pub async fn rows(&mut self, line: u64, rows: Bytes) -> Result<()> {
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
        let mut ends = several.lanes.iter_mut().enumerate().filter(|(at, _)| block.is_open(*at));
        let ended = ends.try_for_each(|(_, lane)| lane.give(Job { parts: vec![block.end(mark)], numbers: Vec::new() }));
        self.goes_on(ended).await
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

    /// By what several sessions have loaded, if they have.
    pub fn loaded_by(&self) -> Option<By> {
        self.loaded_by.map(|by| if self.rows_came { by } else { By::Making })
    }

    pub(super) fn first(&mut self) -> Result<&mut Loader> {
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
    pub(super) async fn goes_on(&mut self, fed: Result<(), Broken>) -> Result<()> {
        match fed {
            Ok(()) => Ok(()),
            Err(Broken) => Err(self.failure(None).await),
        }
    }

    pub(super) async fn failure(&mut self, known: Option<anyhow::Error>) -> anyhow::Error {
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

    /// Waits until all that was begun or waits is done. All lanes are at rest then.
    pub(super) async fn rest(&mut self) -> Result<()> {
        let Mode::Several(several) = &mut self.mode else { return Ok(()) };
        if let Err(error) = several.rest().await {
            return Err(self.failure(error).await);
        }
        Ok(())
    }
}
