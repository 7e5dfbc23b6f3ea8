//! The dump's way into restic: a snapshot for each part, sealed by itself. It is plain SQL, because restic compresses and finds
//! what it has already, which it could not in gzip.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::block_in_place;

use super::before::Sizes;
use crate::commands::catalog::tags::{Tags, encode};
use crate::commands::repositories::ResticPlaces;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::repository::restic::{Parent, Saving, StreamIn};
use crate::sources::Item;
use crate::sources::postgres::seal::{FORMAT, Measure, Seal, Sealed, blake3_of};

/// What all snapshots of a run have in common.
#[derive(Clone)]
pub struct Common {
    /// The run's id.
    pub run: String,
    /// The application.
    pub app: String,
    /// All that the run sets out to save.
    pub plan: Vec<Item>,
    /// Version of the server; empty without one.
    pub server: String,
    /// Version of the client programs; empty without any.
    pub client: String,
    /// What the operator wants to be tagged with.
    pub tags: Vec<String>,
    /// Whether a restore takes it of what it is about to replace.
    pub safety: bool,
    /// Whether it may not be much smaller than the ones before it.
    pub guarded: bool,
    /// What its dump in the bucket is held against.
    pub measure: Option<Measure>,
    /// How much each item was the last time, where that is known.
    pub before: Sizes,
}

impl Common {
    /// How a snapshot of this item is saved.
    pub fn saving(&self, places: &ResticPlaces, item: &Item, parent: Parent) -> Saving {
        let ours = Tags {
            run: self.run.clone(),
            app: self.app.clone(),
            item: item.clone(),
            plan: self.plan.clone(),
            safety: self.safety,
            guarded: self.guarded,
        };
        let mut tags = ours.write();
        tags.extend(self.tags.iter().cloned());
        Saving { host: places.host.clone(), tags, parent, time: None }
    }
}

/// One item that lies in restic now.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Kept {
    /// What it is.
    #[serde(serialize_with = "shown")]
    pub item: Item,
    /// Its snapshot.
    pub snapshot: String,
    /// What was read to make it, in bytes.
    pub bytes: u64,
    /// How many files that were, of a tree.
    #[serde(skip)]
    pub files: u64,
    /// What the repository grew by, in bytes.
    pub added_bytes: u64,
    /// Rows of a database's tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl Kept {
    /// Says what was saved: how much it is, and how much of that restic did not have yet.
    pub fn say(&self, took: Duration) {
        let (Kept { item, bytes, added_bytes, .. }, seconds) = (self, took.as_secs_f64());
        tracing::info!(
            %item,
            bytes,
            added_bytes,
            seconds,
            "saved {item} as snapshot {}: {}, {} of it new to the repository, in {seconds:.1} s{}",
            &self.snapshot[..self.snapshot.len().min(8)],
            report::size(*bytes),
            report::size(*added_bytes),
            report::rate(*bytes, seconds)
        );
    }
}

fn shown<S: serde::Serializer>(item: &Item, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(item)
}

/// Looks whether what was saved is in the repositories that the settings name.
///
/// # Errors
/// As [`Repository::holds`](crate::repository::restic::Repository::holds).
pub fn are_there(places: &ResticPlaces, kept: &[Kept]) -> Result<()> {
    kept.iter().try_for_each(|kept| {
        let (_, repository) = places.for_item(&kept.item).ok_or_else(|| no_place(&kept.item))?;
        block_in_place(|| repository.holds(&kept.snapshot))
    })
}

/// Takes a dump and makes snapshots of its parts.
pub struct Parts<'a> {
    places: &'a ResticPlaces,
    common: &'a Common,
    open: Option<Open>,
    /// The snapshots that are made.
    pub kept: Vec<Kept>,
}

struct Open {
    item: Item,
    stream: StreamIn,
    digest: blake3::Hasher,
    bytes: u64,
    began: Instant,
}

impl Open {
    async fn write(&mut self, sql: &[u8]) -> Result<()> {
        self.digest.update(sql);
        self.bytes += sql.len() as u64;
        self.stream.write(sql).await
    }
}

impl<'a> Parts<'a> {
    /// Nothing is begun yet.
    pub fn new(places: &'a ResticPlaces, common: &'a Common) -> Parts<'a> {
        Parts { places, common, open: None, kept: Vec::new() }
    }

    /// Starts restic for one item.
    pub async fn begin(&mut self, item: &Item) -> Result<()> {
        let (_, repository) = self.places.for_item(item).ok_or_else(|| no_place(item))?;
        let saving = self.common.saving(self.places, item, Parent::None);
        let stream = repository.save_stream(&saving, &file_name(item, self.places.is_split()))?;
        self.open =
            Some(Open { item: item.clone(), stream, digest: blake3::Hasher::new(), bytes: 0, began: Instant::now() });
        Ok(())
    }

    /// Passes SQL on.
    pub async fn write(&mut self, sql: &[u8]) -> Result<()> {
        self.open.as_mut().context("no part is open")?.write(sql).await
    }

    /// Seals the part and lets restic make its snapshot: the one act that makes it a backup.
    pub async fn end(&mut self, rows: Sealed, closing: &[u8]) -> Result<()> {
        let mut open = self.open.take().context("no part is open")?;
        open.write(closing).await?;
        let (databases, rows) = match &open.item {
            Item::Database(name) => {
                let count = rows.tables.values().sum();
                ([(name.clone(), rows)].into(), Some(count))
            }
            _ => ([].into(), None),
        };
        let seal = Seal {
            format: FORMAT,
            run: self.common.run.clone(),
            app: self.common.app.clone(),
            server: self.common.server.clone(),
            client: self.common.client.clone(),
            databases,
            skipped: Vec::new(),
            files: Vec::new(),
            safety: self.common.safety,
            database_bytes: [].into(),
            measure: None,
            bytes: open.bytes,
            digest: blake3_of(&open.digest),
            stored: None,
        };
        open.stream.write(seal.line()?.as_bytes()).await?;
        let stream = open.stream;
        let saved = stream.commit().await.with_context(|| format!("saving {}", open.item))?;
        let (item, bytes, added_bytes) = (open.item, open.bytes, saved.added_bytes());
        let kept = Kept { item, added_bytes, snapshot: saved.id, bytes, files: 0, rows };
        kept.say(open.began.elapsed());
        self.kept.push(kept);
        Ok(())
    }
}

/// Whether there is a repository for everything that the run sets out to save.
///
/// # Errors
/// Exit code 10 naming an item that has none.
pub fn all_have_places(places: &ResticPlaces, items: &[Item]) -> Result<()> {
    match items.iter().find(|item| places.for_item(item).is_none()) {
        Some(item) => Err(no_place(item).into()),
        None => Ok(()),
    }
}

/// Nothing can be saved where there is no repository for it.
pub fn no_place(item: &Item) -> Failure {
    Failure::new(format!("there is no restic repository for {item}"))
        .hint("bkp init makes the repositories that are missing")
        .exit(Exit::NoRepository)
}

/// The name of the file in a snapshot; the one that older scripts read, in the repositories that they made.
fn file_name(item: &Item, split: bool) -> String {
    match item {
        _ if split => "stdin".to_owned(),
        Item::Database(name) => format!("database-{}.sql", encode(name).replace('/', "%2F")),
        other => format!("{}.sql", encode(&other.to_string())),
    }
}
