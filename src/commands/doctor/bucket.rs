//! The bucket: what the commands do there, done to one small object that no list shows and that is removed again.
//!
//! An account that may only add is a good idea, since who steals it cannot delete. So what is refused is told by what will not work.

use anyhow::Result;
use bytes::Bytes;
use jiff::Timestamp;

use super::finding::{Area, Finding};
use super::{clock, room};
use crate::commands::backup::bucket;
use crate::commands::{Context, now, store_failure};
use crate::report;
use crate::repository::bucket::error::StoreError;
use crate::repository::bucket::layout::{self, PROBE};
use crate::repository::bucket::store::{Object, Store};
use crate::settings::address::BucketAddress;

/// What the probe holds.
const CONTENT: &[u8] = b"bkp doctor tries rights with this object; it may be deleted\n";

/// Tries everything.
pub async fn look(context: &Context, address: &BucketAddress, findings: &mut Vec<Finding>) {
    let store = match context.store() {
        Ok(store) => store,
        Err(error) => return findings.push(Finding::of(Area::Bucket, &error)),
    };
    let dumps = match bucket::reachable(&store).await {
        Ok(dumps) => dumps,
        Err(error) => return findings.push(Finding::of(Area::Bucket, &error)),
    };
    findings.push(Finding::ok(Area::Bucket, format!("{address} is there and can be listed")));
    let times = dumps.iter().filter_map(|dump| Some((dump.name.as_str(), layout::time_of(&dump.name)?)));
    findings.extend(clock::of_newest(Area::Bucket, times, now()));
    if let BucketAddress::Directory(directory) = address {
        let last = dumps.iter().max_by_key(|object| object.modified).map_or(0, |object| object.bytes);
        findings.push(room::of_dumps(directory, last).unwrap_or_else(|error| Finding::of(Area::Room, &error)));
    }
    probe(context, &store, matches!(address, BucketAddress::Directory(_)), findings).await;
}

/// Creates, reads and deletes, as far as that is allowed; what is there of an earlier doctor is as good.
async fn probe(context: &Context, store: &Store, is_here: bool, findings: &mut Vec<Finding>) {
    let before = now();
    match create(store).await {
        // Somebody's who may not delete. That it is there says nothing of this account.
        Ok(None) => findings.push(Finding::warning(
            Area::Bucket,
            format!("whether objects can be created was not tried: {PROBE} of an earlier doctor is in the way"),
            format!("delete {PROBE} by an account that may, and run this again"),
        )),
        Ok(made) => {
            findings.push(Finding::ok(Area::Bucket, "objects can be created"));
            // Not every store says when it took an object.
            if let Some(object) = made.filter(|made| !is_here && made.modified != Timestamp::UNIX_EPOCH) {
                findings.push(clock::verdict("the store", object.modified, before, now()));
            }
        }
        Err(error) => return findings.push(Finding::of(Area::Bucket, &store_failure(error))),
    }
    let forgets = !context.settings.retention.keeps_everything();
    findings.push(match read(store).await {
        Ok(()) => Finding::ok(Area::Bucket, "objects can be read"),
        // Retention reads the seals of what it is about to forget.
        Err(error) if forgets => refused(
            error,
            "every backup ends with exit code 4, because retention reads seals; and nothing can be restored",
            false,
        ),
        Err(error) => refused(error, "this account cannot list what is sealed, nor restore", true),
    });
    findings.push(match store.delete(PROBE).await {
        Ok(()) => Finding::ok(Area::Bucket, "objects can be deleted"),
        Err(error) if forgets => refused(
            error,
            &format!("every backup ends with exit code 4, because retention deletes; {PROBE} stays"),
            false,
        ),
        Err(error) => refused(error, &format!("retention cannot work, which is not asked for; {PROBE} stays"), true),
    });
}

/// The new object; nothing when one was there, which was not overwritten.
async fn create(store: &Store) -> Result<Option<Object>, StoreError> {
    let created = async {
        let mut upload = store.upload(PROBE).await?;
        upload.write(Bytes::from_static(CONTENT)).await?;
        upload.commit().await
    };
    match created.await {
        Ok(object) => Ok(Some(object)),
        Err(StoreError::Exists { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read(store: &Store) -> Result<(), StoreError> {
    let read = async {
        let mut download = store.read(PROBE, None, None).await?;
        while download.next().await?.is_some() {}
        Ok(())
    };
    match read.await {
        // Another doctor has removed it in between.
        Err(StoreError::NotFound { .. }) => Ok(()),
        other => other,
    }
}

/// A refusal, by what it means. Anything but a refusal is a fault, whatever it means.
fn refused(error: StoreError, means: &str, is_choice: bool) -> Finding {
    let is_refusal = matches!(error, StoreError::Forbidden { .. });
    let told = store_failure(error);
    let mut finding = Finding::of(Area::Bucket, &told);
    finding.what = format!("{}: {means}", report::said(&told));
    if is_refusal && is_choice { finding.at_most_warning() } else { finding }
}
