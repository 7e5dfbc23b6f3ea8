//! Whether the system gives us the threads and descriptors that the runtime takes. It does not tell: without a first thread it panics, and
//! what is to be done on a second one is never done.

use std::io;
use std::sync::mpsc;
use std::thread::{self, Builder};

use anyhow::Result;
use rustix::fd::OwnedFd;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::Failure;

/// The stack of the runtime's threads.
const STACK_BYTES: usize = 2 << 20;

/// Threads beside those that the runtime begins with: for what waits, such as for the name of a host.
const BESIDE: usize = 2;

/// Two descriptors each: what the runtime has open itself, and the pipes of a child.
const PIPES: usize = 7;

/// Takes for a moment what the runtime will take.
///
/// # Errors
/// When there is less, with what to raise.
pub fn has_room() -> Result<()> {
    let descriptors: io::Result<Vec<(OwnedFd, OwnedFd)>> =
        (0..PIPES).map(|_| Ok(pipe_with(PipeFlags::CLOEXEC)?)).collect();
    descriptors.map_err(|error| {
        Failure::new("bkp gets too few file descriptors")
            .hint("raise the limit of open files: ulimit -n, LimitNOFILE= of the unit, or nofile of the container")
            .because(error)
    })?;
    let threads = thread::available_parallelism().map_or(1, usize::from) + BESIDE;
    threads_at_once(threads).map_err(|error| {
        Failure::new(format!("bkp gets fewer threads than it needs, {threads}"))
            .hint("raise the limit of processes (ulimit -u, TasksMax= of the unit, the pids limit of the container) or of memory (ulimit -v)")
            .because(error)
    })?;
    Ok(())
}

/// Starts so many threads that are there all at the same time, and waits until they are gone.
fn threads_at_once(count: usize) -> io::Result<()> {
    let mut ways_out = Vec::new();
    let mut threads = Vec::new();
    let started = (0..count).try_for_each(|_| {
        let (way_out, until) = mpsc::channel::<()>();
        ways_out.push(way_out);
        threads.push(Builder::new().stack_size(STACK_BYTES).spawn(move || until.recv().is_err())?);
        Ok(())
    });
    drop(ways_out);
    for thread in threads {
        let _ = thread.join();
    }
    started
}
