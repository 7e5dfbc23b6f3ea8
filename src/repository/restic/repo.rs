//! A repository: is it there, make it, what is in it, what goes, is it sound.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::address::Address;
use super::call::Call;
use super::output::{self, Entry, Message, Snapshot};
use super::program::Restic;
use super::refusal::{self, Cause};
use crate::error::Failure;
use crate::exit::Exit;
use crate::settings::Secret;

/// How a repository's password is handed to restic; never as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// restic reads this file; white space around its content does not count.
    File(PathBuf),
    /// The password itself, every byte of it.
    Secret(Secret),
    /// restic runs this and reads what it prints.
    Command(String),
    /// As restic's own variables say, untouched.
    FromEnvironment,
}

impl Password {
    /// The variable that says it, `name` being `RESTIC_PASSWORD` or `RESTIC_FROM_PASSWORD`.
    pub(super) fn variable(&self, name: &str) -> Option<(String, OsString)> {
        match self {
            Password::File(path) => Some((format!("{name}_FILE"), path.into())),
            Password::Secret(secret) => Some((name.to_owned(), secret.expose().into())),
            Password::Command(command) => Some((format!("{name}_COMMAND"), command.into())),
            Password::FromEnvironment => None,
        }
    }
}

/// Whether there is a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// There is, and the password opens it.
    There,
    /// There is none: restic reached the place and saw so.
    Missing,
}

/// Which snapshot has the files that need not be read again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Parent {
    /// None: every file is read.
    #[default]
    None,
    /// This one.
    Snapshot(String),
    /// The one that restic chooses: the newest of the same host and path.
    Chosen,
}

impl From<Option<String>> for Parent {
    fn from(snapshot: Option<String>) -> Parent {
        snapshot.map_or(Parent::None, Parent::Snapshot)
    }
}

/// What a new snapshot is to say of itself.
#[derive(Debug, Clone, Default)]
pub struct Saving {
    /// The stable name that snapshots are grouped by.
    pub host: String,
    /// Its tags; none has a comma.
    pub tags: Vec<String>,
    /// Where unchanged files are taken from.
    pub parent: Parent,
    /// The time it is said to be of, to the second; now without.
    pub time: Option<Timestamp>,
}

impl Saving {
    /// All of them.
    pub(super) fn arguments(&self) -> Result<Vec<OsString>> {
        let mut all: Vec<OsString> = vec!["--host".into(), self.host.as_str().into()];
        match &self.parent {
            Parent::Snapshot(parent) => all.extend(["--parent".into(), parent.into()]),
            Parent::None => all.push("--force".into()),
            Parent::Chosen => {}
        }
        for tag in &self.tags {
            // restic would make two of it.
            if tag.contains(',') || tag.is_empty() {
                bail!(Failure::new("a tag is empty or has a comma").exit(Exit::Usage));
            }
            all.extend(["--tag".into(), tag.into()]);
        }
        if let Some(time) = self.time {
            let text = time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
            all.extend(["--time".into(), text.into()]);
        }
        Ok(all)
    }
}

/// Without a lock: a list must not wait for a prune, nor need the right to write.
const LIST: [&str; 3] = ["snapshots", "--json", "--no-lock"];

fn oldest_first(said: &[u8]) -> Result<Vec<Snapshot>> {
    let mut all = output::snapshots(said)?;
    all.sort_by_key(|snapshot| snapshot.time);
    Ok(all)
}

/// A repository that was found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whether a prune would tidy something up.
    pub prune_helps: bool,
}

/// A repository at an address, with a password.
#[derive(Clone)]
pub struct Repository {
    pub(super) restic: Restic,
    pub(super) address: Address,
    pub(super) password: Password,
}

impl Repository {
    /// Nothing is asked of it yet.
    #[must_use]
    pub fn new(restic: Restic, address: Address, password: Password) -> Repository {
        Repository { restic, address, password }
    }

    /// The repository one level below, with the same password.
    #[must_use]
    pub fn at(&self, sub: &str) -> Repository {
        Repository { address: self.address.at(sub), ..self.clone() }
    }

    /// The same with another password.
    #[must_use]
    pub fn with_password(&self, password: Password) -> Repository {
        Repository { password, ..self.clone() }
    }

    /// What it is opened with.
    pub fn password(&self) -> &Password {
        &self.password
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is there, and opens.
    ///
    /// # Errors
    /// [`Exit::WrongPassword`]; and whatever else keeps us from knowing, such as a store that cannot be reached.
    pub async fn probe(&self) -> Result<Probe> {
        let call = Call::new("open the repository", ["cat", "config", "--no-lock", "--quiet", "--json"]).short();
        let answer = self.run(&self.program(&call.arguments), &call).await?;
        match refusal::cause(answer.status, &answer.err) {
            _ if answer.status.success() => Ok(Probe::There),
            Cause::NoRepository => Ok(Probe::Missing),
            _ => Err(self.failure(&call, &answer)),
        }
    }

    /// Looks whether a snapshot that was just saved is in the directory that the address names now: a volume may be unmounted while restic
    /// writes, and it goes on in an empty place then. Of what is no directory nothing is known.
    ///
    /// # Errors
    /// When no repository is there, or it lacks the snapshot. Not as where there never was one: nothing is to be tried elsewhere, nor made.
    pub fn holds(&self, snapshot: &str) -> Result<()> {
        let Some(directory) = self.address.directory() else { return Ok(()) };
        let lost = |what: String, error: std::io::Error| {
            Failure::new(format!("restic saved snapshot {snapshot}, and {what}"))
                .hint("see whether the volume was unmounted or moved while it was written to, and run the backup again")
                .because(error)
        };
        directory
            .join("config")
            .metadata()
            .map_err(|error| lost(format!("there is no repository at {} any more", self.address), error))?;
        // The second name is one of long ago.
        let there = ["snapshots", "snapshot"].map(|kind| directory.join(kind).join(snapshot).metadata());
        match there {
            [Err(error), Err(_)] => bail!(lost(format!("{} does not have it", directory.display()), error)),
            _ => Ok(()),
        }
    }

    /// The same by a list of its snapshots, for those who want that next; nothing when there is no repository.
    ///
    /// # Errors
    /// As [`Repository::probe`].
    pub async fn probe_and_list(&self) -> Result<Option<Vec<Snapshot>>> {
        let call = Call::new("open the repository", LIST).short();
        let answer = self.run(&self.program(&call.arguments), &call).await?;
        match refusal::cause(answer.status, &answer.err) {
            _ if answer.status.success() => Ok(Some(oldest_first(&answer.out)?)),
            Cause::NoRepository => Ok(None),
            _ => Err(self.failure(&call, &answer)),
        }
    }

    /// Makes it; only after [`Repository::probe`] said that it is missing. One like another shares data with it when copied.
    ///
    /// # Errors
    /// When it cannot be made, or is there.
    pub async fn init(&self, like: Option<&Repository>) -> Result<()> {
        let mut call = Call::new("make the repository", ["init", "--json"]).short();
        let mut program = self.program(&[]);
        if let Some(like) = like {
            call = call.with(["--copy-chunker-params"]);
            program.environment.push(("RESTIC_FROM_REPOSITORY".into(), like.address.expose().into()));
            program.environment.extend(like.password.variable("RESTIC_FROM_PASSWORD"));
        }
        let program = self.program_in(program.environment, &call.arguments);
        let answer = self.run(&program, &call).await?;
        if answer.status.success() { Ok(()) } else { Err(self.failure(&call, &answer)) }
    }

    /// All snapshots of all hosts, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>> {
        oldest_first(&self.ask(Call::new("list the snapshots", LIST).short()).await?)
    }

    /// What a directory of a snapshot holds, not what is below that; `/` is the snapshot itself.
    ///
    /// # Errors
    /// When the snapshot is not there, or the repository cannot be read.
    pub async fn files_in(&self, snapshot: &str, directory: &str) -> Result<Vec<Entry>> {
        let call = Call::new("list a snapshot's files", ["ls", "--json", "--no-lock", "--", snapshot, directory]);
        let entries = output::entries(&self.ask(call.short()).await?)?;
        // The directory itself is listed before its content.
        Ok(entries
            .into_iter()
            .filter(|entry| entry.path.trim_end_matches('/') != directory.trim_end_matches('/'))
            .collect())
    }

    /// Removes snapshots; their data stays until [`Repository::prune`]. One that is gone already is no error.
    ///
    /// # Errors
    /// When they cannot be removed, or not all of them.
    pub async fn forget(&self, ids: &[String]) -> Result<()> {
        // A command line holds some ten thousand.
        for some in ids.chunks(1000) {
            let call = Call::new("forget snapshots", ["forget", "--quiet", "--"]).with(some);
            let answer = self.act(&call).await?;
            // restic ends well where the store lets it remove nothing, and only says so.
            let is_doubtful = answer.status.success() && !answer.err.trim().is_empty();
            if is_doubtful && !self.snapshots().await?.iter().any(|left| some.contains(&left.id)) {
                continue;
            }
            if is_doubtful || !answer.status.success() {
                return Err(self.failure(&call, &answer));
            }
        }
        Ok(())
    }

    /// Removes data that no snapshot needs.
    ///
    /// # Errors
    /// When it cannot; nothing that is needed is lost then.
    pub async fn prune(&self) -> Result<()> {
        let call = Call::new("remove what no snapshot needs", ["prune", "--quiet"]);
        let answer = self.act(&call).await?;
        if answer.status.success() { Ok(()) } else { Err(self.failure(&call, &answer)) }
    }

    /// restic's own check of its structure; with `read_data`, of every byte.
    ///
    /// # Errors
    /// [`Exit::ProofFailed`] when something is damaged; another when it cannot be told.
    pub async fn check(&self, read_data: bool) -> Result<Checked> {
        let call = Call::new("check the repository", ["check", "--json"]).with(read_data.then_some("--read-data"));
        let answer = self.act_reading(&call).await?;
        if answer.status.success() {
            let prune_helps =
                answer.messages().any(|said| matches!(said, Message::Summary(done) if done.suggest_prune));
            return Ok(Checked { prune_helps });
        }
        let told: Vec<String> = answer
            .messages()
            .filter_map(|said| match said {
                Message::Error(trouble) => Some(trouble.words().to_owned()),
                _ => None,
            })
            .filter(|words| !words.is_empty() && !words.starts_with("error for tree"))
            .collect();
        let failure = self.failure(&call, &answer);
        // Before 0.18, errors come as plain lines.
        let plainly = answer.err.contains("repository contains errors");
        let reached = told.iter().any(|words| !refusal::network(words)) || (told.is_empty() && plainly);
        if !reached || refusal::cause(answer.status, &answer.err) != Cause::Other {
            return Err(failure);
        }
        Err(Failure::new(format!("the repository at {} is damaged", self.address))
            .hint("keep the repository as it is, and follow restic's page on troubleshooting; the next backup to a new repository is the safest")
            .exit(Exit::ProofFailed)
            .because(anyhow::anyhow!(self.address.scrub(&output::plain(&answer.err))))
            .into())
    }
}
