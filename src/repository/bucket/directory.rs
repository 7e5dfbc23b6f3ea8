//! A directory as a store, written by hand: the library's own overwrites at the last moment and syncs no directory.
//!
//! An object is written beside its name, synced, and renamed without overwriting; then the directory is synced. A run
//! that is killed leaves a hidden `.part` file, which a later run removes: it is recognised by its age and by the
//! lock that a living writer holds on it.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use rustix::fs::{CWD, FlockOperation, RenameFlags};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::download::clip;
use super::error::{Cause, StoreError};
use super::store::{Made, Object, Version};

/// How old a part without a writer must be before it is taken for a dead run's: one is made before it is locked.
const DEAD_AFTER: Duration = Duration::from_secs(3600);

/// How much is read at once.
const READ_BYTES: usize = 1024 * 1024;

/// One directory.
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub async fn ensure(&self) -> Result<Made, StoreError> {
        let root = self.root.clone();
        blocking(move || {
            if root.is_dir() {
                return Ok(Made::AlreadyThere);
            }
            make_directories(&root)?;
            sync_directory(root.parent().unwrap_or(&root))?;
            Ok(Made::New)
        })
        .await
        .map_err(|err| self.fault(err, &format!("make the directory {}", self.root.display()), ""))
    }

    pub async fn begin(&self, name: &str) -> Result<PartialFile, StoreError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let target = self.root.join(name);
        let root = self.root.clone();
        let made = blocking(move || {
            root.metadata()?;
            if target.symlink_metadata().is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let parent = target.parent().unwrap_or(&root).to_owned();
            make_directories(&parent)?;
            let file_name = target.file_name().unwrap_or_default().to_string_lossy();
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            // Cut: a name may be as long as the file system allows already.
            let stem: String = file_name.chars().take(40).collect();
            let part = parent.join(format!(".{stem}.{}-{number}.part", std::process::id()));
            let file = {
                use std::os::unix::fs::OpenOptionsExt;
                File::options().write(true).create_new(true).mode(0o600).open(&part)?
            };
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            // The file system's own clock: the new part's time is now.
            if let Ok(now) = file.metadata().and_then(|metadata| metadata.modified()) {
                remove_dead_parts(&parent, now);
            }
            Ok((part, target, file))
        });
        let (part, target, file) = made.await.map_err(|err| match err.kind() {
            ErrorKind::NotFound => self.missing(),
            _ => self.fault(err, &format!("create object {name}"), name),
        })?;
        Ok(PartialFile { directory: self.root.clone(), name: name.to_owned(), part: Some(part), target, file: file.into() })
    }

    pub async fn open(
        &self,
        name: &str,
        range: Option<Range<u64>>,
        version: Option<&Version>,
    ) -> Result<OpenFile, StoreError> {
        let path = self.root.join(name);
        let fault = |err| self.fault(err, &format!("read object {name}"), name);
        let mut file = tokio::fs::File::open(&path).await.map_err(fault)?;
        let metadata = file.metadata().await.map_err(fault)?;
        if !metadata.is_file() {
            return Err(self.fault(ErrorKind::NotFound.into(), "", name));
        }
        let object = object(name, &metadata);
        if version.is_some() && object.version.as_ref() != version {
            return Err(StoreError::Changed { name: name.to_owned() });
        }
        let wanted = clip(range.as_ref(), object.bytes);
        file.seek(io::SeekFrom::Start(wanted.start)).await.map_err(fault)?;
        Ok(OpenFile { object, file, left: wanted.end - wanted.start })
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        let listed = blocking(move || {
            let mut objects = Vec::new();
            root.metadata()?;
            walk(&root, "", &prefix, &mut objects)?;
            Ok(objects)
        });
        listed.await.map_err(|err| match err.kind() {
            ErrorKind::NotFound => self.missing(),
            _ => self.fault(err, "list the bucket", ""),
        })
    }

    pub async fn stat(&self, name: &str) -> Result<Object, StoreError> {
        let result = tokio::fs::metadata(self.root.join(name)).await;
        let metadata = result.map_err(|err| self.fault(err, &format!("look at object {name}"), name))?;
        if metadata.is_file() { Ok(object(name, &metadata)) } else { Err(self.fault(ErrorKind::NotFound.into(), "", name)) }
    }

    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.root.join(name);
        let deleted = blocking(move || match std::fs::remove_file(&path) {
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
            Err(err) => Err(err),
            Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        });
        deleted.await.map_err(|err| self.fault(err, &format!("delete object {name}"), name))
    }

    fn missing(&self) -> StoreError {
        StoreError::BucketMissing { address: format!("file://{}", self.root.display()), cause: None }
    }

    fn fault(&self, err: io::Error, act: &str, name: &str) -> StoreError {
        fault(&self.root, err, act, name)
    }
}

fn fault(root: &Path, err: io::Error, act: &str, name: &str) -> StoreError {
    let cause = Some(Cause(err.to_string()));
    let what = act.to_owned();
    match err.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory if !root.is_dir() => {
            StoreError::BucketMissing { address: format!("file://{}", root.display()), cause }
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => StoreError::NotFound { name: name.to_owned(), cause },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::Forbidden { what, cause },
        ErrorKind::AlreadyExists => StoreError::Exists { name: name.to_owned() },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreError::Full { what, cause },
        _ => StoreError::Failed { what: format!("the file system refused to {what}"), cause },
    }
}

/// A file that is being written, hidden until it is whole. Dropped, it is removed.
pub struct PartialFile {
    directory: PathBuf,
    name: String,
    part: Option<PathBuf>,
    target: PathBuf,
    file: tokio::fs::File,
}

impl PartialFile {
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).await.map_err(|err| self.fault(err))
    }

    pub async fn commit(mut self) -> Result<Object, StoreError> {
        self.file.flush().await.map_err(|err| self.fault(err))?;
        self.file.sync_all().await.map_err(|err| self.fault(err))?;
        let (Some(part), target) = (self.part.clone(), self.target.clone()) else {
            return Err(self.fault(ErrorKind::NotFound.into()));
        };
        let moved = blocking(move || {
            rename_without_overwriting(&part, &target)?;
            // A commit that failed must not be seen, even when only its last step failed.
            let settled = sync_directory(target.parent().unwrap_or(&target)).and_then(|()| target.metadata());
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

/// A file that is being read. Its bytes stay these, whatever takes its name: it is open.
pub struct OpenFile {
    object: Object,
    file: tokio::fs::File,
    left: u64,
}

impl OpenFile {
    pub fn object(&self) -> &Object {
        &self.object
    }

    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        let name = &self.object.name;
        let mut buffer = BytesMut::with_capacity(READ_BYTES.min(usize::try_from(self.left).unwrap_or(READ_BYTES)));
        let mut limited = (&mut self.file).take(self.left);
        let read = limited.read_buf(&mut buffer).await.map_err(|err| StoreError::Failed {
            what: format!("object {name} cannot be read to its end"),
            cause: Some(Cause(err.to_string())),
        })?;
        if read == 0 {
            let how = format!("it was cut by {} bytes while it was read", self.left);
            return Err(StoreError::Corrupt { name: name.clone(), how });
        }
        self.left -= read as u64;
        Ok(Some(buffer.freeze()))
    }
}

fn object(name: &str, metadata: &Metadata) -> Object {
    let modified = metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
    let version = format!("{}-{}-{}.{}", metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    Object {
        name: name.to_owned(),
        bytes: metadata.len(),
        modified: modified.unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        version: Some(Version::new(version)),
    }
}

fn walk(directory: &Path, below: &str, prefix: &str, objects: &mut Vec<Object>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // What is not UTF-8 was not written by us, and could not be asked for.
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        let name = format!("{below}{file_name}");
        let kind = entry.file_type()?;
        let within = format!("{name}/");
        if kind.is_dir() && (within.starts_with(prefix) || prefix.starts_with(&within)) {
            walk(&entry.path(), &within, prefix, objects)?;
        } else if kind.is_file() && name.starts_with(prefix) && !is_part(&file_name) {
            match entry.metadata() {
                Ok(metadata) => objects.push(object(&name, &metadata)),
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                Err(err) => return Err(err),
            }
        }
    }
    Ok(())
}

fn is_part(file_name: &str) -> bool {
    file_name.starts_with('.') && file_name.ends_with(".part")
}

/// Removes what killed runs left. Best effort: a part that stays costs space, no more.
fn remove_dead_parts(directory: &Path, now: SystemTime) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_part)) {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = modified.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > DEAD_AFTER));
        if is_old
            && let Ok(file) = File::open(entry.path())
            && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            tracing::info!("removing {}, which a run that ended early left", entry.path().display());
            let _ = std::fs::remove_file(entry.path());
        }
    }
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

/// Makes a directory and its parents, for this account alone: dumps hold everything.
fn make_directories(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err)))
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

    #[test]
    fn what_the_system_says_is_told_apart() {
        let root = Path::new("/");
        let told = |kind: ErrorKind| fault(root, kind.into(), "create object a", "a");
        assert!(matches!(told(ErrorKind::QuotaExceeded), StoreError::Full { .. }));
        assert!(matches!(told(ErrorKind::ReadOnlyFilesystem), StoreError::Forbidden { .. }));
        assert!(matches!(told(ErrorKind::NotFound), StoreError::NotFound { .. }));
        let absent = fault(Path::new("/nowhere"), ErrorKind::NotFound.into(), "look at object a", "a");
        assert!(matches!(absent, StoreError::BucketMissing { .. }));
    }
}
