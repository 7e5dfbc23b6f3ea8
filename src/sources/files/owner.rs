//! Ownership of a restored tree: `901:901`, as numbers, because the image knows no names of the application's users.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, Gid, Uid};
use serde::{Deserialize, Serialize};

use super::walk;
use crate::error::Failure;

/// A user and perhaps a group; without a group, the group stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: Option<u32>,
}

impl Owner {
    /// Whether something is owned like this already.
    pub fn owns(self, user: u32, group: u32) -> bool {
        user == self.user && self.group.is_none_or(|wanted| wanted == group)
    }

    /// The same for the kernel.
    pub fn raw(self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.user)), self.group.map(Gid::from_raw))
    }

    /// Gives everything below `base/name` to this owner, links themselves and not what they point to. As `chown` does, it
    /// takes setuid and setgid from files.
    ///
    /// # Errors
    /// When this account may not.
    pub(super) fn give(self, base: &OwnedFd, name: &OsStr) -> Result<()> {
        let (user, group) = self.raw();
        let given = walk::walk(base, name, &mut |entry| {
            if self.owns(entry.stat.st_uid, entry.stat.st_gid) {
                return Ok(());
            }
            Ok(rustix::fs::chownat(entry.directory, entry.name, user, group, AtFlags::SYMLINK_NOFOLLOW)?)
        });
        match given {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => bail!(
                Failure::new(format!(
                    "user {} may not give the restored files to {self}",
                    rustix::process::geteuid().as_raw()
                ))
                .hint("run the restore as root (with CAP_CHOWN), or as that user and without BKP_FILES_OWNER")
                .because(error)
            ),
            other => other.with_context(|| format!("giving the restored files to {self}")),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => write!(f, "{}", self.user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_was_not_asked_for_does_not_count() {
        assert!(Owner { user: 901, group: None }.owns(901, 7));
        assert!(!Owner { user: 901, group: Some(901) }.owns(901, 7));
    }
}
