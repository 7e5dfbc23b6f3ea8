//! `bkp backup`: one run over all databases. Reads as it happens.

mod record;
pub mod retain;

use anyhow::{Result, bail};

use super::{Context, Run, now, store_failure};
use crate::commands::restore::leftovers;
use crate::error::Failure;
use crate::exit::Exit;
use crate::report;
use crate::repository::bucket::error::StoreError;
use crate::repository::bucket::layout;
use crate::repository::bucket::pump::Pump;
use crate::repository::bucket::store::{Object, Store};
use crate::repository::bucket::upload::Upload;
use crate::settings::Databases;
use crate::sources::Sink;
use crate::sources::postgres::clients::{self, Client};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::dump::{self, Job};
use crate::sources::postgres::seal::{FORMAT, Seal};
use crate::sources::postgres::standby::{self, Watch};
use crate::sources::postgres::{lock, server};
use record::Record;

/// What the operator asked for.
#[derive(Debug, Default)]
pub struct Request {
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
}

/// Saves every database of the application as one dump.
///
/// # Errors
/// When anything fails before the dump is stored and sealed: nothing is listed as a backup then.
pub async fn backup(context: &Context, request: &Request) -> Result<Exit> {
    let run = Run::begin()?;
    let settings = &context.settings;
    let session_name = run.session_name("backup");

    let store = context.store()?;
    let session = context.stop.or(server::maintenance(&settings.postgres, &session_name)).await?;
    context.stop.or(lock::acquire(&session, &settings.app, settings.lock_wait)).await?;
    leftovers::clear(&session, &settings.app, request.dry_run).await?;

    let plan = context.stop.or(plan(context, &session)).await?;
    plan.say(&settings.app);
    context.stop.or(reachable(&store)).await?;
    if request.dry_run {
        if context.json {
            report::json(&plan.record(&settings.app))?;
        }
        return Ok(Exit::Done);
    }

    let job = Job {
        settings: &settings.postgres,
        client: &plan.client,
        session_name: &session_name,
        databases: &plan.databases,
        named: plan.named,
    };
    let watch = Watch {
        session: &session,
        settings: &settings.postgres,
        mode: settings.standby,
        session_name: &session_name,
        databases: &plan.databases,
    };
    let attempt = async || save(context, &run, &store, &session, &job, &plan).await;
    let saved = standby::during(&watch, &context.stop, attempt).await;
    if saved.is_err() {
        lock::release(&session, &settings.app).await;
    }
    let (object, seal) = saved?;

    let dropped = leftovers::drop_replaced(&session, &seal, &settings.restore.keep_replaced).await;
    let forgotten = forget_old(context, &session, &store, &object.name).await;
    sweep(&store, &run).await;
    lock::release(&session, &settings.app).await;
    let exit = if forgotten.is_ok() { Exit::Done } else { Exit::RetentionFailed };
    Record::new(&run, &object, &seal, &forgotten, now()).say(context.json)?;
    if let Err(error) = dropped {
        tracing::warn!("a replaced database could not be dropped: {error:#}");
    }
    Ok(exit)
}

/// What is saved, and with which programs.
struct Plan {
    client: Client,
    server: String,
    databases: Vec<String>,
    skipped: Vec<String>,
    named: bool,
}

impl Plan {
    fn say(&self, app: &str) {
        tracing::info!(
            "application {app}: {} of a PostgreSQL {} server, with the client programs {}",
            self.databases.join(", "),
            self.server,
            self.client.version
        );
        for name in &self.skipped {
            tracing::warn!("database {name} is skipped: it accepts no connections");
        }
    }

    fn record(&self, app: &str) -> serde_json::Value {
        serde_json::json!({"command": "backup", "dry_run": true, "app": app, "server": self.server,
            "client": self.client.version, "databases": self.databases, "skipped": self.skipped})
    }
}

/// Asks the server what there is to save.
async fn plan(context: &Context, session: &Session) -> Result<Plan> {
    let settings = &context.settings;
    let installed = clients::installed(&settings.client_dirs).await?;
    let client = clients::for_dump(&installed, session.server_version_major())?.clone();
    let here = server::databases(session).await?;
    let (mut databases, mut skipped) = (Vec::new(), Vec::new());
    match &settings.postgres.databases {
        Databases::All => {
            // What a restore made or put aside is no data of the application's.
            for database in here.iter().filter(|database| database.journal().is_none()) {
                if database.connectable { &mut databases } else { &mut skipped }.push(database.name.clone());
            }
        }
        Databases::Named(named) => {
            for name in named {
                match here.iter().find(|database| database.name == *name) {
                    Some(database) if database.connectable => databases.push(name.clone()),
                    Some(_) => bail!(
                        Failure::new(format!("database {name} accepts no connections, so it cannot be saved"))
                            .hint(format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", server::ident(name)))
                    ),
                    None => {
                        let names: Vec<&str> = here.iter().map(|database| database.name.as_str()).collect();
                        bail!(
                            Failure::new(format!(
                                "there is no database {name} on the server; there are {}",
                                names.join(", ")
                            ))
                            .hint("correct POSTGRES_DB or BKP_DATABASES")
                        )
                    }
                }
            }
        }
    }
    let named = matches!(settings.postgres.databases, Databases::Named(_));
    Ok(Plan { client, server: server::version(session).await?, databases, skipped, named })
}

/// A bucket that is not there is found out before the server is put to work.
async fn reachable(store: &Store) -> Result<()> {
    store.list(layout::FOLDER).await.map(|_| ()).map_err(|error| match error {
        StoreError::NotFound { .. } | StoreError::BucketMissing { .. } => {
            store_failure(error).context("no repository; a backup never makes one: bkp init")
        }
        other => store_failure(other),
    })
}

/// Saves under a name of its own. Another application's run of the same second may take the name while we produce; then it
/// is done again under another one, because nothing is ever overwritten.
async fn save(
    context: &Context,
    run: &Run,
    store: &Store,
    session: &Session,
    job: &Job<'_>,
    plan: &Plan,
) -> Result<(Object, Seal)> {
    for attempt in 0..5 {
        let upload = context.stop.or(begin_upload(run, store, attempt)).await?;
        match save_as(context, run, upload, session, job, plan).await {
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::Exists { .. })) => {
                tracing::warn!("{error}; doing it again under another name")
            }
            other => return other.map_err(|error| error.downcast().map_or_else(|error| error, store_failure)),
        }
    }
    bail!("other runs took every name of this second")
}

/// Produces, seals, stores and commits.
async fn save_as(
    context: &Context,
    run: &Run,
    upload: Upload,
    session: &Session,
    job: &Job<'_>,
    plan: &Plan,
) -> Result<(Object, Seal)> {
    let mut into = Into(Pump::new(upload));
    let produced = context.stop.or(dump::dump(job, session, &mut into)).await;
    let sealed = produced.and_then(|dumped| {
        let seal = Seal {
            format: FORMAT,
            run: run.id.clone(),
            app: context.settings.app.clone(),
            server: plan.server.clone(),
            client: plan.client.version.clone(),
            databases: dumped.databases,
            skipped: plan.skipped.clone(),
            bytes: dumped.bytes,
            digest: format!("blake3:{}", dumped.digest),
        };
        Ok((seal.line()?, seal))
    });
    let (line, seal) = match sealed {
        Ok(sealed) => sealed,
        Err(error) => {
            into.0.abort().await;
            return Err(error);
        }
    };
    // From here on the dump is whole: a signal no longer keeps it from being stored.
    Ok((into.0.commit(&line).await?, seal))
}

/// What a killed run left of its upload is invisible, but takes space.
async fn sweep(store: &Store, run: &Run) {
    let a_day_ago = run.began - jiff::SignedDuration::from_hours(24);
    match store.sweep(a_day_ago, &|name| layout::time_of(name).is_some()).await {
        Ok(0) => {}
        Ok(swept) => tracing::info!("removed {swept} unfinished uploads of dead runs"),
        Err(error) => tracing::warn!("unfinished uploads of dead runs could not be removed: {error}"),
    }
}

/// Applies the retention while the lock is still ours: two runs that forget at once could each count on what the other deletes.
async fn forget_old(context: &Context, session: &Session, store: &Store, saved: &str) -> Result<Vec<String>> {
    let app = &context.settings.app;
    if context.settings.retention.keeps_everything() {
        return Ok(Vec::new());
    }
    context.stop.or(lock::held(session, app)).await?;
    context.stop.or(super::forget::apply(context, store, Some(saved), false)).await
}

/// Create-only: a name that is taken gets a number, and what is there stays.
async fn begin_upload(run: &Run, store: &Store, attempt: u32) -> Result<Upload> {
    // Those who lost the same race once do not meet again: from then on the run's own number decides.
    let first = if attempt == 0 { 0 } else { 100 * attempt + run.number() % 100 };
    for taken in first..first + 100 {
        match store.upload(&layout::dump_name(run.began, taken)).await {
            Err(StoreError::Exists { .. }) => {}
            other => return other.map_err(store_failure),
        }
    }
    bail!("a hundred dumps of this second are there already")
}

/// The dump's way into the bucket.
struct Into(Pump);

impl Sink for Into {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write(bytes).await
    }
}
