//! `bkp list`: what there is to restore, newest first.

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use super::catalog::{self, Saved};
use super::replaced;
use super::repositories::Repositories;
use crate::exit::Exit;
use crate::report;
use crate::sources::Item;

/// A run as `list --json` shows it.
#[derive(Serialize)]
struct Row {
    run: Option<String>,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    snapshots: Vec<Shown>,
    items: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    stored_bytes: Option<u64>,
    sql_bytes: Option<u64>,
    sealed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    safety: bool,
    /// When a drill proved last that all of it restores.
    proven: Option<Timestamp>,
    /// From which store it was read then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    proven_from: Vec<&'static str>,
    app: Option<String>,
    server: Option<String>,
    databases: Vec<String>,
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A snapshot of a run.
#[derive(Serialize)]
struct Shown {
    item: String,
    id: String,
    host: String,
    bytes: Option<u64>,
}

impl From<&Saved> for Row {
    fn from(saved: &Saved) -> Row {
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
        let in_restic = |item: &Item| !matches!(item, Item::Files(_));
        let restic_sql =
            saved.snapshots.iter().filter(|snapshot| in_restic(&snapshot.item)).map(|snapshot| snapshot.bytes);
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
            sql_bytes: seal.map(|seal| seal.bytes).or_else(|| restic_sql.sum()),
            sealed: saved.run.is_some() && saved.is_complete(),
            safety: saved.is_safety(),
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

/// Lists everything that there is to restore; of restic's snapshots only those of `host`, when one is named. Below it, for people,
/// what restores put aside: nothing that a script reads today has another form.
///
/// # Errors
/// When a repository cannot be listed.
pub async fn list(context: &Context, host: Option<&str>) -> Result<Exit> {
    let repositories = context.stop.or(Repositories::open_to_list(context)).await?;
    let saved = context.stop.or(catalog::saved(&repositories, &context.settings, host)).await?;
    let rows: Vec<Row> = saved.iter().map(Row::from).collect();
    if context.json {
        report::json(&rows)?;
        return Ok(Exit::Done);
    }
    report::text(&match (rows.is_empty(), host) {
        (true, Some(host)) => format!("there is no backup of host {host}\n"),
        (true, None) => "no backups yet; the first is made by: bkp backup\n".to_owned(),
        (false, _) => table(&rows),
    })?;
    match context.stop.or(replaced::replaced(context)).await {
        Ok(copies) if copies.is_empty() => {}
        Ok(copies) => report::text(&format!("\n{}", replaced::table(&copies)))?,
        Err(error) => tracing::warn!("what restores put aside is not shown: {error:#}"),
    }
    Ok(Exit::Done)
}

/// Lists only what restores put aside.
///
/// # Errors
/// When the server or a directory cannot be looked at.
pub async fn list_replaced(context: &Context) -> Result<Exit> {
    let copies = context.stop.or(replaced::replaced(context)).await?;
    match (context.json, copies.is_empty()) {
        (true, _) => report::json(&copies)?,
        (false, true) => report::text("nothing that a restore replaced is there\n")?,
        (false, false) => report::text(&replaced::table(&copies))?,
    }
    Ok(Exit::Done)
}

fn table(rows: &[Row]) -> String {
    let heading =
        ["TIME (UTC)", "RUN", "SEALED", "PROVEN", "STORED", "SQL", "ROWS", "ITEMS", "OBJECT"].map(str::to_owned);
    let unknown = || "-".to_owned();
    let lines = rows.iter().map(|row| {
        let sealed = match (&row.problem, &row.app) {
            (Some(_), _) => "unreadable".to_owned(),
            (None, Some(app)) if row.sealed && row.safety => format!("yes, {app} (safety)"),
            (None, Some(app)) if row.sealed => format!("yes, {app}"),
            (None, Some(app)) if row.run.is_some() => format!("incomplete, {app}"),
            _ => "no".to_owned(),
        };
        // The id beside the item: both together are what `restore --snapshot` and the old names are given.
        let with_id = |shown: &Shown| format!("{} {}", shown.item, &shown.id[..shown.id.len().min(8)]);
        let mut items: Vec<String> = row.snapshots.iter().map(with_id).collect();
        if row.object.is_some() {
            items.insert(0, if row.databases.is_empty() { "dump".to_owned() } else { row.databases.join(",") });
        }
        items.extend(row.missing.iter().map(|item| format!("MISSING {item}")));
        [
            row.time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            row.run.clone().unwrap_or_else(unknown),
            sealed,
            row.proven.map_or_else(unknown, |when| when.strftime("%Y-%m-%d").to_string() + &of_which(row)),
            row.stored_bytes.map_or_else(unknown, report::size),
            row.sql_bytes.map_or_else(unknown, report::size),
            row.rows.map_or_else(unknown, |rows| rows.to_string()),
            items.join(", "),
            row.object.clone().unwrap_or_else(unknown),
        ]
    });
    report::table(std::iter::once(heading).chain(lines))
}

/// What a run that lies in both stores was proven from: the other's databases nobody has read.
fn of_which(row: &Row) -> String {
    let in_both = row.object.is_some() && row.items.iter().any(|item| item.starts_with("database "));
    if in_both { format!(" ({})", row.proven_from.join(", ")) } else { String::new() }
}
