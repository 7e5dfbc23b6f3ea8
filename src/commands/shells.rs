//! `bkp completions` and `bkp man`: what shells and `man` read. Both need no settings.

use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::generated::{self, Shell};
use crate::exit::Exit;
use crate::report;

/// Prints what the shell reads.
///
/// # Errors
/// When standard output takes nothing.
pub fn completions(shell: Shell) -> Result<Exit> {
    report::text(&generated::completions(shell))?;
    Ok(Exit::Done)
}

/// Writes the manual pages into a directory, which is made.
///
/// # Errors
/// When it cannot be made or written to.
pub fn man(directory: &Path) -> Result<Exit> {
    let made = std::fs::create_dir_all(directory).and_then(|()| generated::manuals(directory));
    made.with_context(|| format!("writing manual pages to {}", directory.display()))?;
    Ok(Exit::Done)
}
