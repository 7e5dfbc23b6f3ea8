//! The end of a replay: what has failed, and how many rows each COPY has brought.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::failures;
use super::replay::{Mode, Replay};
use crate::error::statements::Failed;
use crate::sources::postgres::load::Loaded;

/// What a replay has loaded.
#[derive(Debug, Default)]
pub struct Taken {
    /// Rows of each COPY, in the dump's order, as the server counted them; without the first session's.
    rows: BTreeMap<usize, u64>,
    /// Which COPYs the first session got.
    pub(super) first: Vec<usize>,
    /// Statements that failed and are none the worse for it, with the reason.
    pub spared: Vec<(Failed, &'static str)>,
}

impl Taken {
    /// What a session has loaded that is over; `blocks` are the COPYs that it got.
    pub(super) fn add(&mut self, blocks: &[usize], loaded: Loaded) -> Result<()> {
        add(&mut self.rows, blocks, &loaded.rows)?;
        self.spared.extend(loaded.spared);
        Ok(())
    }

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

impl Replay {
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
        let errors = several.collected().await;
        if errors.is_empty() {
            return Ok(());
        }
        self.mode = Mode::Over;
        Err(failures::together(errors))
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

    /// Ends all sessions but the first.
    pub(super) async fn retire(&mut self) -> Result<()> {
        self.strict().await?;
        match std::mem::replace(&mut self.mode, Mode::Over) {
            Mode::Several(mut several) => {
                let mut lanes = several.lanes.drain(..);
                let first = lanes.next().and_then(|mut lane| Some((lane.take()?, std::mem::take(&mut lane.blocks))));
                let (first, blocks) = first.context("the first session is at work")?;
                self.taken.first = blocks;
                for mut lane in lanes {
                    let loaded = lane.take().context("a session is at work")?.finish().await?;
                    self.taken.add(&lane.blocks, loaded)?;
                }
                self.mode = Mode::Serial(first);
            }
            Mode::Before(loader) => self.mode = Mode::Serial(loader),
            other => self.mode = other,
        }
        Ok(())
    }
}
