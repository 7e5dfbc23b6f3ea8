//! A directory to restore into for a while. What is made in it lies in one directory of ours, `.bkp-drill-RUN`, with a file that
//! bears the application's name; nothing else is ever removed. The name of the file goes last, so that what a death leaves can be
//! told from anybody's own at every moment. A server that works in it is ended before it is removed.

use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::lock::{self, Lock};
use super::volume::{self, LIST};
use super::{LOST_AND_FOUND, OWN, pattern, walk};
use crate::error::Failure;
use crate::exit::Exit;
use crate::process::end_all_in;
use crate::sources::postgres::side::is_run_id;

const TREES: &str = "trees";
const SERVER: &str = "server";
const DATA: &str = "data";
const LOG: &str = "log";

/// A scratch directory that is ours alone.
#[derive(Debug)]
pub struct Scratch {
    base: PathBuf,
    name: OsString,
    app: String,
    _lock: Lock,
}

/// What lies below a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Files.
    pub files: u64,
    /// Their sizes.
    pub bytes: u64,
    /// Everything else, less the directory itself.
    pub others: u64,
}

impl Scratch {
    /// Takes `base` for this run: makes it if it is missing, removes what dead drills of the application left in it.
    ///
    /// # Errors
    /// Exit code 2 when it lies in or around one of `live`, or somebody's things are in it; 11 when another drill works in it.
    pub async fn take(base: &Path, live: &[PathBuf], app: &str, run: &str, wait: Duration) -> Result<Scratch> {
        apart(base, live)?;
        // For this account alone: what comes may be meant for fewer eyes than those of this place. What root makes can be passed
        // through, but not listed: its server is another account.
        let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
        DirBuilder::new().mode(mode).recursive(true).create(base).map_err(|error| {
            Failure::new(format!("the scratch directory {} cannot be made", base.display()))
                .hint("name another one with --scratch or BKP_DRILL_SCRATCH")
                .because(error)
        })?;
        let base = base.canonicalize().with_context(|| format!("reaching {}", base.display()))?;
        // Once more, by its real name: a link may lead anywhere.
        apart(&base, live)?;
        let lock = lock::acquire(&base, wait).await?;
        clear(&base, app, false)?;
        let names = pattern::names(&base).with_context(|| format!("reading {}", base.display()))?;
        if let Some(name) = names.iter().find(|name| *name != LOST_AND_FOUND) {
            bail!(
                Failure::new(format!(
                    "the scratch directory {} is not empty: {} is in it",
                    base.display(),
                    name.display()
                ))
                .hint("name an empty directory, or one that is not there yet, with --scratch or BKP_DRILL_SCRATCH")
                .exit(Exit::Usage)
            );
        }
        Ok(Scratch { base, name: format!("{OWN}drill-{run}").into(), app: app.to_owned(), _lock: lock })
    }

    /// The directory that it lies in.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Makes a directory for one more tree.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn make(&self, number: usize) -> Result<PathBuf> {
        let path = self.base.join(&self.name).join(TREES).join(number.to_string());
        let made = self.own().and_then(|_| DirBuilder::new().mode(0o700).recursive(true).create(&path));
        made.with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// Makes a directory for a server's data, which belongs to that account (user and group; ours otherwise) alone, and names a
    /// file for its log.
    ///
    /// # Errors
    /// When the file system refuses, or the account could not get there.
    pub fn make_server(&self, account: Option<(u32, u32)>) -> Result<(PathBuf, PathBuf)> {
        let server = self.base.join(&self.name).join(SERVER);
        let data = server.join(DATA);
        let passed = if account.is_some() { 0o711 } else { 0o700 };
        let made = self.own().and_then(|own| {
            std::fs::set_permissions(own, PermissionsExt::from_mode(passed))?;
            DirBuilder::new().mode(passed).create(&server)?;
            DirBuilder::new().mode(0o700).create(&data)?;
            account.map_or(Ok(()), |(user, group)| chown(&data, Some(user), Some(group)))
        });
        made.with_context(|| format!("making {}", data.display()))?;
        let closed = |above: &&Path| above.metadata().is_ok_and(|above| above.mode() & 0o001 == 0);
        if let Some(closed) = server.ancestors().find(closed).filter(|_| account.is_some()) {
            bail!(
                Failure::new(format!(
                    "{} is closed to the account that a server started by root runs as, nobody",
                    closed.display()
                ))
                .hint("name a directory that every account can pass through with --scratch or BKP_DRILL_SCRATCH, or let the drill run as another account than root")
            );
        }
        Ok((data, server.join(LOG)))
    }

    /// Our own directory in it, made if it is missing.
    fn own(&self) -> io::Result<PathBuf> {
        let own = self.base.join(&self.name);
        if !own.exists() {
            DirBuilder::new().mode(0o700).create(&own)?;
            std::fs::File::create_new(own.join(marker(&self.app)))?;
        }
        Ok(own)
    }

    /// Counts what was restored into the directory of that number.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn count(&self, number: usize) -> Result<Counted> {
        let trees = self.base.join(&self.name).join(TREES);
        let counted = opened(&trees).and_then(|opened| count(&opened, OsStr::new(&number.to_string())));
        counted.with_context(|| format!("counting what is in {}", trees.display()))
    }

    /// Removes all that it made.
    ///
    /// # Errors
    /// When something stays.
    pub fn remove(self) -> Result<()> {
        remove(&self.base, &self.name, &self.app)
            .with_context(|| format!("removing {}", self.base.join(&self.name).display()))
    }
}

/// Removes what dead drills of the application left in `base`, when it is there and no drill works in it. Says whether nothing of
/// a drill's is there now, dead or living.
///
/// # Errors
/// When it cannot be looked at, or something stays.
pub async fn clear_dead(base: &Path, app: &str, dry_run: bool) -> Result<bool> {
    if !base.is_dir() {
        return Ok(true);
    }
    let Ok(_held) = lock::acquire(base, Duration::ZERO).await else { return Ok(false) };
    clear(base, app, dry_run)?;
    Ok(!dry_run)
}

fn clear(base: &Path, app: &str, dry_run: bool) -> Result<()> {
    let names = pattern::names(base).with_context(|| format!("reading {}", base.display()))?;
    for name in names.into_iter().filter(|name| is_left(&base.join(name), name, app)) {
        let path = base.join(&name);
        if dry_run {
            tracing::info!("{} is left from a dead drill; a run would remove it", path.display());
            continue;
        }
        remove(base, &name, app).with_context(|| format!("removing {}, left from a dead drill", path.display()))?;
        tracing::warn!("removed {}, which a drill left behind when it died", path.display());
    }
    Ok(())
}

/// By its name and by the file in it; or without, from a death before that file or after it.
fn is_left(path: &Path, name: &OsStr, app: &str) -> bool {
    let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if !is_directory || !name.as_bytes().starts_with(format!("{OWN}drill-").as_bytes()) {
        return false;
    }
    let run = name.to_str().and_then(|name| name.strip_prefix(OWN)?.strip_prefix("drill-"));
    let is_run = run.is_some_and(is_run_id);
    // The trees alone, which go before the file: made anew by a restic that outlived its drill, and nobody's.
    let is_ours = |names: Vec<OsString>| {
        let is_anew = is_run && names.iter().all(|name| name == TREES);
        names.is_empty() || is_anew || names.iter().any(|name| *name == *marker(app))
    };
    pattern::names(path).is_ok_and(is_ours)
}

fn marker(app: &str) -> String {
    format!("of-{app}")
}

fn remove(base: &Path, name: &OsStr, app: &str) -> io::Result<()> {
    let directory = match opened(&base.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if let Some(data) = server_data(&directory) {
        end_all_in(data)?;
    }
    walk::outlast(|| {
        walk::remove(&directory, OsStr::new(SERVER))?;
        walk::remove(&directory, OsStr::new(TREES))?;
        walk::remove(&directory, OsStr::new(&marker(app)))?;
        // Of what is in it now, nothing is ours.
        std::fs::remove_dir(base.join(name))
    })
}

/// The device and inode of a server's data, by no link: another one's server may be at its end.
fn server_data(own: &OwnedFd) -> Option<(u64, u64)> {
    let server = rustix::fs::openat(own, SERVER, LIST, Mode::empty()).ok()?;
    let data = rustix::fs::statat(&server, DATA, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    (FileType::from_raw_mode(data.st_mode) == FileType::Directory).then_some((data.st_dev, data.st_ino))
}

fn opened(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(rustix::fs::CWD, path, LIST | OFlags::NOFOLLOW, Mode::empty())?)
}

fn count(base: &OwnedFd, name: &OsStr) -> io::Result<Counted> {
    let mut counted = Counted::default();
    walk::walk(base, name, &mut |entry| {
        if FileType::from_raw_mode(entry.stat.st_mode) == FileType::RegularFile {
            counted.files += 1;
            counted.bytes += u64::try_from(entry.stat.st_size).unwrap_or(0);
        } else {
            counted.others += 1;
        }
        Ok(())
    })?;
    counted.others = counted.others.saturating_sub(1);
    Ok(counted)
}

/// Neither in a live directory, nor around one: what is there is removed again.
fn apart(base: &Path, live: &[PathBuf]) -> Result<()> {
    let base = real(base);
    match live.iter().map(|root| real(root)).find(|root| base.starts_with(root) || root.starts_with(&base)) {
        None => Ok(()),
        Some(root) => bail!(
            Failure::new(format!(
                "the scratch directory {} lies in or around {}, which is live",
                base.display(),
                root.display()
            ))
            .hint("name a directory somewhere else with --scratch or BKP_DRILL_SCRATCH")
            .exit(Exit::Usage)
        ),
    }
}

/// By its real name as far as it is there.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let Ok(there) = above.canonicalize() {
            return there.join(path.strip_prefix(above).unwrap_or(Path::new("")));
        }
    }
    path
}

/// Bytes that are free there.
///
/// # Errors
/// When the volume cannot be asked.
pub fn free_bytes(scratch: &Scratch) -> Result<u64> {
    volume::free_bytes(&scratch.base)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(base: &Path, live: &Path) -> Result<Scratch> {
        Scratch::take(base, &[live.to_owned()], "shop", "20261121T231004Z-7f3a9c", Duration::ZERO).await
    }

    #[tokio::test]
    async fn nothing_in_or_around_what_is_live_is_taken_by_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("files");
        std::fs::create_dir_all(live.join("sub")).unwrap();
        std::os::unix::fs::symlink(&live, dir.path().join("link")).unwrap();
        for base in ["files", "files/sub", "files/new/deep", "link", "link/sub", "link/new", ".", "files/../files/x"] {
            let error = take(&dir.path().join(base), &live).await.unwrap_err();
            assert!(error.to_string().contains("in or around"), "{base}: {error}");
        }
        assert_eq!(std::fs::read_dir(&live).unwrap().count(), 1, "nothing was made");
        take(&dir.path().join("files2"), &live).await.unwrap();
    }

    #[tokio::test]
    async fn only_what_bears_our_name_is_removed_and_all_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (base, live) = (dir.path().join("scratch"), dir.path().join("files"));
        let scratch = take(&base, &live).await.unwrap();
        assert!(take(&base, &live).await.unwrap_err().to_string().contains("locked"));
        std::fs::write(scratch.make(0).unwrap().join("a"), "abc").unwrap();
        assert_eq!(scratch.count(0).unwrap(), Counted { files: 1, bytes: 3, others: 0 });
        drop(scratch);
        clear_dead(&base, "other", false).await.unwrap();
        assert_eq!(std::fs::read_dir(&base).unwrap().count(), 1, "another application's");
        take(&base, &live).await.unwrap().remove().unwrap();
        assert_eq!(std::fs::read_dir(&base).unwrap().count(), 0);
        let anew = base.join(".bkp-drill-20261121T231004Z-7f3a9c/trees/0");
        std::fs::create_dir_all(anew).unwrap();
        take(&base, &live).await.unwrap();
        assert_eq!(std::fs::read_dir(&base).unwrap().count(), 0, "made anew by a restic that outlived its drill");
        for theirs in [".bkp-drill-mine/precious", "photo/one"] {
            std::fs::create_dir_all(base.join(theirs)).unwrap();
            assert!(take(&base, &live).await.unwrap_err().to_string().contains("is not empty"), "{theirs}");
            assert!(base.join(theirs).is_dir());
            std::fs::remove_dir_all(base.join(theirs).parent().unwrap()).unwrap();
        }
    }
}
