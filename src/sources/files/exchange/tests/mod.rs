//! Exchanges of real trees.

#![expect(clippy::disallowed_methods, reason = "what only another process or account shows is done by one")]

mod accounts;
mod deaths;
mod tidy_ends;
mod turns;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::*;

/// Each entry with its mode and its content.
type Tree = BTreeMap<PathBuf, String>;

/// A root between two neighbours.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// In memory where there is such a place: every exchange syncs its volume, and a disk is shared.
    fn new() -> Bench {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("bkp-").tempdir_in(parent).unwrap();
        let bench = Bench { dir };
        for neighbour in ["root2/keep", "roo/keep"] {
            write(&bench.dir.path().join(neighbour), "neighbour");
        }
        std::fs::create_dir(bench.root()).unwrap();
        bench
    }

    /// With a tree as an application makes it.
    fn filled() -> Bench {
        let bench = Bench::new();
        fill_live(&bench.root());
        bench
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn tree(&self) -> Tree {
        tree(&self.root())
    }

    /// Names of our own in the root.
    fn own(&self) -> Vec<String> {
        let names =
            pattern::names(&self.root()).unwrap().into_iter().map(|name| name.into_string().unwrap_or_default());
        names.filter(|name| name.starts_with(".bkp-")).collect()
    }

    fn staged(&self, run: &str) -> Staging {
        let staging = stage(&self.root(), run).unwrap();
        fill_staged(staging.target());
        staging
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for neighbour in ["root2/keep", "roo/keep"] {
            assert_eq!(std::fs::read(self.dir.path().join(neighbour)).unwrap(), b"neighbour");
        }
    }
}

fn write(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn odd() -> &'static OsStr {
    OsStr::from_bytes(b"no text \xff")
}

fn fill_live(root: &Path) {
    for name in [".htaccess", "config/config.php", "data/a", "data/sub/b", "gone/x", "index", "lost+found/z"] {
        write(&root.join(name), &format!("old {name}"));
    }
    write(&root.join(odd()), "old");
    symlink("data", root.join("link")).unwrap();
    std::fs::set_permissions(root.join("data"), std::fs::Permissions::from_mode(0o750)).unwrap();
}

fn fill_staged(root: &Path) {
    for name in
        [".htaccess", "config/config.php", "data/a", "data/new", "fresh/y", "index/is a directory", "lost+found/z"]
    {
        write(&root.join(name), &format!("new {name}"));
    }
    write(&root.join(odd()), "new");
    symlink("fresh", root.join("link")).unwrap();
    // A directory that its owner may not write is one that only a trick moves.
    std::fs::set_permissions(root.join("data"), std::fs::Permissions::from_mode(0o555)).unwrap();
}

fn keep() -> Vec<Pattern> {
    vec![Pattern::parse("config").unwrap()]
}

/// What the root holds after a restore that keeps `config`.
fn expected_new() -> Tree {
    static EXPECTED: LazyLock<Tree> = LazyLock::new(|| {
        let mut expected = made_by(fill_staged);
        for stays in ["config/config.php", "lost+found/z"] {
            expected.insert(stays.into(), expected_old()[Path::new(stays)].clone());
        }
        expected
    });
    EXPECTED.clone()
}

fn expected_old() -> Tree {
    static EXPECTED: LazyLock<Tree> = LazyLock::new(|| made_by(fill_live));
    EXPECTED.clone()
}

fn made_by(fill: fn(&Path)) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    tree(dir.path())
}

fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    gather(root, Path::new(""), &mut found);
    found
}

fn gather(root: &Path, at: &Path, found: &mut Tree) {
    for name in pattern::names(&root.join(at)).unwrap() {
        let path = at.join(&name);
        if at.as_os_str().is_empty() && name.as_bytes().starts_with(b".bkp-") {
            continue;
        }
        let whole = root.join(&path);
        let metadata = whole.symlink_metadata().unwrap();
        let content = if metadata.is_dir() {
            gather(root, &path, found);
            "directory".to_owned()
        } else if metadata.is_symlink() {
            format!("link to {}", whole.read_link().unwrap().display())
        } else {
            std::fs::read_to_string(&whole).unwrap()
        };
        found.insert(path, format!("{:o} {content}", metadata.mode() & 0o7777));
    }
}
