//! Sockets of a root. The program that stores files leaves them out without a word, so that they are looked for here: what is not
//! saved is said.

use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::{glob, is_foreign};

/// All sockets below `root`, relative to it and in order: of `includes` alone where there are some, and without what `excludes`
/// leave out, which are patterns as [`super::choice::exclude_patterns`] takes them. What cannot be read is passed over: whoever saves it
/// tells.
pub fn sockets(root: &Path, includes: Option<&[PathBuf]>, excludes: &[String]) -> Vec<PathBuf> {
    let excludes: Vec<Exclude<'_>> = excludes.iter().filter_map(|text| Exclude::parse(text)).collect();
    let mut found = Vec::new();
    match includes {
        None => below(root, Path::new(""), &excludes, &mut found),
        Some(paths) => {
            for path in paths.iter().filter(|path| !left_out(&excludes, path)) {
                if let Ok(metadata) = root.join(path).symlink_metadata() {
                    look(root, path.clone(), metadata.file_type(), &excludes, &mut found);
                }
            }
        }
    }
    found.sort();
    found
}

fn look(root: &Path, path: PathBuf, kind: FileType, excludes: &[Exclude<'_>], found: &mut Vec<PathBuf>) {
    if kind.is_dir() {
        below(root, &path, excludes, found);
    } else if kind.is_socket() {
        found.push(path);
    }
}

fn below(root: &Path, at: &Path, excludes: &[Exclude<'_>], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(at)).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), at.join(entry.file_name()));
        let ours = at.as_os_str().is_empty() && is_foreign(&name);
        if let (false, Ok(kind)) = (ours || left_out(excludes, &path), entry.file_type()) {
            look(root, path, kind, excludes, found);
        }
    }
}

/// The last pattern that fits decides; what is below an entry that is left out is not looked at.
fn left_out(excludes: &[Exclude<'_>], path: &Path) -> bool {
    excludes.iter().rev().find(|exclude| exclude.fits(path)).is_some_and(|exclude| !exclude.takes_back)
}

struct Exclude<'a> {
    takes_back: bool,
    /// From the root on; else it is a name, at any depth.
    anchored: bool,
    parts: Vec<&'a str>,
}

impl Exclude<'_> {
    fn parse(text: &str) -> Option<Exclude<'_>> {
        let (takes_back, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
        let text = text.trim_end_matches('/');
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        (!parts.is_empty()).then(|| Exclude { takes_back, anchored: text.contains('/'), parts })
    }

    fn fits(&self, path: &Path) -> bool {
        let names: Vec<&OsStr> = path.iter().collect();
        match (self.anchored, names.as_slice()) {
            (true, names) => parts_fit(&self.parts, names),
            (false, [.., last]) => parts_fit(&self.parts, &[last]),
            (false, []) => false,
        }
    }
}

/// `**` stands for any number of names.
fn parts_fit(parts: &[&str], names: &[&OsStr]) -> bool {
    match (parts, names) {
        ([], names) => names.is_empty(),
        (["**", rest @ ..], names) => (0..=names.len()).any(|taken| parts_fit(rest, &names[taken..])),
        ([first, rest @ ..], [name, names @ ..]) => {
            glob::fits(first.as_bytes(), name.as_bytes()) && parts_fit(rest, names)
        }
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn found(includes: Option<&[&str]>, excludes: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a.sock", "run/b.sock", "run/deep/c.sock", ".bkp-1/d.sock"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            UnixListener::bind(path).unwrap();
        }
        fs::write(dir.path().join("run/file"), "no socket").unwrap();
        std::os::unix::fs::symlink("run", dir.path().join("link")).unwrap();
        let includes = includes.map(|paths| paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        let excludes: Vec<String> = excludes.iter().map(|text| (*text).to_owned()).collect();
        let found = sockets(dir.path(), includes.as_deref(), &excludes);
        found.into_iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn sockets_are_found_where_files_are_saved() {
        assert_eq!(found(None, &[]), ["a.sock", "run/b.sock", "run/deep/c.sock"]);
        assert_eq!(found(Some(&["run/deep", "a.sock"]), &[]), ["a.sock", "run/deep/c.sock"]);
        for (excludes, expected) in [
            (&["*.sock"][..], vec![]),
            (&["run"], vec!["a.sock"]),
            (&["/run/b.sock"], vec!["a.sock", "run/deep/c.sock"]),
            (&["run/*/"], vec!["a.sock"]),
            (&["run/**/c.sock", "b.sock/"], vec!["a.sock"]),
            (&["b.sock/x", "", "!", "/"], vec!["a.sock", "run/b.sock", "run/deep/c.sock"]),
            (&["*.sock", "!a.sock"], vec!["a.sock"]),
        ] {
            assert_eq!(found(None, excludes), expected, "{excludes:?}");
        }
    }
}
