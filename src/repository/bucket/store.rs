//! A store of objects, whatever is behind it: named bytes that appear whole, once, and are never overwritten.

use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::directory::Directory;
use super::download::Download;
use super::error::StoreError;
#[cfg(test)]
use super::faults::{Asked, Faults};
use super::options::StoreOptions;
use super::remote::Remote;
use super::sweep::sweep;
use super::upload::Upload;
use crate::settings::address::{BucketAddress, is_plain_path};

/// An object as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Name below the address's prefix.
    pub name: String,
    pub bytes: u64,
    pub modified: Timestamp,
    /// Which of the objects that ever had this name; none where the store does not say.
    pub version: Option<Version>,
}

/// Tells apart the objects that had a name one after the other. Opaque: a generation, an ETag, a file's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `ensure` had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    New,
    AlreadyThere,
}

/// A bucket or a directory. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    #[cfg(test)]
    faults: Faults,
}

#[derive(Clone)]
enum Backend {
    Remote(Arc<Remote>),
    Directory(Arc<Directory>),
}

impl Store {
    /// Prepares a client; asks nothing of the store. Faults of settings and credential files are found here.
    pub fn open(address: &BucketAddress, options: &StoreOptions) -> Result<Self, StoreError> {
        let backend = match address {
            BucketAddress::Directory(path) => Backend::Directory(Arc::new(Directory::new(path.clone()))),
            _ => Backend::Remote(Arc::new(Remote::open(address, options)?)),
        };
        Ok(Self {
            backend,
            #[cfg(test)]
            faults: Faults::default(),
        })
    }

    /// The same, and what is asked of it meets these faults.
    #[cfg(test)]
    pub fn with(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// Makes the directory (mode 0700) when it is not there. Buckets are never made: it is only looked whether they answer.
    pub async fn ensure(&self) -> Result<Made, StoreError> {
        match &self.backend {
            Backend::Remote(remote) => remote.check().await.map(|()| Made::AlreadyThere),
            Backend::Directory(directory) => directory.ensure().await,
        }
    }

    /// Begins a new object, which is visible only once it is committed. `Exists` when the name is taken, here or at commit.
    pub async fn upload(&self, name: &str) -> Result<Upload, StoreError> {
        check_name(name)?;
        let begun = async {
            match &self.backend {
                Backend::Remote(remote) => Upload::to_remote(remote.clone(), name).await,
                Backend::Directory(directory) => Upload::to_directory(directory, name).await,
            }
        };
        #[cfg(test)]
        let begun = async {
            let begun = self.faults.around(Asked::Create(name.to_owned()), begun).await?;
            Ok(begun.with(&self.faults, name))
        };
        begun.await
    }

    /// Reads an object, or the bytes of `range` that it has. All bytes come from one version: the given one, or the one that is
    /// there now; `Changed` when it is replaced meanwhile.
    pub async fn read(
        &self,
        name: &str,
        range: Option<Range<u64>>,
        version: Option<&Version>,
    ) -> Result<Download, StoreError> {
        check_name(name)?;
        let begun = async {
            match &self.backend {
                Backend::Remote(remote) => Download::from_remote(remote.clone(), name, range, version).await,
                Backend::Directory(directory) => Download::from_directory(directory, name, range, version).await,
            }
        };
        #[cfg(test)]
        let begun = self.faults.around(Asked::Read, begun);
        begun.await
    }

    /// Reads the bytes of `range` of an object that a listing told, without asking what the listing said already. As with [`Store::read`],
    /// `Changed` when another object has its name by now; on some stores also when none has.
    pub async fn read_listed(&self, object: &Object, range: Range<u64>) -> Result<Download, StoreError> {
        check_name(&object.name)?;
        match &self.backend {
            Backend::Remote(remote) if object.version.is_some() => {
                Download::pinned(remote.clone(), object.clone(), Some(range), None).await
            }
            _ => self.read(&object.name, Some(range), object.version.as_ref()).await,
        }
    }

    /// How many small requests are answered best at once: a store far away is waited for, a disk is not.
    pub fn at_once(&self) -> usize {
        match &self.backend {
            Backend::Remote(_) => 32,
            Backend::Directory(_) => 8,
        }
    }

    /// All objects whose name begins with `prefix`, in the order of their names.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let listed = async {
            match &self.backend {
                Backend::Remote(remote) => remote.list(prefix).await,
                Backend::Directory(directory) => directory.list(prefix).await,
            }
        };
        #[cfg(test)]
        let listed = self.faults.around(Asked::List, listed);
        let mut objects = listed.await?;
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    pub async fn stat(&self, name: &str) -> Result<Object, StoreError> {
        check_name(name)?;
        match &self.backend {
            Backend::Remote(remote) => remote.stat(name).await,
            Backend::Directory(directory) => directory.stat(name).await,
        }
    }

    /// Deletes an object; one that is not there is deleted.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        let deleted = async {
            match &self.backend {
                Backend::Remote(remote) => remote.delete(name).await,
                Backend::Directory(directory) => directory.delete(name).await,
            }
        };
        #[cfg(test)]
        let deleted = self.faults.around(Asked::Delete(name.to_owned()), deleted);
        deleted.await
    }

    /// Removes the parts of uploads that were begun before `begun_before` and never ended, of names that `is_ours` knows; says
    /// how many. Only Amazon's protocol needs it: the others forget such uploads after a week, a directory at the next upload.
    pub async fn sweep(
        &self,
        begun_before: Timestamp,
        is_ours: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<usize, StoreError> {
        match &self.backend {
            Backend::Remote(remote) => sweep(remote, begun_before, is_ours).await,
            Backend::Directory(_) => Ok(0),
        }
    }
}

/// Names are relative paths; what would leave the prefix, or what a client would silently rewrite, is refused.
fn check_name(name: &str) -> Result<(), StoreError> {
    if is_plain_path(name) {
        return Ok(());
    }
    let what = format!("{name:?} is no name for an object");
    Err(StoreError::Failed { what, cause: None })
}
