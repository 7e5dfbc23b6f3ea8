//! Who holds a repository, and which of them cannot be alive.
//!
//! A living restic writes its lock anew every five minutes. Dead is whose lock was not for thirty, which is restic's own rule,
//! and whose process is gone from this host, which is restic's as well. The second needs care: a pod on the host's network has the
//! host's name but not its processes, so there a missing process proves nothing; and a process of another account is there without
//! being shown, under `ProtectProc=` of systemd or `hidepid=`, and restic, which may not signal it, holds it for dead. restic removes what it holds for dead, all at
//! once and never a named one (`unlock`); so it is asked to only when nothing doubtful is among that.
//! What remains: two machines of one name that share a repository. A process of the one is missing on the other.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::Deserialize;

use super::call::Call;
use super::output::time;
use super::repo::Repository;

/// When restic counts a lock as left behind.
const STALE_SECONDS: i64 = 30 * 60;

/// The first namespaces of a machine have fixed numbers (`include/linux/proc_ns.h`).
const FIRST_UTS: &str = "uts:[4026531838]";
const FIRST_PID: &str = "pid:[4026531836]";

/// A lock, as its holder wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Lock {
    /// When it was taken, or last renewed.
    #[serde(deserialize_with = "time")]
    pub time: Timestamp,
    /// Whether it keeps everybody out, as prune, forget and check do.
    #[serde(default)]
    pub exclusive: bool,
    /// The holder's host.
    #[serde(rename = "hostname", default)]
    pub host: String,
    /// The holder's account.
    #[serde(default)]
    pub username: String,
    /// The holder's process, on that host.
    #[serde(default)]
    pub pid: u32,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.exclusive { ", alone" } else { "" };
        write!(f, "process {} of {} on {}, since {:.0}{kind}", self.pid, self.username, self.host, self.time)
    }
}

/// Where we are, as far as it proves somebody dead.
#[derive(Debug, Clone)]
pub struct Here {
    host: String,
    shared: bool,
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Runs,
    /// It is there, and we may not signal it; neither may a restic of ours.
    RunsAsAnother,
    Gone,
}

/// What a lock's holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Dead,
    /// restic would hold it for dead, and we do not.
    Doubtful,
    Alive,
}

impl Here {
    /// This machine or container.
    pub fn look() -> Here {
        let namespace = |name| std::fs::read_link(Path::new("/proc/self/ns").join(name)).unwrap_or_default();
        let shared = namespace("uts") == Path::new(FIRST_UTS) && namespace("pid") != Path::new(FIRST_PID);
        Here { host: rustix::system::uname().nodename().to_string_lossy().into_owned(), shared }
    }

    /// Whether others who have this host name have other processes.
    pub fn name_is_shared(&self) -> bool {
        self.shared
    }

    fn holder(&self, lock: &Lock, now: Timestamp, look: impl Fn(u32) -> Seen) -> Holder {
        if now.duration_since(lock.time).as_secs() > STALE_SECONDS {
            Holder::Dead
        } else if lock.host != self.host {
            Holder::Alive
        } else {
            match look(lock.pid) {
                Seen::Runs => Holder::Alive,
                Seen::RunsAsAnother => Holder::Doubtful,
                Seen::Gone if self.shared => Holder::Doubtful,
                Seen::Gone => Holder::Dead,
            }
        }
    }
}

/// Not by /proc, which may hide the processes of others.
fn seen(pid: u32) -> Seen {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Seen::Gone };
    match test_kill_process(pid) {
        Ok(()) => Seen::Runs,
        Err(Errno::SRCH) => Seen::Gone,
        Err(_) => Seen::RunsAsAnother,
    }
}

impl Repository {
    /// All locks on it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn locks(&self) -> Result<Vec<Lock>> {
        let said = self.ask(Call::new("list the locks", ["list", "locks", "--no-lock", "--quiet"]).short()).await?;
        let mut locks = Vec::new();
        for id in String::from_utf8_lossy(&said).split_whitespace() {
            let call = Call::new("read a lock", ["cat", "lock", "--no-lock", "--quiet", id]).short();
            let answer = self.run(&self.program(&call.arguments), &call).await?;
            // One that is gone in between is no lock; so is one that nobody can read, which its holder was about to write.
            if let (true, Ok(lock)) = (answer.status.success(), serde_json::from_slice(&answer.out)) {
                locks.push(lock);
            }
        }
        Ok(locks)
    }

    /// All locks on it, each with whether its holder is dead; changes nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn locks_and_dead(&self) -> Result<Vec<(Lock, bool)>> {
        let (here, now) = (Here::look(), (self.restic.options.clock)());
        let judged = |lock: Lock| {
            let is_dead = here.holder(&lock, now, seen) == Holder::Dead;
            (lock, is_dead)
        };
        Ok(self.locks().await?.into_iter().map(judged).collect())
    }

    /// Takes a lock as every command does that saves, and gives it back: what proves the right to write there without leaving anything.
    ///
    /// # Errors
    /// [`Exit::Locked`](crate::exit::Exit::Locked) when somebody keeps others out; when nothing can be written.
    pub async fn try_lock(&self) -> Result<()> {
        let call = Call::new("take a lock", ["cat", "config", "--quiet"]).short();
        let answer = self.run(&self.program(&call.arguments), &call).await?;
        if answer.status.success() { Ok(()) } else { Err(self.failure(&call, &answer)) }
    }

    /// Whether somebody may have left a lock: where it costs nothing to look, only if there is one.
    pub fn may_be_locked(&self) -> bool {
        let locks = self.address.directory().and_then(|at| std::fs::read_dir(at.join("locks")).ok());
        locks.is_none_or(|mut locks| locks.next().is_some())
    }

    /// Removes locks whose holders are dead; gives how many there were, and all that are left.
    ///
    /// # Errors
    /// When the repository cannot be read, or they cannot be removed.
    pub async fn clear_dead_locks(&self) -> Result<(usize, Vec<Lock>)> {
        let mut locks = self.locks().await?;
        let here = Here::look();
        let mut cleared = 0;
        // Twice: a dead holder's number may just be that of the restic that looks for it.
        for _ in 0..2 {
            let now = (self.restic.options.clock)();
            let is = |lock: &Lock, holder| here.holder(lock, now, seen) == holder;
            if !locks.iter().any(|lock| is(lock, Holder::Dead)) || locks.iter().any(|lock| is(lock, Holder::Doubtful)) {
                break;
            }
            self.ask(Call::new("remove the locks of the dead", ["unlock", "--quiet"]).short()).await?;
            let left = self.locks().await?;
            for gone in locks.iter().filter(|lock| is(lock, Holder::Dead) && !left.contains(lock)) {
                tracing::warn!("removed the lock of one who is dead: {gone}");
                cleared += 1;
            }
            locks = left;
        }
        Ok((cleared, locks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(host: &str, minutes: i64) -> Lock {
        let said = format!(
            r#"{{"time":"2026-11-21T09:45:46.220886328Z","exclusive":true,"hostname":"{host}","username":"root","pid":7,"uid":0}}"#
        );
        let mut lock: Lock = serde_json::from_str(&said).unwrap();
        lock.time = "2026-11-21T12:00:00Z".parse::<Timestamp>().unwrap() - jiff::SignedDuration::from_mins(minutes);
        lock
    }

    #[test]
    fn only_who_cannot_be_alive_is_dead() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let here = |shared| Here { host: "vm".into(), shared };
        for (lock, shared, seen, holder) in [
            (lock("vm", 0), false, Seen::Runs, Holder::Alive),
            (lock("vm", 0), false, Seen::RunsAsAnother, Holder::Doubtful),
            (lock("vm", 0), false, Seen::Gone, Holder::Dead),
            (lock("vm", 0), true, Seen::Gone, Holder::Doubtful),
            (lock("vm", 31), true, Seen::Gone, Holder::Dead),
            (lock("pod", 29), false, Seen::Gone, Holder::Alive),
            (lock("pod", 31), false, Seen::Gone, Holder::Dead),
            (lock("pod", -60), false, Seen::Gone, Holder::Alive),
        ] {
            assert_eq!(here(shared).holder(&lock, now, |_| seen), holder, "{lock} {shared} {seen:?}");
        }
    }

    #[test]
    fn a_process_that_runs_is_seen() {
        assert_eq!(seen(std::process::id()), Seen::Runs);
        // No process has these numbers.
        assert_eq!([seen(0), seen(u32::MAX), seen(1 << 30)], [Seen::Gone; 3]);
    }

    #[test]
    fn a_lock_says_who_holds_it_since_when() {
        assert_eq!(lock("vm", 0).to_string(), "process 7 of root on vm, since 2026-11-21T12:00:00Z, alone");
    }
}
