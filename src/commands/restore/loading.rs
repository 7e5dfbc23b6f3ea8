//! Loading the databases of a dump into side databases, one after the other as the SQL streams past.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use super::plan::{Load, Plan};
use super::preflight::Target;
use super::reading::{self, Digest, Stored};
use super::roles;
use super::undo::Undo;
use crate::commands::{Context, Run};
use crate::error::Failure;
use crate::settings::Postgres;
use crate::sources::postgres::carry;
use crate::sources::postgres::clients::Client;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::load::{Broken, Loader, RETURNED, prove_rows};
use crate::sources::postgres::name::Name;
use crate::sources::postgres::rewrite::{Begun, Piece, Rewriter};
use crate::sources::postgres::server::{ident, literal};
use crate::sources::postgres::side::{Journal, State};
use crate::sources::postgres::statement::{Statement, Subject};
use crate::sources::postgres::survey::{Section, Survey};

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
    pub survey: &'a Survey,
    /// The digest of the first reading.
    pub digest: &'a Digest,
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

/// A piece of the rewritten dump that outlives the rewriter's step.
pub(super) enum Act {
    Global(Vec<u8>),
    ExistingRole(Vec<u8>),
    Create(Name, Vec<u8>),
    Property(Name, Vec<u8>),
    Comment(Name, Vec<u8>),
    Section(Option<Name>),
    Sql(Vec<u8>),
    At(u64),
    Begins(Begun),
}

/// Loads and proves all databases of the plan.
///
/// # Errors
/// When statements fail, with all of them up to the next rows, or rows are missing. What was made is in `undo`.
pub async fn load(loading: &Loading<'_>, stored: &Stored, undo: &mut Undo) -> Result<Loaded> {
    let mut sql = reading::open(stored);
    let mut digest = Digest::default();
    let mut rewriter = Rewriter::new(loading.plan.policy.clone());
    let mut state = Progress::default();
    while let Some(piece) = sql.next().await? {
        digest.push(&piece);
        let mut acts = Vec::new();
        rewriter.push(&piece, &mut |piece| collect(&mut acts, &piece))?;
        state.act(loading, acts, undo).await?;
    }
    let mut acts = Vec::new();
    let report = rewriter.finish(&mut |piece| collect(&mut acts, &piece))?;
    // The whole input must have been the dump that was proven, before the last database counts as loaded.
    digest.prove(loading.digest)?;
    state.act(loading, acts, undo).await?;
    state.end_section(loading).await?;
    report.summary().iter().for_each(|line| tracing::info!("{line}"));
    let missing: Vec<&str> = loading
        .plan
        .loads
        .iter()
        .filter(|load| !state.done.iter().any(|side| side.name == load.side))
        .map(|load| load.target.as_str())
        .collect();
    if !missing.is_empty() {
        bail!(Failure::new(format!("the dump ended before {} was loaded", missing.join(", "))));
    }
    Ok(Loaded { sides: state.done, existing_roles: state.existing_roles })
}

pub(super) fn collect(acts: &mut Vec<Act>, piece: &Piece<'_>) -> Result<()> {
    let act = match *piece {
        Piece::Sql(sql) => {
            if let Some(Act::Sql(open)) = acts.last_mut() {
                open.extend_from_slice(sql);
                return Ok(());
            }
            Act::Sql(sql.to_vec())
        }
        Piece::Global(sql) => Act::Global(sql.to_vec()),
        Piece::ExistingRole(sql) => Act::ExistingRole(sql.to_vec()),
        Piece::CreateDatabase { name, sql } => Act::Create(name.clone(), sql.to_vec()),
        Piece::Property { database, sql } => Act::Property(database.clone(), sql.to_vec()),
        Piece::Comment { database, sql } => Act::Comment(database.clone(), sql.to_vec()),
        Piece::Section(name) => Act::Section(name.cloned()),
        Piece::At(line) => Act::At(line),
        Piece::Begins(begun) => Act::Begins(begun.clone()),
        // Only a dump that is to be stored keeps them.
        Piece::Meta(_) => return Ok(()),
    };
    acts.push(act);
    Ok(())
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
    current: Option<(usize, Loader)>,
    done: Vec<Side>,
}

#[derive(Default)]
struct Later {
    /// Whether the dump speaks of properties at all.
    said: bool,
    properties: Vec<Vec<u8>>,
    comment: Vec<u8>,
}

impl Progress {
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
                Act::At(line) => {
                    if self.current.is_none() {
                        self.begin_section(loading, None, undo).await?;
                    }
                    if let Some((_, loader)) = &mut self.current {
                        loader.at(Some(line));
                    }
                }
                Act::Begins(begun) => {
                    if self.current.is_none() {
                        self.begin_section(loading, None, undo).await?;
                    }
                    self.begins(begun).await?;
                }
                Act::Sql(sql) => {
                    if self.current.is_none() {
                        self.begin_section(loading, None, undo).await?;
                    }
                    self.replay(&sql).await?;
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
        loading.main.batch_execute(&comment).await.context("marking the side database")?;
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
                false => create_from_nothing(load, &loading.survey.sections[load.section]),
            };
            self.create(loading, load, &sql, undo).await?;
        }
        tracing::info!("loading {} as {}", load.target, load.side);
        let mut loader =
            Loader::start(loading.postgres, loading.client, &load.side, &loading.run.session_name(loading.command))
                .await?;
        let collects = loader.collect(loading.survey.sections[load.section].tables.len()).await;
        self.current = Some((load.section, loader));
        self.goes_on(collects).await
    }

    /// A statement comes; psql is told how to take it.
    async fn begins(&mut self, begun: Begun) -> Result<()> {
        let Some((_, loader)) = &mut self.current else { return Ok(()) };
        let begins = loader.begins(begun).await;
        self.goes_on(begins).await
    }

    /// Why psql does not go on, when it does not.
    async fn goes_on(&mut self, fed: Result<(), Broken>) -> Result<()> {
        match (fed, self.current.take_if(|_| fed.is_err())) {
            (Err(Broken), Some((_, loader))) => Err(loader.failure().await),
            _ => Ok(()),
        }
    }

    async fn replay(&mut self, sql: &[u8]) -> Result<()> {
        let Some((_, loader)) = &mut self.current else { return Ok(()) };
        let written = loader.write(sql).await;
        self.goes_on(written).await
    }

    /// Ends a database's replay: its own properties last, because some of them would hinder the load.
    async fn end_section(&mut self, loading: &Loading<'_>) -> Result<()> {
        let Some((section, _)) = self.current else { return Ok(()) };
        let load = loading
            .plan
            .loads
            .iter()
            .find(|load| load.section == section)
            .context("a section that is not in the plan")?;
        let later = self.later.remove(&load.name).unwrap_or_default();
        if let Some((_, loader)) = &mut self.current {
            loader.at(None);
        }
        let mut before = b"\nRESET SESSION AUTHORIZATION;\n".to_vec();
        if let Some(encoding) = &loading.survey.sections[section].encoding {
            // What a cluster's dump sets for its next database stands before the `\connect`: this session has it already.
            before.extend_from_slice(format!("SET client_encoding = {};\n", literal(encoding)).as_bytes());
        }
        self.replay(&before).await?;
        for sql in &later.properties {
            let subject = Subject::of(&Statement::parse(sql, true), true);
            self.begins(Begun { line: None, lines: None, subject }).await?;
            self.replay(sql).await?;
            self.replay(b"\n").await?;
        }
        // All that has failed is told before an hour goes into statistics.
        if let Some((_, loader)) = &mut self.current {
            let whole = loader.strict().await;
            self.goes_on(whole).await?;
        }
        let mut end = b"\nANALYZE;\n".to_vec();
        let says_properties = later.said || !later.comment.is_empty();
        if !later.comment.is_empty() {
            end.extend_from_slice(&comment_returned(&later.comment));
        }
        self.replay(&end).await?;
        let Some((_, loader)) = self.current.take() else { return Ok(()) };
        let loaded = loader.finish().await?;
        prove_rows(&load.target, &loading.survey.sections[section].tables, &loaded.rows)?;
        for (failed, why) in &loaded.spared {
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
        tracing::info!(
            "loaded {}: {} tables, {} rows",
            load.target,
            loaded.rows.len(),
            loaded.rows.iter().sum::<u64>()
        );
        self.done.push(Side {
            name: load.side.clone(),
            target: load.target.clone(),
            comment,
            says_comment: says_properties,
        });
        Ok(())
    }
}

/// The side database's comment is its journal until the swap. So the dump's comment is set, read back in UTF-8 and rolled back.
fn comment_returned(statement: &[u8]) -> Vec<u8> {
    let mut sql = b"BEGIN;\n".to_vec();
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

/// For a dump of one database that is not on the server yet: what the dump says of its encoding, else the server's default.
fn create_from_nothing(load: &Load, section: &Section) -> String {
    let name = ident(&load.side);
    match section.encoding.as_deref() {
        Some(encoding) if !encoding.eq_ignore_ascii_case("UTF8") => {
            format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'",
                literal(encoding)
            )
        }
        _ => format!("CREATE DATABASE {name} TEMPLATE template0"),
    }
}

fn owner_refused(side: &str, error: &tokio_postgres::Error) -> Failure {
    let said = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    Failure::new(format!("{side} could not be given its owner: {said}"))
        .hint("GRANT the owner's role to the account that restores, or restore with a superuser; the live database was not touched")
}

fn creation_failed(load: &Load, error: &tokio_postgres::Error) -> Failure {
    let said = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    Failure::new(format!("the side database for {} could not be made: {said}", load.target)).hint(
        match error.code().map(|code| code.code()) {
            Some("42501") => "the account needs CREATEDB and to be a member of the database's owner, or be a superuser",
            Some("53100") => "the server's disk is full; the live database was not touched",
            Some("42P21" | "22023" | "0A000") => {
                "the server lacks the locale or encoding of the dump; install it on the server"
            }
            _ => "the live database was not touched",
        },
    )
}
