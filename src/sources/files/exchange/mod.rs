//! The restore of files: staged beside the live tree, then exchanged with it by rename, and undone the same way.
//!
//! ```text
//! ROOT/.bkp-RUN/journal.json   what is going on, and the plan
//!              /new/           the staged tree; after the exchange: what of it was not taken
//!              /old/           what was put aside
//!              /stray/         what appeared in a place that had just been emptied
//! ```
//!
//! It all lies inside the root, because only there is it surely on the same volume (the root itself is often a mount point), and
//! because whatever finds the volume finds the journal.
//!
//! # Why it is safe at any instruction
//! 1. The journal is replaced as a whole: written beside, synced, renamed, and the directory synced. It is an old one or a new one.
//! 2. Before it says *exchanging*, the volume is synced: the staged tree is on the disk, whole, before anything live is touched.
//!    This is also where a network file system tells that it could not write.
//! 3. *Exchanging* is on the disk before the first rename, so there is no half tree without a journal that names the way out.
//! 4. **The tree itself tells which moves are done**; the journal only lists them. An entry is brought from `new` by emptying its
//!    place into `old` and moving it in. As long as it is in `new`, it is not done; when it is gone from there, it is. So
//!    every move can be asked for again, and going back is the same with both sides changed. Nothing has to be written
//!    between the moves, and a journaling file system keeps their order over a loss of power.
//! 5. The volume is synced before the journal says *settled*: it never claims more than the tree holds.
//! 6. Moves never overwrite. Whatever an application that was not paused makes in an emptied place is set aside, not lost.
//!
//! A run that dies while *staging* has touched nothing live: what it staged is thrown away. One that dies while *exchanging* is
//! carried on in its direction, because all of the staged tree was proven before; when that is refused, and in the run itself when a move is
//! refused, everything goes back. What was put aside stays until it is dropped.
//!
//! An exchange is turned round, to and fro, as part of an undo whose outcome is decided elsewhere: [`turn`]. What it is part of stands
//! in its journal.
//!
//! # What stays as it is
//! The root itself: its mode, and its owner unless one is asked for (a fresh volume is often root's, and its application could
//! make nothing in it). `lost+found` and everything whose name begins with `.bkp-`. Entries that are to be kept, as far as they are there: to a volume
//! that lacks them they come from the snapshot.
//!
//! A program that has a directory of the tree as its working directory, or a container that mounts one by `subPath`, keeps the
//! old one until it is started again.

mod hidden;
mod journal;
pub mod plan;
pub mod preflight;
mod recover;
pub mod select;
mod swap;
#[cfg(test)]
mod tests;
pub mod turn;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::is_foreign;
use super::owner::Owner;
use super::pattern::{self, Pattern};
use crate::error::Failure;
use crate::sources::act::Act;
use hidden::Hidden;
use journal::{Journal, RootOwner, Side, State, Stayed};
pub use plan::Plan;
pub use recover::{
    Found, Leftover, Recovered, Way, drop_replaced, drop_taken_back, leftovers, recover, replaced_bytes, undo,
};
use select::Select;
use swap::{Watch, unwatched};

/// A place for a restored tree, on the volume of the live one.
#[derive(Debug)]
pub struct Staging {
    hidden: Hidden,
    journal: Journal,
    target: PathBuf,
    owner: Option<Owner>,
}

/// What an exchange did; the old entries lie aside until [`drop_replaced`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The run that did it, for [`undo`] and [`drop_replaced`].
    pub run: String,
    /// How many entries were replaced or put aside.
    pub aside: usize,
    /// How many came that were not there before.
    pub added: usize,
}

/// Makes the place for a run. `root` is a canonical path, and its lock is held.
///
/// # Errors
/// When the volume is read-only, this account may not write there, or an exchange that died is not recovered yet.
pub fn stage(root: &Path, run: &str) -> Result<Staging> {
    if let Some(left) = leftovers(root)?.iter().find(|left| matches!(left.found, Found::Halfway { .. })) {
        bail!(
            Failure::new(format!("in {} the exchange of run {} died halfway", root.display(), left.run))
                .hint("bkp resume finishes it")
        );
    }
    if let Some(left) = turn::undecided(root)?.first() {
        bail!(
            Failure::new(format!("in {} it is not decided yet what came of the undo {}", root.display(), left.by))
                .hint("bkp resume decides it, with the settings of the database server")
        );
    }
    let journal = Journal::new(run);
    let hidden = Hidden::create(root, run).map_err(|error| preflight::refused(root, error))?;
    let made = hidden.write(&journal).and_then(|()| Ok(hidden.make_sides()?));
    if let Err(error) = made {
        // Best effort: without a journal that says more, the next run removes it.
        let _ = hidden.remove(&mut unwatched);
        return Err(error.context(format!("preparing a place for the restored files in {}", root.display())));
    }
    let target = hidden.path().join(hidden::NEW);
    Ok(Staging { hidden, journal, target, owner: None })
}

impl Staging {
    /// The directory to restore into. It stands for the root: what is in it will stand in the root.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives everything in the staged tree to an owner, and later the root too.
    ///
    /// # Errors
    /// When this account may not.
    pub fn chown(&mut self, owner: Owner) -> Result<()> {
        let base = self.hidden.side(Side::New)?;
        for name in self.staged()? {
            owner.give(&base, &name)?;
        }
        self.owner = Some(owner);
        Ok(())
    }

    /// Notes what else the run does, so that an undo knows.
    pub fn belongs_to(&mut self, act: &Act) {
        self.journal.act = Some(act.clone());
    }

    /// Decides what will be exchanged. Touches nothing.
    ///
    /// With `selects`, only what they select is taken, and put where they say; `keep` then says nothing.
    ///
    /// # Errors
    /// When the staged tree is empty, nothing is selected, or something cannot be moved.
    pub fn plan(&self, keep: &[Pattern], selects: &[Select]) -> Result<Plan> {
        let root = self.hidden.root_path();
        let plan = if selects.is_empty() {
            let staged = self.staged()?;
            if staged.is_empty() {
                bail!(
                    Failure::new("the snapshot holds no files, and nothing is replaced by nothing")
                        .hint("choose another snapshot: bkp list")
                );
            }
            plan::whole(&preflight::live(root)?, &staged, keep)
        } else {
            self.plan_selected(selects)?
        };
        let moving: Vec<&Path> = plan.moves.iter().map(|entry| entry.live.as_path()).collect();
        preflight::movable(root, &moving)?;
        Ok(plan)
    }

    fn plan_selected(&self, selects: &[Select]) -> Result<Plan> {
        let root = self.hidden.root_path();
        let mut picks = Vec::new();
        for select in selects {
            let found = select.from.expand(&self.target).context("looking through the restored files")?;
            if found.is_empty() {
                bail!(
                    Failure::new(format!("nothing in the snapshot fits {}", select.from.text()))
                        .hint("correct BKP_FILES_RESTORE, or choose another snapshot: bkp list")
                );
            }
            picks.extend(found.into_iter().map(|path| (path, select.to.as_deref())));
        }
        let mut plan = plan::selected(&picks, &|path| plan::Kind::of(&root.join(path)))?;
        for made in &mut plan.made {
            let like = [self.target.join(&made.path), root.to_owned()].into_iter().find(|path| path.is_dir());
            made.take_after(&like.unwrap_or_default().metadata()?, self.owner);
        }
        Ok(plan)
    }

    fn staged(&self) -> Result<Vec<OsString>> {
        let names = pattern::names(&self.target).context("reading the restored files")?;
        Ok(names.into_iter().filter(|name| !is_foreign(name)).collect())
    }

    /// Exchanges, all of the plan or nothing.
    ///
    /// # Errors
    /// When the file system refuses; everything is as it was then, unless the error says otherwise.
    pub fn swap(self, plan: Plan) -> Result<Replaced> {
        self.swap_watched(plan, &mut unwatched)
    }

    fn swap_watched(mut self, plan: Plan, watch: &mut Watch<'_>) -> Result<Replaced> {
        if let Some(after) = self.owner.filter(|_| plan.is_whole) {
            let before = self.hidden.root_owner()?;
            self.journal.root_owner = Some(RootOwner { before, after });
        }
        if plan.is_whole {
            let moves = |name: &OsString| plan.moves.iter().any(|entry| entry.live == Path::new(name));
            let stays = preflight::live(self.hidden.root_path())?.into_iter().filter(|name| !moves(name));
            self.journal.stayed = Some(stays.map(|name| Stayed(name.into())).collect());
        }
        let replaced = Replaced {
            run: self.journal.run.clone(),
            aside: plan.moves.iter().filter(|entry| entry.had).count(),
            added: plan.moves.iter().filter(|entry| !entry.had).count(),
        };
        self.journal.plan = plan;
        match swap::exchange(&self.hidden, &mut self.journal, Side::New, watch) {
            Ok(()) => Ok(replaced),
            Err(error) => {
                // What went astray is an application's, and nobody else has it.
                if self.journal.is_untouched()
                    && !self.hidden.has_strays()
                    && let Err(left) = self.discard_watched(watch)
                {
                    tracing::warn!("what was restored could not be removed; the next run does: {left:#}");
                }
                Err(error)
            }
        }
    }

    /// Throws the staged tree away.
    ///
    /// # Errors
    /// When something of it cannot be removed; the next run tries again.
    pub fn discard(mut self) -> Result<()> {
        self.discard_watched(&mut unwatched)
    }

    fn discard_watched(&mut self, watch: &mut Watch<'_>) -> Result<()> {
        self.journal.state = State::Discarding;
        // Worth nothing to anybody, staged or half removed; a volume that is full must get its space back all the same.
        let noted = self.hidden.write(&self.journal);
        self.hidden.remove(watch)?;
        noted.or_else(|error| if self.hidden.path().exists() { Err(error) } else { Ok(()) })
    }
}
