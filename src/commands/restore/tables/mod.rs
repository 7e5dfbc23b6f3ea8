//! `bkp restore --table`: the database is loaded beside and proven as for any restore, then single tables are taken from there into
//! the live database, in one transaction. The side database goes whatever happens; nothing is swapped.

mod sort;
mod take;

use anyhow::{Result, bail};

use super::Request;
use super::databases::Databases;
use super::reading::{Read, Stored};
use super::whole::refuse;
use crate::commands::backup::safety::{Live, Safety};
use crate::commands::held::Held;
use crate::commands::pausing::{self, Reason};
use crate::commands::repositories::Repositories;
use crate::commands::{Context, Run, now};
use crate::error::Failure;
use crate::exit::Exit;
use crate::pause::Pause;
use crate::report;
use crate::settings::SafetyBackup;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::table::links;
use crate::sources::postgres::table::spec::Spec;
use crate::sources::postgres::{obstacles, probe};

/// The tables that are asked for.
///
/// # Errors
/// Exit code 2 for what is no name of a table, or is said twice.
pub fn specs(request: &Request) -> Result<Vec<Spec>> {
    let specs: Vec<Spec> = request.tables.iter().map(|text| Spec::parse(text)).collect::<Result<_>>()?;
    if let Some(at) = (1..specs.len()).find(|at| specs[..*at].contains(&specs[*at])) {
        let twice = Failure::new(format!("table {} is named twice", specs[at].shown()));
        bail!(twice.hint("name it once; all that belongs to it comes with it").exit(Exit::Usage));
    }
    Ok(specs)
}

/// Restores the tables.
///
/// # Errors
/// When anything fails before the COMMIT: the live database is untouched then.
pub async fn restore(
    context: &Context,
    run: &Run,
    request: &Request,
    specs: &[Spec],
    (name, read): (&str, &Option<(&Stored, Read)>),
    (held, repositories): (&Held, &Repositories),
) -> Result<Exit> {
    let (Some((stored, read)), Some(main)) = (read, &held.session) else {
        bail!(Failure::new(format!("{name} holds no database, so there is no table in it")).hint("see: bkp list"));
    };
    let mut faults = Vec::new();
    let prepared = Databases::prepare(context, run, request, (stored, read), main, &mut faults);
    let mut databases = context.stop.or(prepared).await?;
    if databases.targets().len() > 1 {
        let names = databases.targets().join(", ");
        bail!(
            Failure::new(format!("the backup holds several databases: {names}"))
                .hint("say in which one the table is: --only DATABASE, or POSTGRES_DB")
                .exit(Exit::Usage)
        );
    }
    let Some(live) = databases.only_side().map(|(_, live)| live.to_owned()) else {
        bail!(
            Failure::new(format!("database {} is not on this server", databases.targets().join(", ")))
                .hint("a table goes into a live database; restore the whole one instead, without --table")
        );
    };
    let mut publications = Vec::new();
    match Session::connect(context.postgres()?, &live, &run.session_name("restore")).await {
        Ok(session) => {
            faults.extend(context.stop.or(sort::faults(&session, &read.survey, specs)).await?);
            publications = context.stop.or(links::publications(&session)).await?;
        }
        // That there are no sessions left is told already.
        Err(error) if faults.is_empty() => faults.push(probe::in_words(error)),
        Err(_) => {}
    }
    // Only in place anything is replaced, and its former rows are kept: who always wants a safety backup gets it all the same.
    let wants_safety = request.in_place && context.settings.restore.safety_backup == SafetyBackup::Always;
    let safety = match wants_safety {
        true => Safety::found(context, Some(main), repositories, &Live::database(&live), &mut faults).await,
        false => None,
    };
    context.stop.check()?;
    refuse(faults, Vec::new())?;
    databases.say_doubts();
    sort::warn_early(&read.survey, specs);
    if let Some(safety) = &safety {
        safety.say();
    }
    let shown: Vec<String> = specs.iter().map(Spec::shown).collect();
    let how = match request.in_place {
        true => "replaces the rows of the live table, or is made again if that is gone",
        false => "is put beside the live table, or made again if that is gone",
    };
    for table in &shown {
        tracing::info!(
            "plan: database {live} is loaded beside and proven; {table} of it {how}; then the loaded one is dropped"
        );
    }
    for publication in publications {
        tracing::warn!(
            "publication {publication} holds every new table: its subscribers stop at what is made here until they have a table of that name"
        );
    }
    if request.dry_run {
        tracing::info!("dry run: nothing was done");
        if context.json {
            report::json(
                &serde_json::json!({"command": "restore", "dry_run": true, "object": name, "database": live, "tables": shown}),
            )?;
        }
        return Ok(Exit::Done);
    }
    super::go_ahead(context, request.yes, super::GO_AHEAD).await?;
    let work = async |databases: &mut Databases<'_>, pause: Option<&mut Pause<'_>>| {
        if let Some(safety) = &safety {
            safety.take(held.session.as_ref(), repositories).await?;
        }
        // A dump of a few tables is as good as a whole one here.
        databases.load(true).await?;
        if let Some(pause) = pause {
            context.stop.or(pause.still()).await?;
        }
        held.still(&context.settings.app).await?;
        take::copied(context, run, request, specs, databases).await
    };
    let reason = if request.in_place { Reason::Restore } else { Reason::Beside };
    let done = pausing::around(context, run, reason, async |pause| work(&mut databases, pause).await).await;
    match &done {
        Ok(_) => databases.drop_sides().await,
        Err(_) => {
            let ended = async {
                main.interrupt().await;
                // psql is gone, but not what it asked for last: the server works on, or waits, with the locks of the live tables.
                let _ = obstacles::end_sessions_named(main, &run.session_name("restore")).await;
            };
            if context.stop.or_after(ended).await.is_some() {
                databases.take_back().await;
            }
        }
    }
    held.release(&context.settings.app).await;
    say_done(context, run, name, &live, &done?)?;
    Ok(Exit::Done)
}

fn say_done(context: &Context, run: &Run, object: &str, database: &str, done: &[sort::Done]) -> Result<()> {
    let seconds = now().duration_since(run.began).as_secs_f64();
    for one in done {
        let kept =
            one.was.as_ref().map(|was| format!("; its former rows are in {was}, drop it when they are not needed"));
        let (table, now) = (one.table.shown(), &one.now);
        tracing::info!("restored {table} of {database} from {object} as {now}{}", kept.unwrap_or_default());
    }
    tracing::info!("proven: the rows of each table are those of the backup; in {seconds:.1} s");
    if context.json {
        let tables: Vec<_> = done
            .iter()
            .map(|one| serde_json::json!({"table": one.table.shown(), "as": one.now, "former_rows": one.was}))
            .collect();
        report::json(&serde_json::json!({"command": "restore", "run": run.id, "app": context.settings.app,
            "object": object, "database": database, "tables": tables, "seconds": seconds}))?;
    }
    Ok(())
}
