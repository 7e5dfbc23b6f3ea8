//! Which files are saved, and how they come back.

use std::path::{Component, Path, PathBuf};

use super::names::*;
use super::reader::Reader;

/// Directories that are saved, and how a restore treats what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The directories; at least one, none inside another.
    pub roots: Vec<PathBuf>,
    /// Only what these patterns name, relative to the directory; empty: everything.
    pub include: Vec<String>,
    /// What is left out, as restic's `--exclude` reads it; with a slash in it, relative to the directory.
    pub exclude: Vec<String>,
    /// Top-level entries that a restore leaves as they are.
    pub keep: Vec<String>,
    /// To whom restored files are given.
    pub owner: Option<Owner>,
    /// What of a snapshot is restored, and where to; empty: everything, to where it was.
    pub select: Vec<String>,
    /// Whether an empty directory may be saved.
    pub allow_empty: bool,
}

/// Numbers of a user and, perhaps, of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group; none: it stays.
    pub gid: Option<u32>,
}

pub(super) fn resolve(reader: &mut Reader<'_>) -> Option<Files> {
    let roots = reader.parsed(BKP_FILES, roots);
    let files = Files {
        include: reader.parsed(BKP_FILES_INCLUDE, list).unwrap_or_default(),
        exclude: reader.parsed(BKP_FILES_EXCLUDE, list).unwrap_or_default(),
        keep: reader.parsed(BKP_FILES_KEEP, list).unwrap_or_default(),
        owner: reader.parsed(BKP_FILES_OWNER, owner),
        select: reader.parsed(BKP_FILES_RESTORE, select).unwrap_or_default(),
        allow_empty: reader.choice(BKP_FILES_ALLOW_EMPTY, &[("0", false), ("1", true)]),
        roots: roots?,
    };
    Some(files)
}

/// Entries with commas or line ends between them.
fn list(text: &str) -> Result<Vec<String>, String> {
    let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    let entries: Vec<String> = entries.map(str::to_owned).collect();
    match entries.iter().any(|entry| Path::new(entry).components().any(|part| part == Component::ParentDir)) {
        true => Err("must not hold ..".into()),
        false => Ok(entries),
    }
}

fn roots(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut roots: Vec<PathBuf> = Vec::new();
    for entry in list(text)? {
        // Components drop a slash at the end and doubled ones.
        let root: PathBuf = Path::new(&entry).components().collect();
        if !root.is_absolute() || root == Path::new("/") {
            return Err("must be absolute directories other than /, with commas between them".into());
        }
        if roots.iter().any(|other| other.starts_with(&root) || root.starts_with(other)) {
            return Err("must not name a directory twice or inside another one".into());
        }
        roots.push(root);
    }
    Ok(roots)
}

fn owner(text: &str) -> Result<Owner, String> {
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number != u32::MAX);
    match (number(uid), gid.map(number)) {
        (Some(uid), None) => Ok(Owner { uid, gid: None }),
        (Some(uid), Some(Some(gid))) => Ok(Owner { uid, gid: Some(gid) }),
        _ => Err("must be UID or UID:GID, as numbers".into()),
    }
}

/// Only what can be told without looking at files: `PATTERN` or `PATTERN:DIRECTORY`, both relative.
fn select(text: &str) -> Result<Vec<String>, String> {
    let entries = list(text)?;
    let relative = |path: &str| !path.is_empty() && !path.starts_with('/');
    match entries.iter().all(|entry| entry.splitn(2, ':').all(relative)) {
        true => Ok(entries),
        false => Err("must be PATTERN:DIRECTORY, both relative, with commas between several".into()),
    }
}
