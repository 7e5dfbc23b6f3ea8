//! Completions and manual pages, made of the same arguments and texts as the help, and only when they are asked for.

use std::io;
use std::path::Path;

use clap::{CommandFactory, ValueEnum};

use super::Cli;

/// The shells that can complete a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// What a shell reads to complete the command lines of bkp.
pub fn completions(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bkp", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes `bkp.1` and a page for each command, such as `bkp-restore.1`.
///
/// # Errors
/// When the directory, which has to be there, takes no file.
pub fn manuals(directory: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory)
}
