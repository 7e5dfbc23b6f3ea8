//! Programs that must not outlive us: a server and what makes its data, and what restores files.
//!
//! The kernel tells a child of its parent's death when it asks for that, and takes the *thread* that started it for the parent. So
//! each of these has a thread of its own, which starts it and waits for it. What asks is the child itself, between its start and
//! the program: our own program once more, with a word that nobody types, which asks and then becomes the other one.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::Program;

/// The word after bkp's name that makes it wait for its parent's death; nobody types it.
pub const WORD: &str = "hold-program";

/// How a program is told that we are dead.
const ENDS_AT_ONCE: &str = "QUIT";
const ENDS_IN_ORDER: &str = "TERM";

/// How long it may take to end when it is asked to. A server that throws everything away needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running program that ends when this is dropped, and when we die, whatever we die of.
#[derive(Debug)]
pub struct Held {
    name: String,
    group: Pid,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    status: Option<ExitStatus>,
}

/// Where and as whom it runs.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// Its working directory.
    pub directory: &'a Path,
    /// User and group that it gets, without any other group; ours otherwise.
    pub account: Option<(u32, u32)>,
    /// Takes its standard output and its standard error.
    pub log: &'a File,
}

impl Held {
    /// Starts the program.
    ///
    /// # Errors
    /// When it cannot be started, or the account cannot be taken.
    #[expect(clippy::disallowed_methods, reason = "this is one of the places that start children")]
    pub async fn start(program: &Program, holding: Holding<'_>) -> Result<Held> {
        // Not by our process's number: that link is closed to a child that has become another account.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("bkp").args(ahead(program, ENDS_AT_ONCE));
        command.env_clear().envs(program.environment.iter().map(|(name, value)| (name, value)));
        command.env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin").process_group(0);
        command.current_dir(holding.directory).stdin(Stdio::null());
        command.stdout(holding.log.try_clone()?).stderr(holding.log.try_clone()?);
        if let Some((user, group)) = holding.account {
            command.gid(group).uid(user);
        }
        let (tell_started, started) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        std::thread::Builder::new().name("holds a program".to_owned()).spawn(move || match command.spawn() {
            Err(error) => drop(tell_started.send(Err(error))),
            Ok(mut child) => {
                if tell_started.send(Ok(child.id())).is_err() {
                    // Nobody waits for it any more.
                    let _ = child.kill();
                }
                let _ = tell_ended.send(child.wait());
            }
        })?;
        let cannot = || format!("cannot start {}", program.path.display());
        let id = started.await.context("the thread that starts it is gone")?.with_context(cannot)?;
        let group = i32::try_from(id).ok().and_then(Pid::from_raw).context("a process without a number")?;
        Ok(Held { name: program.name(), group, ended, status: None })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When waiting fails; a bad end is in the status.
    pub async fn end(mut self) -> Result<ExitStatus> {
        let status = (&mut self.ended).await.context("the thread that waits for it is gone")?;
        let status = status.with_context(|| format!("waiting for {}", self.name))?;
        self.status = Some(status);
        Ok(status)
    }

    /// How it has ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        if let Ok(Ok(status)) = self.ended.try_recv() {
            self.status = Some(status);
        }
        self.status
    }

    fn is_gone(&mut self) -> bool {
        self.status.is_some() || !matches!(self.ended.try_recv(), Err(TryRecvError::Empty))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for signal in [Signal::QUIT, Signal::KILL] {
            if self.is_gone() {
                return;
            }
            let _ = kill_process_group(self.group, signal);
            let asked = Instant::now();
            while asked.elapsed() < PATIENCE {
                if self.is_gone() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// What stands behind our name when we are to become the program.
fn ahead(program: &Program, signal: &str) -> Vec<OsString> {
    let mut ahead = [WORD, &std::process::id().to_string(), signal].map(OsString::from).to_vec();
    ahead.push(program.path.clone().into());
    ahead.extend_from_slice(&program.arguments);
    ahead
}

/// The thread that stands for us as the parent of a child; the child is told to end when it does.
pub(super) struct Parent(#[expect(dead_code, reason = "the thread ends when this is dropped")] mpsc::Sender<()>);

impl Program {
    /// The same program, started so that it is asked to end when its [`Parent`] does.
    pub(super) fn held(&self, own: &Path) -> Program {
        let arguments = ahead(self, ENDS_IN_ORDER);
        Program { path: own.to_owned(), arguments, environment: self.environment.clone() }
    }
}

impl Parent {
    /// Starts a [held](Program::held) program by a thread of its own: those of the runtime come and go.
    pub(super) async fn start(mut command: tokio::process::Command) -> Result<(Child, Parent)> {
        let (tell, told) = oneshot::channel();
        let (parent, until) = mpsc::channel();
        let runtime = Handle::current();
        std::thread::Builder::new().name("holds a program".to_owned()).spawn(move || {
            let _inside = runtime.enter();
            if tell.send(command.spawn()).is_ok() {
                // Nothing is ever sent: until the other end is gone.
                let _ = until.recv();
            }
        })?;
        Ok((told.await.context("the thread that starts it is gone")??, Parent(parent)))
    }
}

/// Asks to be ended with its parent, whose number is the first of `arguments`, by the signal that is the second, and becomes the program
/// in the others.
///
/// Gives back why it could not; the process must end badly then.
#[expect(clippy::disallowed_methods, reason = "what is started is what bkp started this for")]
pub fn hold(arguments: &[OsString]) -> io::Error {
    let [parent, signal, program, rest @ ..] = arguments else { return io::ErrorKind::InvalidInput.into() };
    // A server takes QUIT for the order to end at once; restic takes its lock back at TERM.
    let signal = if signal == ENDS_IN_ORDER { Signal::TERM } else { Signal::QUIT };
    if let Err(error) = set_parent_process_death_signal(Some(signal)) {
        return error.into();
    }
    // It may have died before we asked.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if now.as_deref() != parent.to_str() {
        return io::Error::other("the process that wanted it is dead");
    }
    Command::new(program).args(rest).exec()
}
