//! Programs that pause and resume the application: words, no shell, a time limit, and a small environment.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::Config;
use crate::process::{self, Program};
use crate::settings::words;

/// A pair: what is paused must be resumable.
#[derive(Clone, PartialEq, Eq)]
pub struct Commands {
    /// Words of the command that pauses, the program first.
    pub pause: Vec<String>,
    /// Words of the command that resumes; it may be called twice, or without the other having ended.
    pub resume: Vec<String>,
}

impl Commands {
    /// Takes both as they stand in variables; nothing where both are unset.
    ///
    /// # Errors
    /// When only one is set, or one is no command line.
    pub fn parse(pause: Option<&str>, resume: Option<&str>) -> Result<Option<Commands>> {
        let (pause, resume) = match (pause, resume) {
            (None, None) => return Ok(None),
            (Some(_), None) => bail!("there is a command that pauses and none that resumes"),
            (None, Some(_)) => bail!("there is a command that resumes and none that pauses"),
            (Some(pause), Some(resume)) => (words::split(pause)?, words::split(resume)?),
        };
        if pause.is_empty() || resume.is_empty() {
            bail!("a command has no words");
        }
        Ok(Some(Commands { pause, resume }))
    }
}

/// Without the arguments: they may hold secrets.
impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").field("pause", &self.pause.first()).field("resume", &self.resume.first()).finish()
    }
}

/// Runs one to its end.
///
/// # Errors
/// When it cannot be started, ends badly, or takes too long; it is ended then, with all that it started.
pub async fn run(config: &Config, run: &str, words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("a command has no words")?;
    let mut environment = config.environment.clone();
    environment.push(("BKP_APP".to_owned(), OsString::from(&config.app)));
    environment.push(("BKP_RUN".to_owned(), OsString::from(run)));
    let program = Program {
        path: PathBuf::from(program),
        arguments: arguments.iter().map(OsString::from).collect(),
        environment,
    };
    tracing::info!("running {}", program.path.display());
    match tokio::time::timeout(config.limit, process::output(&program)).await {
        Ok(ended) => ended.map(|_| ()),
        Err(_) => bail!("{} took longer than {} s and was ended", program.path.display(), config.limit.as_secs()),
    }
}
