//! Which entries move: a pure decision over two listings.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::journal::lossless;
use crate::error::Failure;
use crate::sources::files::owner::Owner;
use crate::sources::files::pattern::Pattern;
use crate::sources::files::{is_foreign, listed};

/// One entry that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its place in the root, and in what is put aside.
    #[serde(with = "lossless")]
    pub live: PathBuf,
    /// Its place in the staged tree.
    #[serde(with = "lossless")]
    pub staged: PathBuf,
    /// Whether there is a live one, which is put aside.
    pub had: bool,
    /// Whether there is a staged one, which takes the place.
    pub comes: bool,
}

/// A directory that is made for what comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its place in the root.
    #[serde(with = "lossless")]
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Whom it will belong to.
    pub owner: Owner,
}

impl Made {
    /// Like another directory, unless an owner was asked for.
    pub(super) fn take_after(&mut self, like: &Metadata, owner: Option<Owner>) {
        self.mode = like.mode() & 0o7777;
        let group = owner.and_then(|owner| owner.group).unwrap_or(like.gid());
        self.owner = Owner { user: owner.map_or(like.uid(), |owner| owner.user), group: Some(group) };
    }
}

/// What an exchange will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What moves.
    pub moves: Vec<Move>,
    /// Directories that are made before, outer ones first.
    pub made: Vec<Made>,
    /// Whether it is about the whole root, and not a selection.
    pub is_whole: bool,
    /// Top-level entries that stay although the snapshot has them or lacks them.
    #[serde(skip)]
    pub kept: Vec<OsString>,
}

impl Plan {
    /// Places whose entry gives way to one of the snapshot.
    pub fn replaced(&self) -> impl Iterator<Item = &Path> {
        self.moves.iter().filter(|entry| entry.had && entry.comes).map(|entry| entry.live.as_path())
    }

    /// Places where there is nothing yet.
    pub fn added(&self) -> impl Iterator<Item = &Path> {
        self.moves.iter().filter(|entry| !entry.had).map(|entry| entry.live.as_path())
    }

    /// Places whose entry the snapshot does not have.
    pub fn put_aside(&self) -> impl Iterator<Item = &Path> {
        self.moves.iter().filter(|entry| !entry.comes).map(|entry| entry.live.as_path())
    }
}

/// The names or patterns of a list of top-level entries that are to be kept.
///
/// # Errors
/// When one makes no sense, or leads below the top: what is exchanged is exchanged whole.
pub fn keep(text: &str) -> Result<Vec<Pattern>> {
    let one = |entry| {
        let pattern = Pattern::parse(entry)?;
        if !pattern.is_top_level() {
            bail!("{entry} leads below the top; only whole top-level entries can be kept");
        }
        Ok(pattern)
    };
    listed(text).map(one).collect()
}

/// The whole root becomes what the snapshot says, but for what is kept: what is live and fits `keep` stays.
pub fn whole(live: &[OsString], staged: &[OsString], keep: &[Pattern]) -> Plan {
    let mut plan = Plan { is_whole: true, ..Plan::default() };
    let (live, staged): (BTreeSet<_>, BTreeSet<_>) = (live.iter().collect(), staged.iter().collect());
    for name in live.union(&staged).filter(|name| !is_foreign(name)) {
        let had = live.contains(name);
        if had && keep.iter().any(|keep| keep.is_name(name)) {
            plan.kept.push((*name).clone());
        } else {
            plan.moves.push(Move { live: name.into(), staged: name.into(), had, comes: staged.contains(name) });
        }
    }
    plan
}

/// What stands in a place of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Missing,
    /// A directory.
    Directory,
    /// Anything else, a link to a directory included.
    Other,
}

impl Kind {
    /// Looks; what cannot be looked at is no directory that could be used.
    pub(super) fn of(path: &Path) -> Kind {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => Kind::Directory,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kind::Missing,
            _ => Kind::Other,
        }
    }
}

/// Each picked entry goes to the directory that is said, or to its own place; all else stays. `kind` tells what is in the root.
///
/// # Errors
/// When two of them would take the same place, or a place is not the application's, or below something that is no directory.
pub fn selected(picks: &[(PathBuf, Option<&Path>)], kind: &dyn Fn(&Path) -> Kind) -> Result<Plan> {
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for (staged, to) in picks {
        let live = match (to, staged.file_name()) {
            (Some(to), Some(name)) => to.join(name),
            _ => staged.clone(),
        };
        if live.iter().next().is_some_and(is_foreign) {
            bail!("{} is a place that is not the application's", live.display());
        }
        if let Some(other) = taken.insert(live.clone(), staged).filter(|other| other != staged) {
            return Err(clash(other, staged, &live));
        }
    }
    // In order, whatever is below a path follows it at once.
    for ((outer, first), (inner, second)) in taken.iter().zip(taken.iter().skip(1)) {
        if inner.starts_with(outer) {
            return Err(clash(first, second, outer));
        }
    }
    let (mut plan, mut made) = (Plan::default(), BTreeSet::new());
    for (live, staged) in taken {
        for directory in live.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()) {
            match kind(directory) {
                Kind::Directory => {}
                Kind::Missing => drop(made.insert(directory.to_owned())),
                Kind::Other => bail!(
                    Failure::new(format!(
                        "{} is no directory, so nothing can be restored into it",
                        directory.display()
                    ))
                    .hint("links are not followed; name another destination in BKP_FILES_RESTORE, or restore elsewhere with --to")
                ),
            }
        }
        plan.moves.push(Move { had: kind(&live) != Kind::Missing, live, staged: staged.to_owned(), comes: true });
    }
    let owner = Owner { user: 0, group: None };
    plan.made = made.into_iter().map(|path| Made { path, mode: 0o700, owner }).collect();
    Ok(plan)
}

fn clash(first: &Path, second: &Path, place: &Path) -> anyhow::Error {
    let (first, second, place) = (first.display(), second.display(), place.display());
    Failure::new(format!("{first} and {second} of the snapshot would both go to {place}"))
        .hint("select them one after the other, or into different directories")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<OsString> {
        names.iter().map(OsString::from).collect()
    }

    fn texts<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<&'a str> {
        paths.map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn the_snapshot_decides_but_for_what_is_kept() {
        let keep = [Pattern::parse("config").unwrap(), Pattern::parse("*.local").unwrap()];
        let plan = whole(
            &names(&[".bkp-x", ".htaccess", "a.local", "config", "data", "extra", "lost+found"]),
            &names(&[".bkp-y", ".htaccess", "b.local", "config", "data", "lost+found", "themes"]),
            &keep,
        );
        assert_eq!(texts(plan.replaced()), [".htaccess", "data"]);
        assert_eq!(texts(plan.put_aside()), ["extra"]);
        // What is to be kept and is not there comes from the snapshot.
        assert_eq!(texts(plan.added()), ["b.local", "themes"]);
        assert_eq!(plan.kept, names(&["a.local", "config"]));
    }

    #[test]
    fn a_selection_touches_nothing_else() {
        let kind = |path: &Path| match path.to_str().unwrap() {
            "data" => Kind::Directory,
            "data/a" | "link" => Kind::Other,
            _ => Kind::Missing,
        };
        let pick = |from: &str, to: Option<&'static str>| (PathBuf::from(from), to.map(Path::new));
        let plan = selected(
            &[pick("export/a", Some("import/x")), pick("export/b", Some("import/x")), pick("data/a", None)],
            &kind,
        )
        .unwrap();
        assert_eq!(texts(plan.added()), ["import/x/a", "import/x/b"]);
        assert_eq!(texts(plan.replaced()), ["data/a"]);
        assert_eq!(texts(plan.made.iter().map(|made| made.path.as_path())), ["import", "import/x"]);
        let error = |picks: &[(PathBuf, Option<&Path>)]| selected(picks, &kind).unwrap_err().to_string();
        assert!(error(&[pick("a/x", Some("to")), pick("b/x", Some("to"))]).contains("both go to to/x"));
        assert!(error(&[pick("a/x", Some("link"))]).contains("link is no directory"));
        assert!(error(&[pick("data/x", Some("")), pick("x/y", None)]).contains("both"));
        assert!(error(&[pick("data/.bkp-x", Some(""))]).contains("not the application's"));
    }

    #[test]
    fn only_top_level_entries_can_be_kept() {
        assert_eq!(keep("config/, *.local\n").unwrap().len(), 2);
        for bad in ["data/config", "../x", "/config"] {
            assert!(keep(bad).is_err(), "{bad}");
        }
    }
}
