//! Several sessions, and which statement goes to which of them when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::future::try_join_all;
use tokio::sync::mpsc::UnboundedReceiver;

use super::end::Taken;
use super::facts::Facts;
use super::failures;
use super::lane::{Job, Lane, Over, Tell};
use super::schedule::{Hold, Schedule};
use super::touches::{Qualified, Thing, Touched};
use crate::sources::postgres::load::{Broken, Twin};
use crate::sources::postgres::rewrite::Begun;

/// A statement about no more rows than this is a light one, in bytes.
pub const LIGHT: u64 = 1 << 20;
/// How many light statements a lane gets at once.
const TOGETHER: usize = 32;

/// Several sessions, and what is told of them.
pub struct Several {
    /// What the catalogue said.
    pub facts: Facts,
    /// How to open a session that is like theirs, as long as it is known.
    pub twin: Option<Arc<Twin>>,
    /// The sessions; the first is the one that everything began with.
    pub lanes: Vec<Lane>,
    /// Where they tell.
    pub tell: Tell,
    /// What they tell.
    pub over: UnboundedReceiver<Over>,
    /// Statements that wait for others: before the data and after it.
    pub schedule: Schedule<Thing, Job>,
    /// Which table each index that was made is on.
    pub indexes: BTreeMap<Qualified, Qualified>,
    /// Whether the first lane alone is written to, directly.
    pub alone: bool,
    /// What has set the first lane while it was alone, before any rows: the others follow when something is theirs to do.
    pub owed: Vec<(Begun, usize, Bytes)>,
    /// The lane that was given rows last.
    pub last: usize,
    /// Whether the first lane alone is written to, to the end.
    pub for_good: bool,
}

impl Several {
    /// What a statement touches, by what stands for it; nothing when that is not known.
    pub fn things(&mut self, touched: &Touched) -> Option<Vec<(Thing, Hold)>> {
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
    ///
    /// # Errors
    /// When a session has ended.
    pub async fn begin_until(&mut self, waiting: usize) -> Result<(), Option<anyhow::Error>> {
        loop {
            while let Some(at) = self.lanes.iter().position(|lane| !lane.busy) {
                let Some(job) = self.next_job() else { break };
                self.lanes[at].busy = true;
                self.lanes[at].give(job).map_err(|Broken| None)?;
            }
            let is_done = if waiting == 0 { self.schedule.is_empty() } else { self.schedule.waiting() <= waiting };
            if is_done {
                return Ok(());
            }
            match self.over.recv().await {
                Some(Over::Done(at, numbers)) => {
                    if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.at == at) {
                        lane.busy = false;
                    }
                    numbers.into_iter().for_each(|number| self.schedule.over(number));
                }
                Some(Over::Failed) | None => return Err(None),
            }
        }
    }

    /// The heaviest statement that may begin; where that is a light one, some more of them: each that is waited for alone costs as much
    /// time as it takes.
    fn next_job(&mut self) -> Option<Job> {
        let share = (self.schedule.ready() / self.lanes.len()).min(TOGETHER);
        let mut light = Job::default();
        while light.numbers.len() < share
            && let Some((number, more)) = self.schedule.begin_at_most(LIGHT)
        {
            light.numbers.push(number);
            light.parts.extend(more.parts);
        }
        if !light.numbers.is_empty() {
            return Some(light);
        }
        let (number, mut job) = self.schedule.begin()?;
        job.numbers.push(number);
        Some(job)
    }

    /// Gives the other lanes what they owe.
    ///
    /// # Errors
    /// When one has ended.
    pub fn follow(&mut self) -> Result<(), Broken> {
        for (begun, come, sql) in std::mem::take(&mut self.owed) {
            let mut others = self.lanes.iter_mut().skip(1);
            others.try_for_each(|lane| lane.give(Job::of(begun.clone(), come, sql.clone())))?;
        }
        Ok(())
    }

    /// Waits until all is done.
    ///
    /// # Errors
    /// With what failed, where that is known already.
    pub async fn rest(&mut self) -> Result<(), Option<anyhow::Error>> {
        self.begin_until(0).await?;
        try_join_all(self.lanes.iter_mut().map(Lane::rest)).await.map_err(Some)?;
        Ok(())
    }

    /// Ends all sessions but the first, which are at rest, and says what they have loaded. One that has collected failures stays: they
    /// are told at the end.
    ///
    /// # Errors
    /// When one ends badly.
    pub async fn end_idle(&mut self, taken: &mut Taken) -> Result<(), anyhow::Error> {
        let mut at = 1;
        while at < self.lanes.len() {
            if !self.lanes[at].loader().is_some_and(|loader| loader.is_well()) {
                at += 1;
                continue;
            }
            let mut lane = self.lanes.remove(at);
            if let Some(loader) = lane.take() {
                taken.add(&lane.blocks, loader.finish().await?)?;
            }
        }
        Ok(())
    }

    /// What has failed in lanes that are at rest and went on in spite of it.
    pub async fn collected(&mut self) -> Vec<anyhow::Error> {
        let mut errors = Vec::new();
        for lane in &mut self.lanes {
            if let Some(loader) = lane.loader()
                && loader.strict().await.is_err()
                && let Some(loader) = lane.take()
            {
                errors.push(loader.failure().await);
            }
        }
        errors
    }

    /// The failure of a lane that is written to directly, with what others have collected, or of one that is about to end.
    pub async fn first_failure(&mut self) -> anyhow::Error {
        // Told before its jobs are refused.
        let is_at_rest = self.alone && !self.tell.has_failed.load(Ordering::SeqCst);
        if is_at_rest && let Some(loader) = self.lanes[0].take() {
            let mut errors = vec![loader.failure().await];
            errors.extend(self.collected().await);
            return failures::together(errors);
        }
        match try_join_all(self.lanes.iter_mut().map(Lane::rest)).await {
            Err(error) => error,
            Ok(_) => anyhow::anyhow!("a session of the load ended early"),
        }
    }
}
