//! Loading the databases of a dump into side databases, one after the other as the SQL streams past.

pub(super) mod create;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;

use super::acts::{Act, collect};
use super::leftovers;
use super::plan::{Load, Plan};
use super::preflight::Target;
use super::reading::{self, Coming, Read, Stored, Stretch};
use super::rights::Lent;
use super::roles;
use super::undo::Undo;
use crate::commands::{Context, Run};
use crate::error::Failure;
use crate::error::statements::failures_of;
use crate::exit::Exit;
use crate::settings::Postgres;
use crate::sources::postgres::carry;
use crate::sources::postgres::clients::Client;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::durable::durably;
use crate::sources::postgres::load::{self, Loader, RETURNED, prove_rows};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::parallel::{self, By, Replay};
use crate::sources::postgres::rewrite::{Begun, Rewriter, guard};
use crate::sources::postgres::server::{ident, literal};
use crate::sources::postgres::side::{Journal, State};
use crate::sources::postgres::statement::Statement;
use create::{creation_failed, from_nothing, owner_refused};

/// A side database that is loaded and proven.
pub struct Side {
    /// Its name.
    pub name: String,
    /// The live name that it is for.
    pub target: String,
    /// The comment that the dump gives it.
    pub comment: Option<String>,
    /// Whether the dump speaks of the database's properties at all.
    pub says_comment: bool,
}

/// What a loaded dump leaves for the swap.
pub struct Loaded {
    /// The side databases.
    pub sides: Vec<Side>,
    /// Changes to roles that exist already, to be made with the swap.
    pub existing_roles: Vec<String>,
}

/// Everything that loading needs and does not change.
pub struct Loading<'a> {
    /// The command's settings and stop.
    pub context: &'a Context,
    /// The server's settings.
    pub postgres: &'a Postgres,
    /// The run.
    pub run: &'a Run,
    /// What the first reading found.
    pub read: &'a Read,
    /// The plan.
    pub plan: &'a Plan,
    /// The server.
    pub target: &'a Target,
    /// The client programs.
    pub client: &'a Client,
    /// The session that holds the lock.
    pub main: &'a Session,
    /// Who loads: `restore` or `drill`. It names the sessions.
    pub command: &'static str,
    /// What the journal says of the databases that are made.
    pub state: State,
}

impl<'a> Loading<'a> {
    /// What a restore or, by `state`, a drill loads.
    pub fn new(
        (context, postgres, run): (&'a Context, &'a Postgres, &'a Run),
        read: &'a Read,
        plan: &'a Plan,
        (target, client): (&'a Target, &'a Client),
        main: &'a Session,
        state: State,
    ) -> Loading<'a> {
        let command = if state == State::Drill { "drill" } else { "restore" };
        Loading { context, postgres, run, read, plan, target, client, main, command, state }
    }
}

/// Loads and proves all databases of the plan; by several sessions where the dump's order cannot matter. Should it have mattered all
/// the same, what was made is dropped, and everything is loaded once more by one session.
///
/// # Errors
/// When statements fail, with all of them up to the next rows, or rows are missing. What was made is in `undo`.
pub async fn load(loading: &Loading<'_>, stored: &Stored, undo: &mut Undo) -> Result<Loaded> {
    let mut progress = Progress::default();
    let error = match progress.load(loading, stored, undo).await {
        Err(error) if progress.loaded_by().is_some_and(|by| parallel::may_be_of_the_order(&error, by)) => error,
        ended => return ended,
    };
    let first =
        failures_of(&error).and_then(|failures| failures.listed.first()).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(
        "several sessions have loaded, and failed: {first}; now one does, in the dump's order, in case that was the reason"
    );
    let Progress { globals_done, created, current, .. } = progress;
    drop(current);
    for name in created {
        leftovers::drop_database(loading.main, &name).await?;
        undo.databases.retain(|made| *made != name);
    }
    Progress { in_order: true, globals_done, ..Progress::default() }.load(loading, stored, undo).await
}

/// Where the stream stands.
#[derive(Default)]
struct Progress {
    globals: Vec<u8>,
    globals_done: bool,
    existing_roles: Vec<String>,
    /// What is to be run at the end of a database's replay, by its name in the dump.
    later: BTreeMap<Option<Name>, Later>,
    created: Vec<String>,
    /// What the current database's owners may only while it is loaded.
    lent: Lent,
    current: Option<(usize, Replay)>,
    done: Vec<Side>,
    /// By what several sessions have loaded, in the databases that are done.
    loaded_by: Option<By>,
    /// Whether one session is to load, whatever the settings.
    in_order: bool,
}

#[derive(Default)]
struct Later {
    /// Whether the dump speaks of properties at all.
    said: bool,
    properties: Vec<Vec<u8>>,
    comment: Vec<u8>,
}

impl Progress {
    async fn load(&mut self, loading: &Loading<'_>, stored: &Stored, undo: &mut Undo) -> Result<Loaded> {
        let mut sql = match self.jobs(loading) {
            1 => reading::again(stored, loading.read),
            _ => reading::for_several(stored, loading.read),
        };
        let mut rewriter = Rewriter::new(loading.plan.policy.clone());
        while let Some(coming) = sql.coming().await? {
            match coming {
                Coming::Sql(piece) => {
                    let mut acts = Vec::new();
                    rewriter.push(&piece, &mut |act| collect(&mut acts, &piece, &act))?;
                    self.act(loading, acts, undo).await?;
                }
                Coming::Stretch(stretch) => self.stretch(&mut rewriter, *stretch).await?,
            }
        }
        let mut acts = Vec::new();
        let finished = rewriter.finish(&mut |act| collect(&mut acts, &Bytes::new(), &act));
        // The whole input, whoever has read it, must have been the dump that was proven, before the last database counts as loaded. Where
        // it ends inside anything it is not, and who loads that waits for more.
        if let (Ok(_), Some((_, replay))) = (&finished, &mut self.current) {
            replay.has_rows().await?;
        }
        sql.prove()?;
        let report = finished?;
        self.act(loading, acts, undo).await?;
        self.end_section(loading).await?;
        report.summary().iter().for_each(|line| tracing::info!("{line}"));
        let is_done = |load: &&Load| self.done.iter().any(|side| side.name == load.side);
        let missing: Vec<&str> =
            loading.plan.loads.iter().filter(|load| !is_done(load)).map(|load| load.target.as_str()).collect();
        if !missing.is_empty() {
            bail!(Failure::new(format!("the dump ended before {} was loaded", missing.join(", "))));
        }
        let (sides, existing_roles) = (std::mem::take(&mut self.done), std::mem::take(&mut self.existing_roles));
        Ok(Loaded { sides, existing_roles })
    }

    /// Rows that a session may read by itself; otherwise they come as any SQL.
    async fn stretch(&mut self, rewriter: &mut Rewriter, stretch: Stretch) -> Result<()> {
        let (bytes, lines, is_ended) = (stretch.span.bytes(), stretch.span.lines, stretch.span.is_ended);
        if let (Some(line), Some((_, replay))) = (rewriter.among_rows(), &mut self.current)
            && replay.wants_stretch(bytes, stretch.span.behind).await?
        {
            replay.stretch(line, (bytes, is_ended), stretch.take()).await?;
            rewriter.skip_rows(lines, is_ended);
        }
        Ok(())
    }

    /// How many sessions load at most.
    fn jobs(&self, loading: &Loading<'_>) -> usize {
        if self.in_order { 1 } else { loading.context.settings.jobs }
    }

    /// By what several sessions have loaded, if they have.
    fn loaded_by(&self) -> Option<By> {
        self.loaded_by.max(self.current.as_ref().and_then(|(_, replay)| replay.loaded_by()))
    }

    async fn act(&mut self, loading: &Loading<'_>, acts: Vec<Act>, undo: &mut Undo) -> Result<()> {
        for act in acts {
            match act {
                Act::Global(sql) => self.globals.extend_from_slice(&sql),
                Act::ExistingRole(sql) => {
                    self.existing_roles.push(
                        String::from_utf8(sql)
                            .ok()
                            .context("a role's statement is not UTF-8; restore without BKP_RESTORE_ROLES=all")?,
                    );
                }
                Act::Create(name, sql) => {
                    self.apply_globals(loading, undo).await?;
                    let load = find(loading, Some(&name))?;
                    let sql =
                        String::from_utf8(sql).ok().context("the statement that creates the database is not UTF-8")?;
                    self.create(loading, load, &sql, undo).await?;
                }
                Act::Property(name, sql) => self.property(loading, name, &sql).await?,
                Act::Comment(name, sql) => self.later.entry(Some(name)).or_default().comment.extend_from_slice(&sql),
                Act::Section(name) => self.begin_section(loading, name.as_ref(), undo).await?,
                sql => {
                    if self.current.is_none() {
                        self.begin_section(loading, None, undo).await?;
                    }
                    if let Some((_, replay)) = &mut self.current {
                        fed(replay, sql).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Roles come first: what is loaded belongs to them.
    async fn apply_globals(&mut self, loading: &Loading<'_>, undo: &mut Undo) -> Result<()> {
        if !std::mem::replace(&mut self.globals_done, true) {
            roles::apply(loading, &self.globals, undo).await?;
        }
        Ok(())
    }

    async fn create(&mut self, loading: &Loading<'_>, load: &Load, sql: &str, undo: &mut Undo) -> Result<()> {
        let journal = Journal {
            state: loading.state,
            app: loading.context.settings.app.clone(),
            run: loading.run.id.clone(),
            database: load.target.clone(),
            comment: None,
            act: None,
        };
        undo.databases.push(load.side.clone());
        loading.main.batch_execute(sql).await.map_err(|error| creation_failed(load, &error))?;
        let comment = format!("COMMENT ON DATABASE {} IS {}", ident(&load.side), literal(&journal.comment_text()));
        loading.main.batch_execute(&durably(&comment)).await.context("marking the side database")?;
        self.created.push(load.side.clone());
        Ok(())
    }

    /// A database's owner comes before the load, because only by it may owners without rights of their own have objects in
    /// `public` (15 and later); everything else comes after it.
    async fn property(&mut self, loading: &Loading<'_>, name: Name, sql: &[u8]) -> Result<()> {
        let side = find(loading, Some(&name)).ok().map(|load| load.side.clone());
        let later = self.later.entry(Some(name)).or_default();
        later.said = true;
        let text = std::str::from_utf8(sql).ok().filter(|_| Statement::parse(sql, true).find(3, "owner") == Some(3));
        match (side, text) {
            (Some(side), Some(text)) if self.created.contains(&side) && self.current.is_none() => {
                loading.main.batch_execute(text).await.map_err(|error| owner_refused(&side, &error))?;
            }
            _ => later.properties.push(sql.to_vec()),
        }
        Ok(())
    }

    async fn begin_section(&mut self, loading: &Loading<'_>, name: Option<&Name>, undo: &mut Undo) -> Result<()> {
        let Ok(load) = find(loading, name) else {
            // A database that is not wanted; the rewriter lets nothing of it through.
            return self.end_section(loading).await;
        };
        if let Some((section, _)) = &self.current
            && *section == load.section
        {
            return Ok(());
        }
        self.end_section(loading).await?;
        self.apply_globals(loading, undo).await?;
        if !self.created.contains(&load.side) {
            let sql = match load.replaces {
                true => carry::create_like(loading.main, &load.target, &load.side).await?,
                false => from_nothing(&load.side, &loading.read.survey.sections[load.section]),
            };
            self.create(loading, load, &sql, undo).await?;
        }
        tracing::info!("loading {} as {}", load.target, load.side);
        let section = &loading.read.survey.sections[load.section];
        let session_name = loading.run.session_name(loading.command);
        let mut loader = Loader::start(loading.postgres, loading.client, &load.side, &session_name).await?;
        let mut lent = Lent::to_owners(loading.main, section, &load.side, loading.target).await?;
        // Without these nothing would go well: here the first error ends it.
        let begun = loader.write(std::mem::take(&mut lent.before).as_bytes()).await;
        self.lent = lent;
        if begun.and(loader.collect(section.tables.len()).await).is_err() {
            return Err(loader.failure().await);
        }
        let target = parallel::Target {
            postgres: loading.postgres.clone(),
            client: loading.client.clone(),
            database: load.side.clone(),
            session_name,
            encoding: section.encoding.clone(),
            blocks: section.tables.len(),
            jobs: self.jobs(loading),
        };
        self.current = Some((load.section, Replay::new(target, loader).await?));
        Ok(())
    }

    /// Ends a database's replay, and proves it.
    async fn end_section(&mut self, loading: &Loading<'_>) -> Result<()> {
        let Some((section, replay)) = self.current.take() else { return Ok(()) };
        let load = loading
            .plan
            .loads
            .iter()
            .find(|load| load.section == section)
            .context("a section that is not in the plan")?;
        let later = self.later.remove(&load.name).unwrap_or_default();
        self.loaded_by = self.loaded_by.max(replay.loaded_by());
        let lent = std::mem::take(&mut self.lent);
        let encoding = loading.read.survey.sections[section].encoding.as_deref();
        let says_properties = later.said || !later.comment.is_empty();
        let (loaded, taken) = ended(replay, (lent, &later, encoding)).await?;
        let rows = taken
            .rows(&loaded.rows)
            .map_err(|error| Failure::new("the rows of a load").exit(Exit::ProofFailed).because(error))?;
        prove_rows(&load.target, &loading.read.survey.sections[section].tables, &rows)?;
        for (failed, why) in taken.spared.iter().chain(&loaded.spared) {
            tracing::warn!("{failed}: not taken for a failure: {why}");
        }
        if !says_properties && load.replaces {
            // In the session that read them: the replay's may speak another encoding.
            for statement in carry::properties(loading.main, &load.target, &load.side).await? {
                loading.main.batch_execute(&statement).await.with_context(|| {
                    format!("giving {} what {} has: its owner, grants or settings", load.side, load.target)
                })?;
            }
        }
        let comment = loaded
            .returned
            .last()
            .and_then(|hex| from_hex(hex))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        tracing::info!("loaded {}: {} tables, {} rows", load.target, rows.len(), rows.iter().sum::<u64>());
        self.done.push(Side {
            name: load.side.clone(),
            target: load.target.clone(),
            comment,
            says_comment: says_properties,
        });
        Ok(())
    }
}

/// What the dump has, to the database's sessions.
async fn fed(replay: &mut Replay, act: Act) -> Result<()> {
    match act {
        Act::Statement(begun, at, sql) => replay.statement(begun, at, &sql).await,
        Act::Sql(sql) => replay.more(&sql).await,
        Act::Gap(sql) => replay.gap(&sql).await,
        Act::Rows(line, rows) => replay.rows(line, rows).await,
        Act::RowsEnd(mark) => replay.rows_end(&mark).await,
        Act::At(line) => {
            replay.at(line);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What stands at the end of a database's replay: its own properties last, because some of them would hinder the load.
async fn ended(
    mut replay: Replay,
    (lent, later, encoding): (Lent, &Later, Option<&str>),
) -> Result<(load::Loaded, parallel::Taken)> {
    // What the dump has run may have changed how this session reads strings.
    let mut before = format!("\nRESET SESSION AUTHORIZATION;{}", guard(true)).into_bytes();
    if let Some(encoding) = encoding {
        // What a cluster's dump sets for its next database stands before the `\connect`: this session has it already.
        before.extend_from_slice(format!("SET client_encoding = {};\n", literal(encoding)).as_bytes());
    }
    before.extend_from_slice(lent.after.as_bytes());
    replay.ours(None, &before).await?;
    for sql in &later.properties {
        let begun = Begun { guarded: Some(true), ..Begun::of(&Statement::parse(sql, true), true) };
        replay.ours(Some(begun), sql).await?;
        replay.ours(None, b"\n").await?;
    }
    // All that has failed is told before an hour goes into statistics.
    replay.strict().await?;
    replay.analyze().await?;
    if !later.comment.is_empty() {
        replay.ours(None, &comment_returned(&later.comment)).await?;
    }
    replay.finish().await
}

/// The side database's comment is its journal until the swap. So the dump's comment is set, read back in UTF-8 and rolled back.
fn comment_returned(statement: &[u8]) -> Vec<u8> {
    let mut sql = format!("{}BEGIN;\n", guard(true)).into_bytes();
    sql.extend_from_slice(statement);
    sql.extend_from_slice(
        format!(
            "\nSELECT '{RETURNED}' || pg_catalog.encode(pg_catalog.convert_to(pg_catalog.shobj_description(oid, 'pg_database'), 'UTF8'), 'hex')\n FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database();\nROLLBACK;\n"
        )
        .as_bytes(),
    );
    sql
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

pub(super) fn find<'a>(loading: &Loading<'a>, name: Option<&Name>) -> Result<&'a Load> {
    loading
        .plan
        .loads
        .iter()
        .find(|load| load.name.as_ref() == name)
        .context("the dump goes on in a database that is not in the plan")
}
