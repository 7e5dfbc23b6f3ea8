//! `bkp init`: makes what is not there and says what was. Never run by a backup: a typo in an address must not become a new,
//! empty repository.

use anyhow::Result;
use serde_json::{Value, json};

use super::repositories::{Base, Place};
use super::{Context, store_failure};
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::store::Made;
use crate::repository::restic::Probe;
use crate::settings::{SavedRoles, Settings};
use crate::sources::Item;

/// Makes the bucket's directory and the restic repositories, or finds them.
///
/// # Errors
/// When something is not there and cannot be made, or when it cannot be told whether it is there.
pub async fn init(context: &Context, split: bool) -> Result<Exit> {
    let mut record = json!({"command": "init"});
    if let Some(bucket) = &context.settings.bucket {
        let address = &bucket.address;
        let made = context.stop.or(async { context.store()?.ensure().await.map_err(store_failure) }).await?;
        say(&address.to_string(), made == Made::New);
        record["bucket"] = address.to_string().into();
        record["made"] = (made == Made::New).into();
    }
    if let Some(base) = context.stop.or(Base::of(context)).await? {
        record["restic"] = context.stop.or(repositories(&base, &context.settings, split)).await?;
    }
    if context.json {
        report::json(&record)?;
    }
    Ok(Exit::Done)
}

/// Goes on with the layout that is there; where nothing is, makes the wanted one.
async fn repositories(base: &Base, settings: &Settings, split: bool) -> Result<Value> {
    let mut items = kinds(settings);
    let there = base.there().await?;
    let split = match &there {
        Some(there) => {
            // Older scripts made no repository for roles where they saved none: they go with the databases, and none is missing.
            let with_databases = |(place, _)| place == Place::Databases;
            items.retain(|item| *item != Item::Roles || !there.for_item(item).is_some_and(with_databases));
            there.is_split()
        }
        None => split || base.makes_split(),
    };
    let mut said = Vec::new();
    let wanted = base.wanted(&items, split);
    let mut first = None;
    for (place, repository) in wanted.each() {
        // One that is there was opened already, maybe by its new password.
        let repository = there.as_ref().and_then(|there| there.at(place)).unwrap_or(repository);
        let new = repository.probe().await? == Probe::Missing;
        if new {
            repository.init(first).await?;
        }
        first = first.or(Some(repository));
        say(&repository.address().to_string(), new);
        said.push(json!({"repository": repository.address().to_string(), "made": new}));
    }
    Ok(said.into())
}

/// One item of each kind that the settings speak of.
fn kinds(settings: &Settings) -> Vec<Item> {
    let mut items: Vec<Item> =
        settings.files.iter().flat_map(|files| files.roots.first()).cloned().map(Item::Files).collect();
    if settings.postgres.is_some() {
        items.push(Item::Dump);
        if settings.saved_roles != SavedRoles::None {
            items.push(Item::Roles);
        }
    }
    items
}

fn say(address: &str, new: bool) {
    if new { tracing::info!("made {address}") } else { tracing::info!("{address} is there") }
}
