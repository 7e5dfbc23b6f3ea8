//! `bkp forget`: retention by hand. `backup` applies the same after success.

use anyhow::Result;

use super::backup::retain::{Saved, to_forget};
use super::catalog;
use super::{Context, now, store_failure};
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::layout;
use crate::repository::bucket::store::Store;

/// Forgets what no rule keeps.
///
/// # Errors
/// When the bucket cannot be listed, or a dump cannot be deleted.
pub async fn forget(context: &Context, dry_run: bool) -> Result<Exit> {
    if context.settings.retention.keeps_everything() {
        tracing::warn!("no retention is set, so nothing is ever forgotten; set for example BKP_KEEP_DAILY=14");
    }
    let store = context.store()?;
    let forgotten = context.stop.or(apply(context, &store, None, dry_run)).await?;
    let verb = if dry_run { "would be forgotten" } else { "forgotten" };
    for name in &forgotten {
        tracing::info!("{name} {verb}");
    }
    tracing::info!("{} dumps {verb}", forgotten.len());
    if context.json {
        report::json(&serde_json::json!({"command": "forget", "dry_run": dry_run, "forgotten": forgotten}))?;
    }
    Ok(Exit::Done)
}

/// Decides and deletes, oldest first; returns the names. `saved` is the dump just made: with a clock that jumped back it looks
/// older than those before it, and stays all the same.
///
/// # Errors
/// When a dump's seal cannot be read (nothing is deleted on a guess), or a dump cannot be deleted.
pub async fn apply(context: &Context, store: &Store, saved: Option<&str>, dry_run: bool) -> Result<Vec<String>> {
    let settings = &context.settings;
    if settings.retention.keeps_everything() {
        return Ok(Vec::new());
    }
    let mut runs = Vec::new();
    for dump in catalog::dumps(store).await? {
        if let Some(unreadable) = dump.unreadable() {
            return Err(anyhow::Error::from(unreadable).context("nothing was forgotten"));
        }
        let sealed = dump.sealed_for(&settings.app);
        // Another application's dumps are its own business, and so are files with names that are not ours.
        let ours = sealed || (dump.seal().is_none() && layout::time_of(&dump.name).is_some());
        if ours {
            runs.push(Saved { name: dump.name, time: dump.time, sealed });
        }
    }
    let mut gone = to_forget(&runs, &settings.retention, now());
    gone.retain(|name| Some(name.as_str()) != saved);
    if !dry_run {
        for name in &gone {
            store.delete(name).await.map_err(store_failure)?;
        }
    }
    Ok(gone.into_iter().collect())
}
