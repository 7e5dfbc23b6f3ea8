//! Running a program to its end with its input given and its output kept.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

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

/// Runs a command, feeding it while reading from it: a program that answers before it has read all must not block.
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let program = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A program that ends before its input does says so in its exit status.
                let _ = stdin.write_all(input);
            }
        });
        child.wait_with_output()
    })
    .expect("output of a child");
    Ran {
        success: output.status.success(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
