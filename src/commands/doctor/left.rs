//! Who is at work, and what dead runs and restores left. As long as somebody is at work, what lies there is that run's.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use tokio::task::block_in_place;

use super::finding::{Area, Finding};
use crate::commands::replaced::Copy;
use crate::commands::restore::leftovers::roots;
use crate::commands::{Context, pausing, replaced};
use crate::error::exit_of;
use crate::exit::Exit;
use crate::pause;
use crate::report::size;
use crate::settings::KeepReplaced;
use crate::sources::files::exchange::{self, Found};
use crate::sources::files::lock as file_lock;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::side::State;
use crate::sources::postgres::{lock, server};

const RESUME: &str = "bkp resume";

/// On the server: the lock, and databases of restores that died.
pub async fn on_server(context: &Context, session: &Session) -> Result<Vec<Finding>> {
    let app = &context.settings.app;
    if let Some(holder) = lock::holder_of(session, app).await? {
        return Ok(vec![Finding::warning(
            Area::Left,
            format!("application {app} is locked by {holder}"),
            "wait for it to end, or set BKP_LOCK_WAIT (for example 10m)",
        )]);
    }
    let mut findings =
        vec![Finding::ok(Area::Left, format!("nobody holds the lock of application {app} on the server"))];
    for database in server::databases(session).await? {
        let Some(journal) = database.journal().filter(|journal| journal.app == *app) else { continue };
        if journal.state == State::Loading {
            let what = format!("database {} was left by run {}, which died", database.name, journal.run);
            findings.push(Finding::warning(Area::Left, what, RESUME));
        }
    }
    Ok(findings)
}

/// On this machine: locks of directories, half-made restores of files, and notes of what was paused.
pub async fn here(context: &Context) -> Vec<Finding> {
    let settings = &context.settings;
    let (mut findings, mut is_busy) = (Vec::new(), false);
    for root in roots(settings) {
        // Taken and given back at once: the kernel shows the locks of other containers to nobody.
        match file_lock::acquire(&root, Duration::ZERO).await {
            Ok(lock) => drop(lock),
            Err(error) => {
                is_busy |= exit_of(&error) == Exit::Locked;
                findings.push(Finding::of(Area::Left, &error));
                continue;
            }
        }
        match block_in_place(|| exchange::leftovers(&root)) {
            Ok(left) => {
                // What a restore or an undo put aside lies there on purpose.
                let died = left.iter().filter(|left| !matches!(left.found, Found::Replaced | Found::Undone));
                findings.extend(died.map(|left| {
                    let what = format!("{}: run {} died here and left .bkp-{}", root.display(), left.run, left.run);
                    Finding::warning(Area::Left, what, RESUME)
                }))
            }
            Err(error) => findings.push(Finding::of(Area::Left, &error)),
        }
    }
    if !is_busy {
        findings.extend(paused(context).await);
    }
    findings
}

async fn paused(context: &Context) -> Vec<Finding> {
    let seen = async {
        let config = pausing::config(&context.settings)?;
        let mut runs: BTreeSet<String> = pause::left_paused(&config)?.into_iter().map(|left| left.run).collect();
        // What of it cannot be asked is told by the area that asks for the right to.
        let scaled = pause::left_scaled(&config).await.unwrap_or_default();
        runs.extend(scaled.into_iter().map(|left| left.run));
        anyhow::Ok(runs)
    };
    match seen.await {
        Ok(runs) => runs
            .into_iter()
            .map(|run| {
                Finding::warning(
                    Area::Left,
                    format!("run {run} has paused the application, and is dead unless a lock is held"),
                    RESUME,
                )
            })
            .collect(),
        Err(error) => vec![Finding::of(Area::Left, &error)],
    }
}

/// What restores put aside: it takes space, and is the way back.
pub async fn copies(context: &Context) -> Vec<Finding> {
    let until = match context.settings.restore.keep_replaced {
        KeepReplaced::UntilBackup => "it goes with the next sealed backup",
        KeepReplaced::Always | KeepReplaced::Never => "nothing drops it by itself",
    };
    let told = |copy: &Copy| {
        let bytes = copy.bytes.map_or_else(|| "some space".to_owned(), size);
        let what = format!("a restore put {} aside as {}, which takes {bytes}; {until}", copy.item, copy.kept_as);
        Finding::warning(Area::Left, what, "bkp restore --undo brings it back; bkp backup lets it go")
    };
    match replaced::replaced(context).await {
        Ok(copies) => copies.iter().map(told).collect(),
        // Whatever keeps it from being asked is told where it is asked first.
        Err(_) => Vec::new(),
    }
}
