//! A child that ends when it is no longer wanted: asked first, killed only if it lingers.
//!
//! What it prints is taken until it has ended, whoever else read that before: a pipe that is closed kills a program with its next word,
//! and one that is full holds it up. restic then leaves its lock behind, which keeps others out of the repository for half an hour.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout};

/// How long a child may take that holds nothing but a connection, such as pg_dump: it takes its query back, which would else wait on
/// at the server with all its locks, for as long as what it waits for.
pub(super) const TO_HANG_UP: Duration = Duration::from_secs(1);

/// How long a child may take to remove its lock from a store far away, or on a machine with too much to do.
pub(super) const TO_UNLOCK: Duration = Duration::from_secs(15);

/// The same for one that reads beside another, which is ended after it: a pod has 30 seconds for everything.
pub(super) const TO_UNLOCK_A_READING: Duration = Duration::from_secs(7);

/// How many children are being ended just now.
static ENDING: AtomicUsize = AtomicUsize::new(0);

/// Waits for the children that are being ended by threads that nobody waits for, as at the end of the process; no longer than each of them
/// is given.
pub fn wait_for_the_ending() {
    while ENDING.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A child in a group of its own, which ends with this.
pub(super) struct Living {
    pub(super) child: Child,
    patience: Duration,
    /// Our ends of its pipes once more: tasks that read them may be gone before it is.
    pipes: [OwnedFd; 2],
}

impl Living {
    /// Takes a child whose output and errors are pipes.
    pub(super) fn new(child: Child, patience: Duration) -> Result<Living> {
        let stdout = child.stdout.as_ref().context("no pipe from the child")?.as_fd().try_clone_to_owned()?;
        let stderr = child.stderr.as_ref().context("no pipe from the child")?.as_fd().try_clone_to_owned()?;
        Ok(Living { child, patience, pipes: [stdout, stderr] })
    }

    pub(super) fn pipes(&mut self) -> Result<(ChildStdout, ChildStderr)> {
        let stdout = self.child.stdout.take().context("no pipe from the child")?;
        Ok((stdout, self.child.stderr.take().context("no pipe from the child")?))
    }

    pub(super) fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn gone_in_time(&mut self) -> bool {
        let asked = Instant::now();
        while self.running() {
            if asked.elapsed() > self.patience {
                return false;
            }
            self.pipes.iter().for_each(pour_out);
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

/// Takes what lies in a pipe, which is a mebibyte at most: whoever writes without end is not listened to for ever. The runtime's do not
/// block.
fn pour_out(pipe: &OwnedFd) {
    let mut bytes = [0; 16 * 1024];
    for _ in 0..64 {
        if !rustix::io::read(pipe, &mut bytes).is_ok_and(|n| n > 0) {
            break;
        }
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        if !self.running() {
            return;
        }
        // The whole group: a client program may be a script around the real one.
        let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else { return };
        ENDING.fetch_add(1, Ordering::SeqCst);
        let _ = kill_process_group(group, Signal::TERM);
        if !self.gone_in_time() {
            let _ = kill_process_group(group, Signal::KILL);
            // Gone from the table of processes as well: until then its lock looks like a living one's.
            self.gone_in_time();
        }
        ENDING.fetch_sub(1, Ordering::SeqCst);
    }
}
