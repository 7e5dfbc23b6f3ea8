//! A directory's restic, started before its time: while others work it opens the repository, which takes it half a second of
//! computing, and takes its lock. Then it waits, and reads nothing of the directory before it is told to.
//!
//! It waits where it reads its exclude file, which is a pipe of ours: see [`crate::process::Gated`]. Which snapshot to take unchanged
//! files from it decides after that, and by itself; who lets it go on knows what it will choose ([`own_choice`]).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::call::{Call, Heard};
use super::output::Snapshot;
use super::refusal::{Cause, cause};
use super::repo::{Repository, Saving};
use super::tree::{BACKUP, SavedTree, TO_DO, Tree, saved_tree};
use crate::process::{GATE, Gated};

/// The beginning of a pattern, which restic refuses as it is.
const SHUT: &[u8] = b"[";

/// Its end: the pattern is the name of one byte that no name has.
const OPEN: &[u8] = b"\0]\n";

/// A restic that waits.
pub struct TreeAhead {
    repository: Repository,
    root: PathBuf,
    gated: Gated<Heard>,
}

impl Repository {
    /// Starts it for all that is below `root`: with a list of what to include it could not wait.
    ///
    /// # Errors
    /// When the root cannot be entered, or restic cannot be started.
    pub async fn tree_ahead(&self, saving: &Saving, root: &Path, what: &Tree) -> Result<TreeAhead> {
        let root = root.canonicalize().with_context(|| format!("{} cannot be entered", root.display()))?;
        let call = Call::new(TO_DO, BACKUP).with(saving.labels()?).with(what.exclude_arguments());
        let call = call.with(["--exclude-file", GATE, "."]);
        let heard = Heard::new(&self.address);
        let gated = Gated::start(&self.program(&call.arguments), &root, SHUT, heard, Heard::line).await?;
        Ok(TreeAhead { repository: self.clone(), root, gated })
    }
}

impl TreeAhead {
    /// Lets it save the directory, as [`Repository::save_tree`] does. Nothing when it was refused for a lock.
    ///
    /// # Errors
    /// When nothing is saved.
    pub async fn save(self) -> Result<Option<SavedTree>> {
        let (status, heard) = self.gated.open(OPEN).await?;
        let answer = heard.answer(status);
        match saved_tree(&self.root, &answer) {
            Some(saved) => Ok(Some(saved)),
            None if cause(status, &answer.err) == Cause::Locked => Ok(None),
            None => Err(self.repository.failure(&Call::new(TO_DO, BACKUP), &answer)),
        }
    }

    /// Ends it, and waits until it is gone: it may take a moment to give its lock back.
    pub async fn give_up(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

/// The snapshot that restic takes unchanged files of a directory from when nobody names one: the newest of the same host and path.
pub fn own_choice<'a>(all: &'a [Snapshot], host: &str, root: &Path) -> Option<&'a Snapshot> {
    let same =
        |snapshot: &&Snapshot| snapshot.host == host && snapshot.paths.iter().any(|path| Path::new(path) == root);
    all.iter().filter(same).max_by_key(|snapshot| snapshot.time)
}
