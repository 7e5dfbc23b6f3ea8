//! What restores put aside and is still there: shown by `bkp list`, brought back by `bkp restore --undo`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::task::block_in_place;

use super::Context;
use super::restore::leftovers::roots;
use crate::report;
use crate::sources::Item;
use crate::sources::files::exchange::{self, turn};
use crate::sources::postgres::server;
use crate::sources::postgres::side::State;

/// A list must not wait long for a server that is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// One copy.
#[derive(Debug, Serialize)]
pub struct Copy {
    /// What it is of: `database NAME` or `files DIRECTORY`.
    pub item: String,
    /// The run that put it aside.
    pub run: String,
    /// When that run began.
    pub since: Option<Timestamp>,
    /// What it takes; nothing where this account may not know.
    pub bytes: Option<u64>,
    /// Where it is: a database's name or a directory.
    pub kept_as: String,
    /// The run whose work that run took back, when it was an undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undid: Option<String>,
}

/// Everything that restores of this application put aside, in the order in which they did.
///
/// # Errors
/// When the server or a directory cannot be looked at.
pub async fn replaced(context: &Context) -> Result<Vec<Copy>> {
    let settings = &context.settings;
    let mut copies = Vec::new();
    if let Some(postgres) = &settings.postgres {
        let asked = async {
            let session = server::maintenance(postgres, "bkp list").await?;
            let mut here = server::databases(&session).await?;
            server::measure(&session, &mut here, |database| database.journal().is_some()).await?;
            anyhow::Ok(here)
        };
        for database in tokio::time::timeout(PATIENCE, asked).await.context("the database server does not answer")?? {
            let Some(journal) = database.journal() else { continue };
            if journal.state == State::Replaced && journal.app == settings.app {
                copies.push(Copy {
                    item: Item::Database(journal.database).to_string(),
                    since: since(&journal.run),
                    run: journal.run,
                    bytes: database.bytes.and_then(|bytes| u64::try_from(bytes).ok()),
                    kept_as: database.name,
                    undid: journal.act.and_then(|act| act.undoes),
                });
            }
        }
    }
    for root in roots(settings) {
        for aside in block_in_place(|| turn::asides(&root))? {
            copies.push(Copy {
                item: Item::Files(root.clone()).to_string(),
                since: since(&aside.by),
                // What the application or another account keeps to itself is there, and its size is not known.
                bytes: block_in_place(|| exchange::replaced_bytes(&root, &aside.run)).ok(),
                kept_as: root.join(format!(".bkp-{}", aside.run)).display().to_string(),
                run: aside.by,
                undid: aside.act.and_then(|act| act.undoes),
            });
        }
    }
    copies.sort_by(|a, b| (&a.run, &a.item).cmp(&(&b.run, &b.item)));
    Ok(copies)
}

/// When a run began, as its id says it: `20261121T231004Z-7f3a9c`.
fn since(run: &str) -> Option<Timestamp> {
    let stamp = DateTime::strptime("%Y%m%dT%H%M%SZ", run.split('-').next()?).ok()?;
    TimeZone::UTC.to_timestamp(stamp).ok()
}

/// For people; nothing where there is nothing.
pub fn table(copies: &[Copy]) -> String {
    if copies.is_empty() {
        return String::new();
    }
    let heading = ["SINCE (UTC)", "RUN", "SIZE", "REPLACED", "KEPT AS"].map(str::to_owned);
    let line = |copy: &Copy| {
        let what = match &copy.undid {
            Some(run) => format!("{} (by the undo of {run})", copy.item),
            None => copy.item.clone(),
        };
        [
            copy.since.map_or_else(|| "-".to_owned(), |since| since.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            copy.run.clone(),
            copy.bytes.map_or_else(|| "-".to_owned(), report::size),
            what,
            copy.kept_as.clone(),
        ]
    };
    report::table(std::iter::once(heading).chain(copies.iter().map(line)))
}

#[cfg(test)]
mod tests {
    use super::since;

    #[test]
    fn a_run_says_when_it_began() {
        assert_eq!(since("20261121T231004Z-7f3a9c").unwrap().to_string(), "2026-11-21T23:10:04Z");
        assert_eq!(since("r1"), None);
    }
}
