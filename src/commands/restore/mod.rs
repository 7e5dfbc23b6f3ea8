//! `bkp restore`: load beside, prove, swap. Reads as it happens.
//!
//! Whenever it dies, the application is whole: before the swap's COMMIT the old one serves and side databases stand beside it,
//! which the next run drops; after it the new one serves and the old one is kept aside. There is nothing in between.

mod aside;
pub mod choose;
pub mod leftovers;
mod loading;
mod partial;
mod plan;
mod preflight;
pub mod reading;
mod roles;
mod undo;

use anyhow::{Result, bail};

use super::catalog::{self, Dump};
use super::{Context, Run, now};
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::store::Store;
use crate::settings::KeepReplaced;
use crate::sources::postgres::clients;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::seal::Seal;
use crate::sources::postgres::side;
use crate::sources::postgres::survey::Survey;
use crate::sources::postgres::swap::{self, Swap};
use crate::sources::postgres::{lock, obstacles, server, standby};
use loading::{Loaded, Loading};
use plan::Plan;
use preflight::{Target, Wish};
use undo::{Taken, Undo};

/// What the operator asked for.
#[derive(Debug, Default)]
pub struct Request {
    /// Which dump: see [`choose::choose`].
    pub when: String,
    /// Only this database of the dump.
    pub only: Option<String>,
    /// Load under this name and touch nothing else.
    pub under: Option<String>,
    /// Show the plan and what the rewriter changes; do nothing.
    pub dry_run: bool,
    /// Do not ask.
    pub yes: bool,
    /// Take a dump that cannot be proven whole.
    pub allow_unproven: bool,
    /// Take a dump that is sealed for another application.
    pub allow_other_app: bool,
}

/// Restores the databases of one dump.
///
/// # Errors
/// When anything fails before the swap: the live databases are untouched then, and what was made beside them is gone.
pub async fn restore(context: &Context, request: &Request) -> Result<Exit> {
    let run = Run::begin()?;
    let settings = &context.settings;
    let store = context.store()?;

    let dump = context.stop.or(chosen(context, &store, request)).await?;
    tracing::info!("restoring {} of {}, {}", dump.name, dump.time, report::size(dump.bytes));
    let session_name = run.session_name("restore");
    context.stop.or(standby::refuse_restore(&settings.postgres, &session_name)).await?;
    // Read to its end once before anything is made: proves the dump whole and says all that the plan has to know.
    let (survey, digest) = context.stop.or(reading::survey(&store, &dump)).await?;
    prove(&dump, &survey, &settings.app, request)?;

    let wish = Wish { only: request.only.clone(), under: request.under.clone() };
    let wanted = preflight::wanted(&survey, settings, &wish)?;
    let targets: Vec<String> = wanted.iter().map(|wanted| wanted.target.clone()).collect();
    let main = context.stop.or(server::maintenance(&settings.postgres, &session_name)).await?;
    context.stop.or(lock::acquire(&main, &settings.app, settings.lock_wait)).await?;
    leftovers::clear(&main, &settings.app, request.dry_run).await?;

    let target = context.stop.or(Target::ask(&main)).await?;
    let mut faults = preflight::faults(&survey, &wanted, &target, settings, request.under.is_some());
    let live: Vec<&str> = targets
        .iter()
        .map(String::as_str)
        .filter(|name| request.under.is_none() && target.database(name).is_some())
        .collect();
    faults.extend(obstacles::of_swap(&main, &live).await?);
    if !faults.is_empty() {
        bail!(Failure::new(format!("the restore cannot work, so nothing was begun:\n  - {}", faults.join("\n  - "))));
    }
    let installed = clients::installed(&settings.client_dirs).await?;
    let client = clients::for_load(&installed, target.major)?;
    let plan = Plan::make(&run, settings, &survey, &wanted, &target);
    plan.say(client);
    for slot in obstacles::slots(&main, &live).await? {
        tracing::warn!(
            "the logical replication slot {slot} stays with the database that is put aside; its consumer needs a new one"
        );
    }
    if request.dry_run {
        let changes = context.stop.or(reading::explain(&store, &dump, plan.policy.clone())).await?;
        if context.json {
            report::json(&serde_json::json!({"command": "restore", "dry_run": true, "object": dump.name,
                "databases": targets, "statements_changed": changes}))?;
        }
        return Ok(Exit::Done);
    }
    if !request.yes && !report::confirmed("Go ahead?")? {
        bail!(Failure::new("not confirmed; nothing was done").exit(Exit::Usage));
    }

    let mut undo = Undo::default();
    let done = async {
        let swapper = aside::session(context, &run, &main, &targets, &mut undo).await?;
        let loading = Loading {
            context,
            run: &run,
            survey: &survey,
            digest: &digest,
            plan: &plan,
            target: &target,
            client,
            main: swapper.as_ref().unwrap_or(&main),
        };
        let loaded = context.stop.or(loading::load(&loading, &store, &dump, &mut undo)).await?;
        say_proven(&survey);
        if dump.seal().is_none() && survey.seal.is_none() && !request.allow_unproven {
            context.stop.or(partial::refuse(&loading, &loaded.sides)).await?;
        }
        context.stop.check()?;
        lock::held(&main, &settings.app).await?;
        undo.loaded = true;
        swap_in(&loading, &session_name, &loaded).await
    }
    .await;
    if let Err(error) = done {
        if undo.run(&main, context, &session_name).await == Taken::Back {
            lock::release(&main, &settings.app).await;
            return Err(error);
        }
        tracing::warn!("the connection was lost just after the swap, which is done: {error:#}");
    }
    let main = if main.is_closed() { server::maintenance(&settings.postgres, &session_name).await? } else { main };
    aside::clear(&main, &run).await;
    let mut replaced: Vec<String> =
        plan.loads.iter().filter(|load| load.replaces).map(|load| side::replaced_name(&load.target, &run.id)).collect();
    if settings.restore.keep_replaced == KeepReplaced::Never {
        for name in replaced.drain(..) {
            leftovers::drop_database(&main, &name).await?;
        }
    }
    lock::release(&main, &settings.app).await;
    say_done(context, &run, &dump, &plan, &replaced)?;
    Ok(Exit::Done)
}

/// What is proven, and no more than that.
fn say_proven(survey: &Survey) {
    if survey.sections.iter().all(|section| section.tables.is_empty()) {
        tracing::info!("loaded: no statement failed (the dump has no COPY, so there were no rows to compare)");
    } else {
        tracing::info!("proven: the server took every row of every table, and no statement failed");
    }
}

/// Finds the one dump that is meant.
async fn chosen(context: &Context, store: &Store, request: &Request) -> Result<Dump> {
    let dumps = catalog::dumps(store).await?;
    let app = &context.settings.app;
    let dump = choose::choose(&dumps, &request.when, app, now())?;
    if let Some(unreadable) = dump.unreadable() {
        bail!(unreadable);
    }
    if let Some(seal) = dump.seal() {
        same_app(&dump.name, seal, app, request)?;
    }
    Ok(dump.clone())
}

/// Another application's dump is loaded only when that is said.
fn same_app(name: &str, seal: &Seal, app: &str, request: &Request) -> Result<()> {
    if seal.app == app || request.allow_other_app {
        return Ok(());
    }
    bail!(
        Failure::new(format!("{name} is a dump of application {}, not of {app}", seal.app))
            .hint(format!("set BKP_APP={} if that is what you mean, or take it over with --allow-other-app", seal.app))
    )
}

/// A sealed dump must be what was sealed; one of another tool must at least have pg_dump's own trailer.
fn prove(dump: &Dump, survey: &Survey, app: &str, request: &Request) -> Result<()> {
    if let Some(seal) = dump.seal() {
        seal.prove(survey)?;
        tracing::info!("proven: {} rows and the digest are as sealed by run {}", seal.rows(), seal.run);
        return Ok(());
    }
    if let Some(json) = &survey.seal {
        // Sealed by bkp, then packed again by somebody: the proof is inside all the same.
        let seal = Seal::parse(json)?;
        same_app(&dump.name, &seal, app, request)?;
        return seal.prove(survey);
    }
    if survey.trailer {
        tracing::warn!("{} has no seal: beyond pg_dump's own last line it cannot be proven whole", dump.name);
        return Ok(());
    }
    if request.allow_unproven {
        tracing::warn!("{} does not end as a dump ends; taken as it is, as asked", dump.name);
        return Ok(());
    }
    bail!(
        Failure::new(format!("{} does not end as a dump ends: it was cut short, or is no dump", dump.name))
            .hint("choose another one: bkp list; to load what is there all the same: --allow-unproven")
            .exit(Exit::ProofFailed)
    )
}

/// Puts the proven side databases in place, all in one transaction.
async fn swap_in(loading: &Loading<'_>, session_name: &str, loaded: &Loaded) -> Result<()> {
    let settings = &loading.context.settings;
    let helper =
        Session::connect(&settings.postgres, loading.main.database(), session_name).await.map_err(server::told)?;
    let swaps: Vec<Swap> = loaded
        .sides
        .iter()
        .map(|side| {
            let live = loading.target.database(&side.target);
            let live_comment = live.and_then(|live| live.comment.clone());
            Swap {
                database: side.target.clone(),
                side: side.name.clone(),
                replaced: live.map(|_| side::replaced_name(&side.target, &loading.run.id)),
                comment: if side.says_comment { side.comment.clone() } else { live_comment.clone() },
                live_comment,
            }
        })
        .collect();
    swap::swap(loading.main, &helper, &swaps, &loaded.existing_roles, &settings.app, &loading.run.id).await?;
    for swap in &swaps {
        swap::comment_in_its_own_encoding(&settings.postgres, session_name, swap).await;
    }
    Ok(())
}

fn say_done(context: &Context, run: &Run, dump: &Dump, plan: &Plan, replaced: &[String]) -> Result<()> {
    let seconds = now().duration_since(run.began).as_secs_f64();
    let names: Vec<&str> = plan.loads.iter().map(|load| load.target.as_str()).collect();
    tracing::info!("restored {} from {} in {seconds:.1} s", names.join(", "), dump.name);
    if !replaced.is_empty() {
        tracing::info!("what was there before is kept as {} until the next sealed backup", replaced.join(", "));
    }
    if context.json {
        report::json(
            &serde_json::json!({"command": "restore", "run": run.id, "app": context.settings.app, "object": dump.name, "databases": names, "replaced": replaced, "seconds": seconds}),
        )?;
    }
    Ok(())
}
