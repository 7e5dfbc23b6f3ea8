//! `bkp restore --undo`: databases and files of the last restore as they were, as one act. Reads as it happens.
//!
//! An undo is a swap whose side databases are the copies that the restore put aside, and an exchange of files turned round. What is
//! live now is put aside in its turn, so an undo can be undone. A database that the restore made anew, because there was none, is put
//! aside with nothing in its place. Roles stay: they hold no data, and other databases may use them by now.
//!
//! The last act on the application is undone, or nothing: everything that was put aside says what was done together with it
//! ([`Act`]), and where a part of that is gone, the undo is refused.
//!
//! # The states of an undo, and what a death in them comes to
//! | state | what the next start finds | and does |
//! | --- | --- | --- |
//! | begun | nothing (perhaps a database to stand in) | drops it; **old** |
//! | announced | journals that name the undo and its renames; trees as before | takes the announcements away; **old** |
//! | turning | of the announced trees some halfway, some turned | turns them back; **old** |
//! | turned | all trees turned, the databases' transaction not committed | ends its sessions, asks: not renamed; turns the trees back; **old** |
//! | committed | all trees turned, the databases renamed | ends its sessions, asks: renamed; takes the announcements away; **new** |
//! | concluding | announcements on some trees only | as before; **new** |
//!
//! The COMMIT decides, and nothing else: databases are known by their oids, which renames leave alone. An undo of files alone is
//! decided by its last tree: as long as one announced tree is as it was, all go back. Every file journal is on the disk
//! before what it announces begins, so a loss of power is a death like any other. An undo of databases alone is one transaction.

mod databases;
mod files;
mod find;
mod recover;

use anyhow::{Result, bail};
use tokio::task::block_in_place;

use super::Request;
use super::undo::Taken;
use crate::commands::held::Held;
use crate::commands::pausing::{self, Reason};
use crate::commands::{Context, Run, now};
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::sources::act::{Act, Place, Since};
use crate::sources::files::exchange::turn;
use crate::sources::postgres::side::Journal;
use crate::sources::postgres::{in_place, server, standby};
use databases::Databases;
use files::Files;
use find::{Last, Seen};
pub use recover::recover;

/// Undoes the last restore, or the last undo.
///
/// # Errors
/// When there is nothing to undo, or it fails before the swap: everything is as it was then.
pub async fn undo(context: &Context, request: &Request) -> Result<Exit> {
    let run = context.begin()?;
    let settings = &context.settings;
    let session_name = run.session_name("restore");
    if let Some(postgres) = &settings.postgres {
        context.stop.or(standby::refuse_restore(postgres, &session_name)).await?;
    }
    let held = context.stop.or(Held::take(context, &session_name)).await?;
    context.stop.or_soon(super::leftovers::give_back(context, &held, request.dry_run)).await?;

    refuse_undecided(context)?;
    let mut seen = context.stop.or(see(context, &held)).await?;
    if let (Some(session), Some(databases)) = (&held.session, &mut seen.databases) {
        context.stop.or(server::measure(session, databases, |database| database.journal().is_some())).await?;
    }
    let mut last = seen.last(&settings.app)?;
    let mut faults = std::mem::take(&mut last.faults);
    let mut databases = match &held.session {
        Some(main) if !last.turns.is_empty() => {
            Some(context.stop.or(Databases::prepare(context, &run, main, &last, &mut faults)).await?)
        }
        _ => None,
    };
    let files = Files::prepare(context, &run, &last, &mut faults)?;
    if !faults.is_empty() {
        let there = last.there().join(", ");
        bail!(
            Failure::new(format!(
                "run {} cannot be undone as one, so nothing was begun:\n  - {}",
                last.run,
                faults.join("\n  - ")
            ))
            .hint(if there.is_empty() {
                "nothing that it put aside is left".to_owned()
            } else {
                format!("of what it put aside there is: {there}")
            })
        );
    }
    say_plan(&last, databases.as_ref(), &files);
    if request.dry_run {
        tracing::info!("dry run: nothing was done");
        return say_json(context, &run, &last, &[], true);
    }
    super::go_ahead(context, request.yes, super::GO_AHEAD).await?;

    let act = act(&last, &files);
    let done = pausing::around(context, &run, Reason::Restore, async |mut pause| {
        let done = async {
            if let Some(databases) = &mut databases {
                context.stop.or(databases.stand()).await?;
            }
            if let Some(pause) = &pause {
                context.stop.or(pause.still()).await?;
            }
            context.stop.check()?;
            held.still(&settings.app).await?;
            let renames = databases.as_ref().map(Databases::renames).unwrap_or_default();
            files.announce(&act, &renames)?;
            files.turn()?;
            if let Some(pause) = &mut pause {
                // The maintenance file may have gone aside with its directory.
                pause.renew()?;
            }
            match &mut databases {
                Some(databases) => databases.swap(&act).await,
                None => Ok(()),
            }
        }
        .await;
        match done {
            Ok(()) => {
                files.conclude(true);
                Ok(())
            }
            Err(error) => take_back(databases.as_ref(), &files, error).await,
        }
    })
    .await;
    if done.is_err() {
        held.release(&settings.app).await;
    }
    done?;
    let mut kept = match &databases {
        Some(databases) => databases.finish().await,
        None => Vec::new(),
    };
    kept.extend(files.finish());
    held.release(&settings.app).await;
    let seconds = now().duration_since(run.began).as_secs_f64();
    tracing::info!("undid run {} in {seconds:.1} s: {} as before it", last.run, names(&last).join(", "));
    if !kept.is_empty() {
        tracing::info!("what was there until now is kept as {}; bkp restore --undo brings it back", kept.join(", "));
    }
    say_json(context, &run, &last, &kept, false)
}

/// Turns the files back, unless the swap turns out to be done: then they are its, and stay.
async fn take_back(databases: Option<&Databases<'_>>, files: &Files<'_>, error: anyhow::Error) -> Result<()> {
    let taken = match databases {
        Some(databases) => databases.outcome().await,
        None => Taken::Back,
    };
    match taken {
        Taken::NotBack => {
            tracing::warn!("the connection was lost just after the swap, which is done: {error:#}");
            files.conclude(true);
            return Ok(());
        }
        Taken::Unknown => bail!(
            Failure::new("whether the databases were swapped cannot be asked: the server is away")
                .hint("when it is there again: bkp resume. It finds out, and the files go with the databases")
                .because(error)
        ),
        Taken::Back => {}
    }
    files.conclude(false);
    if let Some(databases) = databases {
        databases.clear().await;
    }
    Err(error)
}

/// What is not known to be done or not is neither undone.
fn refuse_undecided(context: &Context) -> Result<()> {
    for root in super::leftovers::roots(&context.settings) {
        if let Some(left) = block_in_place(|| turn::undecided(&root))?.first() {
            let shown = root.display();
            bail!(
                Failure::new(format!("in {shown} it is not decided yet what came of the undo {}", left.by))
                    .hint("bkp resume decides it, with the settings of the database server")
            );
        }
    }
    Ok(())
}

/// Looks at everything that acts put aside.
async fn see(context: &Context, held: &Held) -> Result<Seen> {
    let databases = match &held.session {
        Some(session) => Some(server::databases(session).await?),
        None => None,
    };
    let roots = super::leftovers::roots(&context.settings);
    let with_asides = || roots.into_iter().map(|root| Ok((root.clone(), turn::asides(&root)?))).collect::<Result<_>>();
    let mut seen = Seen { databases, roots: block_in_place(with_asides)? };
    let Some(session) = &held.session else { return Ok(seen) };
    for act in seen.roots.iter_mut().flat_map(|(_, asides)| asides).filter_map(|aside| aside.act.as_mut()) {
        // It was written before the COMMIT. What the server cannot tell any more counts as done: rather refused than undone wrongly.
        if let Some(since) = &act.since
            && in_place::is_committed(session, since.transaction).await? == Some(false)
        {
            act.since = None;
        }
    }
    Ok(seen)
}

/// Notes a restore in place, whose COMMIT follows, on the files that earlier acts put aside.
///
/// # Errors
/// When a journal cannot be written.
pub fn note(context: &Context, since: &Since) -> Result<()> {
    let roots = super::leftovers::roots(&context.settings);
    block_in_place(|| roots.iter().try_for_each(|root| turn::note(root, since)))
}

/// The number of the next act.
///
/// # Errors
/// When the server or a directory cannot be looked at.
pub async fn next_number(context: &Context, held: &Held) -> Result<u64> {
    Ok(see(context, held).await?.next_number(&context.settings.app))
}

/// Whether a copy has done its duty: a backup of these databases holds what came in its place. Where nothing came, it holds all that
/// the same act left.
pub fn succeeded(journal: &Journal, saved: &[String]) -> bool {
    let places = journal.act.iter().flat_map(|act| &act.databases);
    let mut left = places.clone().filter(|place| place.oid.is_some()).peekable();
    match places.clone().find(|place| place.name == journal.database) {
        Some(place) if place.oid.is_none() => left.peek().is_some() && left.all(|place| saved.contains(&place.name)),
        _ => saved.contains(&journal.database),
    }
}

fn act(last: &Last, files: &Files<'_>) -> Act {
    let places = last.turns.iter().map(|turn| Place {
        name: turn.name.clone(),
        had: turn.live.is_some(),
        oid: turn.copy.as_ref().map(|(copy, _)| copy.oid),
    });
    Act {
        number: last.next,
        databases: places.collect(),
        files: files.names(),
        undoes: Some(last.run.clone()),
        ..Act::default()
    }
}

fn names(last: &Last) -> Vec<String> {
    let databases = last.turns.iter().map(|turn| turn.name.clone());
    databases.chain(last.roots.iter().map(|(root, _)| root.display().to_string())).collect()
}

fn say_plan(last: &Last, databases: Option<&Databases<'_>>, files: &Files<'_>) {
    tracing::info!("plan: everything as it was before run {}", last.run);
    if let Some(databases) = databases {
        databases.say();
    }
    files.say();
}

fn say_json(context: &Context, run: &Run, last: &Last, kept: &[String], dry_run: bool) -> Result<Exit> {
    if context.json {
        let databases: Vec<&str> = last.turns.iter().map(|turn| turn.name.as_str()).collect();
        let roots: Vec<&std::path::Path> = last.roots.iter().map(|(root, _)| root.as_path()).collect();
        let mut record = serde_json::json!({"command": "restore", "undone": last.run, "app": context.settings.app,
            "databases": databases, "files": roots});
        if dry_run {
            record["dry_run"] = true.into();
        } else {
            record["run"] = run.id.clone().into();
            record["replaced"] = kept.into();
            record["seconds"] = now().duration_since(run.began).as_secs_f64().into();
        }
        report::json(&record)?;
    }
    Ok(Exit::Done)
}
