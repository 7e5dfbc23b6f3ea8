//! One story a command. What stands here is what several of them begin with.

pub mod backup;
pub mod beforehand;
pub mod catalog;
pub mod change_password;
pub mod check;
pub mod doctor;
pub mod drill;
pub mod forget;
pub mod held;
pub mod init;
pub mod list;
pub mod pausing;
pub mod replaced;
pub mod repositories;
pub mod restore;
pub mod resume;
pub mod rewrite;
pub mod shells;
pub mod shrink;
#[cfg(test)]
mod simulation;
pub mod wait;
pub mod when;

use anyhow::{Result, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::Failure;
use crate::exit::Exit;
use crate::process::Stop;
use crate::report::facts::Told;
use crate::repository::bucket::error::StoreError;
use crate::repository::bucket::store::Store;
use crate::settings::{Postgres, Settings};

/// What every command is given.
pub struct Context {
    /// The resolved settings.
    pub settings: Settings,
    /// Tells when to end.
    pub stop: Stop,
    /// Whether the run's record is wanted on standard output as JSON.
    pub json: bool,
    /// Where it is put down what the run has done, for whoever is told of its end.
    pub told: Told,
}

impl Context {
    /// Opens the bucket.
    ///
    /// # Errors
    /// When its address or credentials make no sense; nothing is asked of the store yet.
    pub fn store(&self) -> Result<Store> {
        let Some(bucket) = &self.settings.bucket else {
            bail!(Failure::new("no bucket is set").hint("set BKP_BUCKET").exit(Exit::Usage));
        };
        Store::open(&bucket.address, &bucket.into()).map_err(store_failure)
    }

    /// A run that begins now, and whose id whoever is told of its end is to know.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn begin(&self) -> Result<Run> {
        let run = Run::begin()?;
        tracing::Span::current().record("run", &run.id);
        self.told.tell(|facts| facts.run = Some(run.id.clone()));
        Ok(run)
    }

    /// The server's settings.
    ///
    /// # Errors
    /// Exit code 2 when the settings name no database.
    pub fn postgres(&self) -> Result<&Postgres> {
        self.settings.postgres.as_ref().ok_or_else(|| {
            let hint = "set POSTGRES_HOST, POSTGRES_USER and POSTGRES_DB";
            Failure::new("no database server is set, only files are").hint(hint).exit(Exit::Usage).into()
        })
    }
}

/// The only look at the clock.
#[expect(clippy::disallowed_methods, reason = "commands tell the time to everything below them, from here")]
pub fn now() -> Timestamp {
    #[cfg(test)]
    if let Some(now) = simulation::clock::now() {
        return now;
    }
    Timestamp::now()
}

/// One execution: its id ties together what it saved, and names it in the server's list of sessions.
pub struct Run {
    /// `20261121T231004Z-7f3a9c`
    pub id: String,
    /// When it began.
    pub began: Timestamp,
}

impl Run {
    /// A run that begins now.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn begin() -> Result<Run> {
        let began = now();
        let mut random = [0; 3];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let stamp = began.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
        Ok(Run { id: format!("{stamp}-{:02x}{:02x}{:02x}", random[0], random[1], random[2]), began })
    }

    /// A number that other runs hardly have.
    pub fn number(&self) -> u32 {
        self.id.rsplit('-').next().and_then(|random| u32::from_str_radix(random, 16).ok()).unwrap_or(0)
    }

    /// How this run's sessions are called on the server.
    pub fn session_name(&self, command: &str) -> String {
        format!("bkp {command} {}", self.id)
    }
}

/// A store's error with its hint and exit code, for the edge.
pub fn store_failure(error: StoreError) -> anyhow::Error {
    let exit = match &error {
        StoreError::BucketMissing { .. } => Exit::NoRepository,
        StoreError::Settings { .. } => Exit::Usage,
        StoreError::Corrupt { .. } => Exit::ProofFailed,
        _ => Exit::Failed,
    };
    let failure = Failure::new(error.to_string()).exit(exit);
    let failure = match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    match std::error::Error::source(&error) {
        Some(cause) => failure.because(anyhow::anyhow!("{cause}")).into(),
        None => failure.into(),
    }
}
