//! From one session to several, when the first rows come or many tables, and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::mpsc::unbounded_channel;

use super::facts::Facts;
use super::failures::By;
use super::lane::{Lane, Tell};
use super::replay::{Mode, Replay};
use super::schedule::Schedule;
use super::settings;
use super::several::Several;

impl Replay {
    /// Opens the further sessions, when rows may come in any order.
    pub(super) async fn several(&mut self) -> Result<()> {
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
        let wanted = self.target.jobs.saturating_sub(1);
        if facts.spare < wanted {
            tracing::info!("loading with at most {} sessions: the server has few free", facts.spare + 1);
        }
        for _ in 0..wanted.min(facts.spare) {
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
        self.is_loaded_by(facts.calls);
        self.mode = Mode::Several(Box::new(Several {
            facts,
            twin: None,
            lanes,
            tell,
            over,
            schedule,
            indexes: BTreeMap::new(),
            alone: false,
            owed: Vec::new(),
            last: 0,
            for_good: false,
        }));
        Ok(())
    }

    /// All that sets the sessions has come: others can be opened that are like them.
    pub(super) fn knows_twin(&mut self) {
        if let Mode::Several(several) = &mut self.mode {
            // One more for each of them, and one that asks.
            let has_room = several.facts.spare >= 2 * several.lanes.len();
            several.twin = settings::twin(&self.target, &self.session).filter(|_| has_room);
        }
    }

    /// What the catalogue says; nothing when the dump's order has to be kept, which is said.
    pub(super) async fn facts(&mut self) -> Option<Facts> {
        self.asked += 1;
        (self.stale, self.changed) = (false, false);
        let target = &self.target;
        let encoding = target.encoding.as_deref().unwrap_or("UTF8");
        let rows_come = self.begun < target.blocks;
        match Facts::ask((&target.postgres, &target.database, &target.session_name), encoding, rows_come).await {
            Ok(Ok(facts)) => {
                if matches!(self.mode, Mode::Several(_)) {
                    self.is_loaded_by(facts.calls);
                }
                Some(facts)
            }
            Ok(Err(what)) => {
                tracing::info!("one session loads the rest of {}: {what} is there", target.database);
                None
            }
            Err(error) => {
                tracing::info!("one session loads the rest of {}: {error:#}", target.database);
                None
            }
        }
    }

    fn is_loaded_by(&mut self, calls: bool) {
        self.loaded_by = self.loaded_by.max(Some(if calls { By::Functions } else { By::Itself }));
    }

    /// From here on one session loads; what the others have collected of failures is told at the end.
    pub(super) async fn one_session(&mut self, why: &str) -> Result<()> {
        self.alone().await?;
        self.rest().await?;
        // What it is given is not looked at any more.
        self.outdates(None);
        match std::mem::replace(&mut self.mode, Mode::Over) {
            Mode::Before(loader) => self.mode = Mode::Serial(loader),
            Mode::Several(mut several) => {
                tracing::info!("one session loads the rest of {}: {why}", self.target.database);
                several.for_good = true;
                let ended = several.end_idle(&mut self.taken).await;
                self.mode = Mode::Several(several);
                // What one session loads it loads in the dump's order.
                self.rows_came |= matches!(&self.mode, Mode::Several(several) if several.lanes.len() == 1);
                if let Err(error) = ended {
                    return Err(self.failure(Some(error)).await);
                }
            }
            other => self.mode = other,
        }
        Ok(())
    }
}
