//! What a bucket holds: its dumps, newest first, each with what its seal says.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::repository::bucket::layout;
use crate::repository::bucket::pack::{self, End};
use crate::repository::bucket::store::{Object, Store, Version};
use crate::sources::postgres::seal::Seal;

/// One dump in a bucket.
#[derive(Debug, Clone)]
pub struct Dump {
    /// The object's name.
    pub name: String,
    /// Its stored size.
    pub bytes: u64,
    /// When it was taken: from its name, else when it was stored.
    pub time: Timestamp,
    /// Which object of that name it is.
    pub version: Option<Version>,
    /// What its end says.
    pub seal: SealState,
}

/// What is known of a dump's seal without reading the dump.
#[derive(Debug, Clone)]
pub enum SealState {
    /// It has one.
    Sealed(Box<Seal>),
    /// It has none: another tool wrote it, or it was cut short.
    Unsealed,
    /// Its end could not be read.
    Unreadable(String),
}

impl Dump {
    /// The seal, when there is one that can be read.
    pub fn seal(&self) -> Option<&Seal> {
        match &self.seal {
            SealState::Sealed(seal) => Some(seal),
            _ => None,
        }
    }

    /// Whether the dump carries a seal of this application.
    pub fn sealed_for(&self, app: &str) -> bool {
        self.seal().is_some_and(|seal| seal.app == app)
    }
}

/// Seals are read for so many objects at once.
const AT_ONCE: usize = 8;

/// The end that is read first: holds the seal of some hundred tables.
const END_BYTES: u64 = 32 << 10;

/// Lists all dumps, newest first.
///
/// # Errors
/// When the bucket cannot be listed. A dump whose end cannot be read is listed as such.
pub async fn dumps(store: &Store) -> Result<Vec<Dump>> {
    let objects = store.list(layout::FOLDER).await.map_err(super::store_failure)?;
    let mut dumps: Vec<Dump> = stream::iter(objects.into_iter().filter(|object| !object.name.ends_with('/')))
        .map(|object| async move { anyhow::Ok(described(store, object).await) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    dumps.sort_by(|a, b| {
        let (of_a, of_b) = (layout::taken(&a.name), layout::taken(&b.name));
        b.time.cmp(&a.time).then_with(|| of_b.cmp(&of_a)).then_with(|| b.name.cmp(&a.name))
    });
    Ok(dumps)
}

/// Describes one object, whatever its name is.
pub async fn described(store: &Store, object: Object) -> Dump {
    let seal = match read_seal(store, &object).await {
        Ok(Some(seal)) => SealState::Sealed(Box::new(seal)),
        Ok(None) => SealState::Unsealed,
        Err(error) => SealState::Unreadable(format!("{error:#}")),
    };
    Dump {
        time: layout::time_of(&object.name).unwrap_or(object.modified),
        name: object.name,
        bytes: object.bytes,
        version: object.version,
        seal,
    }
}

async fn read_seal(store: &Store, object: &Object) -> Result<Option<Seal>> {
    let mut wanted = END_BYTES;
    loop {
        let start = object.bytes.saturating_sub(wanted);
        if object.bytes == 0 {
            return Ok(None);
        }
        let mut download = store.read(&object.name, Some(start..object.bytes), object.version.as_ref()).await?;
        let mut end = Vec::new();
        while let Some(bytes) = download.next().await? {
            end.extend_from_slice(&bytes);
        }
        match pack::read_end(&end)? {
            End::Unsealed => return Ok(None),
            End::Need(bytes) if bytes <= object.bytes && bytes > wanted => wanted = bytes,
            End::Need(_) => anyhow::bail!("the dump's footer is damaged"),
            End::Line(line) => {
                let json = line.strip_prefix(b"-- bkp seal ").context("the dump's end holds no seal")?;
                return Seal::parse(json).map(Some);
            }
        }
    }
}
