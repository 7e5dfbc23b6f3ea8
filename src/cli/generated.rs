//! Completions and manual pages, made of the same arguments and texts as the help, and only when they are asked for.

use std::path::Path;
use std::{fs, io};

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
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    for command in std::iter::once(&whole).chain(whole.get_subcommands()) {
        let manual = clap_mangen::Man::new(command.clone());
        let mut page = Vec::new();
        manual.render(&mut page)?;
        fs::write(directory.join(manual.get_filename()), as_it_stands(&String::from_utf8_lossy(&page)))?;
    }
    Ok(())
}

/// Keeps lines that are set off, examples above all, from being filled and justified: they are to be copied.
fn as_it_stands(page: &str) -> String {
    let (mut text, mut is_set_off) = (String::with_capacity(page.len()), false);
    for line in page.lines() {
        if line.starts_with("  ") != is_set_off {
            is_set_off = !is_set_off;
            text.push_str(if is_set_off { ".nf\n" } else { ".fi\n" });
        }
        text.push_str(if line == ".SH EXTRA" { ".SH EXAMPLES" } else { line });
        text.push('\n');
    }
    text
}
