//! What happens to the world around a run, and how it is made good again.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::fault::{Fault, Right};

/// Names that lead to the servers.
pub const NAMES: &str = "127.0.0.1 localhost db.bkp.test store.bkp.test api.bkp.test\n";

/// What bkp's environment consists of, as far as faults change it.
#[derive(Clone)]
pub struct World {
    /// The small file system that holds all that bkp writes, but the metrics.
    pub small: PathBuf,
    /// The small file system of PostgreSQL's own files.
    pub server_small: PathBuf,
    /// Held while one of them is filled: a file that is removed meanwhile would go on to take space.
    pub filling: Arc<Mutex<()>>,
    /// Who bkp is.
    pub user: u32,
    /// What stands for `/etc/hosts`.
    pub hosts: PathBuf,
    /// By how much bkp's clock is wrong, where the library reads it.
    pub clock: PathBuf,
    /// psql as superuser, with all of its arguments but the statement.
    pub psql: Option<Vec<String>>,
}

impl World {
    /// Does it to the run of this process id.
    pub fn strike(&self, fault: Fault, bkp: u32) {
        let process = Pid::from_raw(i32::try_from(bkp).expect("a process id")).expect("a process id");
        let signal = |signal| kill_process(process, signal).unwrap_or_default();
        match fault {
            Fault::DiskFull => self.fill(&self.small),
            Fault::ServerFull => self.fill(&self.server_small),
            Fault::NoDescriptors => {
                let open = fs::read_dir(format!("/proc/{bkp}/fd")).map_or(0, Iterator::count) as u64;
                limit(bkp, self.user, "nofile", open);
            }
            Fault::NoMemory => limit(bkp, self.user, "as", address_space_bytes(bkp)),
            Fault::Clock(days) => drop(fs::write(&self.clock, format!("{days:+}d\n"))),
            Fault::Denied(right) => self.deny(right),
            // In place: it is mounted.
            Fault::NoNames => drop(fs::write(&self.hosts, "127.0.0.1 localhost\n")),
            Fault::Term => signal(Signal::TERM),
            Fault::IntTwice => {
                signal(Signal::INT);
                sleep(Duration::from_millis(10));
                signal(Signal::INT);
            }
            Fault::KillAlone => signal(Signal::KILL),
            Fault::Kill => kill_all(bkp),
            Fault::Exits | Fault::Killed | Fault::Hangs | Fault::Reset | Fault::Status(_) | Fault::Flipped => {}
            Fault::Stalls | Fault::Silent | Fault::Frozen | Fault::Unanswered => {}
        }
    }

    /// Makes all good that a strike changed outside of the process.
    pub fn relieve(&self) {
        let filled = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = fs::remove_file(self.small.join(FILLER));
        let _ = fs::remove_file(self.server_small.join(FILLER));
        drop(filled);
        let _ = fs::write(&self.clock, "+0d\n");
        let _ = fs::write(&self.hosts, NAMES);
        for name in ["repository", "files"] {
            let _ = chown(self.small.join(name), Some(self.user), Some(self.user));
        }
        if fs::metadata(self.denied_database()).is_ok() {
            self.sql("ALTER ROLE keeper SUPERUSER LOGIN");
            let _ = fs::remove_file(self.denied_database());
        }
    }

    fn denied_database(&self) -> PathBuf {
        self.clock.with_file_name("denied")
    }

    fn fill(&self, at: &Path) {
        let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(mut filler) = fs::File::create(at.join(FILLER)) else { return };
        for size in [1 << 20, 4096, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn deny(&self, right: Right) {
        let close = |path: &Path| {
            let _ = chown(path, Some(0), Some(0));
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        };
        match right {
            Right::Repository => close(&self.small.join("repository")),
            Right::Files => close(&self.small.join("files")),
            Right::Database => {
                let _ = fs::write(self.denied_database(), "");
                self.sql("ALTER ROLE keeper NOSUPERUSER NOLOGIN");
            }
        }
    }

    fn sql(&self, statement: &str) {
        if let Some([program, arguments @ ..]) = self.psql.as_deref() {
            let ran = Command::new(program).args(arguments).arg(statement).output();
            assert!(ran.is_ok_and(|ran| ran.status.success()), "{statement}");
        }
    }
}

/// What takes up a small file system.
const FILLER: &str = "filler";

/// By the account itself: who lowers another's limits needs a right that containers do not have.
fn limit(bkp: u32, user: u32, what: &str, to: u64) {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &bkp.to_string()]).arg(format!("--{what}={to}:{to}")).uid(user).gid(user);
    let ran = prlimit.output();
    assert!(ran.is_ok_and(|ran| ran.status.success()), "prlimit of util-linux");
}

fn address_space_bytes(pid: u32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    pages.split(' ').next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// The process and all that come from it, stopped first so that none is born meanwhile.
fn kill_all(pid: u32) {
    let signal = |pid: u32, signal| {
        if let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(process, signal);
        }
    };
    signal(pid, Signal::STOP);
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).for_each(kill_all);
    }
    signal(pid, Signal::KILL);
}
