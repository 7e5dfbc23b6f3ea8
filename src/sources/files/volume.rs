//! What a volume allows: free space, mount points in the way, and moves of entries that never overwrite.
//!
//! Entries are reached from an open directory, component by component and never through a symbolic link: the tree belongs to
//! an application that may be running, and bkp may be root.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::error::Failure;

/// Bytes that this account may still write on the volume of `root`.
///
/// # Errors
/// When the volume cannot be asked.
pub fn free_bytes(root: &Path) -> Result<u64> {
    let asked = rustix::fs::statvfs(root).with_context(|| format!("asking for free space at {}", root.display()))?;
    Ok(asked.f_bavail.saturating_mul(asked.f_frsize))
}

/// A directory to restore into without exchanging anything: made if it is missing, and it must be empty.
///
/// # Errors
/// When something is in it, or it cannot be made.
pub fn into_empty(directory: &Path) -> Result<PathBuf> {
    let shown = directory.display();
    // For this account alone: what comes may be meant for fewer eyes than those of this place.
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let names = super::pattern::names(directory).with_context(|| format!("reading {shown}"))?;
            if let Some(name) = names.iter().find(|name| *name != super::LOST_AND_FOUND) {
                bail!(
                    Failure::new(format!("{shown} is not empty: {} is in it", name.display()))
                        .hint("name an empty directory, or one that is not there yet")
                );
            }
        }
        Err(error) => bail!(Failure::new(format!("{shown} cannot be made")).because(error)),
    }
    directory.canonicalize().with_context(|| format!("reaching {shown}"))
}

/// Mount points below a directory, relative to it.
///
/// # Errors
/// When the kernel does not tell.
pub fn mounts_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo").context("asking which volumes are mounted")?;
    let directory = directory.canonicalize().with_context(|| format!("reaching {}", directory.display()))?;
    Ok(mounts_in(&table, &directory))
}

/// The fifth word of each line is the mount point, with blanks as `\040`.
fn mounts_in(table: &[u8], directory: &Path) -> Vec<PathBuf> {
    let points = table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let below = points.filter_map(|point| {
        let below = unescaped(point).strip_prefix(directory).map(Path::to_owned).ok()?;
        (!below.as_os_str().is_empty()).then_some(below)
    });
    let mut below: Vec<PathBuf> = below.collect();
    below.sort();
    below.dedup();
    below
}

fn unescaped(word: &[u8]) -> PathBuf {
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < word.len() {
        let octal = word
            .get(at + 1..at + 4)
            .filter(|_| word[at] == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 8).ok()));
        bytes.push(octal.unwrap_or(word[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// An entry: the open directory that holds it, and its name there.
#[derive(Debug)]
pub struct Place {
    directory: OwnedFd,
    name: OsString,
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// How a directory is opened to be listed, changed or synced; no link is followed.
pub const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Opens a directory below another one; no link is followed.
///
/// # Errors
/// When a part is missing, no directory, or leads out.
pub fn beneath(base: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let mut at = rustix::fs::openat(base, ".", DIRECTORY, Mode::empty())?;
    for part in path.components() {
        let Component::Normal(name) = part else { return Err(io::ErrorKind::InvalidInput.into()) };
        at = rustix::fs::openat(&at, name, DIRECTORY, Mode::empty())?;
    }
    Ok(at)
}

impl Place {
    /// The place of `path` below an open directory; its parent must be there.
    ///
    /// # Errors
    /// As [`beneath`].
    pub fn of(base: impl AsFd, path: &Path) -> io::Result<Place> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        Ok(Place { directory: beneath(base, path.parent().unwrap_or(Path::new("")))?, name })
    }

    /// Whether something is there.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn is_taken(&self) -> io::Result<bool> {
        match rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves the entry to a place that is free.
    ///
    /// # Errors
    /// When the place is taken, or the file system refuses.
    pub fn rename(&self, to: &Place) -> io::Result<()> {
        match self.rename_once(to) {
            // A directory that its owner may not write cannot be moved by the owner either: its `..` would change.
            Err(Errno::ACCESS) => self.rename_unwritable(to),
            other => other,
        }
        .map_err(io::Error::from)
    }

    fn rename_once(&self, to: &Place) -> rustix::io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.directory, &self.name, &to.directory, &to.name, flags) {
            // Network file systems do not know the flag. We hold the lock, so a look before does.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                if to.is_taken().map_err(|_| Errno::EXIST)? {
                    return Err(Errno::EXIST);
                }
                rustix::fs::renameat(&self.directory, &self.name, &to.directory, &to.name)
            }
            other => other,
        }
    }

    fn rename_unwritable(&self, to: &Place) -> rustix::io::Result<()> {
        let directory =
            rustix::fs::openat(&self.directory, &self.name, LIST, Mode::empty()).map_err(|_| Errno::ACCESS)?;
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&directory)?.st_mode);
        rustix::fs::fchmod(&directory, mode | Mode::WUSR).map_err(|_| Errno::ACCESS)?;
        let moved = self.rename_once(to);
        rustix::fs::fchmod(&directory, mode)?;
        moved
    }
}

/// Makes the directories of `path` below `base` as far as they are missing, for this account alone.
///
/// # Errors
/// When one cannot be made.
pub fn make_below(base: impl AsFd, path: &Path) -> io::Result<()> {
    let mut at = beneath(base, Path::new(""))?;
    for part in path.components() {
        let Component::Normal(name) = part else { return Err(io::ErrorKind::InvalidInput.into()) };
        match rustix::fs::mkdirat(&at, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        at = rustix::fs::openat(&at, name, DIRECTORY, Mode::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_below_a_directory_are_told_from_others() {
        let table = b"1 0 8:1 / / rw - ext4 x rw\n2 1 8:1 /a /data rw - ext4 x rw\n3 2 8:1 /b /data/sub\\040dir/deep rw - ext4 x rw\n4 1 8:1 /c /database rw - ext4 x rw\n";
        assert_eq!(mounts_in(table, Path::new("/data")), [PathBuf::from("sub dir/deep")]);
        assert_eq!(mounts_in(table, Path::new("/")).len(), 3);
        assert!(mounts_below(Path::new("/")).unwrap().contains(&PathBuf::from("proc")));
    }

    #[test]
    fn a_move_never_overwrites_and_never_follows_a_link() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/tmp", dir.path().join("link")).unwrap();
        let base = std::fs::File::open(dir.path()).unwrap();
        let place = |path: &str| Place::of(&base, Path::new(path));
        let error = place("a").unwrap().rename(&place("b").unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(place("link/x").is_err());
        assert!(place("../x").is_err());
        place("a").unwrap().rename(&place("c").unwrap()).unwrap();
        assert_eq!(std::fs::read(dir.path().join("c")).unwrap(), b"a");
        assert!(!place("a").unwrap().is_taken().unwrap());
    }

    #[test]
    fn only_an_empty_directory_is_restored_into() {
        let dir = tempfile::tempdir().unwrap();
        let at = into_empty(&dir.path().join("new")).unwrap();
        assert!(at.is_dir());
        into_empty(&at).unwrap();
        std::fs::write(at.join("x"), "x").unwrap();
        assert!(into_empty(&at).unwrap_err().to_string().contains("x is in it"));
        assert!(into_empty(&at.join("x")).is_err());
        assert!(free_bytes(&at).unwrap() > 0);
    }
}
