//! Starting programs and feeding or reading them. A child's bad exit is a read error at the end of its output.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Sender;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::living::{Living, TO_HANG_UP, TO_UNLOCK_A_READING};
use super::tail;

/// A program to start: nothing of our own environment reaches it but what is listed here.
#[derive(Debug, Clone)]
pub struct Program {
    /// The file to execute.
    pub path: PathBuf,
    /// Its arguments; never a secret, since every user of the machine can read them.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(String, OsString)>,
}

impl Program {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts children")]
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        // Messages are matched and shown: one language. A group of its own: Ctrl-C reaches us first, and we end it in order.
        command.env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin").process_group(0).kill_on_drop(true);
        command
    }

    pub(super) fn name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    pub(super) fn spawn(&self, command: &mut Command) -> Result<Child> {
        command.spawn().with_context(|| format!("cannot start {}", self.path.display()))
    }
}

/// Runs a program to its end and returns what it printed.
///
/// # Errors
/// When it cannot be started, or ends badly; its last words are in the message.
pub async fn output(program: &Program) -> Result<Vec<u8>> {
    let mut producer = Producer::start(program)?;
    let mut all = BytesMut::new();
    while producer.read(&mut all).await? > 0 {}
    Ok(all.to_vec())
}

/// A child whose output we want.
pub struct Producer {
    name: String,
    living: Living,
    stdout: ChildStdout,
    stderr: Option<JoinHandle<String>>,
}

impl Producer {
    /// Starts the program with its output in a pipe of one megabyte, so that it works on while we compress. Dropped, it is asked to
    /// hang up, and killed if it lingers.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Program) -> Result<Producer> {
        Self::patient(program, TO_HANG_UP)
    }

    /// The same for a program that holds a lock somewhere: it gets the time to remove it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn with_lock(program: &Program) -> Result<Producer> {
        Self::patient(program, TO_UNLOCK_A_READING)
    }

    fn patient(program: &Program, patience: Duration) -> Result<Producer> {
        let mut command = program.command();
        let child = program.spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let mut living = Living::new(child, patience)?;
        let (stdout, stderr) = living.pipes()?;
        // Best effort: the kernel may cap the size for users who hold many pipes.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, 1 << 20);
        Ok(Producer { name: program.name(), living, stdout, stderr: Some(tokio::spawn(tail::drain(stderr))) })
    }

    /// Appends what comes next; 0 means the program ended, and ended well.
    ///
    /// # Errors
    /// A bad exit or a signal, at the end of the output, with the program's last words.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize> {
        buffer.reserve(1 << 18);
        let n = self.stdout.read_buf(buffer).await.with_context(|| format!("reading from {}", self.name))?;
        if n == 0 {
            let status = self.living.child.wait().await?;
            let words = match self.stderr.take() {
                Some(stderr) => stderr.await.unwrap_or_default(),
                None => String::new(),
            };
            if !status.success() {
                bail!(super::BadEnd { name: self.name.clone(), status, words });
            }
            for line in words.lines().filter(|line| !line.trim().is_empty()) {
                tracing::warn!("{}: {line}", self.name);
            }
        }
        Ok(n)
    }
}

/// A child that we feed. Dropped before [`Consumer::finish`], it is killed: an input that merely ends would look complete to it.
pub struct Consumer {
    name: String,
    child: Child,
    stdin: Option<Sender>,
    /// Whether its pipe is as large as was asked for.
    is_roomy: bool,
    stdout: UnboundedReceiver<Vec<u8>>,
    stderr: Option<JoinHandle<()>>,
}

/// How long a full pipe is left alone. A child that reads a page at a time makes room for a page, and whoever fills that at once is
/// woken for each page of a dump. A pipe of [`PIPE_BYTES`] does not run dry meanwhile; a smaller one would.
const TO_DRAIN: Duration = Duration::from_millis(2);

/// How much a pipe to a child holds, where the system gives so much.
const PIPE_BYTES: usize = 1 << 20;

/// How a [`Consumer`] ended.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What the filter kept of its standard output and [`Consumer::line`] did not take.
    pub stdout: Vec<u8>,
}

impl Consumer {
    /// Starts the program; of its output only the lines that `keep` wants are held, and each line of its standard error is told to
    /// `hear`, as soon as it comes, cut where it is very long; nothing at the end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        program: &Program,
        keep: fn(&[u8]) -> bool,
        hear: impl FnMut(Option<&[u8]>) + Send + 'static,
    ) -> Result<Consumer> {
        let mut command = program.command();
        let mut child = program.spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let stdin = child.stdin.take().context("no pipe to the child")?.into_owned_fd()?;
        let stdout = child.stdout.take().context("no pipe from the child")?;
        let stderr = child.stderr.take().context("no pipe from the child")?;
        // Where many pipes are open, a new one is small, and stays so.
        let is_roomy = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE_BYTES).is_ok_and(|bytes| bytes >= PIPE_BYTES);
        let (tell, told) = unbounded_channel();
        tokio::spawn(keep_lines(stdout, keep, tell));
        Ok(Consumer {
            name: program.name(),
            child,
            stdin: Some(Sender::from_owned_fd(stdin)?),
            is_roomy,
            stdout: told,
            stderr: Some(tokio::spawn(tail::listen(tokio::io::BufReader::new(stderr), hear))),
        })
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// When the program no longer reads; call [`Consumer::last_words`] for why.
    pub async fn write(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        let Some(stdin) = &self.stdin else { return Err(ErrorKind::BrokenPipe.into()) };
        while !bytes.is_empty() {
            match stdin.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(full) if full.kind() == ErrorKind::WouldBlock => {
                    if self.is_roomy {
                        tokio::time::sleep(TO_DRAIN).await;
                    }
                    stdin.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next line that was kept, with its end, as soon as the program prints it; nothing when it has closed its output.
    pub async fn line(&mut self) -> Option<Vec<u8>> {
        self.stdout.recv().await
    }

    /// Ends the input and waits. Only for an input that is known to be whole.
    ///
    /// # Errors
    /// When waiting fails; a bad exit is in the returned status.
    pub async fn finish(mut self) -> Result<Ended> {
        drop(self.stdin.take());
        self.wait().await
    }

    /// For a child that stopped reading by itself: waits for its end without ending its input first.
    ///
    /// # Errors
    /// When waiting fails.
    pub async fn last_words(mut self) -> Result<Ended> {
        self.wait().await
    }

    async fn wait(&mut self) -> Result<Ended> {
        let status = self.child.wait().await.with_context(|| format!("waiting for {}", self.name))?;
        let mut stdout = Vec::new();
        while let Some(line) = self.stdout.recv().await {
            stdout.extend_from_slice(&line);
        }
        if let Some(heard) = self.stderr.take() {
            let _ = heard.await;
        }
        Ok(Ended { status, stdout })
    }
}

async fn keep_lines(from: ChildStdout, keep: fn(&[u8]) -> bool, tell: UnboundedSender<Vec<u8>>) {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while let Ok(n) = from.read_until(b'\n', &mut line).await {
        if n == 0 {
            break;
        }
        if keep(&line) {
            // Whoever does not listen any more wants the program to go on all the same.
            let _ = tell.send(std::mem::take(&mut line));
        }
        line.clear();
    }
}

/// "exited with status 1" or "was killed by signal 9".
pub fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

pub(super) fn quoted(words: &str) -> String {
    let words = words.trim();
    if words.is_empty() { String::new() } else { format!(": {words}") }
}
