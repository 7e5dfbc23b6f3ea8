//! The application held still while its data changes hands, and **given back whatever happens**.
//!
//! A pause is a value. What was begun is noted outside the process before it is begun (`mark`), so a run that dies leaves
//! a note, and the next start resumes what the note tells. The pausing may be cancelled at any point, the resuming not: it is awaited by
//! whoever made the pause, outside of what a signal cancels ([`during`] does that), and every step of it is tried even
//! when another one failed. Each step has a time limit.
//!
//! | kind | pause | resume |
//! | --- | --- | --- |
//! | maintenance file (`file`) | made, with its content, in one act | removed, if it is still ours |
//! | commands (`command`) | the pause command ended with 0 | the resume command ended with 0 |
//! | scaling (`kubernetes`) | scaled to zero, and no pod is left | scaled back to what it was; its note is on the object itself |
//!
//! They are paused in this order and resumed in reverse. A step that failed is resumed as well, since it may have done half
//! of its work: a resume command must be one that can be called twice.

pub mod command;
pub mod file;
pub mod kubernetes;
mod mark;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;

use crate::error::{self, Failure};
use crate::process::Stop;
pub use command::Commands;
pub use file::Maintenance;
pub use kubernetes::Scaled;
use mark::Mark;

/// How an application is paused.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name.
    pub app: String,
    /// A file that the application reads as "maintenance".
    pub maintenance: Option<Maintenance>,
    /// Programs that pause and resume it.
    pub commands: Option<Commands>,
    /// What is scaled to zero.
    pub scaled: Option<Scaled>,
    /// Where the note goes when there is no maintenance file to put it beside. It should outlive the process, and need not exist.
    pub state: PathBuf,
    /// The longest that one command may take.
    pub limit: Duration,
    /// What the commands get of the environment; nothing else reaches them.
    pub environment: Vec<(String, OsString)>,
}

impl Config {
    /// Whether there is anything to pause.
    pub fn is_empty(&self) -> bool {
        self.maintenance.is_none() && self.commands.is_none() && self.scaled.is_none()
    }

    /// What a backup leaves out: saved, it would pause the application that is restored from it.
    pub fn own_files(&self) -> Vec<PathBuf> {
        let Some(maintenance) = &self.maintenance else { return Vec::new() };
        vec![maintenance.path.clone(), mark::beside(&maintenance.path, &self.app)]
    }

    /// Where a note may be: beside the maintenance file, on whose volume it is found by any later start; else in the state directory.
    fn marks(&self) -> impl Iterator<Item = PathBuf> {
        let beside = self.maintenance.iter().map(|maintenance| mark::beside(&maintenance.path, &self.app));
        beside.chain([mark::within(&self.state, &self.app)])
    }
}

/// A pause that must be given back.
#[derive(Debug)]
#[must_use = "a pause that is not resumed leaves the application down"]
pub struct Pause<'a> {
    config: &'a Config,
    mark: Mark,
    is_begun: bool,
}

impl<'a> Pause<'a> {
    /// A pause that has not begun.
    pub fn new(config: &'a Config, run: &str) -> Pause<'a> {
        Pause { config, mark: Mark::new(&config.app, run), is_begun: false }
    }

    /// Pauses. May be cancelled; call [`Pause::resume`] whatever came of it.
    ///
    /// # Errors
    /// When something of it could not be paused.
    pub async fn pause(&mut self) -> Result<()> {
        let (config, run) = (self.config, self.mark.run.clone());
        if let Some(scaled) = &config.scaled {
            // Before anything is paused: what may not be scaled will not be allowed later either.
            scaled.ready(&config.app, &run).await?;
        }
        self.hold_file()?;
        if let Some(commands) = &self.config.commands {
            self.mark.commands = true;
            self.note()?;
            self.is_begun = true;
            command::run(self.config, &self.mark.run, &commands.pause).await.map_err(|error| {
                Failure::new(format!("application {} could not be paused", self.config.app))
                    .hint("correct BKP_PAUSE_COMMAND, or what it calls")
                    .because(error)
            })?;
        }
        if let Some(scaled) = &config.scaled {
            self.is_begun = true;
            scaled.hold(&config.app, &run).await?;
        }
        Ok(())
    }

    /// Makes sure that it is at rest, before what cannot wait: scales to zero again what somebody has scaled meanwhile. May be cancelled.
    ///
    /// # Errors
    /// When it cannot be brought to rest again.
    pub async fn still(&self) -> Result<()> {
        match &self.config.scaled {
            Some(scaled) => scaled.still(&self.config.app, &self.mark.run).await,
            None => Ok(()),
        }
    }

    /// Pauses again what an exchange of files has taken away with the old tree.
    ///
    /// # Errors
    /// When the maintenance file cannot be made.
    pub fn renew(&mut self) -> Result<()> {
        self.hold_file()
    }

    fn hold_file(&mut self) -> Result<()> {
        let Some(maintenance) = &self.config.maintenance else { return Ok(()) };
        let known = mark::read(&mark::beside(&maintenance.path, &self.config.app))?;
        match maintenance.look(known.as_ref().and_then(|mark| mark.file.as_ref()))? {
            file::Standing::NoApplication => {
                let shown = maintenance.path.display();
                tracing::warn!("{shown} cannot be made, since its directory is not there: no application to pause");
                Ok(())
            }
            file::Standing::Foreign => {
                tracing::warn!(
                    "{} is there already and stays: somebody else paused the application",
                    maintenance.path.display()
                );
                Ok(())
            }
            standing => {
                self.mark.file = Some(maintenance.noted());
                self.note()?;
                self.is_begun = true;
                if standing == file::Standing::Free { maintenance.create(&self.mark.run) } else { Ok(()) }
            }
        }
    }

    /// Notes what is about to be paused. Beside a maintenance file this must succeed; for commands alone it is best effort, because
    /// a pod may have no place that lasts.
    fn note(&self) -> Result<()> {
        let place = match (&self.mark.file, &self.config.maintenance) {
            (Some(_), Some(maintenance)) => mark::beside(&maintenance.path, &self.config.app),
            _ => mark::within(&self.config.state, &self.config.app),
        };
        match mark::write(&place, &self.mark) {
            Err(error) if self.mark.file.is_none() => {
                tracing::warn!("a run that dies now leaves the application paused, and no note of it: {error:#}");
                Ok(())
            }
            other => other,
        }
    }

    /// Gives everything back that was begun. Never cancel it.
    ///
    /// # Errors
    /// When something could not be resumed; its note stays, for the next start or `bkp resume`.
    pub async fn resume(mut self) -> Result<()> {
        if !std::mem::take(&mut self.is_begun) {
            return Ok(());
        }
        give_back(self.config, &self.mark).await
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if self.is_begun {
            tracing::error!("application {} is left paused; bkp resume gives it back", self.config.app);
        }
    }
}

/// Pauses, does the work, and resumes whatever came of either.
///
/// # Errors
/// The pause's, else the work's, else the resuming's. When both the work and the resuming fail, the latter is in the log.
pub async fn during<T>(
    config: &Config,
    run: &str,
    stop: &Stop,
    work: impl AsyncFnOnce(&mut Pause<'_>) -> Result<T>,
) -> Result<T> {
    let mut pause = Pause::new(config, run);
    let working = async {
        match stop.or(pause.pause()).await {
            Ok(()) => work(&mut pause).await,
            Err(error) => Err(error),
        }
    };
    // A panic is no reason to leave it paused, either.
    let done = AssertUnwindSafe(working).catch_unwind().await;
    let resumed = pause.resume().await;
    match (done.unwrap_or_else(|panic| resume_unwind(panic)), resumed) {
        (Err(error), Err(not_resumed)) => {
            tracing::error!("{not_resumed:#}");
            for hint in error::hints_of(&not_resumed) {
                tracing::error!("hint: {hint}");
            }
            Err(error)
        }
        (Ok(_), Err(not_resumed)) => {
            Err(Failure::new("what the application was paused for is done, and stays").because(not_resumed).into())
        }
        (done, Ok(())) => done,
    }
}

/// What a dead run left paused.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    /// The run that paused.
    pub run: String,
    mark: Mark,
    at: PathBuf,
}

impl Left {
    /// Where the note lies.
    pub fn noted_at(&self) -> &Path {
        &self.at
    }
}

/// What dead runs of this application left paused. The application's lock is held, so whoever noted it is dead.
///
/// # Errors
/// When a note is there and cannot be read.
pub fn left_paused(config: &Config) -> Result<Vec<Left>> {
    let mut left = Vec::new();
    for at in config.marks() {
        if let Some(mark) = mark::read(&at)? {
            left.push(Left { run: mark.run.clone(), mark, at });
        }
    }
    Ok(left)
}

/// Removes notes that dead runs had begun to write: they lie in the application's own directory.
pub fn drop_unfinished(config: &Config) {
    for at in config.marks() {
        if let Err(error) = mark::remove(&mark::unfinished(&at)) {
            tracing::warn!("what a dead run left stays: {error:#}");
        }
    }
}

/// What dead runs of this application left scaled to zero, wherever they ran. The application's lock is held.
///
/// # Errors
/// When not all of it can be seen.
pub async fn left_scaled(config: &Config) -> Result<Vec<kubernetes::Left>> {
    let (left, faults) = seen_scaled(config).await;
    kubernetes::all_well(&faults).map(|()| left)
}

/// The same as far as it can be seen, and what cannot.
pub async fn seen_scaled(config: &Config) -> (Vec<kubernetes::Left>, Vec<anyhow::Error>) {
    match &config.scaled {
        Some(scaled) => scaled.left(&config.app).await,
        None => (Vec::new(), Vec::new()),
    }
}

/// Whether each object could be scaled, by the API's own word; changes nothing.
///
/// # Errors
/// When there is no API to ask.
pub async fn rehearse_scaled(config: &Config, run: &str) -> Result<Vec<(String, Result<()>)>> {
    let Some(scaled) = &config.scaled else { return Ok(Vec::new()) };
    let answers = scaled.rehearse(&config.app, run, kubernetes::Idle::TryToo).await?;
    Ok(answers.into_iter().map(|(object, answer)| (object.to_string(), answer)).collect())
}

/// Scales back what dead runs left at zero.
///
/// # Errors
/// When something could not be scaled back; its note stays.
pub async fn resume_scaled(config: &Config, left: &[kubernetes::Left]) -> Result<()> {
    let Some(scaled) = &config.scaled else { return Ok(()) };
    let objects = left.iter().map(|left| left.object.clone()).collect();
    let scaled = Scaled { objects, ..scaled.clone() };
    scaled.release(&config.app).await.map_err(|error| still_paused(config, &[error]))
}

/// Resumes what a dead run left paused.
///
/// # Errors
/// When something could not be resumed; its note stays.
pub async fn resume_left(config: &Config, left: &Left) -> Result<()> {
    give_back(config, &left.mark).await
}

/// Every step is tried, in reverse; the notes go when all is given back.
async fn give_back(config: &Config, mark: &Mark) -> Result<()> {
    let mut faults = Vec::new();
    if let Some(scaled) = &config.scaled {
        faults.extend(scaled.release(&config.app).await.err());
    }
    if mark.commands {
        let resumed = match &config.commands {
            Some(commands) => command::run(config, &mark.run, &commands.resume).await,
            None => Err(anyhow::anyhow!("there is no BKP_RESUME_COMMAND any more")),
        };
        faults.extend(resumed.err());
    }
    if let Some(noted) = &mark.file {
        faults.extend(file::remove(noted).err());
        faults.extend(file::remove_unfinished(noted, &mark.run).err());
    }
    if faults.is_empty() {
        for at in config.marks() {
            faults.extend(mark::remove(&at).err());
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(still_paused(config, &faults))
}

fn still_paused(config: &Config, faults: &[anyhow::Error]) -> anyhow::Error {
    let told: Vec<String> = faults.iter().map(|error| format!("{error:#}")).collect();
    let hints = faults.iter().flat_map(error::hints_of);
    Failure::new(format!("application {} is still paused: {}", config.app, told.join("; ")))
        .hints(hints.chain(["set right what the message says, then: bkp resume".to_owned()]))
        .into()
}
