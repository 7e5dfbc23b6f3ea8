//! A restore by an account that may not create databases: into the live database, in one transaction.
//!
//! Nothing of it can be seen before its COMMIT, which is a statement of ours, sent when every row is counted and the files are
//! exchanged. psql's input stays open until then, and a psql that is killed commits nothing. While the load runs the application
//! waits for its tables. What is replaced is gone after the COMMIT: there is no copy that an undo could bring back.
//!
//! States: before the COMMIT the old database and, for a moment, the new files, which the next run takes back, because the transaction
//! noted beside them was not committed; after it the new ones. The server says which, whoever asks: `txid_status`.

mod faults;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use tokio::task::block_in_place;

use super::acts::{Act, collect};
use super::loading::{self, Loading};
use super::partial::{self, Extent};
use super::preflight::{Target, Wanted};
use super::reading::{self, Stored};
use super::roles;
use super::undo::{Taken, Undo};
use crate::commands::{Context, Run};
use crate::error::Failure;
use crate::settings::Postgres;
use crate::sources::act::Since;
use crate::sources::files::exchange::turn;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::in_place::{self as sql, Live};
use crate::sources::postgres::load::{Loader, RETURNED, prove_rows};
use crate::sources::postgres::rewrite::{Begun, Rewriter, guard};
use crate::sources::postgres::statement::Statement;
use crate::sources::postgres::survey::Survey;
use crate::sources::postgres::{obstacles, server, swap};

/// How often the sessions are looked for that keep the load from emptying the database.
const PACE: Duration = Duration::from_millis(50);

/// The live database, which is going to be loaded.
pub struct Way {
    database: String,
    account: String,
    live: Live,
    extent: Option<Extent>,
}

impl Way {
    /// Decides whether this way is to be gone, and adds what makes it impossible to `faults`. What the live database has counts as the
    /// target's from here on: its extensions need not be made.
    ///
    /// # Errors
    /// When the live database cannot be asked.
    pub async fn choose(
        (context, run): (&Context, &Run),
        (survey, wanted, under): (&Survey, &[Wanted], bool),
        target: &mut Target,
        faults: &mut Vec<String>,
    ) -> Result<Option<Way>> {
        if target.create_database {
            return Ok(None);
        }
        let account = server::ident(&target.connecting.to_string());
        let [wanted] = wanted else {
            let names: Vec<&str> = wanted.iter().map(|wanted| wanted.target.as_str()).collect();
            faults.push(format!(
                "the account may not create databases, so each is loaded in place, and {} could not be replaced as one: choose one with --only NAME, or ALTER ROLE {account} CREATEDB",
                names.join(", ")
            ));
            return Ok(None);
        };
        let database = wanted.target.clone();
        if target.database(&database).is_none() {
            faults.push(format!(
                "there is no database {database}, and the account may not create it: CREATE DATABASE {} OWNER {account}, or ALTER ROLE {account} CREATEDB",
                server::ident(&database)
            ));
            return Ok(None);
        }
        let session = match Session::connect(context.postgres()?, &database, &run.session_name("restore")).await {
            Ok(session) => session,
            Err(error) => {
                let why = server::told(error);
                faults.push(format!("the account may not create databases, so {database} is to be loaded in place, and that cannot be connected to: {why:#}"));
                return Ok(None);
            }
        };
        let section = &survey.sections[wanted.section];
        let mut live = sql::look(&session).await?;
        live.kept_tables.retain(|kept| section.tables.iter().any(|table| table.table == kept.name));
        // To measure a table is to lock it, and whoever holds it is ended only later.
        session.batch_execute("SET lock_timeout = '2s'").await.context("limiting the wait for locks")?;
        let extent = partial::extent_of(&session).await;
        faults.extend(faults::unmarkable(&sql::earlier(&session, &context.settings.app).await?, &account));
        faults.extend(faults::hindrances(&database, &account, &live, section.tables.len(), under));
        target.extensions.extend(live.extensions.iter().cloned());
        target.superuser_extensions.retain(|extension| !live.extensions.contains(extension));
        Ok(Some(Way { database, account, live, extent }))
    }

    /// Tells the plan.
    pub fn say(&self) {
        let (database, account) = (&self.database, &self.account);
        tracing::info!(
            "plan: database {database} is loaded in place, in one transaction, because account {account} has no CREATEDB (ALTER ROLE {account} CREATEDB gives the safer way, with undo)"
        );
        tracing::info!(
            "plan: {} objects of {database} go, its extensions and its own settings stay; the application waits for its tables meanwhile",
            self.live.objects
        );
        tracing::warn!(
            "what {database} holds now is gone after the COMMIT, and --undo cannot bring it back: only a backup can"
        );
    }

    /// The database's number, which stays.
    pub fn oid(&self) -> u32 {
        self.live.oid
    }

    /// What it holds.
    pub fn live(&self) -> &Live {
        &self.live
    }
}

/// The load, as far as it has come.
#[derive(Default)]
pub struct Load {
    /// psql, whose transaction holds everything, and which waits for the COMMIT.
    psql: Option<Loader>,
    /// The transaction, by the number that the server keeps its outcome under.
    pub transaction: Option<i64>,
}

impl Load {
    /// Empties the database, loads and proves: everything but the COMMIT.
    ///
    /// # Errors
    /// At the first statement that fails or row that is missing: psql is gone then, and nothing has changed.
    pub async fn run(
        &mut self,
        (loading, way): (&Loading<'_>, &Way),
        stored: &Stored,
        undo: &mut Undo,
        allow_part: bool,
    ) -> Result<()> {
        let mut sql = reading::again(stored, loading.read);
        let mut rewriter = Rewriter::new(loading.plan.policy.clone());
        let mut stream =
            Stream { load: self, way, here: false, globals: Vec::new(), roles: Vec::new(), left: Vec::new() };
        while let Some(piece) = sql.next().await? {
            let mut acts = Vec::new();
            rewriter.push(&piece, &mut |act| collect(&mut acts, &piece, &act))?;
            stream.act(loading, acts, undo).await?;
        }
        let mut acts = Vec::new();
        let report = rewriter.finish(&mut |act| collect(&mut acts, &Bytes::new(), &act))?;
        stream.act(loading, acts, undo).await?;
        stream.end(loading, allow_part).await?;
        report.summary().iter().for_each(|line| tracing::info!("{line}"));
        Ok(())
    }

    /// Writes on what earlier acts put aside that this one came later, as a part of the transaction.
    ///
    /// # Errors
    /// When the server refuses; nothing has changed then.
    pub async fn note(&mut self, main: &Session, app: &str, since: &Since) -> Result<()> {
        let script = sql::note(sql::earlier(main, app).await?, since);
        let psql = self.psql.as_mut().context("nothing is loaded")?;
        if psql.write(script.as_bytes()).await.is_ok() && psql.returned("noted").await.is_ok() {
            return Ok(());
        }
        match self.psql.take() {
            Some(psql) => Err(psql.failure().await.context("noting this restore on what is kept of earlier ones")),
            None => bail!("psql is gone"),
        }
    }

    /// Commits. What came of it when this fails, [`Load::outcome`] asks.
    ///
    /// # Errors
    /// When the server did not say that it is committed.
    pub async fn commit(&mut self) -> Result<()> {
        let (mut psql, transaction) = self.psql.take().zip(self.transaction).context("nothing is loaded")?;
        if psql.write(sql::commit(transaction).as_bytes()).await.is_err() {
            return Err(psql.failure().await.context(swap::InDoubt));
        }
        // The input is whole now: its end commits nothing that the COMMIT did not.
        let said = psql.finish().await.context(swap::InDoubt)?;
        if said.returned.last().map(|text| text.trim()) != Some("end committed") {
            bail!(swap::InDoubt.to_string());
        }
        Ok(())
    }

    /// What came of a COMMIT that failed.
    pub async fn outcome(&self, undo: &Undo, main: &Session, postgres: &Postgres, session_name: &str) -> Taken {
        let Some(transaction) = self.transaction.filter(|_| undo.in_doubt) else { return Taken::Back };
        let again;
        let session = if main.is_closed() {
            match undo.reconnect(postgres, session_name).await {
                Some(session) => {
                    again = session;
                    &again
                }
                None => return Taken::Unknown,
            }
        } else {
            main
        };
        // It may still be at its COMMIT, which nobody sees before it is over.
        if obstacles::end_sessions_named(session, session_name).await.is_err() {
            return Taken::Unknown;
        }
        match sql::is_committed(session, transaction).await {
            Ok(Some(true)) => Taken::NotBack,
            Ok(Some(false)) => Taken::Back,
            Ok(None) | Err(_) => Taken::Unknown,
        }
    }

    /// Ends the server's side of a load that failed: it may hold its locks until it has finished a statement that nobody waits for.
    pub async fn take_back(&self, main: &Session, session_name: &str) {
        if self.transaction.is_some() && !main.is_closed() {
            let _ = obstacles::end_sessions_named(main, session_name).await;
        }
    }
}

/// The dump on its way to psql.
struct Stream<'a> {
    load: &'a mut Load,
    way: &'a Way,
    /// Whether what comes is of the database that is loaded.
    here: bool,
    globals: Vec<u8>,
    roles: Vec<u8>,
    /// Statements about the database itself, which stays as it is: their first words.
    left: Vec<String>,
}

impl Stream<'_> {
    async fn act(&mut self, loading: &Loading<'_>, acts: Vec<Act>, undo: &mut Undo) -> Result<()> {
        for act in acts {
            match act {
                Act::Global(sql) => self.globals.extend_from_slice(&sql),
                Act::ExistingRole(sql) => self.roles.extend_from_slice(&sql),
                Act::Create(..) => {}
                Act::Property(_, sql) | Act::Comment(_, sql) => self.left.push(Statement::parse(&sql, true).title()),
                Act::Section(name) => {
                    self.here = loading::find(loading, name.as_ref()).is_ok();
                    if self.here {
                        self.begin(loading, undo).await?;
                    }
                }
                _ if !self.here => {}
                Act::At(line) => self.load.psql.as_mut().context("nothing is loaded")?.at(Some(line)),
                Act::Begins(begun) => self.announce(begun).await?,
                Act::Statement(begun, at, sql) => {
                    self.announce(begun).await?;
                    if at.is_some() {
                        self.load.psql.as_mut().context("nothing is loaded")?.at(at);
                    }
                    self.write(&sql).await?;
                }
                Act::Rows(line, rows) => {
                    self.load.psql.as_mut().context("nothing is loaded")?.rows(line);
                    self.write(&rows).await?;
                }
                sql => self.write(sql.sql()).await?,
            }
        }
        Ok(())
    }

    /// Roles come first: what is loaded belongs to them. Then the transaction begins, and the database is emptied.
    async fn begin(&mut self, loading: &Loading<'_>, undo: &mut Undo) -> Result<()> {
        if self.load.psql.is_some() {
            return Ok(());
        }
        roles::apply(loading, &self.globals, undo).await?;
        let name = loading.run.session_name("restore");
        tracing::info!("loading {} in place", self.way.database);
        let psql = Loader::start(loading.postgres, loading.client, &self.way.database, &name).await?;
        self.load.psql = Some(psql);
        self.write(sql::begin().as_bytes()).await?;
        let began = self.returned("began ", None).await?;
        let (pid, transaction) = began.split_once(' ').context("psql did not say which transaction it began")?;
        self.load.transaction = Some(transaction.parse().context("the number of the transaction")?);
        let section = loading.plan.loads.first().context("nothing is planned")?.section;
        self.write(sql::empty(&loading.read.survey.sections[section].extensions).as_bytes()).await?;
        self.returned("emptied", Some((loading.main, pid.parse()?))).await?;
        Ok(())
    }

    async fn end(&mut self, loading: &Loading<'_>, allow_part: bool) -> Result<()> {
        let section = loading.plan.loads.first().context("nothing is planned")?.section;
        if self.load.psql.is_none() {
            bail!(Failure::new(format!("the dump ended before {} was loaded", self.way.database)));
        }
        let extent =
            format!("SELECT '{RETURNED}extent ' || tables || ' ' || filled FROM ({}) AS extent;\n", partial::EXTENT);
        let roles = std::mem::take(&mut self.roles);
        if let Some(psql) = &mut self.load.psql {
            psql.at(None);
        }
        self.write(&roles).await?;
        // What we say from here on is to be read as we mean it, whatever the dump has set.
        self.write(guard(true).as_bytes()).await?;
        self.write(sql::whole(&extent).as_bytes()).await?;
        let now = self.returned("whole ", None).await?;
        let Some(psql) = &self.load.psql else { return Ok(()) };
        if now.parse().ok() != self.load.transaction {
            bail!("the dump ended the transaction that it was loaded in; this is a defect of bkp");
        }
        let said = psql.so_far();
        prove_rows(&self.way.database, &loading.read.survey.sections[section].tables, &said.rows)?;
        let extent = said.returned.iter().filter_map(|text| text.strip_prefix("extent ")?.split_once(' ')).next_back();
        if let (false, Some(live), Some((tables, filled))) = (allow_part, self.way.extent, extent)
            && let Some(why) = partial::part(live, Extent { tables: tables.parse()?, filled: filled.trim().parse()? })
        {
            bail!(
                Failure::new(format!(
                    "the dump seems to be of a part of {} only: {why}; nothing was changed",
                    self.way.database
                ))
                .hint("to put it in the place of everything all the same: --allow-unproven")
            );
        }
        if !self.left.is_empty() {
            let (count, first) = (self.left.len(), &self.left[0]);
            tracing::warn!(
                "{} itself stays as it is (owner, rights, settings, comment): {count} statements of the dump about it were not run, the first: {first}",
                self.way.database
            );
        }
        let rows = said.rows.iter().sum::<u64>();
        tracing::info!("loaded {}: {} tables, {rows} rows, not committed yet", self.way.database, said.rows.len());
        Ok(())
    }

    /// Says what comes next, and that it is read as we read it.
    async fn announce(&mut self, begun: Begun) -> Result<()> {
        let psql = self.load.psql.as_mut().context("nothing is loaded")?;
        match psql.begins(begun).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure(&[]).await),
        }
    }

    async fn write(&mut self, sql: &[u8]) -> Result<()> {
        let Some(psql) = &mut self.load.psql else { return Ok(()) };
        match psql.write(sql).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure(&[]).await),
        }
    }

    /// Waits for what the replay returns; meanwhile ends the sessions that keep it waiting.
    async fn returned(&mut self, mark: &str, ending: Option<(&Session, i32)>) -> Result<String> {
        let psql = self.load.psql.as_mut().context("psql is gone")?;
        let mut held_by = Vec::new();
        let said = {
            let answer = psql.returned(mark);
            tokio::pin!(answer);
            loop {
                tokio::select! {
                    said = &mut answer => break said,
                    () = tokio::time::sleep(PACE), if ending.is_some() => {
                        if let Some((session, pid)) = ending {
                            let blockers = sql::end_blockers(session, pid).await;
                            held_by = if blockers.is_empty() { held_by } else { blockers };
                        }
                    }
                }
            }
        };
        match said {
            Ok(said) => Ok(said),
            Err(_) => Err(self.failure(&held_by).await),
        }
    }

    async fn failure(&mut self, held_by: &[String]) -> anyhow::Error {
        let Some(psql) = self.load.psql.take() else { return anyhow::anyhow!("psql is gone") };
        let error = psql.failure().await;
        let failure = Failure::new(format!("{} was not restored; it is as it was", self.way.database)).because(error);
        match held_by {
            [] => failure.into(),
            _ => failure
                .hint(format!(
                    "what may have held it, if the message speaks of a lock: {}; sessions of other roles can only be ended with pg_signal_backend, a superuser's by a superuser: stop the application, then run it again",
                    held_by.join(", ")
                ))
                .into(),
        }
    }
}

/// Runs whose files were exchanged, and whose database never was: the transaction noted beside the files was not committed.
///
/// # Errors
/// When the server cannot be asked.
pub async fn unfinished(session: &Session, roots: &[PathBuf]) -> Result<Vec<String>> {
    let mut runs = Vec::new();
    for root in roots {
        for (run, act) in block_in_place(|| turn::acts(root))? {
            let Some(transaction) = act.transaction else { continue };
            if sql::is_committed(session, transaction).await? == Some(true) {
                continue;
            }
            // The server may not have noticed yet that it is dead, and still be at its COMMIT.
            obstacles::end_sessions_named(session, &format!("bkp restore {run}")).await?;
            match sql::is_committed(session, transaction).await? {
                Some(false) => runs.push(run),
                Some(true) => {}
                None => tracing::warn!("what came of the transaction of run {run} the server cannot tell any more"),
            }
        }
    }
    Ok(runs)
}
