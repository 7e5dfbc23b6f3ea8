//! A child that is started before its time and waits at a gate: a file that it reads when it has made itself ready, before it begins.
//!
//! The file is a pipe of ours ([`GATE`]). A word that is wrong by itself stands in it from the beginning, and the rest of it, which
//! makes it right, comes when the gate is opened. So a child whose parent dies at any instant reads the wrong word, and gives up.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::task::JoinHandle;

use super::Program;
use super::task::{Line, Living, lines};

/// The file that the child is to read, as an argument: its own standard input.
pub const GATE: &str = "/proc/self/fd/0";

/// A child at its gate. Dropped, it is asked to end, then killed.
pub struct Gated<T> {
    name: String,
    // Before the pipe: the program is gone when that is closed.
    living: Living,
    gate: ChildStdin,
    said: JoinHandle<T>,
}

impl<T: Send + 'static> Gated<T> {
    /// Starts the program in a directory. What it says goes line by line to `hear`, which keeps it in `heard`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(
        program: &Program,
        directory: &Path,
        wrong: &[u8],
        mut heard: T,
        hear: fn(&mut T, Line<'_>),
    ) -> Result<Gated<T>> {
        let mut command = program.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(directory);
        let mut living = Living(program.spawn(&mut command)?);
        let mut gate = living.0.stdin.take().context("no pipe to the child")?;
        let (stdout, stderr) = living.pipes()?;
        let said = tokio::spawn(async move {
            lines(stdout, stderr, &mut |line: Line<'_>| hear(&mut heard, line)).await;
            heard
        });
        // A child that is gone already tells why at the end.
        let _ = gate.write_all(wrong).await;
        Ok(Gated { name: program.name(), living, gate, said })
    }

    /// Opens the gate with the rest of the word, and waits for the child's end.
    ///
    /// # Errors
    /// When waiting fails; a bad exit is in the status.
    pub async fn open(mut self, rest: &[u8]) -> Result<(ExitStatus, T)> {
        let _ = self.gate.write_all(rest).await;
        drop(self.gate);
        let status = self.living.0.wait().await.with_context(|| format!("waiting for {}", self.name))?;
        Ok((status, self.said.await.context("listening to a child")?))
    }
}
