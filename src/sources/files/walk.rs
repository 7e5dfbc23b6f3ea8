//! Through all entries of a tree, children first, by open directories: no link is followed and no other volume is entered,
//! whatever is renamed meanwhile.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat};
use rustix::io::Errno;

use super::volume::LIST;

/// One entry on the way.
pub struct Entry<'a> {
    /// The directory that holds it.
    pub directory: &'a OwnedFd,
    /// Its name there.
    pub name: &'a CString,
    /// Its own metadata, not that of what it may point to.
    pub stat: Stat,
}

impl Entry<'_> {
    fn is_directory(&self) -> bool {
        is_directory(&self.stat)
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

type Visit<'a> = dyn FnMut(Entry<'_>) -> io::Result<()> + 'a;

/// Visits everything below `base/name`, and that itself last.
///
/// # Errors
/// When something cannot be read, lies on another volume, or `visit` says so.
pub fn walk(base: &OwnedFd, name: &OsStr, visit: &mut Visit<'_>) -> io::Result<()> {
    let name = CString::new(name.as_bytes())?;
    let stat = rustix::fs::statat(base, &name, AtFlags::SYMLINK_NOFOLLOW)?;
    walk_entry(base, &name, &stat, visit)
}

fn walk_entry(directory: &OwnedFd, name: &CString, of: &Stat, visit: &mut Visit<'_>) -> io::Result<()> {
    let mut stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if is_directory(&stat) {
        if stat.st_dev != of.st_dev {
            return Err(io::Error::other(format!("{} is on another volume", name.to_string_lossy())));
        }
        let (opened, opened_up) = open_to_list(directory, name, &stat)?;
        for name in names(&opened)? {
            walk_entry(&opened, &name, of, visit)?;
        }
        if opened_up {
            rustix::fs::fchmod(&opened, Mode::from_raw_mode(stat.st_mode))?;
        }
        stat = rustix::fs::fstat(&opened)?;
    }
    visit(Entry { directory, name, stat })
}

/// Read to the end before anything is changed: what a listing tells of a directory that changes is undefined.
fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Opens a directory, and tells whether its mode had to be changed for that: a restored one may be such that its own owner
/// cannot read it.
fn open_to_list(directory: &OwnedFd, name: &CString, stat: &Stat) -> io::Result<(OwnedFd, bool)> {
    match rustix::fs::openat(directory, name, LIST, Mode::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(directory, name, Mode::from_raw_mode(stat.st_mode) | Mode::RWXU, AtFlags::empty())?;
            Ok((rustix::fs::openat(directory, name, LIST, Mode::empty())?, true))
        }
        other => Ok((other?, false)),
    }
}

/// Removes `base/name` and all that is below it; nothing there is no fault.
///
/// # Errors
/// When something cannot be removed.
pub fn remove(base: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let mut removed = remove_once(base, name);
    if removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        // Directories that may not be written keep what is in them, from their owner too.
        walk(base, name, &mut |entry| {
            if entry.is_directory() {
                let mode = Mode::from_raw_mode(entry.stat.st_mode) | Mode::RWXU;
                rustix::fs::chmodat(entry.directory, entry.name, mode, AtFlags::empty())?;
            }
            Ok(())
        })?;
        removed = remove_once(base, name);
    }
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn remove_once(base: &OwnedFd, name: &OsStr) -> io::Result<()> {
    walk(base, name, &mut |entry| {
        let flags = if entry.is_directory() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        Ok(rustix::fs::unlinkat(entry.directory, entry.name, flags)?)
    })
}

/// How long whoever fills what is being removed is waited for. A restic that is told to end is gone in far less.
const ENDING: Duration = Duration::from_secs(5);

/// Removes with `remove`, again as long as somebody puts things there meanwhile: a restic may outlive its run by a moment.
///
/// # Errors
/// Those of `remove`; that a directory is not empty after five seconds.
pub fn outlast(mut remove: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let end = Instant::now() + ENDING;
    loop {
        match remove() {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

/// Bytes on the volume that everything below `base/name` takes; files with several names count once for each.
///
/// # Errors
/// When something cannot be read.
pub fn bytes(base: &OwnedFd, name: &OsStr) -> io::Result<u64> {
    let mut bytes = 0;
    walk(base, name, &mut |entry| {
        bytes += u64::try_from(entry.stat.st_blocks).unwrap_or(0) * 512;
        Ok(())
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fills_a_directory_is_outlasted_and_nothing_else_is_tried_again() {
        let mut kinds = [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::DirectoryNotEmpty].into_iter();
        outlast(|| kinds.next().map_or(Ok(()), |kind| Err(kind.into()))).unwrap();
        assert!(kinds.next().is_none());
        let mut kinds = [io::ErrorKind::PermissionDenied].into_iter();
        let refused = outlast(|| kinds.next().map_or(Ok(()), |kind| Err(kind.into())));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
