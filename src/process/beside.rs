//! The commands of ours beside which we idle as process 1 of a container: those that `kubectl exec` started, by themselves or from
//! a shell in there.
//!
//! The kubelet tells process 1 alone that a pod must end, and when process 1 is gone, the kernel kills all others of its process
//! namespace: a restore among them could not clean up. Ours are told by their program, which is this very file; neither by their
//! name, which may be an old one, nor by their parent, which is a shell as often as nobody. What one of them started is its own
//! business: psql and restic are ended by it, in order.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process};

use crate::error::plain;

/// The longest part of a command that is shown.
const SHOWN: usize = 120;

/// A command of ours that runs beside us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Its process.
    pub process: Pid,
    /// What was typed. A secret is never an argument.
    pub line: String,
}

impl Beside {
    /// Asks it to end. Call it once: a second TERM lets bkp end without cleaning up. Gives whether somebody was there to hear it.
    ///
    /// # Errors
    /// When it belongs to another account.
    pub fn ask_to_end(&self) -> std::io::Result<bool> {
        match kill_process(self.process, Signal::TERM) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether all processes that we see end with us, and none of them is on another's behalf: we are process 1. Anywhere else (a host, a
/// pod whose containers share their processes) the others have lives of their own.
pub fn is_first() -> bool {
    getpid().is_init()
}

/// Whether our end is the container's: we are its process 1, or the child of a process 1 that is a shell or an init. Not what
/// `kubectl exec` started, not even when its shell died and process 1 took it over.
pub fn is_main() -> bool {
    is_first() || getppid().is_some_and(Pid::is_init) && !is_ours(Pid::INIT)
}

/// The commands of ours but ourselves, less what others of ours started.
pub fn beside() -> Vec<Beside> {
    let Ok(processes) = Path::new("/proc").read_dir() else { return Vec::new() };
    let number = |name: &std::ffi::OsStr| name.to_str()?.parse().ok().and_then(Pid::from_raw);
    let all: Vec<Seen> = processes.flatten().filter_map(|entry| seen(number(&entry.file_name())?)).collect();
    topmost(&all, getpid()).into_iter().map(|process| Beside { process, line: line(process) }).collect()
}

/// A process as it is seen from outside.
#[derive(Debug, Clone, Copy)]
struct Seen {
    process: Pid,
    /// Nobody for a process that came into the namespace from outside.
    parent: Option<Pid>,
    ours: bool,
}

fn seen(process: Pid) -> Option<Seen> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    Some(Seen { process, parent: parent(&stat)?, ours: is_ours(process) })
}

/// The parent in a line of `/proc/PID/stat` (proc(5)): after the name, which may hold anything, and the state.
fn parent(stat: &str) -> Option<Option<Pid>> {
    let (_, behind) = stat.rsplit_once(')')?;
    let number: i32 = behind.split_whitespace().nth(1)?.parse().ok()?;
    Some(Pid::from_raw(number))
}

/// Whether a process runs our own program. One that has ended and waits to be reaped has none; another account's is not told to us.
fn is_ours(process: Pid) -> bool {
    let program = |process: &str| Path::new("/proc").join(process).join("exe").metadata().ok();
    let same = program(&process.as_raw_nonzero().to_string()).zip(program("self"));
    same.is_some_and(|(its, own)| (its.dev(), its.ino()) == (own.dev(), own.ino()))
}

/// Those of ours but `me` that stand below none of ours but `me`: bkp starts itself too, between itself and a program that it feeds.
fn topmost(all: &[Seen], me: Pid) -> Vec<Pid> {
    let by_process: HashMap<Pid, &Seen> = all.iter().map(|seen| (seen.process, seen)).collect();
    let above =
        |seen: &Seen| seen.parent.filter(|parent| *parent != me).and_then(|parent| by_process.get(&parent).copied());
    let is_topmost = |seen: &&Seen| {
        // Numbers may be given anew while the list is made: a ring of parents must have an end.
        std::iter::successors(above(seen), |up| above(up)).take(all.len()).all(|up| !up.ours)
    };
    all.iter().filter(|seen| seen.ours && seen.process != me).filter(is_topmost).map(|seen| seen.process).collect()
}

fn line(process: Pid) -> String {
    let words = std::fs::read(format!("/proc/{}/cmdline", process.as_raw_nonzero())).unwrap_or_default();
    shown(&words)
}

/// What was typed, on one line: the program without its directory, and what follows.
fn shown(words: &[u8]) -> String {
    let words = String::from_utf8_lossy(words);
    let mut words = words.trim_end_matches('\0').split('\0');
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or(program);
    let line = std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ");
    plain(&line).chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topmost_of(all: &[(i32, i32, bool)]) -> Vec<i32> {
        let pid = |number| Pid::from_raw(number);
        let all: Vec<Seen> = all
            .iter()
            .map(|&(process, parent, ours)| Seen { process: pid(process).unwrap(), parent: pid(parent), ours })
            .collect();
        topmost(&all, Pid::INIT).into_iter().map(|process| process.as_raw_nonzero().get()).collect()
    }

    #[test]
    fn commands_are_found_wherever_they_were_typed_and_what_they_started_is_theirs() {
        let all = [
            (1, 0, true),    // bkp wait
            (7, 0, true),    // kubectl exec … bkp restore
            (8, 7, false),   // its psql
            (9, 7, false),   // its restic,
            (10, 9, true),   // and bkp between the two
            (20, 0, false),  // kubectl exec … bash,
            (21, 20, false), // in it a script,
            (22, 21, true),  // in that bkp backup
            (30, 1, true),   // one whose shell is gone
            (40, 0, false),  // somebody's psql
        ];
        assert_eq!(topmost_of(&all), [7, 22, 30]);
        assert!(topmost_of(&[(1, 0, true)]).is_empty());
    }

    #[test]
    fn a_ring_of_parents_has_an_end() {
        assert_eq!(topmost_of(&[(1, 0, true), (5, 6, false), (6, 5, false), (7, 6, true)]), [7]);
    }

    #[test]
    fn the_parent_stands_behind_a_name_that_may_hold_anything() {
        assert_eq!(parent("12 (a) b (c)) S 7 12 0"), Some(Pid::from_raw(7)));
        assert_eq!(parent("12 (bkp) S 0 12 0"), Some(None));
        assert_eq!(parent("12 (bkp"), None);
    }

    #[test]
    fn what_was_typed_is_one_line() {
        assert_eq!(shown(b"/usr/local/bin/restore.bb\x00latest\x00--yes\x00"), "restore.bb latest --yes");
        assert_eq!(shown(b"bkp\x00a\nb\x1b[31m\x00"), "bkp a?b?[31m");
        assert_eq!(shown(b""), "");
    }
}
