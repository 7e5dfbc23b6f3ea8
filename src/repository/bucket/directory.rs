//! A directory as a store, written by hand: the library's own overwrites at the last moment and syncs no directory.
//!
//! How an object is written: `partial.rs`.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::download::clip;
use super::error::{Cause, StoreError};
use super::partial::{PartialFile, is_part};
use super::store::{Made, Object, Version};

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
        .map_err(|err| match err.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::NotFound => StoreError::Failed {
                what: format!("the directory {} cannot be made: what stands there is none", self.root.display()),
                cause: Some(Cause(err.to_string())),
            },
            _ => self.fault(err, &format!("make the directory {}", self.root.display()), ""),
        })
    }

    pub async fn begin(&self, name: &str) -> Result<PartialFile, StoreError> {
        let (root, named) = (self.root.clone(), name.to_owned());
        let made = blocking(move || {
            root.metadata()?;
            PartialFile::create(root, named)
        });
        made.await.map_err(|err| match err.kind() {
            ErrorKind::NotFound => self.missing(),
            _ => self.fault(err, &format!("create object {name}"), name),
        })
    }

    pub async fn open(
        &self,
        name: &str,
        range: Option<Range<u64>>,
        version: Option<&Version>,
    ) -> Result<OpenFile, StoreError> {
        let path = self.root.join(name);
        let fault = |err| self.fault(err, &format!("read object {name}"), name);
        // A pipe or a device in a dump's place would keep whoever opens it waiting; on files the flag means nothing.
        let mut options = tokio::fs::OpenOptions::new();
        options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        let mut file = options.open(&path).await.map_err(fault)?;
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
        if metadata.is_file() {
            Ok(object(name, &metadata))
        } else {
            Err(self.fault(ErrorKind::NotFound.into(), "", name))
        }
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

/// What the file system said, as ours.
pub(super) fn fault(root: &Path, err: io::Error, act: &str, name: &str) -> StoreError {
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

pub(super) fn object(name: &str, metadata: &Metadata) -> Object {
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
        let Ok(file_name) = entry.file_name().into_string() else {
            continue;
        };
        let name = format!("{below}{file_name}");
        let within = format!("{name}/");
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            // A folder of ours may stand on another disk. Below it none is followed, so there is no circle.
            match std::fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() || prefix.starts_with(&within) => kind = metadata.file_type(),
                _ => continue,
            }
        }
        if kind.is_dir() && (within.starts_with(prefix) || prefix.starts_with(&within)) {
            walk(&entry.path(), &within, prefix, objects)?;
        } else if kind.is_file() && name.starts_with(prefix) && !is_part(&file_name) {
            match std::fs::metadata(entry.path()) {
                Ok(metadata) => objects.push(object(&name, &metadata)),
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                Err(err) => return Err(err),
            }
        }
    }
    Ok(())
}

/// Makes a directory and its parents, for this account alone: dumps hold everything.
pub(super) fn make_directories(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Runs what may block the thread aside.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
