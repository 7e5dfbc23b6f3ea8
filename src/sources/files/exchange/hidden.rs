//! The hidden directory of one run, and the journal in it. Others may reach the journal by its name, so that a backup by another account
//! sees what is going on; the trees are for this account alone.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::journal::{Journal, Side};
use super::swap::{Step, Watch};
use crate::error::Failure;
use crate::sources::files::owner::Owner;
use crate::sources::files::volume::LIST;
use crate::sources::files::{OWN, volume, walk};
use crate::sources::postgres::side::is_run_id;

/// What is staged.
pub const NEW: &str = "new";
/// What is put aside.
pub const OLD: &str = "old";
/// What appeared where it was not expected.
pub const STRAY: &str = "stray";
const JOURNAL: &str = "journal.json";
const UNFINISHED: &str = "journal.json.new";

/// An open root, and the open directory of a run in it.
#[derive(Debug)]
pub struct Hidden {
    root_path: PathBuf,
    root: OwnedFd,
    name: OsString,
    directory: OwnedFd,
}

impl Hidden {
    /// Makes the directory of a run.
    ///
    /// # Errors
    /// When the file system refuses, or it is there already.
    pub fn create(root: &Path, run: &str) -> io::Result<Hidden> {
        let opened = open_root(root)?;
        let name = OsString::from(format!("{OWN}{run}"));
        rustix::fs::mkdirat(&opened, &name, Mode::RWXU)?;
        let hidden = Hidden::open_in(root, opened, name)?;
        // Whatever the umask says.
        let opened = rustix::fs::openat(&hidden.directory, ".", LIST, Mode::empty())?;
        rustix::fs::fchmod(opened, Mode::from_raw_mode(0o711))?;
        Ok(hidden)
    }

    /// Opens the directory of a run that was.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(root: &Path, run: &str) -> io::Result<Hidden> {
        Hidden::open_in(root, open_root(root)?, OsString::from(format!("{OWN}{run}")))
    }

    fn open_in(path: &Path, root: OwnedFd, name: OsString) -> io::Result<Hidden> {
        let directory = volume::beneath(&root, Path::new(&name))?;
        Ok(Hidden { root_path: path.to_owned(), root, name, directory })
    }

    /// The directory's path.
    pub fn path(&self) -> PathBuf {
        self.root_path.join(&self.name)
    }

    /// The root's path.
    pub fn root_path(&self) -> &Path {
        &self.root_path
    }

    /// The open root.
    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Who owns the root.
    pub fn root_owner(&self) -> io::Result<Owner> {
        let stat = rustix::fs::fstat(&self.root)?;
        Ok(Owner { user: stat.st_uid, group: Some(stat.st_gid) })
    }

    /// Makes the directories of both sides.
    pub fn make_sides(&self) -> io::Result<()> {
        volume::make_below(&self.directory, Path::new(NEW))?;
        volume::make_below(&self.directory, Path::new(OLD))
    }

    /// The open directory of what is staged or put aside.
    pub fn side(&self, side: Side) -> io::Result<OwnedFd> {
        volume::beneath(&self.directory, Path::new(if side == Side::New { NEW } else { OLD }))
    }

    /// A free place for what is in the way of this path.
    pub fn stray(&self, path: &Path) -> io::Result<volume::Place> {
        for number in 0..1000 {
            let within = Path::new(STRAY).join(number.to_string()).join(path);
            volume::make_below(&self.directory, within.parent().unwrap_or(Path::new(STRAY)))?;
            let place = volume::Place::of(&self.directory, &within)?;
            if !place.is_taken()? {
                return Ok(place);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Whether anything went astray.
    pub fn has_strays(&self) -> bool {
        volume::beneath(&self.directory, Path::new(STRAY)).is_ok()
    }

    /// Everything written to the volume so far is on the disk, or an error.
    pub fn sync_volume(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }

    /// Replaces the journal as a whole; when this returns, it outlives a loss of power.
    pub fn write(&self, journal: &Journal) -> Result<()> {
        let text = serde_json::to_vec(journal)?;
        self.write_bytes(&text).with_context(|| format!("writing the journal of {}", self.path().display()))
    }

    fn write_bytes(&self, text: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.directory, UNFINISHED, flags, Mode::from_raw_mode(0o644))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        let mut file = std::fs::File::from(file);
        file.write_all(text)?;
        file.sync_all()?;
        rustix::fs::renameat(&self.directory, UNFINISHED, &self.directory, JOURNAL)?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        let directory = rustix::fs::openat(&self.directory, ".", LIST, Mode::empty())?;
        Ok(rustix::fs::fsync(directory)?)
    }

    /// The journal; nothing where there is none, because a run died before its first line or at its very end.
    ///
    /// # Errors
    /// When it cannot be read or understood, or things are there without one that are not what a restic made anew behind us.
    pub fn read(&self) -> Result<Option<Journal>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.directory, JOURNAL, flags, Mode::empty()) {
            Ok(file) => {
                let mut text = Vec::new();
                std::fs::File::from(file).read_to_end(&mut text).context("reading the journal")?;
                Journal::parse(&text).map(Some)
            }
            Err(Errno::NOENT) => {
                let names =
                    super::pattern::names(&self.path()).context("there is no journal, and it cannot be listed")?;
                match names.iter().find(|name| *name != UNFINISHED && !self.is_made_anew(&names)) {
                    Some(name) => bail!("{} is in it, and no journal", name.display()),
                    None => Ok(None),
                }
            }
            Err(error) => Err(error).context("opening the journal"),
        }
    }

    /// Whether a restic that outlived its run made this after it had been removed. There is the staged tree and nothing else: whatever
    /// of the application's was ever in here stood beside [`OLD`], and that goes after [`NEW`], the journal after both.
    fn is_made_anew(&self, names: &[OsString]) -> bool {
        let run = self.name.to_str().and_then(|name| name.strip_prefix(OWN));
        run.is_some_and(is_run_id) && names.iter().all(|name| name == NEW || name == UNFINISHED)
    }

    /// Removes it all, the journal last: as long as anything is left, it is known what it is.
    ///
    /// # Errors
    /// When something cannot be removed, or a volume is mounted in it.
    pub fn remove(&self, watch: &mut Watch<'_>) -> Result<()> {
        let shown = self.path();
        if let Some(mount) = volume::mounts_below(&shown)?.first() {
            bail!(
                Failure::new(format!("a volume is mounted at {}, so it is not removed", shown.join(mount).display()))
                    .hint("unmount it; the next run removes the rest")
            );
        }
        let gone = walk::outlast(|| {
            for side in [STRAY, NEW, OLD, UNFINISHED] {
                watch(Step::Remove)?;
                walk::remove(&self.directory, OsStr::new(side))?;
            }
            self.sync()?;
            watch(Step::Remove)?;
            walk::remove(&self.directory, OsStr::new(JOURNAL))?;
            watch(Step::Remove)?;
            Ok(rustix::fs::unlinkat(&self.root, &self.name, AtFlags::REMOVEDIR)?)
        });
        gone.with_context(|| format!("removing {}", shown.display()))
    }
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(root, flags, Mode::empty())?)
}
