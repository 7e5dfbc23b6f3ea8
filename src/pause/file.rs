//! A file that the application reads as "maintenance": there while it is paused. Nextcloud, for one, reads every
//! `config/*.config.php`, so a file of our own switches it without a change to theirs.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// Which file, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// The file; its directory is the application's.
    pub path: PathBuf,
    /// Its whole content.
    pub content: String,
}

/// A file of ours: told from another's by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    path: PathBuf,
    digest: String,
}

/// What stands in the file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Free,
    /// What a run of ours made there.
    Ours,
    /// The same, made by somebody else.
    Foreign,
    /// Not even its directory.
    NoApplication,
}

fn digest(content: &[u8]) -> String {
    blake3::hash(content).to_string()
}

impl Maintenance {
    /// How the file is noted before it is made.
    pub fn noted(&self) -> Noted {
        Noted { path: self.path.clone(), digest: digest(self.content.as_bytes()) }
    }

    /// What is there, given the note of an earlier run.
    ///
    /// # Errors
    /// When something else is there, which is no pause and is not overwritten.
    pub fn look(&self, known: Option<&Noted>) -> Result<Standing> {
        match std::fs::read(&self.path) {
            Ok(found) if found == self.content.as_bytes() => {
                let is_ours = known.is_some_and(|known| known.digest == digest(&found));
                Ok(if is_ours { Standing::Ours } else { Standing::Foreign })
            }
            Ok(_) => bail!(
                Failure::new(format!("{} is there with another content, and is not overwritten", self.path.display()))
                    .hint("remove it, or name another file in BKP_MAINTENANCE_FILE")
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let is_there = self.path.parent().is_some_and(Path::is_dir);
                Ok(if is_there { Standing::Free } else { Standing::NoApplication })
            }
            Err(error) => Err(error).with_context(|| format!("looking at {}", self.path.display())),
        }
    }

    /// Makes the file with its content in one act, readable by the application, owned as its directory is.
    ///
    /// # Errors
    /// When it cannot be made, or has appeared meanwhile.
    pub fn create(&self, run: &str) -> Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let unfinished = unfinished(&self.path, run);
        let made = self.write(directory, &unfinished);
        if made.is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
        made.map_err(|error| {
            Failure::new(format!("the maintenance file {} cannot be made", self.path.display()))
                .hint("the volume must be writable for this account; or unset BKP_MAINTENANCE_FILE")
                .because(error)
                .into()
        })
    }

    fn write(&self, directory: &Path, unfinished: &Path) -> std::io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
        file.write_all(self.content.as_bytes())?;
        let owner = directory.metadata()?;
        // Only root may, and only root needs to: a plain user's file in its own directory is right already.
        let _ = fchown(&file, Some(owner.uid()), Some(owner.gid()));
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        match renameat_with(CWD, unfinished, CWD, &self.path, RenameFlags::NOREPLACE) {
            // Network file systems do not know the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !self.path.exists() => {
                std::fs::rename(unfinished, &self.path)?;
            }
            other => other?,
        }
        std::fs::File::open(directory)?.sync_all()
    }
}

/// Where a run writes the file before it stands there: a name that no application takes for its own.
fn unfinished(path: &Path, run: &str) -> PathBuf {
    path.with_file_name(format!(".bkp-{run}.new"))
}

/// Removes what a run that died had begun to write.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove_unfinished(noted: &Noted, run: &str) -> Result<()> {
    let at = unfinished(&noted.path, run);
    match std::fs::remove_file(&at) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(error).with_context(|| format!("removing {}", at.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a file of ours; gone already is no fault.
///
/// # Errors
/// When it has another content by now: somebody made it their own.
pub fn remove(noted: &Noted) -> Result<()> {
    let shown = noted.path.display();
    match std::fs::read(&noted.path) {
        Ok(found) if digest(&found) == noted.digest => {
            std::fs::remove_file(&noted.path).with_context(|| format!("removing {shown}"))
        }
        Ok(_) => bail!("{shown} was changed since it was made, so it is left; remove it if it is not wanted"),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("looking at {shown}")),
    }
}
