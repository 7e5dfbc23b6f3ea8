//! `bkp init`: makes what is not there and says what was. Never run by a backup: a typo in an address must not become a new,
//! empty repository.

use anyhow::Result;

use super::{Context, store_failure};
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::store::Made;

/// Makes the bucket's directory, or finds the bucket.
///
/// # Errors
/// When the bucket is not there and cannot be made.
pub async fn init(context: &Context) -> Result<Exit> {
    let Some(bucket) = &context.settings.bucket else { return Ok(Exit::Done) };
    let address = &bucket.address;
    let made = context.stop.or(async { context.store()?.ensure().await.map_err(store_failure) }).await?;
    match made {
        Made::New => tracing::info!("made {address}"),
        Made::AlreadyThere => tracing::info!("{address} is there"),
    }
    if context.json {
        report::json(
            &serde_json::json!({"command": "init", "bucket": address.to_string(), "made": made == Made::New}),
        )?;
    }
    Ok(Exit::Done)
}
