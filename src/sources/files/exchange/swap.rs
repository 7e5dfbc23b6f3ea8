//! The moves themselves. Each can be asked for again: the tree tells whether it is done.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::hidden::Hidden;
use super::journal::{Journal, Side, State};
use super::plan::{Made, Move};
use crate::error::Failure;
use crate::sources::files::owner::Owner;
use crate::sources::files::volume::{self, Place};

/// What is about to be done to the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Everything is written to the disk.
    Sync,
    /// The journal is replaced.
    Journal(State),
    /// A directory is made or taken away again.
    Make,
    /// An entry is moved.
    Move,
    /// The root is given to somebody.
    Own,
    /// Something of ours is removed.
    Remove,
}

/// How often a place is emptied that an application fills again at once.
const TRIES: usize = 10;

/// Asked before every step; an error stands for the file system's.
pub type Watch<'a> = dyn FnMut(Step) -> io::Result<()> + 'a;

/// What watches in production: nobody.
pub fn unwatched(_: Step) -> io::Result<()> {
    Ok(())
}

/// Makes one side live, all of it; or, when the file system refuses, the other.
///
/// # Errors
/// When it was refused. The journal then says what is live.
pub fn exchange(hidden: &Hidden, journal: &mut Journal, to: Side, watch: &mut Watch<'_>) -> Result<()> {
    let shown = hidden.root_path().display().to_string();
    let was = journal.state;
    let begun = begin(hidden, journal, to, watch);
    if let Err(error) = begun {
        // Nothing was moved, whatever the journal says by now.
        journal.state = was;
        if hidden.write(journal).is_err() && was != State::Exchanging(to) {
            tracing::warn!(
                "the journal in {} may say that an exchange has begun; nothing was moved",
                hidden.path().display()
            );
        }
        let failure = match was {
            State::Exchanging(_) => {
                Failure::new(format!("in {shown} some files are old and some are new, and nothing can be written"))
                    .hint("nothing is lost; make the volume writable, then run bkp resume there")
            }
            _ => Failure::new(format!("the restored files could not be written to the disk of {shown}"))
                .hint("nothing live was touched; look at the volume: its space, its quota, its server"),
        };
        return Err(failure.because(error).into());
    }
    let done = moves(hidden, journal, to, watch).and_then(|()| settle(hidden, journal, to, watch));
    let Err(refused) = done else { return Ok(()) };
    tracing::warn!("an exchange in {shown} was refused, so everything goes back: {refused:#}");
    let back = to.other();
    let given_back = begin(hidden, journal, back, watch)
        .and_then(|()| moves(hidden, journal, back, watch))
        .and_then(|()| settle(hidden, journal, back, watch));
    let failure = match given_back {
        Ok(()) => Failure::new(format!("the files in {shown} could not be exchanged; everything is as it was"))
            .hint(hint(&refused)),
        Err(error) => Failure::new(format!(
            "the files in {shown} could not be exchanged, nor given back ({error:#}): some are old and some are new"
        ))
        .hint("nothing is lost; end what uses the files, make the volume writable, then run bkp resume"),
    };
    Err(failure.because(refused).into())
}

fn hint(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ResourceBusy) => {
            "something is mounted there or uses it: end that, or keep the entry with BKP_FILES_KEEP"
        }
        Some(io::ErrorKind::CrossesDevices) => {
            "the entry is on another volume, or in a layer of the container's image: keep it with BKP_FILES_KEEP"
        }
        Some(io::ErrorKind::PermissionDenied) => "run the restore as root, or as the user that owns the files",
        _ => "look at the volume: its space, its quota, its server",
    }
}

fn begin(hidden: &Hidden, journal: &mut Journal, to: Side, watch: &mut Watch<'_>) -> Result<()> {
    watch(Step::Sync)?;
    hidden.sync_volume()?;
    note(hidden, journal, State::Exchanging(to), watch)
}

fn settle(hidden: &Hidden, journal: &mut Journal, live: Side, watch: &mut Watch<'_>) -> Result<()> {
    watch(Step::Sync)?;
    hidden.sync_volume().context("writing the exchanged files to the disk")?;
    note(hidden, journal, State::Settled(live), watch)
}

fn note(hidden: &Hidden, journal: &mut Journal, state: State, watch: &mut Watch<'_>) -> Result<()> {
    watch(Step::Journal(state))?;
    journal.state = state;
    hidden.write(journal)
}

fn moves(hidden: &Hidden, journal: &Journal, to: Side, watch: &mut Watch<'_>) -> Result<()> {
    let moves = journal.plan.moves.iter();
    let bring_one = |entry: &Move, watch: &mut Watch<'_>| {
        bring(hidden, entry, to, watch)
            .map_err(|error| anyhow::Error::from(error).context(format!("{} cannot be moved", entry.live.display())))
    };
    let own = |watch: &mut Watch<'_>| match &journal.root_owner {
        Some(owner) => give_root(hidden, if to == Side::New { owner.after } else { owner.before }, watch)
            .context("the directory itself cannot be given to its owner"),
        None => Ok(()),
    };
    match to {
        Side::New => {
            for made in &journal.plan.made {
                make(hidden, made, watch).with_context(|| format!("{} cannot be made", made.path.display()))?;
            }
            moves.into_iter().try_for_each(|entry| bring_one(entry, watch))?;
            own(watch)
        }
        Side::Old => {
            own(watch)?;
            moves.into_iter().rev().try_for_each(|entry| bring_one(entry, watch))?;
            for made in journal.plan.made.iter().rev() {
                unmake(hidden, made, watch).with_context(|| format!("{} cannot be removed", made.path.display()))?;
            }
            Ok(())
        }
    }
}

/// Brings one entry of a side to its place, or empties the place where that side has none.
///
/// Done or not is told by where things are: an entry that is still on its side has not come; and where none is to come, what
/// stands on the other side has gone. Of two things in one place, neither is lost: the one that nobody planned goes astray.
fn bring(hidden: &Hidden, entry: &Move, to: Side, watch: &mut Watch<'_>) -> io::Result<()> {
    let (comes, goes) = match to {
        Side::New => (entry.comes, entry.had),
        Side::Old => (entry.had, entry.comes),
    };
    let live = match Place::of(hidden.root(), &entry.live) {
        Err(error) if to == Side::Old && error.kind() == io::ErrorKind::NotFound => {
            // Without a parent nothing is there to go; it was not made, or the application has removed it since.
            if !comes || !place(hidden, entry, to)?.is_taken()? {
                return Ok(());
            }
            volume::make_below(hidden.root(), entry.live.parent().unwrap_or(Path::new("")))?;
            Place::of(hidden.root(), &entry.live)?
        }
        other => other?,
    };
    if comes {
        let incoming = place(hidden, entry, to)?;
        if !incoming.is_taken()? {
            return Ok(());
        }
        for _ in 1..TRIES {
            clear(hidden, entry, &live, goes.then_some(to.other()), watch)?;
            watch(Step::Move)?;
            match incoming.rename(&live) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
        }
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let outgoing = place(hidden, entry, to.other())?;
    if live.is_taken()? && !outgoing.is_taken()? {
        watch(Step::Move)?;
        live.rename(&outgoing)?;
    }
    Ok(())
}

/// Empties the entry's place: what stands there goes to its side, if that is planned and has not happened yet.
fn clear(hidden: &Hidden, entry: &Move, live: &Place, goes: Option<Side>, watch: &mut Watch<'_>) -> io::Result<()> {
    if !live.is_taken()? {
        return Ok(());
    }
    watch(Step::Move)?;
    if let Some(side) = goes {
        let outgoing = place(hidden, entry, side)?;
        if !outgoing.is_taken()? {
            return live.rename(&outgoing);
        }
    }
    tracing::warn!("{} had appeared anew; it is kept in {}", entry.live.display(), hidden.path().display());
    live.rename(&hidden.stray(&entry.live)?)
}

/// An entry's place on a side; directories that lead to it are made.
fn place(hidden: &Hidden, entry: &Move, side: Side) -> io::Result<Place> {
    let base = hidden.side(side)?;
    let path = if side == Side::New { &entry.staged } else { &entry.live };
    volume::make_below(&base, path.parent().unwrap_or(Path::new("")))?;
    Place::of(&base, path)
}

fn make(hidden: &Hidden, made: &Made, watch: &mut Watch<'_>) -> io::Result<()> {
    watch(Step::Make)?;
    let parent = volume::beneath(hidden.root(), made.path.parent().unwrap_or(Path::new("")))?;
    let name = made.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let directory = rustix::fs::openat(&parent, name, volume::LIST, Mode::empty())?;
    let stat = rustix::fs::fstat(&directory)?;
    if !made.owner.owns(stat.st_uid, stat.st_gid) {
        let (user, group) = made.owner.raw();
        match rustix::fs::fchown(&directory, user, group) {
            // A plain user's directory is that user's own, which is what the restored files in it are.
            Err(Errno::PERM) if !rustix::process::geteuid().is_root() => {}
            other => other?,
        }
    }
    // After the owner: a change of owner takes bits away.
    Ok(rustix::fs::fchmod(&directory, Mode::from_raw_mode(made.mode))?)
}

/// Takes away a directory that was made, unless something is in it by now.
fn unmake(hidden: &Hidden, made: &Made, watch: &mut Watch<'_>) -> io::Result<()> {
    watch(Step::Make)?;
    let place = volume::beneath(hidden.root(), made.path.parent().unwrap_or(Path::new("")));
    let parent = match place {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let name = made.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn give_root(hidden: &Hidden, owner: Owner, watch: &mut Watch<'_>) -> io::Result<()> {
    let stat = rustix::fs::fstat(hidden.root())?;
    if owner.owns(stat.st_uid, stat.st_gid) {
        return Ok(());
    }
    watch(Step::Own)?;
    let (user, group) = owner.raw();
    Ok(rustix::fs::fchown(hidden.root(), user, group)?)
}
