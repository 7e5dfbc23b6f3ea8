//! One file out of a stream: whole, or not at all.
//!
//! restic starts bkp's relay as the command whose output it stores, and stores nothing unless that ends well. The relay ends well only
//! after [`StreamIn::commit`] said that all is there. So whoever dies, and in whichever order, a stream that is not whole becomes no
//! snapshot: see [`crate::process::relay`].

use anyhow::{Result, bail};

use super::call::{Call, Patience};
use super::output::{Message, Summary, message};
use super::refusal::{self, Cause};
use super::repo::{Repository, Saving};
use crate::error::Failure;
use crate::exit::Exit;
use crate::process::{Feed, Program, RELAY_WORD};

/// What there is after a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSnapshot {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Figures, unless restic's own report got lost.
    pub summary: Option<Summary>,
}

impl SavedSnapshot {
    /// What the repository grew by, in bytes.
    pub fn added_bytes(&self) -> u64 {
        self.summary.map_or(0, |summary| summary.stored_bytes)
    }
}

/// A file on its way. Dropped before its commit, restic is ended before its input, and there is no snapshot.
pub struct StreamIn {
    repository: Repository,
    program: Program,
    feed: Feed,
    /// Nothing, once restic has started the relay: it has opened the repository then, and holds its lock.
    patience: Option<Patience>,
    saving: Saving,
    path: String,
    empty: bool,
}

const TO_DO: &str = "save a stream";

impl Repository {
    /// Begins a snapshot that holds one file of this name at its root. restic opens the repository while others work;
    /// the first [`StreamIn::write`] waits for that.
    ///
    /// # Errors
    /// When the name has a slash, or restic cannot be started.
    pub fn save_stream(&self, saving: &Saving, filename: &str) -> Result<StreamIn> {
        if filename.is_empty() || filename.contains('/') {
            bail!(Failure::new(format!("{filename:?} is no name of a file")).exit(Exit::Usage));
        }
        let call = Call::new(TO_DO, ["backup", "--json", "--stdin-from-command", "--stdin-filename", filename])
            .with(saving.arguments()?)
            .with(["--".as_ref(), self.restic.options.relay.as_os_str(), RELAY_WORD.as_ref()]);
        let program = self.program(&call.arguments);
        Ok(StreamIn {
            repository: self.clone(),
            feed: Feed::start(&program)?,
            program,
            patience: Some(Patience::new(self.restic.options.lock_wait)),
            saving: saving.clone(),
            path: format!("/{filename}"),
            empty: true,
        })
    }
}

impl StreamIn {
    /// Waits until restic has opened the repository and begins to read; where a prune or a check keeps others out, until that is over.
    ///
    /// # Errors
    /// When there is no repository, the password does not open it, or a lock is not given up in time.
    async fn ready(&mut self) -> Result<()> {
        while let Some(patience) = &mut self.patience {
            if self.feed.taken().await? {
                self.patience = None;
                break;
            }
            let (status, _, err) = self.feed.end().await?;
            let err = String::from_utf8_lossy(&err);
            if refusal::cause(status, &err) != Cause::Locked {
                return Err(refusal::failure(&self.repository.address, TO_DO, status, &err).into());
            }
            self.repository.make_way(patience).await?;
            self.feed = Feed::start(&self.program)?;
        }
        Ok(())
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When restic has ended, or does not begin; why is in the error.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.ready().await?;
        self.empty &= bytes.is_empty();
        if self.feed.write(bytes).await.is_ok() {
            return Ok(());
        }
        let (status, _, err) = self.feed.end().await?;
        Err(refusal::failure(&self.repository.address, TO_DO, status, &String::from_utf8_lossy(&err)).into())
    }

    /// Ends restic without a snapshot, and waits until it is gone.
    pub async fn abort(self) {
        // It may take a moment to give its lock back; others work on meanwhile.
        let _ = tokio::task::spawn_blocking(move || drop(self.feed)).await;
    }

    /// Says that all is there, and waits until it is stored.
    ///
    /// # Errors
    /// When it is not stored. When that cannot be told, the error says so. When there was not one byte: restic would make a
    /// snapshot without the file.
    pub async fn commit(mut self) -> Result<SavedSnapshot> {
        if self.empty {
            self.abort().await;
            bail!("there was nothing to store");
        }
        let told = self.feed.whole().await.is_ok();
        let (status, out, err) = self.feed.end().await?;
        if status.success()
            && let Some(saved) = saved(&out)
        {
            return Ok(saved);
        }
        let failure = refusal::failure(&self.repository.address, TO_DO, status, &String::from_utf8_lossy(&err));
        // restic may fail, or be killed, after the snapshot is there: while it takes its lock back, say.
        if !told || self.saving.tags.is_empty() {
            return Err(failure.into());
        }
        match self.stored().await {
            Ok(None) => Err(failure.into()),
            Ok(Some(saved)) => {
                tracing::warn!(
                    "restic ended badly after it had stored snapshot {}: {:#}",
                    saved.id,
                    anyhow::Error::from(failure)
                );
                Ok(saved)
            }
            Err(unknown) => Err(Failure::new("restic ended badly, and whether its snapshot is there cannot be told")
                .hint("list what there is; if the snapshot is there, it is whole")
                .because(unknown.context(format!("{:#}", anyhow::Error::from(failure))))
                .into()),
        }
    }

    /// Our snapshot, if it is there: no other has the tags of our run and this file.
    async fn stored(&self) -> Result<Option<SavedSnapshot>> {
        let all = self.repository.snapshots().await?;
        let ours = all.into_iter().rev().find(|snapshot| {
            snapshot.host == self.saving.host
                && snapshot.paths == [self.path.as_str()]
                && self.saving.tags.iter().all(|tag| snapshot.tags.contains(tag))
        });
        Ok(ours.map(|snapshot| SavedSnapshot { id: snapshot.id, summary: snapshot.summary }))
    }
}

/// The snapshot in what `backup --json` prints.
pub(super) fn saved(out: &[u8]) -> Option<SavedSnapshot> {
    out.split(|byte| *byte == b'\n').filter_map(message).find_map(|said| match said {
        Message::Summary(done) => {
            let summary = Some(done.figures);
            done.snapshot_id.map(|id| SavedSnapshot { id, summary })
        }
        _ => None,
    })
}
