//! One entry, restored into a directory that holds other things: made in a hidden directory there, and moved to its name once it is
//! whole. Killed at any point, there is nothing half under that name, only a `.bkp-RUN` that anybody may remove.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};

use super::volume::Place;
use super::{OWN, walk};
use crate::error::Failure;

/// A place where one entry is made. Dropped, it is removed with what is in it.
#[derive(Debug)]
pub struct Apart {
    directory: OwnedFd,
    path: PathBuf,
    hidden: OsString,
    name: OsString,
}

impl Apart {
    /// Makes the place for `name` in a directory, which is made when it is missing.
    ///
    /// # Errors
    /// When the name is taken there, or nothing can be made.
    pub fn make(directory: &Path, name: &OsStr, run: &str) -> Result<Apart> {
        let shown = directory.display();
        let refused = |error| Failure::new(format!("nothing can be made in {shown}")).because(error);
        // For this account alone: what comes may be meant for fewer eyes than those of this place.
        match std::fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => bail!(refused(error)),
            _ => {}
        }
        let path = directory.canonicalize().with_context(|| format!("reaching {shown}"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty()).map_err(io::Error::from).map_err(refused)?;
        if Place::of(&directory, Path::new(name))?.is_taken()? {
            bail!(taken(&path.join(name)));
        }
        let hidden = OsString::from(format!("{OWN}{run}"));
        rustix::fs::mkdirat(&directory, &hidden, Mode::RWXU).map_err(io::Error::from).map_err(refused)?;
        Ok(Apart { directory, path, hidden, name: name.to_owned() })
    }

    /// The directory to restore into; the entry is to lie right in it.
    pub fn target(&self) -> PathBuf {
        self.path.join(&self.hidden)
    }

    /// Gives the entry its name, after it is on the disk, and returns where it is.
    ///
    /// # Errors
    /// When there is none, the name was taken since, or the disk could not take it.
    pub fn settle(self) -> Result<PathBuf> {
        let place = self.path.join(&self.name);
        rustix::fs::syncfs(&self.directory).with_context(|| format!("writing {} to the disk", place.display()))?;
        let from = Place::of(&self.directory, &Path::new(&self.hidden).join(&self.name))?;
        if !from.is_taken()? {
            bail!(Failure::new(format!("restic restored no {}", place.display())).hint("run bkp check --read-data"));
        }
        match from.rename(&Place::of(&self.directory, Path::new(&self.name))?) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(taken(&place)),
            other => other.with_context(|| format!("moving it to {}", place.display()))?,
        }
        Ok(place)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Err(error) = walk::outlast(|| walk::remove(&self.directory, &self.hidden)) {
            tracing::warn!("{} is left and may be removed: {error}", self.target().display());
        }
    }
}

fn taken(place: &Path) -> Failure {
    Failure::new(format!("{} is there already, and nothing is overwritten", place.display()))
        .hint("name another directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_settled_is_gone_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let make = || Apart::make(&base, OsStr::new("x"), "run");
        let apart = make().unwrap();
        std::fs::create_dir(apart.target().join("x")).unwrap();
        std::fs::write(apart.target().join("x/half"), "half").unwrap();
        drop(apart);
        assert_eq!(std::fs::read_dir(&base).unwrap().count(), 0);

        let apart = make().unwrap();
        std::fs::write(apart.target().join("x"), "whole").unwrap();
        assert_eq!(apart.settle().unwrap(), base.join("x"));
        assert!(make().unwrap_err().to_string().contains("is there already"));
        assert_eq!(std::fs::read_dir(&base).unwrap().count(), 1);

        std::fs::remove_file(base.join("x")).unwrap();
        let apart = make().unwrap();
        std::fs::write(apart.target().join("x"), "restored").unwrap();
        std::fs::write(base.join("x"), "came meanwhile").unwrap();
        assert!(apart.settle().is_err());
        assert_eq!(std::fs::read_to_string(base.join("x")).unwrap(), "came meanwhile");
        assert_eq!(std::fs::read_dir(&base).unwrap().count(), 1);
    }
}
