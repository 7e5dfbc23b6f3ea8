//! A path with wildcards below a root, and what it stands for there. `**` stands for any number of directories.
//!
//! What it finds stays inside the root: no `..`, no absolute path, and no directory is entered through a symbolic link.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{glob, is_foreign};

/// Where something is sought, as parts between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<String>,
    directory: bool,
}

impl Pattern {
    /// Takes a pattern as it stands in a variable.
    ///
    /// # Errors
    /// When it is empty or would lead out of the root.
    pub fn parse(text: &str) -> Result<Pattern> {
        if text.starts_with('/') {
            bail!("{text} begins at the file system's root; write it relative to the directory that is saved");
        }
        let mut parts: Vec<String> = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                bail!("{text} leads out of the directory that is saved");
            }
            parts.push(part.to_owned());
        }
        // A directory stands for all that is below it, so nothing is gained by going deeper at the end.
        if let Some(last) = parts.last_mut().filter(|last| *last == "**") {
            "*".clone_into(last);
        }
        if parts.is_empty() {
            bail!("a pattern is empty");
        }
        Ok(Pattern { text: text.to_owned(), parts, directory: text.ends_with('/') })
    }

    /// One that stands for this path alone, whatever is in its names.
    ///
    /// # Errors
    /// When it would lead out of the root, or is no text.
    pub fn literal(path: &Path) -> Result<Pattern> {
        let Ok(text) = String::from_utf8(glob::escaped(path.as_os_str())) else {
            bail!("{} is not UTF-8", path.display());
        };
        Pattern::parse(&text)
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a top-level entry of this name is meant, be it or not.
    pub fn is_name(&self, name: &OsStr) -> bool {
        matches!(&self.parts[..], [only] if glob::fits(only.as_bytes(), name.as_bytes()))
    }

    /// Whether it can stand for nothing but top-level entries.
    pub fn is_top_level(&self) -> bool {
        self.parts.len() == 1
    }

    /// What is there, relative to the root, in the order of names. A name that begins with a dot is found only by a part
    /// that begins with one.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn expand(&self, root: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        self.below(root, Path::new(""), &self.parts, &mut found)?;
        Ok(outermost(found))
    }

    fn below(&self, root: &Path, at: &Path, parts: &[String], found: &mut Vec<PathBuf>) -> io::Result<()> {
        let Some((first, rest)) = parts.split_first() else { return Ok(()) };
        let any_depth = first == "**";
        if any_depth {
            self.below(root, at, rest, found)?;
        }
        let names = if !any_depth && glob::is_plain(first.as_bytes()) {
            vec![OsString::from(first)]
        } else {
            let fits = |name: &OsString| {
                let hidden = name.as_bytes().starts_with(b".") && !first.starts_with('.');
                !hidden && (any_depth || glob::fits(first.as_bytes(), name.as_bytes()))
            };
            names(&root.join(at))?.into_iter().filter(fits).collect()
        };
        for name in names {
            if at.as_os_str().is_empty() && is_foreign(&name) {
                continue;
            }
            let path = at.join(&name);
            // Not the target of a link: a link is an entry like any other, and leads nowhere.
            let is_directory = match root.join(&path).symlink_metadata() {
                Ok(metadata) => metadata.is_dir(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if any_depth {
                if is_directory {
                    self.below(root, &path, parts, found)?;
                }
            } else if rest.is_empty() {
                if is_directory || !self.directory {
                    found.push(path);
                }
            } else if is_directory {
                self.below(root, &path, rest, found)?;
            }
        }
        Ok(())
    }
}

/// The names in a directory, in their order.
///
/// # Errors
/// When it cannot be read.
pub fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<OsString>>>()?;
    names.sort();
    Ok(names)
}

/// Without what is below another one.
pub fn outermost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.last().is_some_and(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in ["export/a.zip", "export/b.zip", "export/c.txt", "export/.d.zip", "data/x/deep/e.zip", ".dot/f.zip"]
        {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        std::fs::create_dir_all(dir.path().join(".bkp-run/new/export")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        let pattern = Pattern::parse(pattern).unwrap();
        pattern.expand(dir.path()).unwrap().iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_pattern_finds_what_is_there_in_order() {
        for (pattern, expected) in [
            ("export/", vec!["export"]),
            ("export/*.zip", vec!["export/a.zip", "export/b.zip"]),
            ("export/.*", vec!["export/.d.zip"]),
            ("*", vec!["data", "export", "link"]),
            (".*", vec![".dot"]),
            ("*/", vec!["data", "export"]),
            ("**/*.zip", vec!["data/x/deep/e.zip", "export/a.zip", "export/b.zip"]),
            ("data/**", vec!["data/x"]),
            ("./export//c.txt", vec!["export/c.txt"]),
            ("c.txt", vec![]),
            ("export/c.txt/", vec![]),
            (".bkp-run", vec![]),
        ] {
            assert_eq!(found(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn no_link_leads_out_of_the_root() {
        assert_eq!(found("link/passwd"), Vec::<String>::new());
        assert_eq!(found("li*/passw?"), Vec::<String>::new());
        assert_eq!(found("link"), ["link"]);
    }

    #[test]
    fn a_pattern_that_leads_out_is_refused() {
        for bad in ["../x", "a/../../x", "/etc", "", ".", "/"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
