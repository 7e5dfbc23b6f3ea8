//! The note of what is paused, outside the process. It is there before the pausing begins and goes when all is resumed, so it may name
//! something that was never paused, and never lacks something that was.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::file::Noted;

const FORMAT: u32 = 1;

/// What stands in the note. No commands: those may hold secrets, and their settings are there at the next start too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    format: u32,
    /// The application.
    pub app: String,
    /// The run that pauses.
    pub run: String,
    /// The maintenance file, if it is ours.
    pub file: Option<Noted>,
    /// Whether the pause command was called.
    pub commands: bool,
}

impl Mark {
    pub fn new(app: &str, run: &str) -> Mark {
        Mark { format: FORMAT, app: app.to_owned(), run: run.to_owned(), file: None, commands: false }
    }
}

/// The note's place beside a maintenance file. Hidden, and with an ending of its own: the application reads that directory.
pub fn beside(file: &Path, app: &str) -> PathBuf {
    file.with_file_name(format!(".bkp-pause-{}.json", plain(app)))
}

/// The note's place in the state directory.
pub fn within(state: &Path, app: &str) -> PathBuf {
    state.join(format!("pause-{}.json", plain(app)))
}

/// A name that is one for a file too.
fn plain(app: &str) -> String {
    app.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// The note, if there is one.
pub fn read(at: &Path) -> Result<Option<Mark>> {
    let text = match std::fs::read(at) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", at.display())),
    };
    let mark: Mark = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", at.display()))?;
    if mark.format != FORMAT {
        bail!("{} is of form {}, and this program knows form {FORMAT}", at.display(), mark.format);
    }
    Ok(Some(mark))
}

/// Where a note is written before it is one. A death there leaves it, and nothing was paused yet.
pub fn unfinished(at: &Path) -> PathBuf {
    at.with_extension("json.new")
}

/// Writes the note as a whole; when this returns, it outlives a loss of power.
pub fn write(at: &Path, mark: &Mark) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let directory = at.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        let unfinished = unfinished(at);
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(mark)?)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, at)?;
        std::fs::File::open(directory)?.sync_all()
    };
    write().with_context(|| format!("noting the pause in {}", at.display()))
}

/// Removes the note; none there is no fault.
pub fn remove(at: &Path) -> Result<()> {
    // On a root that is read-only, removing nothing fails for that.
    if let Err(error) = at.symlink_metadata()
        && error.kind() == ErrorKind::NotFound
    {
        return Ok(());
    }
    match std::fs::remove_file(at) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(error).with_context(|| format!("removing {}", at.display()))
        }
        _ => Ok(()),
    }
}
