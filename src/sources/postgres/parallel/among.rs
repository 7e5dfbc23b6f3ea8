//! What a statement or a row does where several sessions load: goes to one, to all, or waits for all.

use anyhow::{Result, bail};

use super::facts::Dealt;
use super::lane::Job;
use super::replay::{Mode, Replay};
use super::rows::Block;
use super::schedule::Hold;
use super::several::LIGHT;
use super::touches::{Rows, Thing, Way};
use super::{shapes, statistics};
use crate::sources::postgres::rewrite::Begun;

/// How many statements are looked at before the first of them is begun: enough to find the largest, few enough to hold.
const AHEAD: usize = 256;
/// How often the catalogue is asked again, because tables or keys were made between rows.
const ASKED_MAX: usize = 64;

impl Replay {
    pub(super) async fn among_several(&mut self, way: Way, begun: Begun, at: Option<u64>, sql: &[u8]) -> Result<()> {
        let come = self.begun;
        let is_rows = matches!(way, Way::Rows(_));
        if self.in_transaction || matches!(way, Way::End) {
            // The dump's own transaction is one session's.
            self.alone().await?;
            if is_rows {
                self.rows_begin().await?;
            }
            self.outdates(None);
            self.stale = true;
            self.makes_no_more();
            return self.direct(begun, at, sql, is_rows).await;
        }
        let job = |begun, sql: &[u8]| Job::of(begun, come, [sql, b"\n"].concat().into());
        match way {
            Way::Rows(rows) => return self.rows_come(rows, begun, sql).await,
            Way::Session => {
                if !self.rows_came {
                    self.remember(sql).await?;
                }
                if !self.rows_came
                    && let Mode::Several(several) = &mut self.mode
                    && several.alone
                {
                    several.owed.push((begun.clone(), come, [sql, b"\n"].concat().into()));
                    return self.direct(begun, at, sql, false).await;
                }
                // What has failed by now is told here, of all lanes: each would end with its own.
                self.strict().await?;
                self.turns += usize::from(!self.rows_came);
                let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                // Not every setting can be compared.
                several.twin = None;
                let is_alone = several.alone;
                let mut lanes = several.lanes.iter_mut().skip(usize::from(is_alone));
                let given = lanes.try_for_each(|lane| lane.give(job(begun.clone(), sql)));
                self.goes_on(given).await?;
                return if is_alone { self.direct(begun, at, sql, false).await } else { Ok(()) };
            }
            Way::Free => {
                let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                if several.alone {
                    return self.direct(begun, at, sql, false).await;
                }
                if several.schedule.is_empty() {
                    // All to one: a sequence may be set twice.
                    let given = several.lanes[0].give(job(begun, sql));
                    return self.goes_on(given).await;
                }
                several.schedule.add(job(begun, sql), [(Thing::Sequences, Hold::Alone)], 0);
                return self.bounded().await;
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
                    self.analyze_loaded();
                    let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                    // A trigger, say, which the rows that still come must find.
                    self.changed = true;
                    let table = touched.tables.first().map(|(table, _)| table);
                    // Of a table whose rows were not counted nothing is known: it may be the largest.
                    let weight = table.map_or(0, |table| self.bytes.get(table).copied().unwrap_or(LIGHT + 1));
                    several.schedule.add(job(begun, sql), things, weight);
                    return self.bounded().await;
                }
            }
            Way::Shapes(things) => {
                if let Mode::Several(several) = &mut self.mode
                    && several.alone
                {
                    // What this one is made of may have been made just now.
                    self.turns += 1;
                    self.follow().await?;
                }
                let Mode::Several(several) = &mut self.mode else { return Ok(()) };
                several.alone = false;
                // Rows ask what became of it.
                self.changed = true;
                let things = things.into_iter().map(|(table, hold)| (Thing::Table(table), hold));
                several.schedule.add(job(begun, sql), things, 0);
                return self.bounded().await;
            }
            Way::Alone { changes } => {
                if !self.rows_came && shapes::sees_to_more(sql) {
                    self.makes_no_more();
                }
                self.stale |= changes;
                if !statistics::keeps(sql) {
                    self.outdates(None);
                }
            }
            Way::Begin | Way::End | Way::Serial => {}
        }
        self.alone().await?;
        self.direct(begun, at, sql, is_rows).await
    }

    /// Begins some of those that wait, when they are too many to hold.
    async fn bounded(&mut self) -> Result<()> {
        if let Mode::Several(several) = &mut self.mode
            && several.schedule.waiting() >= AHEAD
            && let Err(error) = several.begin_until(AHEAD / 2).await
        {
            return Err(self.failure(error).await);
        }
        Ok(())
    }

    /// The first lane is written to directly from here on, and nothing goes on beside it.
    pub(super) async fn alone(&mut self) -> Result<()> {
        if matches!(&self.mode, Mode::Several(several) if !several.alone) {
            self.rest().await?;
        }
        if let Mode::Several(several) = &mut self.mode {
            several.alone = true;
        }
        Ok(())
    }

    /// Asks the catalogue again; false when one session goes on.
    pub(super) async fn look_again(&mut self) -> Result<bool> {
        self.rest().await?;
        let facts = if self.asked < ASKED_MAX { self.facts().await } else { None };
        let is_known = facts.is_some();
        match (facts, &mut self.mode) {
            // Of the sessions that were to spare some are ours by now.
            (Some(facts), Mode::Several(several)) => {
                let spare = several.facts.spare;
                several.facts = facts;
                several.facts.spare = spare;
            }
            _ => self.one_session("tables and rows come by turns, or what was made between them").await?,
        }
        Ok(is_known)
    }

    /// Before the first rows: what has failed is told of all lanes, and what was set is theirs, too.
    async fn rows_begin(&mut self) -> Result<()> {
        if !self.rows_came {
            self.follow().await?;
            self.strict().await?;
            self.rows_came = true;
        }
        Ok(())
    }

    /// What the first lane has been set to is the others' as well, when it has taken that well.
    async fn follow(&mut self) -> Result<()> {
        self.rest().await?;
        let Mode::Several(several) = &mut self.mode else { return Ok(()) };
        let follows = several.follow();
        self.goes_on(follows).await
    }

    pub(super) async fn rows_come(&mut self, rows: Rows, begun: Begun, sql: &[u8]) -> Result<()> {
        let are_first = !self.rows_came;
        self.outdates(rows.table.as_ref());
        self.rows_begin().await?;
        if (self.stale || self.changed) && !self.look_again().await? {
            return self.direct(begun.clone(), begun.line, sql, true).await;
        }
        if are_first {
            self.knows_twin();
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
                if let Some(table) = &rows.table {
                    self.bytes.entry(table.clone()).or_default();
                }
                let oid = rows.table.as_ref().and_then(|table| several.facts.oid(table));
                self.block = Some(Block::new(number, rows.table, begun, sql, dealt).of(oid, several.twin.clone()));
                Ok(())
            }
        }
    }
}
