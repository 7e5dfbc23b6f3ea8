//! Which lane gets rows: in pieces, whichever has room for them, or all of a table in one stretch, which the lane reads by itself.
//!
//! A table that goes to one lane is loaded in the dump's order, and nobody else extends its file meanwhile. But the lane that gets the
//! last large one would be waited for alone. So a stretch goes to a lane only while there is as much to do for every other one; the rest
//! is dealt out.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};

use super::lane::{Job, Lane, Part, Stretch};
use super::replay::{Mode, Replay};
use super::rows::Cut;
use super::several::Several;

/// Lanes that differ in no more than this have as little to do, in bytes.
const LEVEL: u64 = 4 << 20;
/// A lane that has no more than this in hand is soon free, in bytes.
const SOON: u64 = 8 << 20;

impl Replay {
    /// Gives a piece of rows to its lane, or to one that has room.
    pub(super) async fn deal(&mut self, piece: Cut) -> Result<()> {
        let at = match piece.lane {
            Some(at) => self.when(|several| several.lanes[at].room().map(|_| at)).await?,
            None => self.room().await?,
        };
        let (Mode::Several(several), Some(block)) = (&mut self.mode, &mut self.block) else { return Ok(()) };
        let lane = &mut several.lanes[at];
        let job = Job { parts: block.parts(at, piece, &mut lane.blocks), numbers: Vec::new() };
        let given = lane.give(job);
        self.goes_on(given).await
    }

    /// The lane that has least in hand, of equal ones the next in turn, as soon as one has room.
    async fn room(&mut self) -> Result<usize> {
        let at = self.when(|several| {
            let (count, last) = (several.lanes.len(), several.last);
            let least = several.lanes.iter().map(Lane::backlog).min().unwrap_or_default();
            let level = several.lanes.iter().enumerate().filter(|(_, lane)| lane.backlog() <= least + LEVEL);
            let free = level.filter_map(|(at, lane)| Some((lane.room()?, at)));
            free.min_by_key(|(jobs, at)| (*jobs, (at + count - last - 1) % count)).map(|(_, at)| at)
        });
        let at = at.await?;
        if let Mode::Several(several) = &mut self.mode {
            several.last = at;
        }
        Ok(at)
    }

    /// Waits until all rows that have come are loaded. Statements that come after rows wait for that themselves.
    ///
    /// # Errors
    /// When a session has ended.
    pub async fn has_rows(&mut self) -> Result<()> {
        match &self.mode {
            Mode::Several(several) if several.schedule.is_empty() => self.rest().await,
            _ => Ok(()),
        }
    }

    /// What the lanes are waited for.
    async fn when<T>(&mut self, is: impl Fn(&Several) -> Option<T>) -> Result<T> {
        let Mode::Several(several) = &mut self.mode else { bail!("the load is over") };
        loop {
            if several.tell.has_failed.load(Ordering::SeqCst) {
                return Err(self.failure(None).await);
            }
            match is(several) {
                Some(found) => return Ok(found),
                None => several.tell.room.notified().await,
            }
        }
    }

    /// Whether a lane is to read so many bytes of rows, which come next, by itself; so many are `behind` them in the same database. Waits
    /// until one is soon free.
    ///
    /// # Errors
    /// When a session has ended.
    pub async fn wants_stretch(&mut self, bytes: u64, behind: u64) -> Result<bool> {
        let (Mode::Several(_), Some(block)) = (&self.mode, &self.block) else { return Ok(false) };
        let (must, is_whole) = (block.lane, !block.out);
        let soon = |several: &Several| {
            let lanes = several.lanes.iter().enumerate();
            let free = lanes.filter(|(at, lane)| must.is_none_or(|must| must == *at) && lane.backlog() <= SOON);
            // The first one is the only one for some tables.
            free.min_by_key(|(at, lane)| (lane.backlog(), Reverse(*at))).map(|(at, _)| at)
        };
        let at = self.when(soon).await?;
        let (Mode::Several(several), Some(block)) = (&self.mode, &mut self.block) else { return Ok(false) };
        let all = several.lanes.iter().map(Lane::backlog).sum::<u64>() + bytes + behind;
        let is_wanted = is_whole || bytes <= all / several.lanes.len() as u64 + SOON;
        tracing::debug!(
            "{bytes} bytes of rows in one stretch, {behind} behind them: {}",
            if is_wanted { "read by a session" } else { "dealt out" }
        );
        if is_wanted {
            block.keep_on(at);
        }
        Ok(is_wanted)
    }

    /// Gives a stretch of rows to the lane that is to read it: see [`Replay::wants_stretch`]. It begins in this line of the dump; `is_ended`:
    /// its last byte ends a line.
    ///
    /// # Errors
    /// When a session has ended.
    pub async fn stretch(&mut self, line: u64, (bytes, is_ended): (u64, bool), rows: Stretch) -> Result<()> {
        let (Mode::Several(several), Some(block)) = (&mut self.mode, &mut self.block) else {
            bail!("rows that nobody wanted; this is a defect of bkp")
        };
        let at = block.lane.unwrap_or_default();
        let lane = &mut several.lanes[at];
        let mut parts = match block.before(at) {
            Some(before) => block.parts(at, before, &mut lane.blocks),
            None => Vec::new(),
        };
        parts.extend([Part::At(Some(line)), Part::Stretch(bytes, rows)]);
        block.stretched(bytes, is_ended);
        if let Some(table) = &block.table {
            *self.bytes.entry(table.clone()).or_default() += bytes;
        }
        let given = lane.give(Job { parts, numbers: Vec::new() });
        self.goes_on(given).await
    }
}
