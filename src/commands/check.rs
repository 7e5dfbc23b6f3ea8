//! `bkp check`: is what is stored what was sealed? Without `--read-data` only ends and structures are read.

use anyhow::{Result, bail};
use serde::Serialize;

use super::Context;
use super::catalog::{self, Dump};
use super::repositories::{Repositories, ResticPlaces};
use super::restore::reading::{self, Stored};
use crate::error::{Failure, exit_of, hints_of};
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::store::Store;
use crate::sources::postgres::seal::Seal;

/// Checks every dump of the bucket and every restic repository.
///
/// # Errors
/// When the bucket cannot be listed. Damaged ones are told one by one, and end in exit code 5; those that the store does not
/// give now are no proof of anything, and end in exit code 1, or 11 when only locks kept us from them.
pub async fn check(context: &Context, read_data: bool) -> Result<Exit> {
    let repositories = context.stop.or(Repositories::open(context)).await?;
    let mut found = Found { command: "check", read_data, ..Found::default() };
    if let Some(store) = &repositories.bucket {
        dumps(context, store, &mut found).await?;
    }
    if let Some(places) = &repositories.restic {
        snapshots(context, places, &mut found).await?;
    }
    if context.json {
        report::json(&found)?;
    }
    Ok(match (found.damaged.is_empty(), found.unread.is_empty()) {
        (false, _) => Exit::ProofFailed,
        (true, false) if found.locked == found.unread.len() => Exit::Locked,
        (true, false) => Exit::Failed,
        (true, true) => Exit::Done,
    })
}

/// What a check has found.
#[derive(Default, Serialize)]
struct Found {
    command: &'static str,
    read_data: bool,
    sealed: u64,
    unsealed: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<String>,
    damaged: Vec<String>,
    unread: Vec<String>,
    /// Of those that were not read, how many somebody else works on.
    #[serde(skip)]
    locked: usize,
}

impl Found {
    /// What is not given out today is not damaged by that.
    fn bad(&mut self, name: String, error: &anyhow::Error) {
        let said = format!("{error:#}");
        // restic's failures name the repository themselves.
        if said.contains(&name) {
            tracing::error!("{said}")
        } else {
            tracing::error!("{name}: {said}")
        }
        for hint in hints_of(error) {
            tracing::error!("hint: {hint}");
        }
        let store_failed = error.chain().any(|cause| cause.is::<Failure>()) && exit_of(error) != Exit::ProofFailed;
        self.locked += usize::from(exit_of(error) == Exit::Locked);
        if store_failed { &mut self.unread } else { &mut self.damaged }.push(name);
    }
}

async fn dumps(context: &Context, store: &Store, found: &mut Found) -> Result<()> {
    // One after the other is given up: a seal that was unpacked stays with its dump.
    for dump in context.stop.or(catalog::dumps::dumps(store)).await? {
        match context.stop.or(checked(store, &dump, found.read_data)).await {
            Ok(true) => found.sealed += 1,
            Ok(false) => {
                found.unsealed += 1;
                tracing::warn!("{} has no seal and cannot be proven", dump.name);
            }
            Err(error) => {
                context.stop.check()?;
                found.bad(dump.name.clone(), &error);
            }
        }
    }
    let how = if found.read_data { "read to the end" } else { "by their ends only; --read-data reads them whole" };
    let (sealed, unsealed, damaged) = (found.sealed, found.unsealed, found.damaged.len());
    tracing::info!("{sealed} dumps are as sealed, {unsealed} have no seal, {damaged} are damaged ({how})");
    if !found.unread.is_empty() {
        tracing::error!("{} dumps could not be read, so nothing is known of them", found.unread.len());
    }
    Ok(())
}

/// restic's own check: it knows what it wrote.
async fn snapshots(context: &Context, places: &ResticPlaces, found: &mut Found) -> Result<()> {
    for (_, repository) in places.each() {
        let address = repository.address().to_string();
        match context.stop.or(repository.check(found.read_data)).await {
            Ok(_) => {
                let how =
                    if found.read_data { "all its data was read" } else { "its structure; --read-data reads all data" };
                tracing::info!("{address} is whole ({how})");
                found.repositories.push(address);
            }
            Err(error) => {
                context.stop.check()?;
                found.bad(address, &error);
            }
        }
    }
    Ok(())
}

/// Whether the dump is proven; false when it has no seal to be proven against.
async fn checked(store: &Store, dump: &Dump, read_data: bool) -> Result<bool> {
    if let Some(unreadable) = dump.unreadable() {
        return Err(unreadable.into());
    }
    if !read_data {
        return Ok(dump.summary().is_some());
    }
    let read = reading::survey(&Stored::of_dump(store, dump)).await?;
    let survey = &read.survey;
    match dump.seal() {
        Some(seal) => seal.prove(survey).map(|()| true),
        None if survey.seal.is_some() => {
            Seal::parse(survey.seal.as_deref().unwrap_or_default())?.prove(survey).map(|()| true)
        }
        None if survey.trailer => Ok(false),
        None => bail!(
            Failure::new("it does not end as a dump ends: cut short")
                .hint("choose another one to restore: bkp list")
                .exit(Exit::ProofFailed)
        ),
    }
}
