//! Running a program to its end with its input given and its output kept.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::wait::poll;

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Whether it exited with 0.
    pub success: bool,
    /// Everything on standard output.
    pub stdout: Vec<u8>,
    /// Everything on standard error, bytes that are not UTF-8 replaced.
    pub stderr: String,
}

impl Ran {
    /// Standard output as text without its last newline.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.stdout);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }
}

/// Longer than any program may take that a test runs to its end.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a command, feeding it while reading from it: a program that answers before it has read all must not block.
///
/// # Panics
/// When it cannot be started, or is not over in two minutes.
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    run_within(command, input, LIMIT).unwrap_or_else(|| panic!("still running after {LIMIT:?}: {command:?}"))
}

/// The same with a limit; nothing when the program was not over by then and had to be killed.
///
/// # Panics
/// When it cannot be started.
pub fn run_within(command: &mut Command, input: &[u8], limit: Duration) -> Option<Ran> {
    let program = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A program that ends before its input does says so in its exit status.
                let _ = stdin.write_all(input);
            }
        });
        let (stdout, stderr) = (scope.spawn(|| all(stdout)), scope.spawn(|| all(stderr)));
        let ended = poll(limit, || child.try_wait().expect("wait for a child"));
        if ended.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let (stdout, stderr) = (stdout.join().expect("its output"), stderr.join().expect("its errors"));
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        ended.map(|status| Ran { success: status.success(), stdout, stderr })
    })
}

fn all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(mut pipe) = pipe {
        // What was read before an error is what the test gets to see.
        let _ = pipe.read_to_end(&mut all);
    }
    all
}
