//! A directory, saved so that its snapshot's root is that directory, and restored into another.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::call::{Answer, Call, Expected};
use super::output::{Message, Snapshot};
use super::repo::{Repository, Saving};
use super::stream::{SavedSnapshot, saved};
use crate::error::{Failure, exit_of};

/// What of a directory is saved.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// These paths only, relative to the root, each as it is written: no patterns.
    pub includes: Option<Vec<PathBuf>>,
    /// Patterns as restic reads them, held against whole paths.
    pub excludes: Vec<OsString>,
    /// How many bytes it will be, for whoever watches.
    pub expected: Expected,
}

/// A saved directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTree {
    /// The snapshot.
    pub snapshot: SavedSnapshot,
    /// What could not be read, and is not in it.
    pub unread: Vec<Unread>,
}

/// A file or directory that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its path below the root; bytes that are no UTF-8 replaced.
    pub path: String,
    /// Why.
    pub why: String,
}

/// A restored directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files, directories and the like.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Entries whose owner could not be given back; all else of them is there.
    pub not_owned: usize,
}

impl Repository {
    /// Saves what is below `root`. Files that cannot be read are in the result, not an error.
    ///
    /// # Errors
    /// When nothing is saved: the root is not there or empty, the repository is locked or cannot be written.
    pub async fn save_tree(&self, saving: &Saving, root: &Path, what: &Tree) -> Result<SavedTree> {
        // As restic sees where it works: patterns are held against whole paths.
        let root = root.canonicalize().with_context(|| format!("{} cannot be entered", root.display()))?;
        // Without counting first: it takes as long as the saving where little has changed, each unreadable directory would be told twice, and
        // how much it was the last time is known.
        let mut call = Call::new("save files", ["backup", "--json", "--no-scan"]).with(saving.arguments()?);
        call = call.watched(format!("files {}", root.display()), what.expected.clone());
        for pattern in &what.excludes {
            call = call.with([OsString::from("--exclude"), pattern.clone()]);
        }
        let list = what.includes.as_deref().map(list);
        call = call.with(if list.is_some() { &["--files-from-raw", "-"][..] } else { &["."] });
        call.how.directory = Some(&root);
        call.how.input = list.as_deref();
        let answer = self.act(&call).await?;
        match saved(&answer.out) {
            // 3: saved, but not all could be read.
            Some(snapshot) if matches!(answer.status.code(), Some(0 | 3)) => {
                Ok(SavedTree { snapshot, unread: unread(&root, &answer) })
            }
            _ => Err(self.failure(&call, &answer)),
        }
    }

    /// Restores a snapshot, or what is below one of its directories, into a directory that is made when it is not there.
    /// `includes` are patterns as restic reads them, held against paths from there.
    ///
    /// # Errors
    /// When anything could not be restored. Not for owners: an account that is not root cannot give files away, which restic
    /// takes as it is, and so is root where it has lost that right.
    pub async fn restore_tree(
        &self,
        snapshot: &str,
        subfolder: Option<&str>,
        includes: &[String],
        into: &Path,
    ) -> Result<Restored> {
        let from = match subfolder {
            Some(subfolder) => format!("{snapshot}:/{}", subfolder.trim_matches('/')),
            None => snapshot.to_owned(),
        };
        // Holes stay holes: a sparse file may be larger than the volume.
        let mut call = Call::new("restore files", ["restore", "--json", "--sparse", "--target"])
            .with([into])
            .watched(format!("files into {}", into.display()), Expected::default());
        for pattern in includes {
            call = call.with(["--include", pattern.as_str()]);
        }
        self.restored(call.with(["--", from.as_str()])).await
    }

    /// As [`Repository::restore_tree`], and reads back every file that it wrote, to hold it against the snapshot's hashes.
    /// When owners could not be given back restic leaves that out.
    ///
    /// # Errors
    /// As there, and when a file is not as it was saved.
    pub async fn restore_verified(&self, snapshot: &str, subfolder: Option<&str>, into: &Path) -> Result<Restored> {
        let from = subfolder.map(|folder| format!("{snapshot}:/{}", folder.trim_matches('/')));
        let from = from.as_deref().unwrap_or(snapshot);
        let call = Call::new("restore files", ["restore", "--json", "--sparse", "--verify", "--target"])
            .with([into])
            .watched(format!("files into {}", into.display()), Expected::default());
        self.restored(call.with(["--", from])).await
    }

    async fn restored<'a>(&'a self, mut call: Call<'a>) -> Result<Restored> {
        // It would go on to fill the volume, beside whoever clears up there.
        call.how.held = Some(&self.restic.options.relay);
        let (call, answer) = (&call, self.act_reading(&call).await?);
        let errors: Vec<(String, String)> = troubles(&answer).collect();
        let not_owned = errors.iter().filter(|(_, why)| of_owner(why)).count();
        let done = answer.messages().find_map(|said| match said {
            Message::Summary(done) => Some(done),
            _ => None,
        });
        match done {
            Some(done) if answer.status.success() || (not_owned > 0 && not_owned == errors.len()) => {
                if not_owned > 0 {
                    tracing::warn!("the owners of {not_owned} entries could not be given back: not permitted");
                }
                Ok(Restored { files: done.files_restored, bytes: done.bytes_restored, not_owned })
            }
            _ if errors.is_empty() => Err(self.failure(call, &answer)),
            _ => {
                let some: Vec<String> = errors.iter().take(10).map(|(item, why)| format!("{item}: {why}")).collect();
                let why = self.failure(call, &answer);
                Err(Failure::new(format!("{} entries could not be restored: {}", errors.len(), some.join("; ")))
                    .hint("nothing was put in place; free space, rights on the target and the repository's check are the first to look at")
                    .exit(exit_of(&why))
                    .because(why)
                    .into())
            }
        }
    }
}

/// The snapshot that restic takes unchanged files of a directory from when nobody names one: the newest of the same host and path.
pub fn own_choice<'a>(all: &'a [Snapshot], host: &str, root: &Path) -> Option<&'a Snapshot> {
    let same =
        |snapshot: &&Snapshot| snapshot.host == host && snapshot.paths.iter().any(|path| Path::new(path) == root);
    all.iter().filter(same).max_by_key(|snapshot| snapshot.time)
}

/// Names that end with a zero byte, which is the one byte that no name has.
fn list(includes: &[PathBuf]) -> Vec<u8> {
    let mut all = Vec::new();
    for path in includes {
        all.extend_from_slice(path.as_os_str().as_bytes());
        all.push(0);
    }
    all
}

fn troubles(answer: &Answer) -> impl Iterator<Item = (String, String)> {
    answer.messages().filter_map(|said| match said {
        Message::Error(trouble) if !trouble.words().is_empty() => {
            let why = trouble.words().to_owned();
            Some((trouble.item, why))
        }
        _ => None,
    })
}

/// Whether restic only failed to give a file to its owner.
fn of_owner(why: &str) -> bool {
    why.contains("chown") && why.contains("operation not permitted")
}

/// What was left out: what restic could not read, and what it was told to save and did not find.
fn unread(root: &Path, answer: &Answer) -> Vec<Unread> {
    let root = format!("{}/", root.display());
    let below = |path: &str| path.strip_prefix(&root).unwrap_or(path).trim_start_matches("./").to_owned();
    let mut all: Vec<Unread> =
        troubles(answer).map(|(item, why)| Unread { path: below(&item), why: why.replace(&root, "") }).collect();
    for line in answer.err.lines().filter(|line| !line.starts_with('{')) {
        if let Some(path) = line.strip_suffix(" does not exist, skipping") {
            all.push(Unread { path: below(path), why: "it is not there".into() });
        }
    }
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_named_from_the_root() {
        use std::os::unix::process::ExitStatusExt;
        let err = r#"{"message_type":"error","error":{"message":"/t/a: open a: permission denied"},"during":"archival","item":"/t/a"}
{"message_type":"error","error":{"message":"openfile for readdirnames failed: open x: permission denied"},"during":"archival","item":"x"}
nope does not exist, skipping
{"message_type":"exit_error","code":3,"message":"Warning: at least one source file could not be read"}
"#;
        let answer = Answer { status: std::process::ExitStatus::from_raw(3 << 8), out: Vec::new(), err: err.into() };
        let found = unread(Path::new("/t"), &answer);
        let paths: Vec<&str> = found.iter().map(|unread| unread.path.as_str()).collect();
        assert_eq!(paths, ["a", "x", "nope"]);
        assert_eq!(found[0].why, "a: open a: permission denied");
    }
}
