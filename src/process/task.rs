//! A child whose every line matters: run to its end, or fed, and ended in order when it is no longer wanted.

use std::fmt;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use super::child::{ended, quoted};
use super::hold::Parent;
use super::living::{Living, TO_UNLOCK};
use super::{Program, relay};

/// How often is looked whether a child has begun to read.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What is held of a fed child's output.
const KEPT_BYTES: usize = 256 * 1024;

/// A program that ended badly; its words as they came.
#[derive(Debug)]
pub struct BadEnd {
    /// The program.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard error.
    pub words: String,
}

impl fmt::Display for BadEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.name, ended(self.status), quoted(&self.words))
    }
}

impl std::error::Error for BadEnd {}

/// A program that did not end in time, and was ended.
#[derive(Debug)]
pub struct Overdue {
    /// The program.
    pub name: String,
    /// What it was given.
    pub limit: Duration,
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was ended because it took longer than {} s", self.name, self.limit.as_secs())
    }
}

impl std::error::Error for Overdue {}

/// One line that a child wrote, without its end.
#[derive(Debug, Clone, Copy)]
pub enum Line<'a> {
    /// On its standard output.
    Out(&'a [u8]),
    /// On its standard error.
    Err(&'a [u8]),
}

/// What a child is given beside its program.
#[derive(Debug, Clone, Copy, Default)]
pub struct How<'a> {
    /// Where it works; ours otherwise.
    pub directory: Option<&'a Path>,
    /// Its whole standard input: there before it starts, so that our death cannot cut it short, and in no file of any disk.
    pub input: Option<&'a [u8]>,
    /// When it is ended at the latest.
    pub limit: Option<Duration>,
    /// Our own program, for a child that is asked to end when we die, whatever we die of.
    pub held: Option<&'a Path>,
}

/// Runs a program to its end and hands on each line as it comes. Dropped, the program is asked to end, then killed.
///
/// # Errors
/// When it cannot be started, or [`Overdue`]. A bad exit is in the status.
pub async fn run(program: &Program, how: How<'_>, mut line: impl FnMut(Line<'_>) + Send) -> Result<ExitStatus> {
    let mut command = how.held.map_or_else(|| program.command(), |own| program.held(own).command());
    command.stdin(how.input.map_or_else(|| Ok(Stdio::null()), held)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(directory) = how.directory {
        command.current_dir(directory);
    }
    let (child, _parent) = if how.held.is_some() {
        let cannot = || format!("cannot start {}", program.path.display());
        let (child, parent) = Parent::start(command).await.with_context(cannot)?;
        (child, Some(parent))
    } else {
        (program.spawn(&mut command)?, None)
    };
    // Gone before its parent is: it is asked once.
    let mut living = Living::new(child, TO_UNLOCK)?;
    let (stdout, stderr) = living.pipes()?;
    let to_the_end = async {
        lines(stdout, stderr, &mut line).await;
        living.child.wait().await
    };
    let status = match how.limit {
        None => to_the_end.await,
        Some(limit) => match tokio::time::timeout(limit, to_the_end).await {
            Ok(status) => status,
            Err(_) => bail!(Overdue { name: program.name(), limit }),
        },
    };
    status.with_context(|| format!("waiting for {}", program.name()))
}

/// A file in memory, to be read from its beginning.
fn held(input: &[u8]) -> Result<Stdio> {
    let memory =
        rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC).context("no memory for an input")?;
    let mut file = std::fs::File::from(memory);
    file.write_all(input)?;
    file.rewind()?;
    Ok(Stdio::from(file))
}

async fn lines(stdout: ChildStdout, stderr: ChildStderr, line: &mut (impl FnMut(Line<'_>) + Send)) {
    let (mut out, mut err) = (BufReader::new(stdout).split(b'\n'), BufReader::new(stderr).split(b'\n'));
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            next = out.next_segment(), if out_open => match next {
                Ok(Some(bytes)) => line(Line::Out(&bytes)),
                _ => out_open = false,
            },
            next = err.next_segment(), if err_open => match next {
                Ok(Some(bytes)) => line(Line::Err(&bytes)),
                _ => err_open = false,
            },
        }
    }
}

/// A child that we feed through a [relay](super::relay): only what is said to be whole is whole to it.
pub struct Feed {
    name: String,
    // Before the pipe: the program is gone when that is closed.
    living: Living,
    stdin: ChildStdin,
    said: Option<JoinHandle<(Vec<u8>, Vec<u8>)>>,
}

impl Feed {
    /// Starts the program, which must start the relay.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Program) -> Result<Feed> {
        let mut command = program.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut living = Living::new(program.spawn(&mut command)?, TO_UNLOCK)?;
        let stdin = living.child.stdin.take().context("no pipe to the child")?;
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, 1 << 20);
        let (stdout, stderr) = living.pipes()?;
        let said = tokio::spawn(async move {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut keep = |line: Line<'_>| {
                let (kept, bytes) = match line {
                    Line::Out(bytes) => (&mut out, bytes),
                    Line::Err(bytes) => (&mut err, bytes),
                };
                // The last words say how it ended.
                if kept.len() > 2 * KEPT_BYTES {
                    kept.drain(..KEPT_BYTES);
                }
                kept.extend_from_slice(bytes);
                kept.push(b'\n');
            };
            lines(stdout, stderr, &mut keep).await;
            (out, err)
        });
        // Written before anybody reads: an empty pipe holds it.
        let begun = rustix::io::write(&stdin, &relay::MAGIC);
        if begun.is_ok_and(|bytes| bytes != relay::MAGIC.len()) {
            bail!("a new pipe took less than {} bytes", relay::MAGIC.len());
        }
        Ok(Feed { name: program.name(), living, stdin, said: Some(said) })
    }

    /// Waits until the program has started the relay, which takes the first word out of the pipe; false when it ended before.
    ///
    /// # Errors
    /// When the pipe cannot be looked at.
    pub async fn taken(&mut self) -> Result<bool> {
        loop {
            let running = self.living.running();
            // Looked at after that: a relay may have come and gone.
            if rustix::io::ioctl_fionread(&self.stdin).context("looking at a pipe")? == 0 {
                return Ok(true);
            }
            if !running {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// When the program no longer reads; [`Feed::end`] tells why.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for part in bytes.chunks(1 << 20) {
            self.stdin.write_all(&relay::head(u32::try_from(part.len()).unwrap_or(0))).await?;
            self.stdin.write_all(part).await?;
        }
        Ok(())
    }

    /// Says that all is there. From here on the program may store it.
    ///
    /// # Errors
    /// When the program no longer reads.
    pub async fn whole(&mut self) -> std::io::Result<()> {
        self.stdin.write_all(&relay::head(0)).await?;
        self.stdin.flush().await
    }

    /// Waits until the program ends by itself; gives how, its standard output and its standard error.
    ///
    /// # Errors
    /// When waiting fails.
    pub async fn end(&mut self) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
        let status = self.living.child.wait().await.with_context(|| format!("waiting for {}", self.name))?;
        let (out, err) = match self.said.take() {
            Some(said) => said.await.unwrap_or_default(),
            None => Default::default(),
        };
        Ok((status, out, err))
    }
}
