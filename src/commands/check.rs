//! `bkp check`: are the dumps what was sealed? Without `--read-data` only their ends are read.

use anyhow::{Result, bail};

use super::Context;
use super::catalog::{self, Dump};
use super::restore::reading;
use crate::error::{Failure, exit_of};
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::store::Store;
use crate::sources::postgres::seal::Seal;

/// Checks every dump of the bucket.
///
/// # Errors
/// When the bucket cannot be listed. Damaged dumps are told one by one, and end in exit code 5; those that the store does not
/// give now are no proof of anything, and end in exit code 1.
pub async fn check(context: &Context, read_data: bool) -> Result<Exit> {
    let store = context.store()?;
    let dumps = context.stop.or(catalog::dumps(&store)).await?;
    let (mut good, mut unsealed, mut bad, mut unread) = (0, 0, Vec::new(), Vec::new());
    for dump in &dumps {
        match context.stop.or(checked(&store, dump, read_data)).await {
            Ok(true) => good += 1,
            Ok(false) => {
                unsealed += 1;
                tracing::warn!("{} has no seal and cannot be proven", dump.name);
            }
            Err(error) => {
                context.stop.check()?;
                tracing::error!("{}: {error:#}", dump.name);
                // What the store does not give out today is not damaged by that.
                let store_failed = error.chain().any(|cause| cause.is::<Failure>()) && exit_of(&error) == Exit::Failed;
                if store_failed { &mut unread } else { &mut bad }.push(dump.name.clone());
            }
        }
    }
    let how = if read_data { "read to the end" } else { "by their ends only; --read-data reads them whole" };
    tracing::info!("{good} dumps are as sealed, {unsealed} have no seal, {} are damaged ({how})", bad.len());
    if !unread.is_empty() {
        tracing::error!("{} dumps could not be read, so nothing is known of them", unread.len());
    }
    if context.json {
        report::json(
            &serde_json::json!({"command": "check", "read_data": read_data, "sealed": good, "unsealed": unsealed, "damaged": bad, "unread": unread}),
        )?;
    }
    Ok(match (bad.is_empty(), unread.is_empty()) {
        (false, _) => Exit::ProofFailed,
        (true, false) => Exit::Failed,
        (true, true) => Exit::Done,
    })
}

/// Whether the dump is proven; false when it has no seal to be proven against.
async fn checked(store: &Store, dump: &Dump, read_data: bool) -> Result<bool> {
    if let Some(unreadable) = dump.unreadable() {
        return Err(unreadable.into());
    }
    if !read_data {
        return Ok(dump.seal().is_some());
    }
    let (survey, _) = reading::survey(store, dump).await?;
    match dump.seal() {
        Some(seal) => seal.prove(&survey).map(|()| true),
        None if survey.seal.is_some() => {
            Seal::parse(survey.seal.as_deref().unwrap_or_default())?.prove(&survey).map(|()| true)
        }
        None if survey.trailer => Ok(false),
        None => bail!(Failure::new("it does not end as a dump ends: cut short").exit(Exit::ProofFailed)),
    }
}
