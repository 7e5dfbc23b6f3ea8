//! An archive is never written again: `SHA256SUMS` has every file, and every file is as it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::archive;
use crate::support::run::run;

/// All files of archives, below the directory.
fn files(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files(&path, found),
            false => {
                let below = path.strip_prefix(archive("")).expect("below").display().to_string();
                // The tests themselves, and what is said of the archives.
                found.extend(below.contains('/').then_some(below));
            }
        }
    }
}

#[test]
fn no_archive_was_ever_changed() {
    let checked = run(
        Command::new("sha256sum").args(["--check", "--quiet", "--strict", "SHA256SUMS"]).current_dir(archive("")),
        b"",
    );
    assert!(
        checked.success,
        "an archive is never changed (tests/archives/README.md):\n{}{}",
        checked.text(),
        checked.stderr
    );
    let sums = fs::read_to_string(archive("SHA256SUMS")).expect("the sums");
    let listed: BTreeSet<String> = sums.lines().filter_map(|line| Some(line.split_once("  ")?.1.to_owned())).collect();
    let mut there = BTreeSet::new();
    files(&archive(""), &mut there);
    assert_eq!(there, listed, "every file of an archive is in SHA256SUMS");
    assert!(there.len() > 70);
}

#[test]
fn what_is_there_is_not_written_again() {
    let made = run(Command::new(archive("make")).arg("quetzal"), b"");
    assert!(!made.success && made.stderr.contains("is never written again"), "{}", made.stderr);
}
