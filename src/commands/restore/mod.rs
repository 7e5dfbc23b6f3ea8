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

mod acts;
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
pub(super) mod rights;
pub(super) mod roles;
pub(super) mod room;
pub(super) mod shrunk;
pub(super) mod sort;
mod tables;
pub(super) mod tried;
pub(super) mod undo;
mod verdict;
mod whole;

use anyhow::{Result, bail};

use super::held::Held;
use super::repositories::Repositories;
use super::{Context, Run, catalog, now, shrink};
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::sources::postgres::standby;
use choose::{Choice, Wish};
use only::Only;
use shrunk::IfShrunk;
use whole::{Chosen, Whole};

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
    let run = context.begin()?;
    let settings = &context.settings;
    let repositories = context.stop.or(Repositories::open_to_list(context)).await?;
    let choice = context.stop.or(chosen(context, &repositories, request, IfShrunk::Refuse)).await?;
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
    // Read to its end before anything is made: proves it whole and says all that the plan has to know.
    let read = match &sorted.sql {
        Some(stored) => {
            let read = context.stop.or(reading::prove(stored)).await?;
            databases::prove(stored, &read, &settings.app, request)?;
            Some((stored, read))
        }
        None => None,
    };
    let held = context.stop.or(Held::take(context, &run.session_name("restore"))).await?;
    context.stop.or_soon(leftovers::give_back(context, &held, request.dry_run)).await?;
    if only == Some(Only::Roles) {
        return roles::restore(context, &run, request, (&choice.name, &read), &held).await;
    }
    if !specs.is_empty() {
        return tables::restore(context, &run, request, &specs, (&choice.name, &read), (&held, &repositories)).await;
    }

    let chosen =
        Chosen { repositories: &repositories, choice: &choice, trees: &sorted.trees, read: &read, found: &found };
    Whole::prepare(context, &run, request, chosen, &held).await?.restore(request).await
}

/// What is asked before anything is touched.
const GO_AHEAD: &str = "Go ahead?";

/// Asks, unless that was answered on the command line.
///
/// # Errors
/// When somebody did not say yes, or a signal came instead.
async fn go_ahead(context: &Context, yes: bool, question: &str) -> Result<()> {
    if yes || context.stop.or(report::confirmed(question)).await? {
        return Ok(());
    }
    let failure = Failure::new("not confirmed; nothing was done");
    bail!(failure.hint("to go ahead, answer y, or give --yes").exit(Exit::Usage));
}

/// Finds what is meant.
///
/// # Errors
/// When nothing or more than one fits.
pub(super) async fn chosen(
    context: &Context,
    repositories: &Repositories,
    request: &Request,
    if_shrunk: IfShrunk,
) -> Result<Choice> {
    let settings = &context.settings;
    if request.host.is_some() && repositories.restic.is_none() {
        bail!(
            Failure::new(
                "--host is about snapshots, and no restic repository is set: a dump in a bucket is of no host"
            )
            .hint("leave --host out, or set RESTIC_REPOSITORY")
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
    let shrunk = shrink::shrunk(&saved, settings);
    let wish = Wish {
        when: &request.when,
        instead: &request.snapshots,
        incomplete: request.incomplete || request.only.is_some() || request.path.is_some(),
        other_app: request.allow_other_app,
        kinds: sort::kinds(settings, request),
        shrunk: &shrunk,
        if_shrunk,
    };
    let choice = choose::choose(&saved, &wish, &settings.app, now())?;
    catalog::warn_of_future(&saved, Some((&choice.name, choice.time)), &settings.app, now());
    if let Some(unreadable) = choice.dump.as_ref().and_then(catalog::Dump::unreadable) {
        bail!(unreadable);
    }
    if let Some(app) = &choice.app {
        databases::same_app(&choice.name, app, &settings.app, request)?;
    }
    let taken = choice.time.strftime("%Y-%m-%d %H:%M:%S");
    tracing::info!("chosen: {} of {taken} UTC", choice.name);
    if !choice.shrunk.is_empty() {
        tracing::warn!("{} is much smaller than the backup before it: {}", choice.name, choice.shrunk.join("; "));
    }
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
