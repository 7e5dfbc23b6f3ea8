//! A container as a runtime makes it: processes of its own, of which one command is the first. Others come in as `kubectl exec`
//! brings them: with a parent outside.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::bkp::{Bkp, Output, Running};
use super::parts;
use super::wait::until;

/// TERM in a mask of signals.
const TERM_BIT: u64 = 1 << (15 - 1);

/// A container that runs. Dropped, all in it is killed.
pub struct Container {
    running: Running,
    first: Pid,
}

impl Container {
    /// Starts a container whose process 1 this is, and waits until it listens to TERM.
    ///
    /// # Panics
    /// When it does not, or without the right to make namespaces.
    pub fn start(first: Bkp) -> Self {
        let container = Self::of(first);
        container.listens(container.first);
        container
    }

    /// The same for a process 1 that need not listen, such as a shell.
    ///
    /// # Panics
    /// Without the right to make namespaces.
    pub fn of(first: Bkp) -> Self {
        assert!(parts::root(), "this test makes namespaces: run the tests as root, or in `unshare --map-root-user`");
        let running =
            first.by_way_of(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]).spawn();
        let children = format!("/proc/{0}/task/{0}/children", running.pid());
        let mut first = None;
        until("process 1", || {
            let children = fs::read_to_string(&children).unwrap_or_default();
            first = children.split_whitespace().next().and_then(|child| child.parse().ok()).and_then(Pid::from_raw);
            first.is_some()
        });
        Self { running, first: first.expect("process 1") }
    }

    /// A command beside process 1, as `kubectl exec` starts it.
    pub fn exec(&self, command: Bkp) -> Bkp {
        let target = self.first.as_raw_nonzero().to_string();
        command.by_way_of(["nsenter", "--target", &target, "--mount", "--pid"])
    }

    /// Tells process 1 to end, and nobody else: as a kubelet does.
    pub fn term(&self) {
        kill_process(self.first, Signal::TERM).expect("process 1");
    }

    /// Ends process 1 and with it all others: as a kubelet does when the grace period is over.
    pub fn kill(&self) {
        kill_process(self.first, Signal::KILL).expect("process 1");
    }

    /// Waits until a process, by its number outside, listens to TERM.
    ///
    /// # Panics
    /// When it does not.
    pub fn listens(&self, process: Pid) {
        let status = format!("/proc/{}/status", process.as_raw_nonzero());
        until("a process that listens", || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & TERM_BIT != 0)
        });
    }

    /// Process 1, by its number outside.
    pub fn first(&self) -> Pid {
        self.first
    }

    /// Whether process 1 is still there.
    pub fn running(&mut self) -> bool {
        self.running.running()
    }

    /// Waits for its end; the exit code is process 1's.
    pub fn wait(self) -> Output {
        self.running.wait()
    }
}
