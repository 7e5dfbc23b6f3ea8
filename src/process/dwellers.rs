//! Processes by the directory that they work in: what a run of ours left behind when it died, if its directory was its own.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long they may take to end when they are asked to.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ends every process that works in exactly the directory of this device and inode: asked first, then killed. Gives how many there
/// were.
///
/// By what the directory is, not by its name: a process in another container may have a directory of the same name.
///
/// # Errors
/// When one of them stays.
pub fn end_all_in(here: (u64, u64)) -> io::Result<usize> {
    let found = dwellers(here);
    for signal in [Signal::QUIT, Signal::KILL] {
        let asked = Instant::now();
        let mut told: Vec<Pid> = Vec::new();
        loop {
            let left = dwellers(here);
            if left.is_empty() {
                return Ok(found.len());
            }
            if asked.elapsed() > PATIENCE {
                break;
            }
            // Each once: it takes a second one for another wish.
            for process in left.into_iter().filter(|process| !told.contains(process)).collect::<Vec<_>>() {
                let _ = kill_process(process, signal);
                told.push(process);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Err(io::Error::other("a process works in it and cannot be ended"))
}

/// Those of which we may know. What belongs to another account is nothing that we started.
fn dwellers(here: (u64, u64)) -> Vec<Pid> {
    let Ok(processes) = Path::new("/proc").read_dir() else { return Vec::new() };
    let number = |name: &std::ffi::OsStr| name.to_str()?.parse().ok().and_then(Pid::from_raw);
    processes
        .flatten()
        .filter_map(|entry| Some((number(&entry.file_name())?, entry.path().join("cwd").metadata().ok()?)))
        .filter(|(_, there)| (there.dev(), there.ino()) == here)
        .map(|(process, _)| process)
        .collect()
}
