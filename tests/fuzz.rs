//! The readers of what others wrote, held against the inputs that `fuzz/` keeps and against a bounded number of changes to them: what
//! libFuzzer does for hours (`make fuzz`), for seconds, and with any compiler. Every input that ever broke a promise is among the kept ones.

#![allow(clippy::disallowed_methods, reason = "tests are no part of the program")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

#[path = "../fuzz/src/lib.rs"]
mod readers;

use readers::{Holds, TARGETS};

/// How many changed inputs for each reader; `BKP_FUZZ_CHANGES` says another number, for a long run where there is no libFuzzer.
const CHANGED: u32 = 2_000;

fn place(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
}

/// The kept inputs of one reader, by name.
fn kept(reader: &str) -> Vec<(String, Vec<u8>)> {
    let folder = place("corpus").join(reader);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut kept: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect();
    kept.sort();
    kept
}

/// One change: where, how, with which byte, and what is put in from where of another input.
type Change = (Index, u8, u8, Vec<u8>, Index);

fn change(input: &mut Vec<u8>, (at, how, byte, other, from): Change) {
    let at = at.index(input.len() + 1);
    let from = from.index(other.len() + 1);
    let piece = &other[from..other.len().min(from + usize::from(byte))];
    match how {
        0 if at < input.len() => input[at] ^= 1 << (byte % 8),
        1 if at < input.len() => input[at] = byte,
        2 => drop(input.drain(at..input.len().min(at + usize::from(byte)))),
        3 => input.insert(at, byte),
        4 => input.truncate(at),
        _ => drop(input.splice(at..at, piece.iter().copied())),
    }
}

/// Holds the kept inputs of one reader, then the same changes to them each time.
fn holds(reader: &str) {
    let (_, holds): &(&str, Holds) = TARGETS.iter().find(|(name, _)| *name == reader).expect("a reader");
    let kept = kept(reader);
    for (name, input) in &kept {
        let ended = std::panic::catch_unwind(|| holds(input));
        assert!(ended.is_ok(), "fuzz/corpus/{reader}/{name}, see above");
    }
    let inputs: Vec<Vec<u8>> = kept.into_iter().map(|(_, input)| input).collect();
    let changes = (any::<Index>(), 0..6u8, any::<u8>(), select(inputs.clone()), any::<Index>());
    let changed = (select(inputs), prop::collection::vec(changes, 1..6)).prop_map(|(mut input, changes)| {
        changes.into_iter().for_each(|one| change(&mut input, one));
        input
    });
    let cases = std::env::var("BKP_FUZZ_CHANGES").map_or(CHANGED, |number| number.parse().expect("a number"));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let same_each_time = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, same_each_time);
    let found = runner.run(&changed.prop_map(Shown), |Shown(input)| {
        holds(&input);
        Ok(())
    });
    if let Err(error) = found {
        panic!("{reader}: keep this input in fuzz/corpus/{reader} when it is mended: {error}");
    }
}

/// Bytes that a failure prints as they would be written in code.
#[derive(Clone)]
struct Shown(Vec<u8>);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

#[test]
fn gzip_is_read_as_any_gunzip_reads_it_or_not_at_all() {
    holds("gzip");
}

#[test]
fn a_dump_is_cut_the_same_however_it_comes() {
    holds("lexer");
}

#[test]
fn a_name_is_written_as_it_was_read_and_stays_in_its_folder() {
    holds("names");
}

#[test]
fn what_restic_says_is_read_whole_and_shows_no_password() {
    holds("restic");
}

#[test]
fn the_rewriter_changes_nothing_unsaid_and_nothing_twice() {
    holds("rewrite");
}

#[test]
fn a_seal_comes_back_and_proves_no_other_dump() {
    holds("seal");
}

#[test]
fn no_setting_is_shown_that_is_wrong_or_secret() {
    holds("settings");
}

#[test]
fn every_reader_is_fuzzed() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = |folder: &str| -> BTreeSet<String> {
        let files = fs::read_dir(place(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(files("fuzz_targets"), names);
    assert_eq!(files("corpus"), names);
    let manifest = fs::read_to_string(place("Cargo.toml")).unwrap();
    for name in &names {
        let there = format!("[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&there), "fuzz/Cargo.toml lacks {name}");
    }
    let this = fs::read_to_string(file!()).unwrap();
    assert!(names.iter().all(|name| this.contains(&format!("holds(\"{name}\")"))), "one is not held here");
}
