//! A run as a list shows it, to machines as it is: docs/list.schema.json describes it.

use jiff::Timestamp;
use serde::Serialize;

use crate::commands::catalog::{self, Saved};
use crate::commands::shrink::Shrunk;
use crate::sources::Item;

/// A run as `list --json` shows it.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The run, when it was one of ours.
    pub run: Option<String>,
    /// When it was taken.
    pub time: Timestamp,
    /// The dump's name in the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Its snapshots in restic repositories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Shown>,
    /// What is in it, as items are called.
    pub items: Vec<String>,
    /// What it set out to save and lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What its dump takes in the bucket. Of snapshots nobody knows: they share what they hold.
    pub stored_bytes: Option<u64>,
    /// What it restores to: its SQL and its files.
    pub restored_bytes: Option<u64>,
    /// The length of its SQL.
    pub sql_bytes: Option<u64>,
    /// Whether it is proven whole, part by part.
    pub sealed: bool,
    /// Whether a restore took it of what it was about to replace.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub safety: bool,
    /// What of it is much smaller than before (BKP_SHRINK_LIMIT).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shrunk: Vec<String>,
    /// When a drill proved last that all of it restores.
    pub proven: Option<Timestamp>,
    /// From which store it was read then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proven_from: Vec<&'static str>,
    /// Whose it is, when it says so.
    pub app: Option<String>,
    /// Version of the server.
    pub server: Option<String>,
    /// Databases.
    pub databases: Vec<String>,
    /// Rows of all their tables.
    pub rows: Option<u64>,
    /// Why its end cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A snapshot of a run.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// What it holds.
    pub item: String,
    /// restic's id.
    pub id: String,
    /// The host that it was saved under.
    pub host: String,
    /// What was read to make it.
    pub bytes: Option<u64>,
}

impl Row {
    /// What there is to say of a run, one of `shrunk` perhaps.
    pub fn of(saved: &Saved, shrunk: &Shrunk) -> Row {
        let dump = saved.dump.as_ref();
        let seal = dump.and_then(|dump| dump.summary());
        let mut items: Vec<Item> = saved.snapshots.iter().map(|snapshot| snapshot.item.clone()).collect();
        let mut databases: Vec<String> = seal.iter().flat_map(|seal| seal.databases.keys().cloned()).collect();
        for item in &items {
            if let Item::Database(name) = item
                && !databases.contains(name)
            {
                databases.push(name.clone());
            }
        }
        if dump.is_some() {
            items.insert(0, Item::Dump);
        }
        let shown = saved.snapshots.iter().map(|snapshot| Shown {
            item: snapshot.item.to_string(),
            id: snapshot.id.clone(),
            host: snapshot.host.clone(),
            bytes: snapshot.bytes,
        });
        let is_sql = |item: &Item| !matches!(item, Item::Files(_));
        let restic_sql =
            saved.snapshots.iter().filter(|snapshot| is_sql(&snapshot.item)).map(|snapshot| snapshot.bytes);
        let sql_bytes = seal.map(|seal| seal.bytes).or_else(|| restic_sql.sum());
        let trees = saved.snapshots.iter().filter(|snapshot| !is_sql(&snapshot.item)).map(|snapshot| snapshot.bytes);
        let has_sql = dump.is_some() || saved.snapshots.iter().any(|snapshot| is_sql(&snapshot.item));
        let restored_bytes = trees.chain(has_sql.then_some(sql_bytes)).sum();
        Row {
            run: saved.run.clone(),
            time: saved.time,
            object: dump.map(|dump| dump.name.clone()),
            snapshots: shown.collect(),
            items: items.iter().map(ToString::to_string).collect(),
            missing: if saved.is_complete() {
                vec![]
            } else {
                saved.missing().iter().map(ToString::to_string).collect()
            },
            stored_bytes: dump.map(|dump| dump.bytes),
            restored_bytes,
            sql_bytes,
            sealed: saved.run.is_some() && saved.is_complete(),
            safety: saved.is_safety(),
            shrunk: saved.run.as_ref().and_then(|run| shrunk.get(run)).cloned().unwrap_or_default(),
            proven: saved.proven.newest(),
            proven_from: [("bucket", saved.proven.bucket), ("restic", saved.proven.restic)]
                .into_iter()
                .filter_map(|(store, when)| when.map(|_| store))
                .collect(),
            app: saved.app.clone(),
            server: seal.map(|seal| seal.server.clone()),
            databases,
            rows: seal.map(|seal| seal.rows()),
            problem: dump.and_then(|dump| match &dump.seal {
                catalog::SealState::Unreadable(why) => Some(format!("{why:#}")),
                _ => None,
            }),
        }
    }
}
