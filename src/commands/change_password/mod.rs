//! `bkp change-password`: gives every restic repository of the application the password of `RESTIC_NEW_PASSWORD_FILE`.
//!
//! The new key is added, then proven by something that is written and read with it, and only then the old key is removed, by a
//! restic that was opened with the new one. So at every moment the repository opens with the old password, the new one or both,
//! and a call after any death goes on with what it finds: which of the two opens is all the state there is. Other keys stay.
//!
//! The database server is not needed, since a password that somebody knows must be changed while it is down, too. Without its
//! lock a backup elsewhere may fail in the middle, because the old password no longer opens; it fails aloud, and nothing is lost.

mod proof;
mod record;

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::held::Held;
use super::repositories::Base;
use super::{Context, Run};
use crate::error::{Failure, exit_of};
use crate::exit::Exit;
use crate::repository::restic::Repository;
use record::{Change, Record};

/// How many keys may have the same password: one for each call that was killed while restic was adding it, and then some.
const MOST_KEYS: usize = 50;

/// Changes the password wherever that is not done, repository by repository; one that cannot be changed does not keep the others.
///
/// # Errors
/// Exit codes 2, 10 and 12 before anything is changed. Afterwards the first failure, with the others told.
pub async fn change_password(context: &Context) -> Result<Exit> {
    let run = context.begin()?;
    let new_file = new_password(context)?;
    let base = context.stop.or(Base::of(context)).await?;
    let Some(base) = base else { bail!(no_repository()) };
    let Some(places) = context.stop.or(base.there()).await? else { bail!(nothing_there(&base)) };
    let held = context.stop.or(Held::take_without_server(context, &run.session_name("change-password"))).await?;

    let mut keys = Vec::new();
    for (_, repository) in places.each() {
        let (old, Some(new)) = base.under_both(repository) else { bail!(no_new_password()) };
        keys.push(context.stop.or(Keys::look(old, new)).await?);
    }
    let mut record = Record::new(context);
    let mut failed = Vec::new();
    for keys in &keys {
        let address = keys.new.address();
        match context.stop.or(keys.change(&run, &places.host)).await {
            Ok(change) => record.says(address, change),
            Err(error) => {
                context.stop.check()?;
                tracing::error!("the password of {address} is not changed: {error:#}");
                record.fails(address, &error);
                failed.push((address, error));
            }
        }
    }
    held.release(&context.settings.app).await;
    record.say(context.json, new_file, failed.is_empty())?;
    match failed.into_iter().next() {
        None => Ok(Exit::Done),
        Some((address, error)) => Err(Failure::new(format!("the password of {address} is not changed yet"))
            .hint("call bkp change-password again; until then every repository opens with the old password or the new one, and bkp with either")
            .exit(exit_of(&error))
            .because(error)
            .into()),
    }
}

/// Which key each password opens in a repository.
struct Keys {
    old: Repository,
    new: Repository,
    old_key: Option<String>,
    new_key: Option<String>,
}

impl Keys {
    async fn look(old: Repository, new: Repository) -> Result<Keys> {
        let (old_key, new_key) = (old.own_key().await?, new.own_key().await?);
        match (&old_key, &new_key) {
            (None, None) => bail!(
                Failure::new(format!("neither the old password nor the new one opens {}", new.address()))
                    .hint("correct RESTIC_PASSWORD_FILE")
                    .exit(Exit::WrongPassword)
            ),
            // restic reads both, so it is restic that knows what is the same: white space around a file's content is nothing.
            (Some(old), Some(new)) if old == new => bail!(
                Failure::new("RESTIC_NEW_PASSWORD_FILE holds the password that the repositories have already")
                    .hint("if it was changed before, take restic-new-password out of the secret; else put another password there")
                    .exit(Exit::Usage)
            ),
            _ => Ok(Keys { old, new, old_key, new_key }),
        }
    }

    async fn change(&self, run: &Run, host: &str) -> Result<Change> {
        let address = self.new.address();
        let Some(old_key) = &self.old_key else {
            proof::remove_all(&self.new).await?;
            tracing::info!("{address} has its new password already");
            return Ok(Change::None);
        };
        let (new_key, change) = match &self.new_key {
            Some(key) => (key.clone(), Change::Finished),
            None => {
                let key = self.old.add_key(self.new.password(), host).await?;
                tracing::info!("{address}: added the new password");
                (key, Change::Made)
            }
        };
        if let Err(error) = proof::prove(&self.new, run, host).await {
            // It stays for the next call, unless it is of no use.
            if exit_of(&error) == Exit::WrongPassword && self.new_key.is_none() {
                self.old.remove_key(&new_key).await?;
            }
            return Err(error.context("the new password is not proven, and the old one stays"));
        }
        let removed = async {
            proof::remove_all(&self.new).await?;
            self.remove_old(old_key, &new_key).await
        };
        removed.await.context("the new password opens it, and the old one still does")?;
        tracing::info!("{address} opens with the new password, and no longer with the old one");
        Ok(change)
    }

    /// Removes every key that the old password opens. restic refuses to remove the one that it was opened with itself.
    async fn remove_old(&self, old_key: &str, new_key: &str) -> Result<()> {
        let mut next = Some(old_key.to_owned());
        for _ in 0..MOST_KEYS {
            let Some(key) = next.take() else { return Ok(()) };
            self.new.remove_key(&key).await?;
            // The old file holds the new password as soon as somebody replaces the secret.
            next = self.old.own_key().await?.filter(|key| key != new_key);
        }
        bail!("the old password still opens {} after {MOST_KEYS} of its keys were removed", self.new.address())
    }
}

/// The file of the new password, when there is one in it.
fn new_password(context: &Context) -> Result<&Path> {
    let settings = context.settings.restic.as_ref().ok_or_else(no_repository)?;
    let path = settings.new_password.as_deref().ok_or_else(no_new_password)?;
    let fault = |what: String| {
        let hint = "put the new password there: in Kubernetes, under restic-new-password in the secret";
        Failure::new(what).hint(hint).exit(Exit::Usage)
    };
    let content = std::fs::read(path)
        .map_err(|error| fault(format!("cannot read RESTIC_NEW_PASSWORD_FILE {}: {error}", path.display())))?;
    let line = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content).trim_ascii();
    if line.is_empty() {
        bail!(fault(format!("RESTIC_NEW_PASSWORD_FILE {} is empty", path.display())));
    }
    if line.contains(&b'\n') || line.contains(&b'\r') {
        bail!(fault(format!("RESTIC_NEW_PASSWORD_FILE {} has more than one line", path.display())));
    }
    Ok(path)
}

fn no_new_password() -> Failure {
    Failure::new("no new password is set")
        .hint("set RESTIC_NEW_PASSWORD_FILE to the path of a file that holds it")
        .exit(Exit::Usage)
}

fn no_repository() -> Failure {
    Failure::new("no restic repository is set, and a bucket has no password")
        .hint("set RESTIC_REPOSITORY")
        .exit(Exit::Usage)
}

fn nothing_there(base: &Base) -> Failure {
    Failure::new(format!("there is no restic repository at {}", base.repository.address()))
        .hint("correct RESTIC_REPOSITORY; nothing was changed")
        .exit(Exit::NoRepository)
}
