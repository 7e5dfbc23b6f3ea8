//! Whether everything below some paths can be read, without reading any of it. No link is followed.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use rustix::fs::Access;

use super::is_foreign;

/// More of them are counted and not kept.
const KEPT: usize = 1000;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Entries, the first ones included.
    pub entries: u64,
    /// What they take on their volume.
    pub bytes: u64,
    /// Files and directories that this account cannot read.
    pub unreadable: Vec<PathBuf>,
    /// Whether there was time for everything.
    pub is_whole: bool,
}

/// Looks at these paths and all below them until then. Entries that are gone when they are looked at are none.
pub fn look(paths: &[PathBuf], until: Instant) -> Seen {
    let mut seen = Seen { is_whole: true, ..Seen::default() };
    let mut left: Vec<PathBuf> = paths.to_vec();
    while let Some(path) = left.pop() {
        if Instant::now() > until {
            seen.is_whole = false;
            break;
        }
        let Ok(metadata) = path.symlink_metadata() else { continue };
        seen.entries += 1;
        seen.bytes += metadata.blocks() * 512;
        let is_read = if metadata.is_dir() {
            match path.read_dir() {
                Ok(entries) => {
                    let names = entries.flatten().filter(|entry| !is_foreign(&entry.file_name()));
                    left.extend(names.map(|entry| entry.path()));
                    // To list is not enough.
                    rustix::fs::access(&path, Access::EXEC_OK).is_ok()
                }
                Err(_) => false,
            }
        } else {
            // restic saves sockets and devices as what they are.
            !metadata.is_file() || rustix::fs::access(&path, Access::READ_OK).is_ok()
        };
        if !is_read && seen.unreadable.len() < KEPT {
            seen.unreadable.push(path);
        }
    }
    seen.unreadable.sort();
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_seen_to_its_last_entry_or_said_not_to_be() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/b"), "content").unwrap();
        std::fs::create_dir(dir.path().join(".bkp-run")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        let seen = look(&[dir.path().to_owned()], Instant::now() + std::time::Duration::from_secs(60));
        assert_eq!((seen.entries, seen.unreadable.len(), seen.is_whole), (4, 0, true));
        assert!(!look(&[dir.path().to_owned()], Instant::now() - std::time::Duration::from_secs(1)).is_whole);
    }
}
