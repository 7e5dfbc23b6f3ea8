//! The built binary, run as a pod runs it: in an environment that holds what the test says and nothing else.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::cluster::Cluster;
use super::gcs::{BUCKET, Gcs};
use super::wait::poll;
use super::workdir::WorkDir;

/// Longer than anything a test lets bkp do: a run past it hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// A run of bkp in the making: `Bkp::new(&cluster).bucket(&dir).args(["backup"]).run().ok()`.
pub struct Bkp {
    command: Command,
    input: Option<Vec<u8>>,
    limit: Duration,
    home: WorkDir,
}

impl Bkp {
    /// bkp without any setting.
    pub fn bare() -> Self {
        Self::by(Command::new(env!("CARGO_BIN_EXE_bkp")))
    }

    /// bkp by way of another program that becomes it.
    pub fn by(mut command: Command) -> Self {
        let home = WorkDir::new();
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path()).env("TMPDIR", home.dir("tmp"));
        command.env("RUST_BACKTRACE", "1").current_dir(home.path()).process_group(0);
        Self { command, input: None, limit: LIMIT, home }
    }

    /// The same by way of a program that is given bkp, or what stands in its place, and its arguments as its own last words.
    #[must_use]
    pub fn by_way_of<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut words = words.into_iter();
        let mut outer = Command::new(words.next().expect("a program"));
        outer.args(words).arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        outer.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        outer.current_dir(self.home.path()).process_group(0);
        self.command = outer;
        self
    }

    /// bkp that is told how to reach a server and where its clients are; the application is called `shop`.
    pub fn new(cluster: &Cluster) -> Self {
        let mut bkp = Self::bare().env("BKP_APP", "shop");
        bkp.command.envs(cluster.env());
        bkp
    }

    /// Lets another name be the program's: the field's manifests call it by the names of old scripts.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        self.command.arg0(name);
        self
    }

    /// Dumps go to this directory.
    #[must_use]
    pub fn bucket(self, directory: &Path) -> Self {
        let url = format!("file://{}", directory.display());
        self.env("BKP_BUCKET", url)
    }

    /// Stores dumps in Google's emulator, `below` a prefix such as `/shop`, or none.
    #[must_use]
    pub fn google(self, gcs: &Gcs, below: &str) -> Self {
        self.env("BKP_BUCKET", format!("gs://{BUCKET}{below}")).env("STORAGE_EMULATOR_HOST", gcs.host())
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Takes a variable out.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.command.env_remove(key);
        self
    }

    /// Arguments, after those given before.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs as this user and group.
    #[must_use]
    pub fn user(mut self, id: u32) -> Self {
        for directory in [self.home.path().to_owned(), self.home.join("tmp")] {
            std::os::unix::fs::chown(directory, Some(id), Some(id)).expect("chown needs root");
        }
        self.command.uid(id).gid(id);
        self
    }

    /// What stands on standard input; without it there is none.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// How long it may take before the test fails; two minutes otherwise.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it is not over in time, with what it said so far.
    pub fn run(self) -> Output {
        self.spawn().wait()
    }

    /// Runs it with its standard output somewhere else; gives the exit code.
    pub fn status_with_stdout(mut self, to: Stdio) -> i32 {
        self.command.stdin(Stdio::null()).stdout(to).stderr(Stdio::null());
        code(self.command.status().expect("bkp starts"))
    }

    /// Starts it and lets it run.
    pub fn spawn(mut self) -> Running {
        let line = format!("{:?}", self.command);
        self.command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bkp starts");
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), self.input) {
            // It may stop reading early; its exit status tells.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        Running { line, child, output: Some([stdout, stderr]), limit: self.limit, _home: self.home }
    }
}

/// A thread that gives what it read from a pipe.
type Collector = JoinHandle<Vec<u8>>;

/// Reads a pipe to its end beside the test, so that the program never blocks on it.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Collector {
    thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is what the test gets to see.
            let _ = pipe.read_to_end(&mut all);
        }
        all
    })
}

/// A bkp that is running. Dropped, it is killed together with every child of its own.
pub struct Running {
    line: String,
    child: Child,
    output: Option<[Collector; 2]>,
    limit: Duration,
    _home: WorkDir,
}

impl Running {
    /// Sends a signal to bkp alone, as Kubernetes does.
    pub fn kill(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Sends a signal to bkp and its children, as a terminal's Ctrl-C does.
    pub fn kill_group(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it is not over in time, with what it said so far.
    pub fn wait(mut self) -> Output {
        let ended = poll(self.limit, || self.child.try_wait().expect("wait for bkp"));
        if ended.is_none() {
            self.kill_group(Signal::KILL);
        }
        let [stdout, stderr] = self.output.take().expect("waited for once");
        let bytes = stdout.join().unwrap_or_default();
        let stderr = String::from_utf8_lossy(&stderr.join().unwrap_or_default()).into_owned();
        let stdout = String::from_utf8_lossy(&bytes).into_owned();
        let line = self.line.clone();
        let Some(status) = ended else {
            panic!("still running after {:?}: {line}\n{}", self.limit, told(&stdout, &stderr));
        };
        Output { code: code(status), line, stdout, stderr, bytes }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The exit code as a shell tells it: 128 and the signal's number for one that was killed.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// What a run left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; 128 + n when signal n killed it.
    pub code: i32,
    /// Standard output as text.
    pub stdout: String,
    /// Standard error as text.
    pub stderr: String,
    /// Standard output as it came.
    pub bytes: Vec<u8>,
    line: String,
}

impl Output {
    /// Passes it on when it succeeded.
    ///
    /// # Panics
    /// With everything it said when the exit code is not 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.fails_with(0)
    }

    /// Passes it on when it ended with this exit code.
    ///
    /// # Panics
    /// With everything it said when the exit code is another.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert!(
            self.code == code,
            "exit {}, not {code}: {}\n{}",
            self.code,
            self.line,
            told(&self.stdout, &self.stderr)
        );
        self
    }

    /// Passes it on when standard output or standard error holds a text.
    ///
    /// # Panics
    /// With everything it said when neither does.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(said, "does not say {text:?}: {}\n{}", self.line, told(&self.stdout, &self.stderr));
        self
    }

    /// Passes it on when neither output holds a text, such as a password.
    ///
    /// # Panics
    /// With everything it said when one does.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!said, "says {text:?}: {}", told(&self.stdout, &self.stderr));
        self
    }
}

fn told(stdout: &str, stderr: &str) -> String {
    format!("--- stdout\n{stdout}\n--- stderr\n{stderr}")
}
