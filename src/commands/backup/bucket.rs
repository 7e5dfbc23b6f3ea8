//! The dump's way into a bucket: one object, which appears when it is whole and sealed.

use anyhow::{Result, bail};

use crate::commands::{Run, store_failure};
use crate::repository::bucket::error::StoreError;
use crate::repository::bucket::layout;
use crate::repository::bucket::pump::Pump;
use crate::repository::bucket::store::{Object, Store};
use crate::sources::postgres::seal::{Seal, Stored, blake3_of};

/// A bucket that is not there is found out before the server is put to work. Gives what is in it.
pub async fn reachable(store: &Store) -> Result<Vec<Object>> {
    store.list(layout::FOLDER).await.map_err(|error| match error {
        StoreError::NotFound { .. } | StoreError::BucketMissing { .. } => {
            store_failure(error).context("no repository, and a backup never makes one")
        }
        other => store_failure(other),
    })
}

/// Begins the object. Create-only: a name that is taken gets a number, and what is there stays.
pub async fn begin(run: &Run, store: &Store, level: u8, attempt: u32) -> Result<Pump> {
    // Those who lost the same race once do not meet again: from then on the run's own number decides.
    let first = if attempt == 0 { 0 } else { 100 * attempt + run.number() % 100 };
    for taken in first..first + 100 {
        match store.upload(&layout::dump_name(run.began, taken)).await {
            Err(StoreError::Exists { .. }) => {}
            other => return other.map(|upload| Pump::new(upload, level)).map_err(store_failure),
        }
    }
    bail!("a hundred dumps of this second are there already")
}

/// Ends the object with its seal, which is told what is stored. `None` when another application's run of the same second took the name
/// while we produced.
pub async fn commit(pump: Pump, seal: &mut Seal) -> Result<Option<Object>> {
    let sealed = pump.commit(|written| {
        seal.stored = Some(Stored { bytes: written.bytes, digest: blake3_of(&written.digest) });
        seal.line()
    });
    match sealed.await {
        Ok(object) => Ok(Some(object)),
        Err(error) => match error.downcast::<StoreError>() {
            Ok(error @ StoreError::Exists { .. }) => {
                tracing::warn!("{error}; doing it again under another name");
                Ok(None)
            }
            Ok(other) => Err(store_failure(other)),
            Err(other) => Err(other),
        },
    }
}

/// The next SQL. A store that fails says what to do amid a dump as it does at its end.
pub async fn write(pump: &mut Pump, sql: &[u8]) -> Result<()> {
    pump.write(sql).await.map_err(|error| error.downcast().map_or_else(|other| other, store_failure))
}

/// What a killed run left of its upload is invisible, but takes space.
pub async fn sweep(store: &Store, run: &Run) {
    let a_day_ago = run.began - jiff::SignedDuration::from_hours(24);
    match store.sweep(a_day_ago, &|name| layout::time_of(name).is_some()).await {
        Ok(0) => {}
        Ok(swept) => tracing::info!("removed {swept} unfinished uploads of dead runs"),
        Err(error) => tracing::warn!("unfinished uploads of dead runs could not be removed: {error}"),
    }
}
