//! `bkp list`: what there is to restore, newest first, and what restores have put aside.

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use super::catalog::{self, Dump, SealState};
use crate::exit::Exit;
use crate::report;

/// A dump as `list --json` shows it.
#[derive(Serialize)]
struct Row {
    run: Option<String>,
    time: Timestamp,
    object: String,
    stored_bytes: u64,
    sql_bytes: Option<u64>,
    sealed: bool,
    app: Option<String>,
    server: Option<String>,
    databases: Vec<String>,
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl From<&Dump> for Row {
    fn from(dump: &Dump) -> Row {
        let seal = dump.seal();
        Row {
            run: seal.map(|seal| seal.run.clone()),
            time: dump.time,
            object: dump.name.clone(),
            stored_bytes: dump.bytes,
            sql_bytes: seal.map(|seal| seal.bytes),
            sealed: seal.is_some(),
            app: seal.map(|seal| seal.app.clone()),
            server: seal.map(|seal| seal.server.clone()),
            databases: seal.map(|seal| seal.databases.keys().cloned().collect()).unwrap_or_default(),
            rows: seal.map(|seal| seal.rows()),
            problem: match &dump.seal {
                SealState::Unreadable(why) => Some(format!("{why:#}")),
                _ => None,
            },
        }
    }
}

/// Lists the bucket.
///
/// # Errors
/// When it cannot be listed.
pub async fn list(context: &Context) -> Result<Exit> {
    let store = context.store()?;
    let dumps = context.stop.or(catalog::dumps(&store)).await?;
    let rows: Vec<Row> = dumps.iter().map(Row::from).collect();
    if context.json {
        report::json(&rows)?;
    } else {
        report::text(&table(&rows))?;
    }
    Ok(Exit::Done)
}

fn table(rows: &[Row]) -> String {
    let heading = ["TIME (UTC)", "RUN", "SEALED", "STORED", "SQL", "ROWS", "DATABASES", "OBJECT"].map(str::to_owned);
    let unknown = || "-".to_owned();
    let lines = rows.iter().map(|row| {
        let sealed = match (&row.problem, &row.app) {
            (Some(_), _) => "unreadable".to_owned(),
            (None, Some(app)) => format!("yes, {app}"),
            (None, None) => "no".to_owned(),
        };
        [
            row.time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            row.run.clone().unwrap_or_else(unknown),
            sealed,
            report::size(row.stored_bytes),
            row.sql_bytes.map_or_else(unknown, report::size),
            row.rows.map_or_else(unknown, |rows| rows.to_string()),
            if row.databases.is_empty() { unknown() } else { row.databases.join(",") },
            row.object.clone(),
        ]
        // A name may hold anything, a terminal's commands too.
        .map(|cell| cell.replace(char::is_control, "?"))
    });
    let all: Vec<[String; 8]> = std::iter::once(heading).chain(lines).collect();
    let width = |column: usize| all.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &all {
        let cells: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    if rows.is_empty() {
        text.push_str("no dumps yet; the first is made by: bkp backup\n");
    }
    text
}
