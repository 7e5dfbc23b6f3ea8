//! Producing a dump: what `pg_dumpall` writes, but from one exported snapshot a database, each part proven whole before the
//! next begins, and with nothing in it that the dumped server itself could not load.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use tracing::Instrument as _;

use super::clients::Client;
use super::connect::{ConnectError, Session};
use super::expected::{self, Before, Now};
use super::name::Name;
use super::produce::Production;
use super::rewrite::{Piece, Policy, Rewriter, RolePolicy};
use super::seal::{Sealed, rows_of};
use super::server::{self, known_settings, told};
use super::survey::{Layout, Survey, Surveyor};
use super::waits::{self, Patience, Watch};
use crate::error::Failure;
use crate::exit::Exit;
use crate::process::{Program, output};
use crate::report;
use crate::report::progress::Step;
use crate::settings::{Postgres, SavedRoles};
use crate::sources::{Item, Sink};

/// What is to be dumped, and with what.
pub struct Job<'a> {
    /// Where the server is.
    pub settings: &'a Postgres,
    /// The client programs.
    pub client: &'a Client,
    /// How our sessions are called.
    pub session_name: &'a str,
    /// The databases, in order.
    pub databases: &'a [String],
    /// Whether these databases were named: then all of them must be there.
    pub named: bool,
    /// The roles.
    pub roles: &'a SavedRoles,
    /// How long is waited for a table that somebody holds.
    pub patience: Patience,
    /// How many sessions read a database at once; 1 leaves all of it to pg_dump.
    pub jobs: usize,
    /// What was saved of them the last time, where that is known.
    pub before: &'a BTreeMap<String, Before>,
}

/// A dump that ended well, without its seal.
#[derive(Debug)]
pub struct Dumped {
    /// Length of the SQL, in bytes.
    pub bytes: u64,
    /// Hexadecimal BLAKE3 of the SQL.
    pub digest: String,
    /// Rows per table and database.
    pub databases: BTreeMap<String, Sealed>,
    /// How much SQL each database is, in bytes.
    pub database_bytes: BTreeMap<String, u64>,
}

/// How much longer pg_dump itself waits.
const LATER: Duration = Duration::from_secs(60);

/// Databases that every cluster has: their CREATE DATABASE must not be run.
const ALWAYS_THERE: [&str; 2] = ["postgres", "template1"];

const TRAILER: &[u8] = b"--\n-- PostgreSQL database cluster dump complete\n--\n\n";

/// Writes the whole dump into `sink`.
///
/// # Errors
/// When any producer ends badly or without its trailer, or the sink fails. What was written is no backup then.
pub async fn dump(job: &Job<'_>, maintenance: &Session, sink: &mut impl Sink) -> Result<Dumped> {
    let (settings, session_name, patience) = (job.settings, job.session_name, job.patience);
    let watch = Watch { settings, session: maintenance, session_name, patience };
    waits::during(&watch, watched(job, maintenance, sink)).await
}

async fn watched(job: &Job<'_>, maintenance: &Session, sink: &mut impl Sink) -> Result<Dumped> {
    let known = (job.client.major > maintenance.server_version_major()).then_some(known_settings(maintenance).await?);
    let mut out = Out { sink, digest: blake3::Hasher::new(), bytes: 0, step: None };
    let globals = globals(job, maintenance, roles(job, maintenance).await?, known.clone()).await.map_err(advised)?;
    if *job.roles == SavedRoles::None {
        out.between(&globals).await?;
    } else {
        out.begin(&Item::Roles).await?;
        out.write(&globals).await?;
        out.sink.end(Sealed::default(), TRAILER).await?;
    }
    out.between(b"--\n-- Databases\n--\n\n").await?;
    let (mut databases, mut database_bytes) = (BTreeMap::new(), BTreeMap::new());
    for name in job.databases {
        let session = match Session::connect(job.settings, name, job.session_name).await {
            Err(ConnectError::NoDatabase { .. }) if !job.named => {
                tracing::warn!("database {name} is skipped: it was dropped since this run began");
                continue;
            }
            other => other.map_err(told)?,
        };
        let (before, began) = (out.bytes, Instant::now());
        let item = Item::Database(name.clone());
        let guesses = expected::guesses(job.before.get(name).copied(), Now::of(&session).await);
        out.step = Some(Step::begin(item.to_string(), guesses));
        let rows = database(job, name, session, known.clone(), &mut out)
            .instrument(tracing::info_span!("item", %item))
            .await
            .map_err(advised)
            .with_context(|| format!("dumping database {name}"))?;
        out.step = None;
        let counted: u64 = rows.tables.values().sum();
        let (bytes, seconds) = (out.bytes - before, began.elapsed().as_secs_f64());
        tracing::info!(
            %item,
            bytes,
            rows = counted,
            seconds,
            "dumped database {name}: {} tables, {counted} rows, {} of SQL in {seconds:.1} s{}",
            rows.tables.len(),
            report::size(bytes),
            report::rate(bytes, seconds)
        );
        database_bytes.insert(name.clone(), bytes);
        databases.insert(name.clone(), rows);
    }
    out.between(TRAILER).await?;
    Ok(Dumped { bytes: out.bytes, digest: out.digest.finalize().to_hex().to_string(), databases, database_bytes })
}

/// Counts and digests what passes on its way to the sink.
struct Out<'a, S> {
    sink: &'a mut S,
    digest: blake3::Hasher,
    bytes: u64,
    step: Option<Step>,
}

impl<S: Sink> Out<'_, S> {
    async fn begin(&mut self, item: &Item) -> Result<()> {
        self.sink.begin(item).await
    }

    async fn write(&mut self, sql: &[u8]) -> Result<()> {
        self.count(sql);
        self.sink.write(sql).await
    }

    async fn between(&mut self, sql: &[u8]) -> Result<()> {
        self.count(sql);
        self.sink.between(sql).await
    }

    fn count(&mut self, sql: &[u8]) {
        self.digest.update(sql);
        self.bytes += sql.len() as u64;
        if let Some(step) = &self.step {
            step.advance(sql.len() as u64);
        }
    }
}

/// The roles to save; none: all of the server.
async fn roles(job: &Job<'_>, maintenance: &Session) -> Result<Option<BTreeSet<Name>>> {
    let mut used = BTreeSet::new();
    match job.roles {
        SavedRoles::All => return Ok(None),
        SavedRoles::None => return Ok(Some(used)),
        SavedRoles::Prefix(prefix) => return Ok(Some(server::roles_with_prefix(maintenance, prefix).await?)),
        SavedRoles::Used => {}
    }
    for name in job.databases {
        let session = Session::connect(job.settings, name, job.session_name).await.map_err(told)?;
        used.extend(server::roles_used(&session).await?);
    }
    Ok(Some(used))
}

/// Roles, memberships, tablespaces and parameter grants, without pg_dumpall's trailer, which stands at the end of the whole.
async fn globals(
    job: &Job<'_>,
    maintenance: &Session,
    roles: Option<BTreeSet<Name>>,
    known: Option<BTreeSet<String>>,
) -> Result<Vec<u8>> {
    let encoding = format!("--encoding={}", encoding_of(maintenance).await?);
    let mut arguments: Vec<OsString> = vec!["--globals-only".into(), "--no-password".into(), encoding.into()];
    if !maintenance.is_superuser().await? {
        tracing::warn!("the account is no superuser: the dump holds roles without their passwords");
        arguments.push("--no-role-passwords".into());
    }
    let program = Program {
        path: job.client.program("pg_dumpall"),
        arguments,
        environment: environment(job, maintenance.database()),
    };
    let written = output(&program).await?;
    let survey = survey(&written)?;
    if !survey.trailer {
        bail!(cut_short("pg_dumpall"));
    }
    let policy = Policy {
        layout: Layout::Cluster,
        roles: RolePolicy { only: roles, ..RolePolicy::default() },
        known_settings: known,
        ..Policy::default()
    };
    let mut rewritten = Vec::with_capacity(written.len());
    let mut rewriter = Rewriter::new(policy);
    let mut keep = |piece: Piece<'_>| {
        rewritten.extend_from_slice(piece.bytes());
        Ok(())
    };
    rewriter.push(&written, &mut keep)?;
    rewriter.finish(&mut keep)?;
    let end = memchr::memmem::rfind(&rewritten, b"--\n-- PostgreSQL database cluster dump complete")
        .context("pg_dumpall wrote no trailer")?;
    rewritten.truncate(end);
    Ok(rewritten)
}

/// What the text of a session's database is encoded in, and so what is dumped of it.
pub(super) async fn encoding_of(session: &Session) -> Result<String> {
    let row = session.query_one("SELECT pg_catalog.getdatabaseencoding()::text", &[]).await;
    Ok(row.context("asking for the encoding")?.get(0))
}

fn survey(sql: &[u8]) -> Result<Survey> {
    let mut surveyor = Surveyor::new();
    surveyor.push(sql)?;
    Ok(surveyor.finish()?)
}

/// What pg_dump takes of a database.
pub(super) struct Taken<'a> {
    /// What a session of ours sees.
    pub snapshot: &'a str,
    /// The database's own: neither the account's nor the database's settings choose another for its text, which might not have all letters.
    pub encoding: &'a str,
    /// Tables without their rows, named as its patterns want them.
    pub left_out: &'a [String],
}

/// pg_dump of one database.
pub(super) fn program(job: &Job<'_>, name: &str, taken: &Taken<'_>) -> Program {
    let (snapshot, encoding) = (format!("--snapshot={}", taken.snapshot), format!("--encoding={}", taken.encoding));
    let mut arguments = ["--create", "--no-password", &snapshot, &encoding].map(OsString::from).to_vec();
    // Should the one who watches be gone: later, because that one knows who holds it.
    let latest = job.patience.limit.map(|limit| limit.saturating_add(LATER));
    arguments.extend(latest.map(|limit| OsString::from(format!("--lock-wait-timeout={}s", limit.as_secs()))));
    arguments.extend(taken.left_out.iter().map(|table| format!("--exclude-table-data={table}").into()));
    Program { path: job.client.program("pg_dump"), arguments, environment: environment(job, name) }
}

/// One database, from a snapshot that a session of ours holds open until all who read are done with it.
async fn database<S: Sink>(
    job: &Job<'_>,
    name: &str,
    session: Session,
    known: Option<BTreeSet<String>>,
    out: &mut Out<'_, S>,
) -> Result<Sealed> {
    let mut producer = Production::start(job, name, &session).await?;
    out.between(format!("--\n-- Database \"{}\" dump\n--\n\n", name.replace(['\n', '\r'], " ")).as_bytes()).await?;
    out.begin(&Item::Database(name.to_owned())).await?;
    let policy = Policy { layout: Layout::Cluster, known_settings: known, ..Policy::default() };
    // The rewriter stands in the way only where something has to be changed.
    let mut rewriter = (policy.known_settings.is_some() || ALWAYS_THERE.contains(&name)).then(|| Rewriter::new(policy));
    let mut surveyor = Surveyor::new();
    let mut buffer = BytesMut::new();
    while producer.read(&mut buffer).await? > 0 {
        surveyor.push(&buffer)?;
        match &mut rewriter {
            None => out.write(&buffer).await?,
            Some(rewriter) => out.write(&rewritten(name, |mut piece| rewriter.push(&buffer, &mut piece))?).await?,
        }
        buffer.clear();
    }
    if let Some(rewriter) = rewriter {
        out.write(&rewritten(name, |mut piece| rewriter.finish(&mut piece).map(|_| ()))?).await?;
    }
    let survey = surveyor.finish().map_err(|error| cut_short("pg_dump").because(error))?;
    if !survey.trailer {
        bail!(cut_short("pg_dump"));
    }
    each_once(&survey, &producer.put_in())?;
    session.batch_execute("COMMIT").await.context("the snapshot's session was lost; the dump may be inconsistent")?;
    let mut all = Sealed::default();
    for sealed in rows_of(&survey).into_values() {
        all.tables.extend(sealed.tables);
    }
    out.sink.end(all.clone(), b"").await?;
    out.between(b"\n").await?;
    Ok(all)
}

/// Runs a step of the rewriter and joins its pieces; a CREATE DATABASE of a database that is always there becomes a comment.
fn rewritten(name: &str, step: impl FnOnce(&mut dyn FnMut(Piece<'_>) -> Result<()>) -> Result<()>) -> Result<Vec<u8>> {
    let mut sql = Vec::new();
    step(&mut |piece| {
        if matches!(piece, Piece::CreateDatabase { .. }) && ALWAYS_THERE.contains(&name) {
            for line in piece.bytes().split_inclusive(|byte| *byte == b'\n') {
                sql.extend_from_slice(b"-- ");
                sql.extend_from_slice(line);
            }
        } else {
            sql.extend_from_slice(piece.bytes());
        }
        Ok(())
    })?;
    Ok(sql)
}

fn environment(job: &Job<'_>, database: &str) -> Vec<(String, OsString)> {
    job.settings.child_env(database, job.session_name)
}

/// Rows that two have written would be restored twice. pg_dump itself may write several times into one table, for its partitions.
fn each_once(survey: &Survey, put_in: &[String]) -> Result<()> {
    for table in put_in {
        let times =
            survey.sections.iter().flat_map(|section| &section.tables).filter(|one| one.table == *table).count();
        if times != 1 {
            bail!(
                Failure::new(format!("the rows of {table} stand in the dump {times} times; nothing was saved"))
                    .hint("set BKP_JOBS=1 to leave all of it to pg_dump")
            );
        }
    }
    Ok(())
}

/// What the server says of a row that is too long for one line of a dump, by itself or while the line is put together.
const TOO_LONG: [&str; 2] = ["invalid memory alloc request size", "Cannot enlarge string buffer"];

/// What to do about what an account without rights is told, or one whose password is another one by now, and about a row that no dump
/// can hold.
fn advised(error: anyhow::Error) -> anyhow::Error {
    let said = format!("{error:#}");
    // The client programs connect by themselves, later than we.
    if said.contains("password authentication failed for user") {
        let hint =
            "compare POSTGRES_PASSWORD with the server's secret: it was changed while this ran, and nothing was saved";
        return Failure::new("the password is not accepted any more")
            .hint(hint)
            .exit(Exit::WrongPassword)
            .because(error)
            .into();
    }
    if TOO_LONG.iter().any(|words| said.contains(words)) {
        let hint = "the server gives no line of more than 1 GB to any dump, and a bytea takes two bytes for each of its own: find the row by the octet_length of its columns, and keep its content in several rows, as a large object, or in a file";
        return Failure::new("a row is too long to be dumped").hint(hint).because(error).into();
    }
    let hint = if said.contains("row-level security") || said.contains("row security") {
        "rows that the account does not see would be missing, so nothing was saved: give it BYPASSRLS, or save as the tables' owner"
    } else if said.contains("permission denied") {
        "nothing was saved, because the account must see all that is to be: GRANT pg_read_all_data to it, or save as the owner or a superuser"
    } else {
        return error;
    };
    Failure::new("the account may not read all of it").hint(hint).because(error).into()
}

pub(super) fn cut_short(program: &str) -> Failure {
    Failure::new(format!("{program} ended without the line that says its dump is complete; nothing was saved"))
        .hint("look at the server's log for what ended the session, then run the backup again")
}
