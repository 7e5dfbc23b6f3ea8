//! Which way a dead restore went, said once and in the same words, whatever it left behind.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use tokio::task::block_in_place;

use crate::sources::files::exchange::{Recovered, turn};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server;
use crate::sources::postgres::side::State;

/// What became of restores that died.
#[derive(Default)]
pub struct Verdicts(BTreeMap<String, bool>);

impl Verdicts {
    /// It is taken back, with all that it had done: whatever else of it is found says nothing against that.
    pub fn old(&mut self, run: &str) {
        self.0.insert(run.to_owned(), false);
    }

    /// What was done about a directory of it.
    pub fn of_files(&mut self, run: &str, what: Recovered) {
        let is_done = what == Recovered::Finished;
        self.0.entry(run.to_owned()).or_insert(is_done);
    }

    /// Left paused: done when it had put something aside, and nothing was taken back.
    ///
    /// # Errors
    /// When the server or a directory cannot be looked at.
    pub async fn of_paused(&mut self, run: &str, session: Option<&Session>, roots: &[PathBuf]) -> Result<()> {
        if self.0.contains_key(run) {
            return Ok(());
        }
        let mut is_done = false;
        if let Some(session) = session {
            let databases = server::databases(session).await?;
            let mut journals = databases.iter().filter_map(server::Database::journal);
            is_done |= journals.any(|journal| journal.state == State::Replaced && journal.run == run);
        }
        for root in roots {
            is_done |= block_in_place(|| turn::asides(root))?.iter().any(|aside| aside.by == run && !aside.is_rubbish);
        }
        self.0.insert(run.to_owned(), is_done);
        Ok(())
    }

    /// Says it.
    pub fn say(&self) {
        for (run, is_done) in &self.0 {
            if *is_done {
                tracing::warn!("run {run} died after its swap, which holds: the restored application is live");
            } else {
                tracing::warn!(
                    "run {run} died before it had changed anything for good: the application is as it was before that run"
                );
            }
        }
    }
}
