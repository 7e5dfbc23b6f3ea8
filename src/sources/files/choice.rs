//! What is saved of a root: patterns of what is left out, for restic, and of what is taken.
//!
//! Special files need no pattern: restic leaves sockets out without a word ([`super::socket`] finds them), and saves fifos and devices as what they are,
//! never what could be read from them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::pattern::{Pattern, outermost};
use super::{LOST_AND_FOUND, OWN, glob};
use crate::error::Failure;

/// restic's patterns for what is left out of a run **whose working directory is `root`** (its canonical path: restic matches
/// the path that the kernel tells).
///
/// As in gitignore, a pattern with a slash in it is meant from the root on, one without fits at any depth, and `!` takes
/// back what an earlier one left out. `paths` are left out as they are: a maintenance file would come back with a restore.
/// What is ours comes last, so that nothing takes it back in.
pub fn exclude_patterns(root: &Path, patterns: &[String], paths: &[PathBuf]) -> Vec<OsString> {
    let base = glob::escaped(root.as_os_str());
    let base = base.strip_suffix(b"/").unwrap_or(&base);
    let from_root = |rest: &[u8]| [base, b"/", rest].concat();
    let users = patterns.iter().map(|pattern| {
        let (not, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => ("!", pattern),
            None => ("", pattern.as_str()),
        };
        let pattern = pattern.trim_end_matches('/');
        let whole = match pattern.strip_prefix('/') {
            Some(rest) => from_root(rest.as_bytes()),
            None if pattern.contains('/') => from_root(pattern.trim_start_matches("./").as_bytes()),
            None => pattern.as_bytes().to_vec(),
        };
        [not.as_bytes(), &whole].concat()
    });
    let paths = paths.iter().map(|path| glob::escaped(root.join(path).as_os_str()));
    let own = [from_root(format!("{OWN}*").as_bytes()), from_root(LOST_AND_FOUND.as_bytes())];
    // A pattern that is only slashes or marks says nothing.
    let users = users.filter(|pattern| pattern.as_slice() != base && !matches!(&pattern[..], b"" | b"!"));
    users.chain(paths).chain(own).map(OsString::from_vec).collect()
}

/// What the include patterns stand for below the root: relative paths, in order, none below another.
///
/// # Errors
/// When a pattern makes no sense, a directory cannot be read, or a pattern finds nothing: what an operator wants saved
/// and is not there is no small thing.
pub fn included(root: &Path, patterns: &[String]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for text in patterns {
        let pattern = Pattern::parse(text)?;
        let found =
            pattern.expand(root).with_context(|| format!("looking for {text} in {} (to be saved)", root.display()))?;
        if found.is_empty() {
            bail!(
                Failure::new(format!("nothing in {} fits {text}, which is to be saved", root.display()))
                    .hint("correct BKP_FILES_INCLUDE, or find out why it is not there; names that begin with a dot are found only by patterns that do, and links to directories are not followed")
            );
        }
        all.extend(found);
    }
    Ok(outermost(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(root: &str, patterns: &[&str], paths: &[&str]) -> Vec<String> {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let arguments = exclude_patterns(Path::new(root), &patterns, &paths);
        arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn a_slash_ties_a_pattern_to_the_root() {
        assert_eq!(
            arguments(
                "/d[1]",
                &["data/*/cache", "/tmp", "*.log", "cache/", "!data/x.log", "**/y", "/"],
                &["config/m*.php"]
            ),
            [
                "/d\\[1\\]/data/*/cache",
                "/d\\[1\\]/tmp",
                "*.log",
                "cache",
                "!/d\\[1\\]/data/x.log",
                "/d\\[1\\]/**/y",
                "/d\\[1\\]/config/m\\*.php",
                "/d\\[1\\]/.bkp-*",
                "/d\\[1\\]/lost+found",
            ]
        );
    }

    #[test]
    fn our_own_entries_are_left_out_last() {
        assert_eq!(arguments("/", &["!.bkp-*"], &[]), ["!.bkp-*", "/.bkp-*", "/lost+found"]);
    }

    #[test]
    fn what_is_to_be_saved_and_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("export")).unwrap();
        std::fs::write(dir.path().join("export/a.zip"), "a").unwrap();
        let take = |patterns: &[&str]| {
            included(dir.path(), &patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(take(&["export/*.zip", "export/"]).unwrap(), [PathBuf::from("export")]);
        let error = take(&["export/", "exprot/"]).unwrap_err().to_string();
        assert!(error.contains("fits exprot/"), "{error}");
        assert!(take(&["../x"]).is_err());
    }
}
