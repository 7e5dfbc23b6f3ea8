//! What earlier runs left in a root: to finish, to give back, to undo, or to drop.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::hidden::Hidden;
use super::journal::{Journal, Side, State};
use super::preflight;
use super::swap::{Watch, exchange, unwatched};
use crate::error::Failure;
use crate::sources::files::{OWN, pattern, walk};

/// The hidden directory of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// That run's id.
    pub run: String,
    /// What it is.
    pub found: Found,
}

/// What an earlier run left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It died before it touched anything live: what it staged is garbage.
    Staged,
    /// It died while it removed what nobody needs: garbage.
    Garbage,
    /// It died while entries moved, so the live tree is a mixture; `finishing` is false when it was on the way back.
    Halfway {
        /// Whether the restored tree was becoming live.
        finishing: bool,
    },
    /// The restored tree is live; what was there before can be brought back.
    Replaced,
    /// The restored tree was taken back and lies there.
    Undone,
    /// It cannot be told; by no means touched.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Which way out of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In the direction that was begun: the staged tree was proven before.
    AsBegun,
    /// To the old tree.
    Back,
}

/// What was done about a leftover, as a sentence about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// What it had staged was removed; nothing live had been touched.
    Removed,
    /// The exchange was carried to its end: the restored tree is live.
    Finished,
    /// The exchange was taken back: the old tree is live.
    GivenBack,
    /// Nobody needs it, and it could not be removed; why is told.
    Stays,
    /// It cannot be told what it is, so it is left alone; why is told.
    Unknown,
}

/// What is there, oldest first.
///
/// # Errors
/// When the root cannot be listed.
pub fn leftovers(root: &Path) -> Result<Vec<Leftover>> {
    let names = pattern::names(root).with_context(|| format!("reading {}", root.display()))?;
    let mut left = Vec::new();
    for name in names {
        let run = name.as_bytes().strip_prefix(OWN.as_bytes()).and_then(|run| std::str::from_utf8(run).ok());
        let is_directory = root.join(&name).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if let Some(run) = run.filter(|_| is_directory) {
            left.push(Leftover { run: run.to_owned(), found: look(root, run) });
        }
    }
    Ok(left)
}

fn look(root: &Path, run: &str) -> Found {
    let journal = Hidden::open(root, run).context("opening it").and_then(|hidden| hidden.read());
    match journal {
        Err(error) => Found::Unknown { why: format!("{error:#}") },
        Ok(None) => Found::Garbage,
        Ok(Some(journal)) => match journal.state {
            State::Staging => Found::Staged,
            State::Discarding => Found::Garbage,
            State::Exchanging(to) => Found::Halfway { finishing: to == Side::New },
            State::Settled(Side::New) => Found::Replaced,
            State::Settled(Side::Old) => Found::Undone,
        },
    }
}

/// Puts in order what dead runs left, so that the root holds one whole tree. What was put aside stays. The root's lock is held.
///
/// # Errors
/// When a mixture cannot be ended. Garbage that cannot be removed (a read-only mount) is only told.
pub fn recover(root: &Path, way: Way) -> Result<Vec<(String, Recovered)>> {
    recover_watched(root, way, &mut unwatched)
}

pub(super) fn recover_watched(root: &Path, way: Way, watch: &mut Watch<'_>) -> Result<Vec<(String, Recovered)>> {
    let mut done = Vec::new();
    for Leftover { run, found } in leftovers(root)? {
        match found {
            Found::Staged | Found::Garbage => match open(root, &run).and_then(|(hidden, _)| hidden.remove(watch)) {
                Ok(()) => done.push((run, Recovered::Removed)),
                Err(error) => {
                    tracing::warn!("what run {run} left could not be removed; the next start tries again: {error:#}");
                    done.push((run, Recovered::Stays));
                }
            },
            Found::Halfway { finishing } => {
                let to = if finishing && way == Way::AsBegun { Side::New } else { Side::Old };
                done.push((run.clone(), carry_on(root, &run, to, watch)?));
            }
            Found::Unknown { why } => {
                tracing::warn!("{} is left alone: {why}", root.join(format!("{OWN}{run}")).display());
                done.push((run, Recovered::Unknown));
            }
            Found::Replaced | Found::Undone => {}
        }
    }
    Ok(done)
}

fn carry_on(root: &Path, run: &str, to: Side, watch: &mut Watch<'_>) -> Result<Recovered> {
    let (hidden, journal) = open(root, run)?;
    let mut journal = journal.context("the journal is gone")?;
    match exchange(&hidden, &mut journal, to, watch) {
        Ok(()) if to == Side::New => Ok(Recovered::Finished),
        Ok(()) => Ok(Recovered::GivenBack),
        // Refused, and so it went the other way: one whole tree is there.
        Err(error) if journal.state == State::Settled(to.other()) => {
            tracing::warn!("{error:#}");
            Ok(if to == Side::New { Recovered::GivenBack } else { Recovered::Finished })
        }
        Err(error) => Err(error.context(format!("what run {run} had begun in {} cannot be ended", root.display()))),
    }
}

/// Brings back what the last exchange replaced, and returns its run. Entries that appeared since stay.
///
/// # Errors
/// When there is nothing to bring back, `run` is not the last one, or the file system refuses.
pub fn undo(root: &Path, run: Option<&str>) -> Result<String> {
    undo_watched(root, run, &mut unwatched)
}

pub(super) fn undo_watched(root: &Path, run: Option<&str>, watch: &mut Watch<'_>) -> Result<String> {
    let left = leftovers(root)?;
    if let Some(halfway) = left.iter().find(|left| matches!(left.found, Found::Halfway { .. })) {
        bail!(
            Failure::new(format!("in {} the exchange of run {} died halfway", root.display(), halfway.run))
                .hint("bkp resume finishes it; then undo it")
        );
    }
    let Some(last) = left.iter().rev().find(|left| left.found == Found::Replaced) else {
        bail!(
            Failure::new(format!("there is nothing to bring back in {}", root.display()))
                .hint("what a restore replaced is dropped after the next backup")
        );
    };
    if let Some(other) = run.filter(|run| *run != last.run) {
        bail!(
            Failure::new(format!("run {other} is not the last that replaced files in {}", root.display()))
                .hint(format!("undo {} first, or choose another run", last.run))
        );
    }
    let (hidden, journal) = open(root, &last.run)?;
    let mut journal = journal.context("the journal is gone")?;
    let moving: Vec<&Path> = journal.plan.moves.iter().map(|entry| entry.live.as_path()).collect();
    preflight::movable(root, &moving)?;
    exchange(&hidden, &mut journal, Side::Old, watch)?;
    Ok(last.run.clone())
}

/// Removes what an exchange put aside, or what an undo took back. What cannot be recognised, or is needed, stays.
///
/// # Errors
/// When it is needed still, or cannot be removed; half removed, it is garbage that [`recover`] removes.
pub fn drop_replaced(root: &Path, run: &str) -> Result<()> {
    drop_watched(root, run, &mut unwatched)
}

pub(super) fn drop_watched(root: &Path, run: &str, watch: &mut Watch<'_>) -> Result<()> {
    let (hidden, journal) = open(root, run)?;
    if let Some(mut journal) = journal {
        if let State::Exchanging(_) = journal.state {
            bail!(
                Failure::new(format!("the exchange of run {run} died halfway, so nothing of it is dropped"))
                    .hint("bkp resume finishes it")
            );
        }
        if let Some(pending) = &journal.pending {
            bail!(
                Failure::new(format!(
                    "it is not decided yet what came of the undo {}, so nothing is dropped",
                    pending.by
                ))
                .hint("bkp resume decides it")
            );
        }
        journal.state = State::Discarding;
        hidden.write(&journal)?;
    }
    hidden.remove(watch)
}

/// Removes a restored tree that was taken back. Where it is live after all, or something of the application's went astray, which
/// nobody else has, it all stays.
///
/// # Errors
/// As [`drop_replaced`].
pub fn drop_taken_back(root: &Path, run: &str) -> Result<()> {
    let (hidden, journal) = open(root, run)?;
    if journal.is_some_and(|journal| journal.state == State::Settled(Side::Old)) && !hidden.has_strays() {
        return drop_replaced(root, run);
    }
    tracing::warn!("{} is kept: look at it before the next backup removes it", hidden.path().display());
    Ok(())
}

/// Bytes that a leftover takes on the volume. Walks through all of it.
///
/// # Errors
/// When it cannot be read.
pub fn replaced_bytes(root: &Path, run: &str) -> Result<u64> {
    let (hidden, _) = open(root, run)?;
    let name = format!("{OWN}{run}");
    walk::bytes(hidden.root(), name.as_ref()).with_context(|| format!("measuring {}", hidden.path().display()))
}

pub(super) fn open(root: &Path, run: &str) -> Result<(Hidden, Option<Journal>)> {
    let hidden = Hidden::open(root, run).with_context(|| format!("run {run} left nothing in {}", root.display()))?;
    let journal = hidden.read()?;
    Ok((hidden, journal))
}
