//! `bkp restore --table`: the database is loaded beside and proven as for any restore, then single tables are taken from there into
//! the live database, in one transaction. The side database goes whatever happens; nothing is swapped.

mod sorted;

use anyhow::{Context as _, Result, bail};

use super::Request;
use super::databases::Databases;
use super::reading::{Read, Stored};
use crate::commands::backup::safety::{Live, Safety};
use crate::commands::held::Held;
use crate::commands::pausing::{self, Reason};
use crate::commands::repositories::Repositories;
use crate::commands::{Context, Run, now};
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::settings::SafetyBackup;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::load::Loader;
use crate::sources::postgres::rewrite::Policy;
use crate::sources::postgres::server::told;
use crate::sources::postgres::survey::{Layout, Survey};
use crate::sources::postgres::table::copy::{self, From, What};
use crate::sources::postgres::table::partition::Part;
use crate::sources::postgres::table::spec::{self, Spec};
use crate::sources::postgres::table::{Table, beside, beside_name, find, links, proof, rights, rows};
use crate::sources::postgres::{clients, load, obstacles};
use sorted::{Done, Sorted, sort};

/// The tables that are asked for.
///
/// # Errors
/// Exit code 2 for what is no name of a table, or is said twice.
pub fn specs(request: &Request) -> Result<Vec<Spec>> {
    let specs: Vec<Spec> = request.tables.iter().map(|text| Spec::parse(text)).collect::<Result<_>>()?;
    if let Some(at) = (1..specs.len()).find(|at| specs[..*at].contains(&specs[*at])) {
        bail!(Failure::new(format!("table {} is named twice", specs[at].shown())).exit(Exit::Usage));
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
    // Only in place anything is replaced, and its former rows are kept: who always wants a safety backup gets it all the same.
    let wants_safety = request.in_place && context.settings.restore.safety_backup == SafetyBackup::Always;
    let safety = match wants_safety {
        true => Safety::found(context, Some(main), repositories, &Live::database(&live), &mut faults).await,
        false => None,
    };
    context.stop.check()?;
    super::refuse(faults, Vec::new())?;
    warn_early(&read.survey, specs);
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
    let session = Session::connect(context.postgres()?, &live, &run.session_name("restore")).await.map_err(told)?;
    for publication in context.stop.or(links::publications(&session)).await? {
        tracing::warn!(
            "publication {publication} holds every new table: its subscribers stop at what is made here until they have a table of that name"
        );
    }
    drop(session);
    if request.dry_run {
        tracing::info!("dry run: nothing was done");
        if context.json {
            report::json(
                &serde_json::json!({"command": "restore", "dry_run": true, "object": name, "database": live, "tables": shown}),
            )?;
        }
        return Ok(Exit::Done);
    }
    if !request.yes && !report::confirmed("Go ahead?")? {
        bail!(Failure::new("not confirmed; nothing was done").exit(Exit::Usage));
    }
    let work = async |databases: &mut Databases<'_>| {
        if let Some(safety) = &safety {
            safety.take(held.session.as_ref(), repositories).await?;
        }
        // A dump of a few tables is as good as a whole one here.
        databases.load(true).await?;
        held.still(&context.settings.app).await?;
        copied(context, run, request, specs, databases).await
    };
    let done = if request.in_place {
        pausing::around(context, run, Reason::Restore, async |_| work(&mut databases).await).await
    } else {
        work(&mut databases).await
    };
    match &done {
        Ok(_) => databases.drop_sides().await,
        Err(_) => {
            // psql is gone, but not what it asked for last: the server works on, or waits, with the locks of the live tables.
            let _ = obstacles::end_sessions_named(main, &run.session_name("restore")).await;
            databases.take_back().await;
        }
    }
    held.release(&context.settings.app).await;
    say_done(context, run, name, &live, &done?)?;
    Ok(Exit::Done)
}

/// A name that no rows come under is mistyped or a partitioned table's; that is told before hours of loading.
fn warn_early(survey: &Survey, specs: &[Spec]) {
    let tables = survey.sections.iter().flat_map(|section| &section.tables);
    let there: Vec<(String, String)> = tables
        .filter_map(|copied| Spec::parse(&copied.table).ok())
        .map(|spec| (spec.schema.unwrap_or_default(), spec.name))
        .collect();
    for spec in specs.iter().filter(|_| !there.is_empty()) {
        if let Err(error) = spec::pick(&there, spec) {
            let hints = crate::error::hints_of(&error).join("; ");
            tracing::warn!(
                "no rows come under the name {} ({hints}); only a partitioned table is like that",
                spec.shown()
            );
        }
    }
}

/// Takes the tables from the side database into the live one.
async fn copied(
    context: &Context,
    run: &Run,
    request: &Request,
    specs: &[Spec],
    databases: &Databases<'_>,
) -> Result<Vec<Done>> {
    let (postgres, session_name) = (context.postgres()?, run.session_name("restore"));
    let Some((side_name, live_name)) = databases.only_side() else { bail!("nothing is loaded") };
    let side = Session::connect(postgres, side_name, &session_name).await.map_err(told)?;
    let live = Session::connect(postgres, live_name, &session_name).await.map_err(told)?;
    let sorted = context.stop.or(sort(&live, &side, specs, request.in_place, &run.id)).await?;
    let (target, policy) = databases.replay();
    let mut known = target.settings.clone();
    // pg_dump takes time limits back; this one is to hold.
    known.remove("lock_timeout");
    let policy = Policy {
        layout: Layout::Single,
        rename: std::collections::BTreeMap::new(),
        sections_wanted: None,
        known_settings: Some(known),
        ..policy.clone()
    };
    let installed = clients::installed(&context.settings.client_dirs).await?;
    let client = clients::for_dump(&installed, target.major)?;
    let from = From { postgres, client, side: side_name, session_name: &session_name, policy: &policy };
    let mut loader = Some(Loader::start(postgres, client, live_name, &session_name).await?.of_tables());
    let taken = context.stop.or(take(&from, &mut loader, (&live, &side), &sorted, run)).await;
    let taken = match (taken, loader) {
        (Ok(taken), Some(mut psql)) => {
            // Nothing stops us from here on: it is one statement.
            let ended = match psql.write(b"COMMIT;\n").await {
                Ok(()) => psql.finish().await.map(|loaded| (taken, loaded)),
                Err(_) => Err(psql.failure().await),
            };
            ended.map_err(|error| (error, true))
        }
        (Err(error), _) => Err((error, false)),
        (Ok(_), None) => Err((anyhow::anyhow!("psql ended early"), false)),
    };
    let taken = match taken {
        Ok((taken, loaded)) => {
            load::prove_rows(live_name, &taken.rows, &loaded.rows)?;
            taken
        }
        Err((error, at_commit)) => {
            let is_done =
                if at_commit { sorted.is_done(postgres, live_name, &session_name).await } else { Some(false) };
            let hint = || format!("look for {} in {live_name}; nothing is half", sorted.shown_mark());
            match is_done {
                Some(true) => bail!(
                    Failure::new("the connection was lost just after the COMMIT: the tables are there")
                        .hint(hint())
                        .because(error)
                ),
                None => bail!(
                    Failure::new(
                        "the connection was lost at the COMMIT, and whether the tables are there cannot be asked"
                    )
                    .hint(hint())
                    .because(error)
                ),
                Some(false) => {}
            }
            if !at_commit {
                context.stop.check()?;
            }
            bail!(
                Failure::new(format!("the tables could not be put into {live_name}, which is as it was"))
                    .because(error)
            );
        }
    };
    if let Err(error) = after(&live, &side, &sorted, &taken).await {
        tracing::warn!("the tables are there, but what did not come along could not be asked: {error:#}");
    }
    Ok(sorted.done(&run.id))
}

/// What the transaction holds before its COMMIT.
#[derive(Default)]
struct Taken {
    rows: Vec<crate::sources::postgres::survey::Copied>,
    parts: Vec<Part>,
    keys: Vec<links::Link>,
    left_out: Vec<String>,
}

const BEGIN: &str = "BEGIN;\nSET LOCAL lock_timeout = '10s';\nSET client_encoding TO 'UTF8';\n";
const OURS: &str = "\nSET client_encoding TO 'UTF8';\n";

async fn take(
    from: &From<'_>,
    loader: &mut Option<Loader>,
    (live, side): (&Session, &Session),
    sorted: &Sorted,
    run: &Run,
) -> Result<Taken> {
    let mut taken = Taken::default();
    let mut demands = String::new();
    copy::feed(loader, BEGIN.as_bytes()).await?;
    if !sorted.in_place.is_empty() {
        let here: Vec<Table> = sorted.in_place.iter().map(|(_, here)| here.clone()).collect();
        let frame = rows::frame(live, &here, &run.id).await?;
        let (mut tables, mut sequences, mut raised) = (Vec::new(), Vec::new(), String::new());
        for (table, here) in &sorted.in_place {
            for one in find::with_partitions(side, table).await? {
                sequences
                    .extend(rows::sequences(side, &one).await?.into_iter().map(|[_, schema, name]| (schema, name)));
                tables.push(one);
            }
            raised.push_str(&rows::raise_sequences((live, here), (side, table)).await?);
            demands.push_str(&demand(side, table, table).await?);
        }
        copy::feed(loader, frame.before.as_bytes()).await?;
        taken.rows.extend(copy::tables(from, loader, &tables, &What::Rows(&sequences)).await?);
        copy::feed(loader, format!("{OURS}{}{raised}", frame.after).as_bytes()).await?;
    }
    if !sorted.gone.is_empty() {
        let all: Vec<Table> = sorted.gone.iter().flat_map(|(_, tree)| tree.clone()).collect();
        for (table, _) in &sorted.gone {
            if let Some(part) = Part::of(side, table).await? {
                side.batch_execute(&part.detached(side).await?).await.context("making the partition stand alone")?;
                taken.parts.push(part);
            }
            demands.push_str(&demand(side, table, table).await?);
        }
        taken.keys = links::to(side, &all).await?;
        taken.rows.extend(copy::tables(from, loader, &all, &What::All).await?);
        let keys = taken.parts.iter().map(Part::tried).chain(taken.keys.iter().map(links::Link::tried));
        let keys: String = keys.collect();
        let (statistics, rights) = (links::statistics(side, &all).await?, rights::only_those_of(side, &all).await?);
        copy::feed(loader, format!("{OURS}{statistics}{rights}{keys}").as_bytes()).await?;
    }
    let mut all = Vec::new();
    for table in &sorted.beside {
        let ready = beside::make_ready(side, table, &run.id).await?;
        if !ready.left_out.is_empty() {
            taken.left_out.push(format!(
                "{} stands beside without its {}",
                table.shown(),
                ready.left_out.join(", its ")
            ));
        }
        let renamed = Table { name: beside_name(&table.name, &run.id), ..table.clone() };
        demands.push_str(&demand(side, &renamed, &renamed).await?);
        all.extend(ready.tables);
    }
    if !all.is_empty() {
        taken.rows.extend(copy::tables(from, loader, &all, &What::All).await?);
        demands.insert_str(0, &links::statistics(side, &all).await?);
        demands.insert_str(0, &rights::only_those_of(side, &all).await?);
    }
    copy::feed(loader, format!("{OURS}{}{demands}", proof::ALIKE).as_bytes()).await?;
    copy::done(loader).await?;
    Ok(taken)
}

async fn demand(side: &Session, from: &Table, to: &Table) -> Result<String> {
    let columns = proof::columns(side, from).await?;
    let digest = proof::digest(side, from, &columns).await?;
    Ok(proof::demand(to, &columns, &digest))
}

/// Says what did not come along.
async fn after(live: &Session, side: &Session, sorted: &Sorted, taken: &Taken) -> Result<()> {
    taken.left_out.iter().for_each(|line| tracing::info!("{line}"));
    for part in &taken.parts {
        if !part.is_there(live).await? {
            tracing::warn!(
                "a table stands alone that was a partition: the live table has rows or a partition there, or is gone or locked; when that is mended: {}",
                part.statement
            );
        }
    }
    for key in &taken.keys {
        if !key.is_there(live).await? {
            tracing::warn!(
                "a foreign key to the table could not be made again: the live rows break it, or its table is gone or locked; when that is mended: {}",
                key.statement
            );
        }
    }
    let all: Vec<Table> = sorted.gone.iter().flat_map(|(_, tree)| tree.clone()).collect();
    for (schema, name) in links::views_of(side, &all).await? {
        let is_there = live
            .query_opt(
                "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
                &[&schema, &name],
            )
            .await?
            .is_some();
        if !is_there {
            tracing::warn!(
                "view {schema}.{name} of the backup, which reads the table, is gone from the live database and was not made again"
            );
        }
    }
    Ok(())
}

fn say_done(context: &Context, run: &Run, object: &str, database: &str, done: &[Done]) -> Result<()> {
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
