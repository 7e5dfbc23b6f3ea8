//! A file that becomes an object of a directory: written beside its name, synced, and renamed without overwriting.
//!
//! The rename is the commit; after it the directory is synced, so that a power failure does not undo it. A run that is
//! killed leaves a hidden `.part` file, which the next one removes: it is recognised by the lock that a living writer holds on
//! it. Where locks may not reach from machine to machine, it must be old besides.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use tokio::io::AsyncWriteExt;

use super::directory::{blocking, fault, make_directories, object, sync_directory};
use super::error::StoreError;
use super::store::Object;

/// How old a part without a lock must be before it is taken for a dead run's, where the lock of a writer on another machine may
/// not be seen: as long as a dump may wait for a table.
const DEAD_AFTER: Duration = Duration::from_secs(3600);

/// File systems of one machine, by the numbers of linux/magic.h: ext2 to ext4, XFS, Btrfs, tmpfs, F2FS, overlayfs, ZFS. Who writes
/// there holds a lock that everybody sees.
const OF_ONE_MACHINE: [u32; 7] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010, 0x794C_7630, 0x2FC1_2FC1];

/// How often a new part is taken for a dead one's, in the moment between its making and its lock, before we give up.
const TRIES: u64 = 10;

/// A file that is being written, hidden until it is whole. Dropped, it is removed.
pub struct PartialFile {
    directory: PathBuf,
    name: String,
    part: Option<PathBuf>,
    target: PathBuf,
    file: tokio::fs::File,
}

impl PartialFile {
    /// Makes the hidden file for `name` below `root`; `AlreadyExists` when the name is taken. Blocks.
    pub fn create(root: PathBuf, name: String) -> io::Result<Self> {
        let target = root.join(&name);
        if target.symlink_metadata().is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let parent = target.parent().unwrap_or(&root).to_owned();
        make_directories(&parent)?;
        let file_name = target.file_name().unwrap_or_default().to_string_lossy();
        // Cut: a name may be as long as the file system allows already.
        let stem: String = file_name.chars().take(40).collect();
        let (part, file) = locked(&parent, &stem)?;
        // The file system's own clock: the new part's time is now.
        if let Ok(now) = file.metadata().and_then(|metadata| metadata.modified()) {
            remove_dead_parts(&parent, now);
        }
        Ok(Self { directory: root, name, part: Some(part), target, file: file.into() })
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).await.map_err(|err| self.fault(err))
    }

    pub async fn commit(mut self) -> Result<Object, StoreError> {
        self.file.flush().await.map_err(|err| self.fault(err))?;
        self.file.sync_all().await.map_err(|err| self.fault(err))?;
        let (Some(part), target) = (self.part.clone(), self.target.clone()) else {
            return Err(self.fault(ErrorKind::NotFound.into()));
        };
        let root = self.directory.clone();
        let moved = blocking(move || {
            rename_without_overwriting(&part, &target)?;
            // Up to the root: the directories between may be as new as the file.
            let mut above = target.ancestors().skip(1).take_while(|path| path.starts_with(&root));
            // A commit that failed must not be seen, even when only its last step failed.
            let settled = above.try_for_each(sync_directory).and_then(|()| target.metadata());
            settled.inspect_err(|_| drop(std::fs::remove_file(&target)))
        });
        let metadata = moved.await.map_err(|err| self.fault(err))?;
        self.part = None;
        Ok(object(&self.name, &metadata))
    }

    fn fault(&self, err: io::Error) -> StoreError {
        fault(&self.directory, err, &format!("create object {}", self.name), &self.name)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            let _ = std::fs::remove_file(part);
        }
    }
}

/// A new part with a lock on it.
fn locked(parent: &Path, stem: &str) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..TRIES {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let part = parent.join(format!(".{stem}.{}-{number}.part", std::process::id()));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // Another run found it without a lock, and removes it.
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Ok(()) if file.metadata()?.nlink() == 0 => {}
            // Some network file systems know no locks; there, no part is ever taken for dead.
            Ok(()) | Err(_) => return Ok((part, file)),
        }
    }
    Err(io::Error::other("other runs remove what this one begins"))
}

/// Whether a file is one that is being written, or was.
pub fn is_part(file_name: &str) -> bool {
    file_name.starts_with('.') && file_name.ends_with(".part")
}

/// Removes what killed runs left. Best effort: a part that stays costs space, no more.
fn remove_dead_parts(directory: &Path, now: SystemTime) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_part)) {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = || modified.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > DEAD_AFTER));
        if let Ok(file) = File::open(entry.path())
            && (is_of_one_machine(&file) || is_old())
            && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            tracing::info!("removing {}, which a run that ended early left", entry.path().display());
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_of_one_machine(file: &File) -> bool {
    let number = rustix::fs::fstatfs(file).map(|system| u32::try_from(system.f_type).unwrap_or_default());
    number.is_ok_and(|number| OF_ONE_MACHINE.contains(&number))
}

/// The last small act. Where the file system cannot rename so, a hard link refuses a taken name as well.
fn rename_without_overwriting(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        result => result.map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer whose file takes nothing: `/dev/full` answers every write as a full disk does.
    fn on_a_full_disk() -> PartialFile {
        let file = File::options().write(true).open("/dev/full").expect("opened");
        let (directory, name) = (PathBuf::from("/"), "dump".to_owned());
        PartialFile { directory, name, part: None, target: PathBuf::from("/dev/null/dump"), file: file.into() }
    }

    #[tokio::test]
    async fn a_full_disk_is_said_to_be_full() {
        let mut file = on_a_full_disk();
        let mut result = Ok(());
        // The runtime writes behind: the fault may come with the next piece, or at the end.
        for _ in 0..3 {
            result = result.and(file.write(b"x").await);
        }
        let result = match result {
            Ok(()) => file.commit().await.map(drop),
            err => err,
        };
        assert!(matches!(result, Err(StoreError::Full { .. })), "{result:?}");
    }
}
