//! The storage layer against real servers.

mod conformance;
mod credentials;
mod directory;
mod downloads;
mod lost;
pub(crate) mod servers;
mod uploads;

use std::time::Duration;

use bkp::repository::bucket::error::StoreError;
use bkp::repository::bucket::options::StoreOptions;
use bkp::repository::bucket::store::{Object, Store, Version};
use bkp::settings::address::BucketAddress;
use bytes::Bytes;

use crate::support::gcs::{BUCKET, Gcs};

/// Options with waits that a test can afford.
fn quick() -> StoreOptions {
    StoreOptions {
        op_timeout: Duration::from_secs(20),
        retries: 3,
        retry_delay: Duration::from_millis(10),
        credential_wait: Duration::from_secs(1),
        ..StoreOptions::default()
    }
}

fn open(address: &str, options: &StoreOptions) -> Store {
    let address: BucketAddress = address.parse().expect("an address");
    Store::open(&address, options).expect("a store")
}

fn open_gcs(gcs: &Gcs) -> Store {
    open(&format!("gs://{BUCKET}"), &StoreOptions { gcs_endpoint: Some(gcs.url()), ..quick() })
}

/// Bytes that look like nothing, the same at each call.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ length as u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}

/// Uploads in pieces as a pipe hands them over.
async fn upload(store: &Store, name: &str, content: &[u8]) -> Result<Object, StoreError> {
    let mut upload = store.upload(name).await?;
    for piece in content.chunks(300_000) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.commit().await
}

async fn download(store: &Store, name: &str) -> Result<Vec<u8>, StoreError> {
    download_version(store, name, None).await
}

async fn download_version(store: &Store, name: &str, version: Option<&Version>) -> Result<Vec<u8>, StoreError> {
    let mut download = store.read(name, None, version).await?;
    let mut content = Vec::new();
    while let Some(bytes) = download.next().await? {
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

async fn names(store: &Store) -> Vec<String> {
    store.list("").await.expect("listed").into_iter().map(|object| object.name).collect()
}
