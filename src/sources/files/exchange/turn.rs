//! An exchange turned round as part of a larger act, whose outcome is decided elsewhere: the files of an undo go with databases,
//! or with other directories.
//!
//! 1. [`announce`]: the journal says who is about to turn the tree, and how whoever finds it learns what came of the rest. Nothing moves.
//! 2. [`turn`]: the entries move, as in every exchange. The announcement stays.
//! 3. [`conclude`]: the rest is known to be done, or not; in that case the entries go back. Then the announcement goes.
//!
//! Between the first and the last, whoever comes later asks and concludes. Each step can be asked for again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::journal::{Journal, Pending, Side, State, Stayed};
use super::plan::Move;
use super::preflight;
use super::recover::{leftovers, open};
use super::swap::{Watch, exchange, unwatched};
use crate::sources::act::{Act, Rename, Since};
use crate::sources::files::pattern::Pattern;

/// A tree that was put aside, and what it is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The run that staged; its name is the hidden directory's.
    pub run: String,
    /// The run that put aside what lies there now: the same, or an undo.
    pub by: String,
    /// All that was done together; nothing where that was not written down.
    pub act: Option<Act>,
    /// A restore that failed took it back: nothing to turn round.
    pub is_rubbish: bool,
}

/// A turn whose outcome is decided elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The run that staged.
    pub run: String,
    /// The undo.
    pub by: String,
    /// Its databases: they are renamed, all in one, or they are not.
    pub renames: Vec<Rename>,
    /// Whether the tree is as it was before.
    pub is_before: bool,
}

/// What lies aside in a root.
///
/// # Errors
/// When the root cannot be listed.
pub fn asides(root: &Path) -> Result<Vec<Aside>> {
    let settled = journals(root)?.into_iter().filter_map(|journal| {
        let State::Settled(live) = journal.state else { return None };
        let is_rubbish = live == Side::Old && journal.by.is_none();
        let by = journal.by.unwrap_or_else(|| journal.run.clone());
        Some(Aside { run: journal.run, by, act: journal.act, is_rubbish })
    });
    Ok(settled.collect())
}

/// Notes on everything that lies aside in a root that this act came later.
///
/// # Errors
/// When a journal cannot be written.
pub fn note(root: &Path, since: &Since) -> Result<()> {
    for left in leftovers(root)? {
        if let Ok((hidden, Some(mut journal))) = open(root, &left.run)
            && matches!(journal.state, State::Settled(_))
        {
            journal.act.get_or_insert_default().since = Some(since.clone());
            hidden.write(&journal)?;
        }
    }
    Ok(())
}

/// What was done, or begun, where the restored tree is live or half so: each run with its act.
///
/// # Errors
/// When the root cannot be listed.
pub fn acts(root: &Path) -> Result<Vec<(String, Act)>> {
    let begun = |journal: &Journal| matches!(journal.state, State::Exchanging(_) | State::Settled(Side::New));
    let journals = journals(root)?.into_iter().filter(begun);
    Ok(journals.filter_map(|journal| Some((journal.run, journal.act?))).collect())
}

/// Turns in a root that nobody has concluded.
///
/// # Errors
/// When the root cannot be listed.
pub fn undecided(root: &Path) -> Result<Vec<Undecided>> {
    let pending = journals(root)?.into_iter().filter_map(|journal| {
        let pending = journal.pending?;
        let is_before = journal.state == State::Settled(pending.to.other());
        Some(Undecided { run: journal.run, by: pending.by, renames: pending.renames, is_before })
    });
    Ok(pending.collect())
}

fn journals(root: &Path) -> Result<Vec<Journal>> {
    // What cannot be understood is told, and left alone, by those who put a root in order.
    Ok(leftovers(root)?.iter().filter_map(|left| open(root, &left.run).ok()?.1).collect())
}

/// Whether what run `run` exchanged in this root could be turned round now. Changes nothing.
///
/// # Errors
/// With everything that stands in the way.
pub fn check(root: &Path, run: &str, keep: &[Pattern]) -> Result<()> {
    let (_, mut journal) = read(root, run)?;
    replan(root, &mut journal, keep).map(|_| ())
}

/// Says in the journal that `by` is about to turn round what `run` exchanged, and how to learn whether its databases were renamed.
///
/// # Errors
/// When entries cannot be moved, or the journal cannot be written. Nothing was moved.
pub fn announce(root: &Path, run: &str, (by, act): (&str, &Act), renames: &[Rename], keep: &[Pattern]) -> Result<()> {
    let (hidden, mut journal) = read(root, run)?;
    let to = replan(root, &mut journal, keep)?;
    journal.pending = Some(Pending { by: by.to_owned(), act: act.clone(), to, renames: renames.to_vec() });
    hidden.write(&journal)
}

/// Moves the entries as announced.
///
/// # Errors
/// When the file system refuses; the tree is as it was then, unless the error says otherwise.
pub fn turn(root: &Path, run: &str) -> Result<()> {
    turn_watched(root, run, &mut unwatched)
}

pub(super) fn turn_watched(root: &Path, run: &str, watch: &mut Watch<'_>) -> Result<()> {
    let (hidden, mut journal) = read(root, run)?;
    let to = journal.pending.as_ref().context("nothing was announced")?.to;
    exchange(&hidden, &mut journal, to, watch)
}

/// Ends a turn: as it was meant, or, when the rest of the act was not done, as it was before.
///
/// # Errors
/// When the file system refuses; it can be asked for again.
pub fn conclude(root: &Path, run: &str, is_done: bool) -> Result<()> {
    conclude_watched(root, run, is_done, &mut unwatched)
}

pub(super) fn conclude_watched(root: &Path, run: &str, is_done: bool, watch: &mut Watch<'_>) -> Result<()> {
    let (hidden, mut journal) = read(root, run)?;
    let Some(pending) = journal.pending.clone() else { return Ok(()) };
    let side = if is_done { pending.to } else { pending.to.other() };
    if journal.state != State::Settled(side) {
        exchange(&hidden, &mut journal, side, watch)?;
    }
    if is_done {
        journal.by = Some(pending.by);
        journal.act = Some(pending.act);
    }
    journal.pending = None;
    hidden.write(&journal)
}

fn read(root: &Path, run: &str) -> Result<(super::hidden::Hidden, Journal)> {
    let (hidden, journal) = open(root, run)?;
    Ok((hidden, journal.with_context(|| format!("the journal of run {run} is gone"))?))
}

/// The application has gone on since the tree became live: what it made goes aside with that tree, what it removed does not stand there.
fn replan(root: &Path, journal: &mut Journal, keep: &[Pattern]) -> Result<Side> {
    let State::Settled(live) = journal.state else {
        bail!("what run {} exchanged in {} is not settled", journal.run, root.display())
    };
    for entry in &mut journal.plan.moves {
        let stands = root.join(&entry.live).symlink_metadata().is_ok();
        match live {
            Side::New => entry.comes = stands,
            Side::Old => entry.had = stands,
        }
    }
    if let Some(stayed) = journal.stayed.as_ref().filter(|_| journal.plan.is_whole) {
        let known = |name: &Path| {
            stayed.iter().any(|Stayed(path)| path == name) || journal.plan.moves.iter().any(|entry| entry.live == name)
        };
        let names = preflight::live(root)?.into_iter().filter(|name| !keep.iter().any(|keep| keep.is_name(name)));
        let since: Vec<PathBuf> = names.map(PathBuf::from).filter(|name| !known(name)).collect();
        journal.plan.moves.extend(since.into_iter().map(|name| Move {
            live: name.clone(),
            staged: name,
            had: live == Side::Old,
            comes: live == Side::New,
        }));
    }
    let moving: Vec<&Path> = journal.plan.moves.iter().map(|entry| entry.live.as_path()).collect();
    preflight::movable(root, &moving)?;
    Ok(live.other())
}
