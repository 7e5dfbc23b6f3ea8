//! The file for the textfile collector of Prometheus' node exporter.
//!
//! It holds what is true until something newer is: a run writes its own values anew and leaves the others, so that a drill that fails
//! does not take away when the last one succeeded. It is replaced by rename, because the collector reads at any moment.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::{Sample, text};

/// How often, and how many times, the other run's update is waited for: it takes milliseconds.
const PACE: Duration = Duration::from_millis(20);
const TIMES: u32 = 100;

/// Writes these values, and keeps what else the file holds.
///
/// # Errors
/// When the file cannot be written.
pub fn update(path: &Path, app: &str, command: &str, samples: &[Sample]) -> Result<()> {
    let _alone = alone(path);
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    replace(path, text::updated(&old, app, command, samples).as_bytes())
}

/// A backup and a drill that end in the same moment must not lose each other's values. The directory is locked, because the file is
/// another one after each update. Where that cannot be, it goes without.
fn alone(path: &Path) -> Option<File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(directory).ok()?;
    for _ in 0..TIMES {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(rustix::io::Errno::WOULDBLOCK) => sleep(PACE),
            Err(_) => return None,
        }
    }
    None
}

/// Replaces a file as a whole: written beside it, then renamed.
///
/// # Errors
/// When it cannot be written; the old one stays then.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::metrics::names::*;

    #[test]
    fn runs_that_end_in_the_same_moment_lose_nothing_of_each_other() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = &directory.path().join("bkp.prom");
        std::thread::scope(|scope| {
            for app in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                let sample = Sample { family: &LAST_EXIT, item: None, value: 0.0 };
                scope.spawn(move || update(path, app, "backup", &[sample]).expect("written"));
            }
        });
        let text = fs::read_to_string(path).expect("metrics");
        assert_eq!(text.lines().count(), 2 + 8, "{text}");
    }
}
