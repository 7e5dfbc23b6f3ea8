//! The one transaction in the live database that takes the tables: opened, filled, compared, committed, and asked about when its
//! COMMIT was not answered.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::sort::{Done, Sorted, sort};
use crate::commands::restore::Request;
use crate::commands::restore::databases::Databases;
use crate::commands::{Context, Run};
use crate::error::statements::{Failures, failures_of};
use crate::error::{Failure, exit_of};
use crate::exit::Exit;
use crate::settings::Postgres;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::durable::DURABLE;
use crate::sources::postgres::load::{Loader, RETURNED};
use crate::sources::postgres::rewrite::Policy;
use crate::sources::postgres::server::told;
use crate::sources::postgres::survey::{Copied, Layout};
use crate::sources::postgres::table::copy::{self, From, What};
use crate::sources::postgres::table::partition::Part;
use crate::sources::postgres::table::spec::Spec;
use crate::sources::postgres::table::{Table, beside, beside_name, find, links, proof, rights, rows};
use crate::sources::postgres::{clients, in_place, load};

/// Takes the tables from the side database into the live one.
pub(super) async fn copied(
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
        rename: BTreeMap::new(),
        sections_wanted: None,
        known_settings: Some(known),
        ..policy.clone()
    };
    let installed = clients::installed(&context.settings.client_dirs).await?;
    let client = clients::for_dump(&installed, target.major)?;
    let from = From { postgres, client, side: side_name, session_name: &session_name, policy: &policy };
    let mut loader = Some(Loader::start(postgres, client, live_name, &session_name).await?.of_tables());
    let mut transaction = None;
    let taken = async {
        transaction = Some(begin(&mut loader).await?);
        take(&from, &mut loader, (&live, &side), &sorted, run).await
    };
    let taken = context.stop.or(taken).await;
    let as_it_was = |error: anyhow::Error| {
        let failure = Failure::new(format!("the tables could not be put into {live_name}, which is as it was"));
        failure.exit(exit_of_table(&error)).because(error)
    };
    let (taken, mut psql) = match (taken, loader) {
        (Ok(taken), Some(psql)) => (taken, psql),
        (Err(error), _) => {
            context.stop.check()?;
            bail!(as_it_was(error))
        }
        (Ok(_), None) => bail!(as_it_was(anyhow::anyhow!("psql ended early"))),
    };
    // Nothing stops us from here on: it is one statement.
    let ended = match psql.write(format!("{DURABLE}COMMIT;\n").as_bytes()).await {
        Ok(()) => psql.finish().await,
        Err(_) => Err(psql.failure().await),
    };
    match ended {
        Ok(loaded) => load::prove_rows(live_name, &taken.rows, &loaded.rows)?,
        Err(error) => match is_done(postgres, live_name, &session_name, transaction).await {
            // Their rows were compared before the COMMIT.
            Some(true) => {
                tracing::warn!("the connection was lost just after the COMMIT, and the tables are there: {error:#}");
            }
            Some(false) => bail!(as_it_was(error)),
            None => bail!(
                Failure::new("the connection was lost at the COMMIT, and whether the tables are there cannot be asked")
                    .hint(format!("look for {} in {live_name}; nothing is half", sorted.shown_mark()))
                    .because(error)
            ),
        },
    }
    if let Err(error) = after(&live, &side, &sorted, &taken).await {
        tracing::warn!("the tables are there, but what did not come along could not be asked: {error:#}");
    }
    Ok(sorted.done(&run.id))
}

/// Rows that are not those of the backup are a proof that failed.
fn exit_of_table(error: &anyhow::Error) -> Exit {
    let not_alike =
        |failures: &Failures| failures.listed.iter().any(|one| one.code.as_deref() == Some(proof::NOT_ALIKE));
    match failures_of(error).is_some_and(not_alike) {
        true => Exit::ProofFailed,
        false => exit_of(error),
    }
}

/// What the transaction holds before its COMMIT.
#[derive(Default)]
struct Taken {
    rows: Vec<Copied>,
    parts: Vec<Part>,
    keys: Vec<links::Link>,
    left_out: Vec<String>,
}

/// The server process that the transaction is in, and its number.
type Transaction = (i32, i64);

/// Begins it.
async fn begin(loader: &mut Option<Loader>) -> Result<Transaction> {
    let sql = format!(
        "BEGIN;\nSELECT '{RETURNED}began ' || pg_catalog.pg_backend_pid() || ' ' || pg_catalog.txid_current();\n\
         SET LOCAL lock_timeout = '10s';\nSET client_encoding TO 'UTF8';\n"
    );
    copy::feed(loader, sql.as_bytes()).await?;
    let began = match loader.as_mut().context("psql has ended")?.returned("began ").await {
        Ok(began) => began,
        Err(_) => return Err(loader.take().context("psql has ended")?.failure().await),
    };
    let (pid, number) = began.split_once(' ').context("psql did not say which transaction it began")?;
    Ok((pid.parse()?, number.parse()?))
}

/// How often it is looked whether the server process has ended that was at the COMMIT.
const LOOKS: u32 = 100;

/// Whether the COMMIT happened; nothing when the server cannot tell. It may still be at it when the line to it is cut: so its process is
/// ended first, which a COMMIT that has begun outlives.
async fn is_done(
    postgres: &Postgres,
    live: &str,
    session_name: &str,
    transaction: Option<Transaction>,
) -> Option<bool> {
    let (pid, number) = transaction?;
    let session = Session::connect(postgres, live, session_name).await.ok()?;
    for _ in 0..LOOKS {
        // Another process may have the same number by now; it has another name.
        let ended = session
            .query(
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND application_name = $2",
                &[&pid, &session_name],
            )
            .await
            .ok()?;
        if ended.is_empty() {
            return in_place::is_committed(&session, number).await.ok()?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

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
