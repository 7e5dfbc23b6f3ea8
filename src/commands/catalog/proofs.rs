//! What drills have proven of a bucket's dumps: a small object for each, `proven/NAME.RUN.json`, that holds the drill's evidence.
//!
//! It lies in a folder of its own, because older scripts take whatever is newest in `db/` for a dump. Its name holds the run of the
//! dump's seal, so that another dump under the same name is not taken for proven, and one listing tells all of them. Once there it is
//! never written again: the first proof is as good as the tenth.

use std::collections::BTreeMap;

use anyhow::Result;
use bytes::Bytes;
use jiff::Timestamp;

use super::Saved;
use crate::commands::store_failure;
use crate::repository::bucket::error::StoreError;
use crate::repository::bucket::layout;
use crate::repository::bucket::store::Store;

const FOLDER: &str = "proven/";

/// The name of the proof of the dump `dump` that `run` made.
pub fn object_name(dump: &str, run: &str) -> String {
    format!("{FOLDER}{}.{run}.json", dump.strip_prefix(layout::FOLDER).unwrap_or(dump))
}

/// The names of all proofs, each with when it was stored.
///
/// # Errors
/// When the bucket cannot be listed.
pub async fn all(store: &Store) -> Result<BTreeMap<String, Timestamp>> {
    let objects = store.list(FOLDER).await.map_err(store_failure)?;
    Ok(objects.into_iter().map(|object| (object.name, object.modified)).collect())
}

/// Says of each backup whether it is proven.
pub fn mark(all: &mut [Saved], proofs: &BTreeMap<String, Timestamp>) {
    for one in all {
        if let (Some(dump), Some(run)) = (&one.dump, &one.run) {
            one.proven.bucket = proofs.get(&object_name(&dump.name, run)).copied();
        }
    }
}

/// Remembers a proof.
///
/// # Errors
/// When the store does not take it; one that is there already is none.
pub async fn remember(store: &Store, dump: &str, run: &str, evidence: &[u8]) -> Result<()> {
    let stored = async {
        let mut upload = store.upload(&object_name(dump, run)).await?;
        upload.write(Bytes::copy_from_slice(evidence)).await?;
        upload.commit().await
    };
    match stored.await {
        Ok(_) | Err(StoreError::Exists { .. }) => Ok(()),
        Err(error) => Err(store_failure(error)),
    }
}
