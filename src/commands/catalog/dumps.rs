//! What a bucket holds: its dumps, newest first, each with what its seal says.

use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::age;
use crate::commands::store_failure;
use crate::error::{Failure, exit_of, hints_of};
use crate::exit::Exit;
use crate::repository::bucket::error::StoreError;
use crate::repository::bucket::pack::{self, End, FOOTER_BYTES};
use crate::repository::bucket::store::{Object, Store, Version};
use crate::repository::bucket::{layout, member};
use crate::sources::postgres::seal::{SEAL, Seal, Summary};

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
    Sealed(Box<Kept>),
    /// It has none: another tool wrote it, or it was cut short.
    Unsealed,
    /// It cannot be used: the store did not give its end, or it is damaged, cut short, or of another time than its name tells.
    Unreadable(Arc<anyhow::Error>),
}

/// A seal as a list keeps it: what it says in short, and the rest packed until somebody asks.
#[derive(Debug, Clone)]
pub struct Kept {
    summary: Summary,
    /// The object's last bytes, which hold the seal.
    end: Vec<u8>,
    /// In a box: few are asked, and there may be very many.
    whole: OnceLock<Option<Box<Seal>>>,
}

impl Kept {
    /// A seal that is at hand.
    pub fn of(seal: Seal) -> Kept {
        Kept { summary: Summary::from(&seal), end: Vec::new(), whole: OnceLock::from(Some(Box::new(seal))) }
    }

    /// All of it. It was read once for its summary, so there is nothing that could still be wrong with it.
    fn whole(&self) -> Option<&Seal> {
        let unpack = || match pack::read_end(&self.end) {
            Ok(End::Line(line)) => Seal::parse(line.strip_prefix(SEAL)?).ok().map(Box::new),
            _ => None,
        };
        self.whole.get_or_init(unpack).as_deref()
    }
}

impl Dump {
    /// The seal, when there is one that can be read.
    pub fn seal(&self) -> Option<&Seal> {
        match &self.seal {
            SealState::Sealed(kept) => kept.whole(),
            _ => None,
        }
    }

    /// What the seal says in short.
    pub fn summary(&self) -> Option<&Summary> {
        match &self.seal {
            SealState::Sealed(kept) => Some(&kept.summary),
            _ => None,
        }
    }

    /// Why its end cannot be read, when it cannot: a store's trouble with that trouble's exit code and hint, else a damage.
    pub fn unreadable(&self) -> Option<Failure> {
        let SealState::Unreadable(error) = &self.seal else { return None };
        let exit = if error.chain().any(|cause| cause.is::<Failure>()) { exit_of(error) } else { Exit::ProofFailed };
        let is_there = exit == Exit::ProofFailed && error.chain().any(|cause| cause.is::<Failure>());
        let what = if is_there { "used" } else { "read" };
        let failure = Failure::new(format!("{} cannot be {what}: {error:#}", self.name)).exit(exit);
        Some(failure.hint(hints_of(error).pop().unwrap_or_else(|| "choose another one: bkp list".to_owned())))
    }
}

/// The end that is read first: holds the seal of some hundred tables.
const END_BYTES: u64 = 32 << 10;

/// Lists all dumps, newest first.
///
/// # Errors
/// When the bucket cannot be listed. A dump whose end cannot be read is listed as such; one that another run has forgotten
/// since the listing is left out.
pub async fn dumps(store: &Store) -> Result<Vec<Dump>> {
    let objects = store.list(layout::FOLDER).await.map_err(store_failure)?;
    let mut dumps: Vec<Dump> = stream::iter(objects.into_iter().filter(|object| !object.name.ends_with('/')))
        .map(|object| still_there(store, object))
        .buffer_unordered(store.at_once())
        .filter_map(std::future::ready)
        .collect()
        .await;
    dumps.sort_by(|a, b| age(b.time, &b.name).cmp(&age(a.time, &a.name)));
    Ok(dumps)
}

/// What an object's seal says in short, by its end alone; nothing when it has none.
///
/// # Errors
/// When the end cannot be read.
pub async fn summary(store: &Store, object: &Object) -> Result<Option<Summary>> {
    Ok(read_seal(store, object).await?.map(|kept| kept.summary))
}

/// Describes one object, whatever its name is; nothing when it is gone.
async fn still_there(store: &Store, object: Object) -> Option<Dump> {
    let seal = match read_seal(store, &object).await {
        Ok(Some(kept)) => match of_another_time(&object.name, &kept.summary.run) {
            None => SealState::Sealed(Box::new(kept)),
            Some(mistaken) => SealState::Unreadable(Arc::new(mistaken.into())),
        },
        Ok(None) => match cut_short(store, &object).await {
            Ok(None) => SealState::Unsealed,
            Ok(Some(cut)) => SealState::Unreadable(Arc::new(cut.into())),
            Err(StoreError::NotFound { .. }) => return None,
            Err(error) => SealState::Unreadable(Arc::new(store_failure(error))),
        },
        Err(error) if is_gone(store, &object, &error).await => return None,
        Err(error) => SealState::Unreadable(Arc::new(error.downcast().map_or_else(|error| error, store_failure))),
    };
    Some(Dump {
        time: layout::time_of(&object.name).unwrap_or(object.modified),
        name: object.name,
        bytes: object.bytes,
        version: object.version,
        seal,
    })
}

/// An object whose name tells another time than its seal was put there by somebody, who may have mixed up two of them: whoever takes
/// it for the newest would get older data.
fn of_another_time(name: &str, run: &str) -> Option<Failure> {
    let named = layout::time_of(name)?;
    let began: DateTime = strtime::parse("%Y%m%dT%H%M%SZ", run.split('-').next()?).ok()?.to_datetime().ok()?;
    let began = began.to_zoned(TimeZone::UTC).ok()?.timestamp();
    (began != named).then(|| {
        Failure::new(format!("it holds the dump of another time, that of run {run}"))
            .hint(format!(
                "somebody has renamed or copied objects in the bucket: give this one its name back, {}",
                layout::dump_name(began, 0)
            ))
            .exit(Exit::ProofFailed)
    })
}

/// Why an object without a seal is none that somebody else made: its name or its beginning are ours, and its end is not.
///
/// # Errors
/// When it cannot be read.
async fn cut_short(store: &Store, object: &Object) -> Result<Option<Failure>, StoreError> {
    let hint = "nothing was touched; choose another backup: bkp list, and remove this one from the bucket when you have another";
    let failure = |what: &str| Failure::new(what).hint(hint).exit(Exit::ProofFailed);
    if object.bytes == 0 {
        return Ok(layout::time_of(&object.name).map(|_| failure("it is empty")));
    }
    let mut download = store.read_listed(object, 0..object.bytes.min(member::SHOWN_BYTES as u64)).await?;
    let mut start = Vec::new();
    while let Some(bytes) = download.next().await? {
        start.extend_from_slice(&bytes);
    }
    Ok(member::begins_ours(&start)
        .then(|| failure("it begins as a dump of bkp's and does not end as one: cut short, or its end was changed")))
}

/// Some stores say of an object that is gone that it is not the one that was asked for.
async fn is_gone(store: &Store, object: &Object, error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(StoreError::NotFound { .. }) => true,
        Some(StoreError::Changed { .. }) => matches!(store.stat(&object.name).await, Err(StoreError::NotFound { .. })),
        _ => false,
    }
}

/// Of an object's last bytes those that hold its seal; its footer alone tells how many.
fn needed(end: &[u8]) -> &[u8] {
    let footer = &end[end.len().saturating_sub(FOOTER_BYTES)..];
    let wanted = match pack::read_end(footer) {
        Ok(End::Need(bytes)) => usize::try_from(bytes).unwrap_or(usize::MAX),
        _ => end.len(),
    };
    &end[end.len().saturating_sub(wanted)..]
}

async fn read_seal(store: &Store, object: &Object) -> Result<Option<Kept>> {
    let mut wanted = END_BYTES;
    loop {
        let start = object.bytes.saturating_sub(wanted);
        if object.bytes == 0 {
            return Ok(None);
        }
        let mut download = store.read_listed(object, start..object.bytes).await?;
        let mut end = Vec::new();
        while let Some(bytes) = download.next().await? {
            end.extend_from_slice(&bytes);
        }
        match pack::read_end(&end)? {
            End::Unsealed => return Ok(None),
            End::Need(bytes) if bytes <= object.bytes && bytes > wanted => wanted = bytes,
            End::Need(_) => anyhow::bail!("the dump's footer is damaged"),
            End::Line(line) => {
                let json = line.strip_prefix(SEAL).context("the dump's end holds no seal")?;
                let summary = Summary::parse(json)?;
                let end = needed(&end).to_vec();
                return Ok(Some(Kept { summary, end, whole: OnceLock::new() }));
            }
        }
    }
}
