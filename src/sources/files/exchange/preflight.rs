//! What stands in the way of an exchange, found before anything is restored, and told all at once.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::Access;
use rustix::io::Errno;

use super::plan;
use super::select::Select;
use crate::error::Failure;
use crate::sources::files::pattern::{self, Pattern};
use crate::sources::files::{is_foreign, volume};

/// The application's own top-level entries, in the order of names.
///
/// # Errors
/// When the root cannot be listed.
pub fn live(root: &Path) -> Result<Vec<OsString>> {
    let names = pattern::names(root).with_context(|| format!("reading {}", root.display()))?;
    Ok(names.into_iter().filter(|name| !is_foreign(name)).collect())
}

/// Whether a restore into this root (a canonical path) will be able to exchange what it must. Changes nothing.
///
/// # Errors
/// With everything that stands in the way.
pub fn check(root: &Path, keep: &[Pattern], selects: &[Select]) -> Result<()> {
    let mut moving: Vec<PathBuf> = Vec::new();
    for select in selects {
        match &select.to {
            // What will come has some name; that of its directory decides.
            Some(to) => moving.push(to.join("*")),
            None => moving.extend(select.from.expand(root).context("looking for what will be replaced")?),
        }
    }
    if selects.is_empty() {
        let stays = |name: &OsString| keep.iter().any(|keep| keep.is_name(name));
        moving.extend(live(root)?.into_iter().filter(|name| !stays(name)).map(PathBuf::from));
    }
    movable(root, &moving.iter().map(PathBuf::as_path).collect::<Vec<_>>())
}

/// The same for one entry of the root, which need not be there. Changes nothing.
///
/// # Errors
/// As [`check`], and when something in the way to it is no directory.
pub fn check_entry(root: &Path, entry: &Path) -> Result<()> {
    plan::selected(&[(entry.to_owned(), None)], &|path| plan::Kind::of(&root.join(path)))?;
    movable(root, &[entry])
}

/// Whether these entries can be moved away and back.
pub(super) fn movable(root: &Path, moving: &[&Path]) -> Result<()> {
    if let Err(error) = rustix::fs::access(root, Access::WRITE_OK | Access::EXEC_OK) {
        return Err(refused(root, error.into()));
    }
    let mounts = volume::mounts_below(root)?;
    let mut obstacles = Vec::new();
    for path in moving {
        for mount in &mounts {
            if path.starts_with(mount) && *path != mount {
                obstacles.push(format!("{} is on a volume of its own", path.display()));
            } else if mount.starts_with(path) {
                obstacles.push(format!("a volume is mounted at {}", mount.display()));
            }
        }
        if let Some(why) = unmovable(root, path) {
            obstacles.push(format!("{} {why}", path.display()));
        }
    }
    obstacles.dedup();
    if obstacles.is_empty() {
        return Ok(());
    }
    bail!(
        Failure::new(format!("not everything in {} can be exchanged: {}", root.display(), obstacles.join("; ")))
            .hint("nothing was touched; keep these entries with BKP_FILES_KEEP, restore elsewhere with --to, or run it where they can be moved")
    )
}

/// Why an account without special rights may not move an entry that is there.
fn unmovable(root: &Path, path: &Path) -> Option<&'static str> {
    let user = rustix::process::geteuid();
    let whole = root.join(path);
    let parent = whole.parent()?;
    let outer = parent.metadata().ok()?;
    if rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK) == Err(Errno::ACCESS) {
        return Some("is in a directory that this account may not change");
    }
    let entry = whole.symlink_metadata().ok()?;
    if user.is_root() || entry.uid() == user.as_raw() {
        return None;
    }
    if outer.mode() & 0o1000 != 0 && outer.uid() != user.as_raw() {
        return Some("belongs to somebody else, in a directory where everybody may move only what is theirs");
    }
    // Its `..` changes, which takes the right to write to it.
    let is_closed = entry.is_dir() && rustix::fs::access(&whole, Access::WRITE_OK).is_err();
    is_closed.then_some("is a directory of somebody else, which this account may not change")
}

/// Why nothing can be made in a root.
pub(super) fn refused(root: &Path, error: io::Error) -> anyhow::Error {
    let shown = root.display();
    let failure = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            Failure::new(format!("{shown} is mounted read-only, so nothing can be restored there"))
                .hint("run the restore where the volume is mounted writable, or restore elsewhere with --to")
        }
        io::ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            Failure::new(format!("user {user} may not write to {shown}"))
                .hint("run the restore as root, or as the user that owns the directory")
        }
        io::ErrorKind::NotFound => Failure::new(format!("{shown} is not there")).hint("is the volume mounted?"),
        _ => Failure::new(format!("{shown} cannot be restored into")),
    };
    failure.because(error).into()
}
