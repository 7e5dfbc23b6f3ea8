//! `bkp restore`: load beside, prove, swap. Reads as it happens.
//!
//! Whenever it dies, the application is whole: before the swap's COMMIT the old one serves and what was made stands beside it,
//! which the next run takes back; after it the new one serves and the old one is kept aside. Files are exchanged just before the
//! databases: a journal beside them tells the next run which way to go, and the side databases tell it that their COMMIT never
//! came. What was put aside is brought back by [`back`].
//!
//! # The states of a restore, and what a death in them comes to
//! | state | what the next start finds | and does |
//! | --- | --- | --- |
//! | begun | nothing, or the beginning of a note or of a maintenance file | removes that; **old** |
//! | paused | the note of the pause, perhaps a safety backup that lacks items | resumes the application; **old** |
//! | roles | roles that the dump has and the server had not | leaves them: they hold no data, and the next restore finds them; **old** |
//! | making | a side database without a journal | drops it when no session of its run lives any more; **old** |
//! | loading | side databases whose journals say so | drops them; **old** |
//! | staging | a staged tree as well | removes it; **old** |
//! | exchanging | a tree halfway, side databases | ends the run's sessions, asks again: still there; brings the tree back, then drops them; **old** |
//! | exchanged | trees put aside, side databases | the same; **old** |
//! | committed | databases and trees put aside, no side database | keeps all of it; resumes the application; **new** |
//! | finishing | the same, perhaps the empty database that the swap stood in | drops that; **new** |
//!
//! The COMMIT decides, and nothing else. The side databases lose their names in it, all at once, so whether there is one tells
//! on which side of it the run died; that is why they go last when something is taken back. Of files alone the last tree decides: as
//! long as one is only staged all go back, and a single one that is halfway is carried to its end, because it was whole when
//! that began. Whoever takes back or keeps says which ([`verdict`]); after the COMMIT and the resuming there is nothing to tell.

mod aside;
pub mod back;
pub mod choose;
pub(super) mod databases;
pub(super) mod files;
mod in_place;
pub mod leftovers;
pub(super) mod loading;
mod only;
mod partial;
mod paths;
pub(super) mod plan;
pub(super) mod preflight;
pub mod reading;
mod roles;
mod room;
pub(super) mod sort;
mod tables;
pub(super) mod undo;
mod verdict;

use std::path::Path;

use anyhow::{Result, bail};

use super::backup::safety::{Live, Safety};
use super::held::Held;
use super::pausing::{self, Reason};
use super::repositories::Repositories;
use super::{Context, Run, catalog, now};
use crate::error::{Failure, hints_of};
use crate::exit::Exit;
use crate::report;
use crate::settings::SafetyBackup;
use crate::sources::act::{Act, Since};
use crate::sources::postgres::standby;
use choose::{Choice, Wish};
use databases::Databases;
use files::Files;
use only::Only;
use undo::Taken;

/// What the operator asked for.
pub use crate::cli::Restore as Request;

/// Restores one run: its databases and its files.
///
/// # Errors
/// When anything fails before the swap: what is live is untouched then, and what was made beside it is gone.
pub async fn restore(context: &Context, request: &Request) -> Result<Exit> {
    if request.undo {
        return back::undo(context, request).await;
    }
    let specs = tables::specs(request)?;
    let only = Only::of(request)?;
    only::check(&context.settings, request)?;
    let run = Run::begin()?;
    let settings = &context.settings;
    let repositories = context.stop.or(Repositories::open(context)).await?;
    let choice = context.stop.or(chosen(context, &repositories, request)).await?;
    let sorted = sort::sort(&repositories, settings, &choice, request)?;
    let found = match &request.path {
        Some(path) => Some(context.stop.or(paths::find(context, &repositories, &sorted.trees, request, path)).await?),
        None => None,
    };
    if let (Some(found), Some(directory)) = (&found, &request.to) {
        return paths::into_directory(context, &run, &choice.name, found, directory, request.dry_run).await;
    }
    if let Some(directory) = &request.to {
        let places = repositories.restic.as_ref();
        return into_directory(context, places, (&choice.name, &sorted), directory, request.dry_run).await;
    }

    if let (Some(postgres), Some(_)) = (&settings.postgres, &sorted.sql) {
        context.stop.or(standby::refuse_restore(postgres, &run.session_name("restore"))).await?;
    }
    // Read to its end once before anything is made: proves it whole and says all that the plan has to know.
    let read = match &sorted.sql {
        Some(stored) => {
            let read = context.stop.or(reading::survey(stored)).await?;
            databases::prove(stored, &read, &settings.app, request)?;
            Some((stored, read))
        }
        None => None,
    };
    let held = context.stop.or(Held::take(context, &run.session_name("restore"))).await?;
    leftovers::give_back(context, &held, request.dry_run).await?;
    if only == Some(Only::Roles) {
        return roles::restore(context, &run, request, (&choice.name, &read), &held).await;
    }
    if !specs.is_empty() {
        return tables::restore(context, &run, request, &specs, (&choice.name, &read), (&held, &repositories)).await;
    }

    let (mut faults, mut unprepared) = (Vec::new(), Vec::new());
    let mut databases = match (&read, &held.session) {
        (Some((stored, read)), Some(main)) => {
            let prepared = Databases::prepare(context, &run, request, (stored, read), main, &mut faults);
            context.stop.or(prepared).await.map_err(|error| unprepared.push(error)).ok()
        }
        _ => None,
    };
    let mut files = match &repositories.restic {
        Some(places) if !sorted.trees.is_empty() => {
            let meant = match &found {
                Some(found) => (std::slice::from_ref(&found.snapshot), Some(found.path.as_path())),
                None => (sorted.trees.as_slice(), None),
            };
            let prepared = Files::prepare(context, &run, places, meant, &mut faults);
            context.stop.or(prepared).await.map_err(|error| unprepared.push(error)).ok()
        }
        _ => None,
    };
    let wants_safety = match settings.restore.safety_backup {
        SafetyBackup::Always => true,
        SafetyBackup::InPlace => databases.as_ref().is_some_and(Databases::is_in_place),
        SafetyBackup::Never => false,
    };
    let safety = match wants_safety {
        true => {
            let (session, live) = (held.session.as_ref(), live(databases.as_ref(), files.as_ref()));
            Safety::found(context, session, &repositories, &live, &mut faults).await
        }
        false => None,
    };
    context.stop.check()?;
    refuse(faults, unprepared)?;
    if let Some(safety) = &safety {
        safety.say();
    }
    say_plan(databases.as_ref(), files.as_ref());
    if request.dry_run {
        return dry_run(context, &choice, databases.as_ref(), files.as_ref()).await;
    }
    if !request.yes && !report::confirmed("Go ahead?")? {
        bail!(Failure::new("not confirmed; nothing was done").exit(Exit::Usage));
    }

    let done = pausing::around(context, &run, Reason::Restore, async |mut pause| {
        let done = async {
            let safety = match &safety {
                Some(safety) => Some(safety.take(held.session.as_ref(), &repositories).await?),
                None => None,
            };
            if let Some(databases) = &mut databases {
                databases.load(request.allow_unproven).await?;
            }
            if let Some(files) = &mut files {
                files.stage().await?;
            }
            context.stop.check()?;
            held.still(&settings.app).await?;
            let mut act = act(context, &held, databases.as_ref(), files.as_ref()).await?;
            act.safety = safety;
            if let (Some(databases), Some(transaction)) = (&mut databases, act.transaction) {
                let since = Since { run: run.id.clone(), number: act.number, transaction, safety: act.safety.clone() };
                back::note(context, &since)?;
                databases.note(&since).await?;
            }
            // From here on everything is proven, and there is nothing left but renames.
            if let Some(files) = &mut files {
                files.swap(&act)?;
                if let Some(pause) = &mut pause {
                    // The old maintenance file went aside with the old tree.
                    pause.renew()?;
                }
            }
            match &mut databases {
                Some(databases) => databases.swap(&act).await,
                None => Ok(()),
            }
        }
        .await;
        match done {
            Ok(()) => Ok(()),
            Err(error) => take_back(databases.as_ref(), files.as_mut(), error).await,
        }
    })
    .await;
    if done.is_err() {
        held.release(&settings.app).await;
    }
    done?;
    let mut replaced = match &databases {
        Some(databases) => databases.finish().await,
        None => Vec::new(),
    };
    replaced.extend(files.as_ref().map(Files::finish).unwrap_or_default());
    held.release(&settings.app).await;
    say_done(context, &run, &choice, databases.as_ref(), files.as_ref(), &replaced)?;
    Ok(Exit::Done)
}

/// Everything that would make it fail, at once: one who mends it at night does not come back for each.
fn refuse(mut faults: Vec<String>, mut unprepared: Vec<anyhow::Error>) -> Result<()> {
    match (faults.as_slice(), unprepared.len()) {
        ([], 0) => return Ok(()),
        // Alone it keeps its own words and its exit code.
        ([], 1) => return unprepared.pop().map_or(Ok(()), Err),
        _ => {}
    }
    faults.extend(unprepared.iter().map(|error| match hints_of(error).join("; ") {
        hints if hints.is_empty() => format!("{error:#}"),
        hints => format!("{error:#}: {hints}"),
    }));
    bail!(Failure::new(format!("the restore cannot work, so nothing was begun:\n  - {}", faults.join("\n  - "))))
}

/// What is about to be replaced.
fn live(databases: Option<&Databases<'_>>, files: Option<&Files<'_>>) -> Live {
    Live {
        databases: databases.map(|databases| databases.targets().to_vec()).unwrap_or_default(),
        roots: files.map(Files::roots).unwrap_or_default().into_iter().map(Path::to_owned).collect(),
    }
}

/// All that is about to be done, as it is noted on what is put aside.
async fn act(
    context: &Context,
    held: &Held,
    databases: Option<&Databases<'_>>,
    files: Option<&Files<'_>>,
) -> Result<Act> {
    let transaction = databases.and_then(Databases::transaction);
    let databases = match databases {
        Some(databases) => databases.places().await?,
        None => Vec::new(),
    };
    let files = files.map(Files::roots).unwrap_or_default();
    let files = files.iter().map(|root| root.display().to_string()).collect();
    Ok(Act { number: back::next_number(context, held).await?, databases, files, transaction, ..Act::default() })
}

/// Takes everything back, unless the databases' swap turns out to be done: then the files are theirs, and stay.
async fn take_back(
    databases: Option<&Databases<'_>>,
    files: Option<&mut Files<'_>>,
    error: anyhow::Error,
) -> Result<()> {
    let taken = match databases {
        Some(databases) => databases.outcome().await,
        None => Taken::Back,
    };
    match taken {
        Taken::NotBack => {
            tracing::warn!("the connection was lost just after the swap, which is done: {error:#}");
            return Ok(());
        }
        Taken::Unknown => bail!(
            Failure::new("whether the databases were swapped cannot be asked: the server is away")
                .hint("when it is there again: bkp resume. It finds out, and gives the files back if the databases are the old ones")
                .because(error)
        ),
        Taken::Back => {}
    }
    if let Some(files) = files {
        files.take_back();
    }
    if let Some(databases) = databases {
        databases.take_back().await;
    }
    Err(error)
}

/// Finds what is meant.
///
/// # Errors
/// When nothing or more than one fits.
pub(super) async fn chosen(context: &Context, repositories: &Repositories, request: &Request) -> Result<Choice> {
    let settings = &context.settings;
    if request.host.is_some() && repositories.restic.is_none() {
        bail!(
            Failure::new(
                "--host is about snapshots, and no restic repository is set: a dump in a bucket is of no host"
            )
            .exit(Exit::Usage)
        );
    }
    let saved = catalog::saved(repositories, settings, request.host.as_deref()).await?;
    if let (Some(host), true) = (&request.host, saved.is_empty()) {
        bail!(
            Failure::new(format!("there is no backup of host {host}"))
                .hint("see what hosts there are: bkp list --json")
        );
    }
    let wish = Wish {
        when: &request.when,
        instead: &request.snapshots,
        incomplete: request.incomplete || request.only.is_some() || request.path.is_some(),
        other_app: request.allow_other_app,
        kinds: sort::kinds(settings, request),
    };
    let choice = choose::choose(&saved, &wish, &settings.app, now())?;
    if let Some(unreadable) = choice.dump.as_ref().and_then(catalog::Dump::unreadable) {
        bail!(unreadable);
    }
    if let Some(app) = &choice.app {
        databases::same_app(&choice.name, app, &settings.app, request)?;
    }
    let taken = choice.time.strftime("%Y-%m-%d %H:%M:%S");
    tracing::info!("chosen: {} of {taken} UTC", choice.name);
    Ok(choice)
}

async fn into_directory(
    context: &Context,
    places: Option<&super::repositories::ResticPlaces>,
    (name, sorted): (&str, &sort::Sorted),
    directory: &std::path::Path,
    dry_run: bool,
) -> Result<Exit> {
    let (Some(places), false) = (places, sorted.trees.is_empty()) else {
        bail!(Failure::new("there are no files in this backup to restore into a directory").hint("see: bkp list"));
    };
    if dry_run {
        for tree in &sorted.trees {
            let (id, to) = (tree.short(), directory.display());
            tracing::info!("dry run: snapshot {id} of {} would be restored into {to}", tree.item);
        }
    } else {
        files::into_directory(context, places, &sorted.trees, directory).await?;
    }
    if context.json {
        let snapshots: Vec<&str> = sorted.trees.iter().map(|tree| tree.id.as_str()).collect();
        report::json(&serde_json::json!({"command": "restore", "dry_run": dry_run, "object": name,
            "snapshots": snapshots, "to": directory}))?;
    }
    Ok(Exit::Done)
}

fn say_plan(databases: Option<&Databases<'_>>, files: Option<&Files<'_>>) {
    if let Some(databases) = databases {
        databases.say();
    }
    if let Some(files) = files {
        files.say();
    }
}

async fn dry_run(
    context: &Context,
    choice: &Choice,
    databases: Option<&Databases<'_>>,
    files: Option<&Files<'_>>,
) -> Result<Exit> {
    let changes = match databases {
        Some(databases) => context.stop.or(databases.explain()).await?,
        None => 0,
    };
    tracing::info!("dry run: {changes} statements would be changed, nothing was done");
    if context.json {
        report::json(&serde_json::json!({"command": "restore", "dry_run": true, "object": choice.name,
            "databases": databases.map(Databases::targets), "files": files.map(Files::roots),
            "statements_changed": changes}))?;
    }
    Ok(Exit::Done)
}

fn say_done(
    context: &Context,
    run: &Run,
    choice: &Choice,
    databases: Option<&Databases<'_>>,
    files: Option<&Files<'_>>,
    replaced: &[String],
) -> Result<()> {
    let seconds = now().duration_since(run.began).as_secs_f64();
    let in_place = databases.is_some_and(|databases| databases.transaction().is_some());
    let databases = databases.map(Databases::targets).unwrap_or_default();
    let roots = files.map(Files::roots).unwrap_or_default();
    let mut names: Vec<String> = databases.to_vec();
    names.extend(files.map(Files::names).unwrap_or_default());
    tracing::info!("restored {} from {} in {seconds:.1} s", names.join(", "), choice.name);
    if !replaced.is_empty() && in_place {
        tracing::info!("the files from before are kept as {}; the database from before is not", replaced.join(", "));
    } else if !replaced.is_empty() {
        tracing::info!(
            "what was there before is kept as {} until the next sealed backup; bkp restore --undo brings it back",
            replaced.join(", ")
        );
    }
    if context.json {
        report::json(
            &serde_json::json!({"command": "restore", "run": run.id, "app": context.settings.app, "object": choice.name,
                "databases": databases, "files": roots, "replaced": replaced, "seconds": seconds}),
        )?;
    }
    Ok(())
}
