//! `/dev/termination-log`: what `kubectl describe pod` shows of a container that has ended.
//!
//! Kubernetes mounts a file there and reads it when the container's process 1 has ended. What stands in it is taken for that process's
//! last words, so only the container's own command writes: a restore that an operator's `kubectl exec` started, and that failed,
//! is not why a pod that idled ended a day later. Nothing is made where there is no such file, and nothing fails because of it:
//! where it stays empty, Kubernetes shows the end of the log instead (`terminationMessagePolicy: FallbackToLogsOnError`).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;

use crate::exit::Exit;

const PATH: &str = "/dev/termination-log";

/// What a kubelet reads of the file, from its end.
const MAX_BYTES: usize = 4096;

/// Whether our last words are the container's.
static OURS: AtomicBool = AtomicBool::new(false);

/// Says that this process's end is the container's: from now on its last words are kept.
pub fn start() {
    OURS.store(true, Ordering::Relaxed);
}

/// Keeps how the run ended, what it said of it, and what to do. Said again, the later words stand.
pub fn write(exit: Exit, said: &str, hints: &[String]) {
    if OURS.load(Ordering::Relaxed)
        && let Some(mut log) = open(Path::new(PATH))
    {
        // The log has it all, and Kubernetes shows that instead.
        let _ = log.write_all(words(exit, said, hints).as_bytes());
    }
}

/// The file, emptied: only one that is there, and a file. A pipe would wait for a reader, and a link leads who knows where.
fn open(path: &Path) -> Option<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = OpenOptions::new().write(true).custom_flags(i32::try_from(flags.bits()).ok()?).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.set_len(0).ok()?;
    Some(file)
}

/// The exit code in words, what was said, and the hints whole: where it is too long for Kubernetes, the end of what was said goes.
fn words(exit: Exit, said: &str, hints: &[String]) -> String {
    let begin = match exit {
        Exit::Done => String::new(),
        exit => format!("exit {} ({}): ", exit.code(), exit.meaning()),
    };
    let end: String = hints.iter().map(|hint| format!("\nhint: {hint}")).collect();
    let end = cut(&end, MAX_BYTES / 2);
    let said = cut(said, MAX_BYTES - begin.len() - end.len() - 1);
    format!("{begin}{said}{end}\n")
}

/// As much as there is room for, and a mark where something is missing.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mark = "…";
    format!("{}{mark}", &text[..text.floor_char_boundary(bytes - mark.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_exit_code_the_error_and_what_to_do() {
        let hints = ["wait".to_owned(), "or set BKP_LOCK_WAIT".to_owned()];
        let expected = "exit 11 (locked by another run): a run holds it\nhint: wait\nhint: or set BKP_LOCK_WAIT\n";
        assert_eq!(words(Exit::Locked, "a run holds it", &hints), expected);
        assert_eq!(words(Exit::Done, "saved all", &[]), "saved all\n");
    }

    #[test]
    fn what_is_too_long_keeps_its_beginning_and_the_hints() {
        for (said, hint) in [("ä".repeat(5000), "h".to_owned()), ("a".repeat(9000), "ö".repeat(5000))] {
            let words = words(Exit::Failed, &said, &[hint]);
            assert!(words.len() <= MAX_BYTES && words.len() > MAX_BYTES - 8, "{}", words.len());
            assert!(words.starts_with("exit 1 (failed, nothing lost): ") && words.contains("\nhint: "));
        }
    }

    #[test]
    fn only_a_file_that_is_there_is_written() {
        let work = tempfile::tempdir().unwrap();
        let path = |name| work.path().join(name);
        assert!(open(&path("none")).is_none() && !path("none").exists());
        std::fs::write(path("file"), "before").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for other in ["link", "pipe", "."] {
            assert!(open(&path(other)).is_none(), "{other}");
        }
        assert_eq!(std::fs::read(path("file")).unwrap(), b"before");
        open(&path("file")).unwrap().write_all(b"x").unwrap();
        assert_eq!(std::fs::read(path("file")).unwrap(), b"x");
    }
}
