//! Losing power: what is written, moved and synced is recorded by strace, call by call, and held against the rules that make an
//! exchange safe when everything that was not synced is lost. Each sync counts: the same record without it breaks a rule.
//!
//! 1. A journal gets its name when its text is on the disk.
//! 2. Nothing is staged, moved or removed before the journal that names the way out of it is on the disk under its name.
//! 3. The journal says *exchanging* when all that was staged is on the disk, and *settled* when all moves are.
//! 4. The databases' COMMIT is sent when the files' exchange is on the disk, whole.
//! 5. The journal goes last, when all else is gone from the disk.
//!
//! Moves among themselves need no order of ours: a journaling file system keeps it, and each can be asked for again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bkp::sources::postgres::side::is_run_id;

use super::App;
use crate::support::bkp::{Bkp, Output};

const CALLS: &str = "openat,write,writev,pwrite64,sendto,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,fsync,\
    fdatasync,syncfs,fchmod,fchmodat,fchown,fchownat,lchown,ftruncate,linkat,symlinkat,utimensat,mknodat";
const UNFINISHED: &str = "journal.json.new";

/// What happened to the hidden directory of a run, or to all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event(PathBuf, What);

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// The directory itself was made.
    Made,
    /// A new journal was begun, or written.
    JournalBegun,
    JournalWritten(String),
    JournalNamed,
    JournalRemoved,
    /// Something was written among what is staged or put aside.
    Staged,
    /// An entry came or went.
    Moved,
    /// Something that was staged or put aside was removed.
    Removed,
    FileSynced,
    DirectorySynced,
    VolumeSynced,
    /// The server was asked to COMMIT.
    Commit,
}

impl What {
    fn is_sync(&self) -> bool {
        matches!(self, Self::FileSynced | Self::DirectorySynced | Self::VolumeSynced)
    }
}

/// The calls of a record, in the order of their ends.
fn events(log: &str, root: &Path) -> Vec<Event> {
    let (mut begun, mut events) = (BTreeMap::new(), Vec::new());
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(beginning) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(thread, beginning.to_owned());
            continue;
        }
        let whole = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => begun.remove(thread).map(|beginning| beginning + end),
            None => Some(rest.to_owned()),
        };
        events.extend(whole.and_then(|call| event(&call, root)));
    }
    events
}

fn event(line: &str, root: &Path) -> Option<Event> {
    let (call, rest) = line.split_once('(')?;
    let (text, result) = rest.rsplit_once(" = ")?;
    if result.trim_start().starts_with(['-', '?']) {
        return None;
    }
    let arguments = arguments(text.trim_end().strip_suffix(')')?);
    let everywhere = |what| Some(Event(PathBuf::new(), what));
    if call == "syncfs" {
        return everywhere(What::VolumeSynced);
    }
    if ["sendto", "write", "writev"].contains(&call) && text.contains("COMMIT\\0") {
        return everywhere(What::Commit);
    }
    // What is written is no name.
    let named = if call.contains("write") { &arguments[..1] } else { &arguments[..] };
    let places: Vec<Option<(PathBuf, String)>> = paths(named).iter().map(|path| hidden(path, root)).collect();
    let (at, below) = places.iter().flatten().next()?.clone();
    let what = match call {
        "fsync" | "fdatasync" if below.is_empty() => What::DirectorySynced,
        "fsync" | "fdatasync" if below == UNFINISHED => What::FileSynced,
        "fsync" | "fdatasync" => return None,
        "rename" | "renameat" | "renameat2" if below == UNFINISHED => What::JournalNamed,
        "rename" | "renameat" | "renameat2" if places.iter().all(Option::is_some) => What::Staged,
        "rename" | "renameat" | "renameat2" => What::Moved,
        "unlink" | "unlinkat" | "rmdir" if below == "journal.json" => What::JournalRemoved,
        "unlink" | "unlinkat" | "rmdir" if below.is_empty() || below == UNFINISHED => return None,
        "unlink" | "unlinkat" | "rmdir" => What::Removed,
        "openat" if !text.contains("O_CREAT") => return None,
        "openat" if below == UNFINISHED => What::JournalBegun,
        "mkdir" | "mkdirat" if below.is_empty() => What::Made,
        _ if below.is_empty() => return None,
        _ if below == UNFINISHED => What::JournalWritten(arguments.get(1).copied().unwrap_or_default().to_owned()),
        _ => What::Staged,
    };
    Some(Event(at, what))
}

/// Split at the commas that stand in no string.
fn arguments(text: &str) -> Vec<&str> {
    let (mut arguments, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                arguments.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(text[from..].trim());
    arguments
}

/// The files that a call names: a descriptor stands with its path, and a name after it is one below it.
fn paths(arguments: &[&str]) -> Vec<PathBuf> {
    let quoted = |text: &str| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::to_owned);
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut open = false;
    for argument in arguments {
        let number = argument.split_once('<').filter(|(number, _)| {
            *number == "AT_FDCWD" || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if let Some((_, path)) = number {
            paths.push(path.trim_end_matches("(deleted)").trim_end_matches('>').into());
            open = true;
        } else if let Some(name) = quoted(argument) {
            match paths.last_mut().filter(|_| open) {
                Some(last) => *last = last.join(name),
                None if name.starts_with('/') => paths.push(name.into()),
                None => {}
            }
            open = false;
        } else {
            open = false;
        }
    }
    paths
}

/// The hidden directory of a run that a path leads into, and what it is there.
fn hidden(path: &Path, root: &Path) -> Option<(PathBuf, String)> {
    let below = path.strip_prefix(root).ok()?;
    let mut parts = below.components();
    let first = parts.next()?.as_os_str();
    is_run_id(first.to_str()?.strip_prefix(".bkp-")?).then_some(())?;
    Some((root.join(first), parts.as_path().to_string_lossy().into_owned()))
}

/// What is known of one run's directory.
#[derive(Clone, Debug, Default)]
struct Known {
    text: String,
    says: String,
    is_text_synced: bool,
    is_journal_synced: bool,
    are_staged_synced: bool,
    are_moves_synced: bool,
    are_removals_synced: bool,
    has_moved: bool,
}

impl Known {
    /// At the start of a record: what was before is on the disk, or nothing of it is.
    fn before(is_synced: bool) -> Self {
        Self {
            is_text_synced: is_synced,
            is_journal_synced: is_synced,
            are_staged_synced: is_synced,
            are_moves_synced: is_synced,
            are_removals_synced: is_synced,
            ..Self::default()
        }
    }

    fn is(&self, state: &str) -> bool {
        // As strace writes strings.
        self.is_journal_synced && self.claims(state)
    }

    fn claims(&self, state: &str) -> bool {
        [format!("\\\"state\\\":\\\"{state}\\\""), format!("\\\"state\\\":{{\\\"{state}\\\"")]
            .iter()
            .any(|text| self.says.contains(text))
    }

    fn take(&mut self, what: &What) -> Result<(), &'static str> {
        let rule = |holds: bool, broken: &'static str| if holds { Ok(()) } else { Err(broken) };
        match what {
            What::Made => {
                *self = Self { are_staged_synced: true, are_moves_synced: true, ..Self::default() };
            }
            What::JournalBegun => (self.text, self.is_text_synced) = (String::new(), false),
            What::JournalWritten(text) => {
                self.text.push_str(text);
                self.is_text_synced = false;
            }
            What::JournalNamed => {
                rule(self.is_text_synced, "a journal was named before its text was on the disk")?;
                (self.says, self.is_journal_synced) = (self.text.clone(), false);
                rule(
                    !self.claims("exchanging") || self.are_staged_synced,
                    "exchanging, and what is staged is not there",
                )?;
                rule(!self.claims("settled") || self.are_moves_synced, "settled, and the moves are not on the disk")?;
            }
            What::JournalRemoved => {
                rule(self.are_removals_synced, "the journal went before what it tells of")?;
                *self = Self::before(true);
            }
            What::Staged => {
                rule(self.is_journal_synced, "staged before the journal was on the disk")?;
                self.are_staged_synced = false;
            }
            What::Moved => {
                rule(self.is("exchanging"), "moved before the journal on the disk said so")?;
                (self.are_moves_synced, self.has_moved) = (false, true);
            }
            What::Removed => {
                rule(self.is("discarding"), "removed before the journal on the disk said so")?;
                self.are_removals_synced = false;
            }
            What::FileSynced => self.is_text_synced = true,
            What::DirectorySynced => (self.is_journal_synced, self.are_removals_synced) = (true, true),
            What::VolumeSynced => {
                *self = Self {
                    text: self.text.clone(),
                    says: self.says.clone(),
                    has_moved: self.has_moved,
                    ..Self::before(true)
                }
            }
            What::Commit => {
                let is_whole = self.is("settled") && self.are_moves_synced;
                rule(!self.has_moved || is_whole, "the databases were committed before the files were on the disk")?;
            }
        }
        Ok(())
    }
}

/// Holds a record against the rules; `is_synced` tells whether what was before it is on the disk.
fn check(events: &[Event], is_synced: bool) -> Result<(), String> {
    let mut all: BTreeMap<&Path, Known> = BTreeMap::new();
    let mut unseen = Known::before(is_synced);
    for (at, Event(directory, what)) in events.iter().enumerate() {
        let told = |broken| format!("{broken}: {what:?}, event {at}");
        if directory.as_os_str().is_empty() {
            all.values_mut().chain([&mut unseen]).try_for_each(|known| known.take(what)).map_err(told)?;
        } else {
            all.entry(directory).or_insert_with(|| unseen.clone()).take(what).map_err(told)?;
        }
    }
    match all.values().all(|known| known.is_journal_synced) {
        true => Ok(()),
        false => Err("at its end the journal is not on the disk".to_owned()),
    }
}

/// The rules hold, and would not without any one of the syncs, but for the `spare` ones that others make up for: of a
/// journal that is replaced before anything relies on it, or of a tree that nothing was staged in.
fn each_sync_counts(name: &str, events: &[Event], is_synced: bool, spare: &[What]) {
    if let Err(broken) = check(events, is_synced) {
        panic!("{name}: {broken}\n{events:#?}");
    }
    let syncs: Vec<usize> = (0..events.len()).filter(|at| events[*at].1.is_sync()).collect();
    let without = |at: usize| [&events[..at], &events[at + 1..]].concat();
    let spared: Vec<usize> = syncs.iter().copied().filter(|at| check(&without(*at), is_synced).is_ok()).collect();
    println!("{name}: {} events, {} syncs, without {spared:?} the rules hold too", events.len(), syncs.len());
    let spared: Vec<What> = spared.iter().map(|at| events[*at].1.clone()).collect();
    assert_eq!(spared, spare, "{name}\n{events:#?}");
}

fn count(events: &[Event], what: &What) -> usize {
    events.iter().filter(|Event(_, other)| other == what).count()
}

/// bkp with all of its children, under strace.
fn recorded(app: &App, options: &[&str], arguments: &[&str]) -> (Output, Vec<Event>) {
    let log = app.work.join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-s", "400", "-y", "-e", "signal=none", "-e", &format!("trace={CALLS}")]);
    strace.args(options).arg("-o").arg(&log).arg(env!("CARGO_BIN_EXE_bkp"));
    let mut bkp = Bkp::by(strace).env("BKP_APP", "shop").env("TOKIO_WORKER_THREADS", "1");
    for (key, value) in app.cluster.env() {
        bkp = bkp.env(&key, value);
    }
    let out = app.with_settings(bkp).env("BKP_LOCK_WAIT", "20").args(arguments).run();
    let root = app.files().canonicalize().expect("there");
    (out, events(&String::from_utf8_lossy(&fs::read(&log).expect("the calls")), &root))
}

#[test]
fn a_loss_of_power_finds_files_and_databases_old_or_new_at_every_step() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();

    let (out, restore) = recorded(&app, &[], &["restore"]);
    out.ok();
    each_sync_counts("restore", &restore, true, &[]);
    let moved = restore.iter().position(|Event(_, what)| *what == What::Moved).expect("a move");
    assert!(restore[moved..].iter().any(|Event(_, what)| *what == What::Commit), "the swap's COMMIT was not seen");
    assert!(count(&restore, &What::Staged) > 5, "restic was not seen");
    assert_eq!((count(&restore, &What::JournalNamed), count(&restore, &What::VolumeSynced)), (3, 2));

    let (out, undo) = recorded(&app, &[], &["restore", "--undo"]);
    out.ok();
    each_sync_counts("undo", &undo, true, &[What::DirectorySynced, What::VolumeSynced]);
    assert!(count(&undo, &What::Moved) > 3 && count(&undo, &What::Commit) > 0);

    let (out, drop) = recorded(&app, &[], &["backup"]);
    out.ok();
    each_sync_counts("drop", &drop, true, &[]);
    assert!(count(&drop, &What::Removed) > 3 && count(&drop, &What::JournalRemoved) == 1);
}

#[test]
fn what_recovers_a_half_tree_relies_on_nothing_that_was_not_synced() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    let lost = app.state();
    for (way, files_alone, spare) in [("back", false, vec![What::DirectorySynced]), ("on", true, vec![])] {
        let only: &[&str] = if files_alone { &["restore", "--only", "files"] } else { &["restore"] };
        let (out, _) = recorded(&app, &["-e", "inject=renameat2:signal=KILL:when=3"], only);
        out.fails_with(137);
        let (out, resumed) = recorded(&app, &[], &["resume"]);
        out.ok();
        each_sync_counts(way, &resumed, false, &spare);
        assert!(count(&resumed, &What::Moved) > 0, "{way}: {resumed:#?}");
        assert_eq!(app.state() == lost, !files_alone, "{way}");
    }
}
