//! pg_dump of single tables of a side database, replayed into a live one as a part of a transaction.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use bytes::BytesMut;

use super::{Table, quoted};
use crate::error::Failure;
use crate::process::{Producer, Program};
use crate::settings::Postgres;
use crate::sources::postgres::clients::Client;
use crate::sources::postgres::load::{Loader, RETURNED};
use crate::sources::postgres::rewrite::{Piece, Policy, Rewriter};
use crate::sources::postgres::survey::{Copied, Surveyor};

/// What is dumped.
pub enum What<'a> {
    /// The tables with everything that is theirs.
    All,
    /// Their rows alone, but not the standing of these sequences.
    Rows(&'a [(String, String)]),
}

/// Where it comes from.
pub struct From<'a> {
    /// The server.
    pub postgres: &'a Postgres,
    /// pg_dump, at least as new as the server.
    pub client: &'a Client,
    /// The side database.
    pub side: &'a str,
    /// How our sessions are called.
    pub session_name: &'a str,
    /// What the replay leaves out.
    pub policy: &'a Policy,
}

/// Writes the tables into `loader`; gives the rows of each COPY.
///
/// # Errors
/// When pg_dump fails or ends early, or a statement fails: the transaction is lost then.
pub async fn tables(
    from: &From<'_>,
    loader: &mut Option<Loader>,
    tables: &[Table],
    what: &What<'_>,
) -> Result<Vec<Copied>> {
    let mut arguments: Vec<OsString> =
        ["--no-password", "--strict-names", "--no-publications", "--no-subscriptions"].map(OsString::from).to_vec();
    if let What::Rows(sequences) = what {
        // Through the root, because the live table may be cut into other partitions by now.
        arguments.extend(["--data-only", "--load-via-partition-root"].map(OsString::from));
        let left_out =
            |(schema, name): &(String, String)| format!("--exclude-table-data={}", quoted(schema, name)).into();
        arguments.extend(sequences.iter().map(left_out));
    }
    arguments.extend(tables.iter().map(|table| format!("--table={}", table.quoted()).into()));
    let environment = from.postgres.child_env(from.side, from.session_name);
    let program = Program { path: from.client.program("pg_dump"), arguments, environment };
    let mut producer = Producer::start(&program)?;
    let (mut surveyor, mut rewriter) = (Surveyor::new(), Rewriter::new(from.policy.clone()));
    let mut buffer = BytesMut::new();
    while producer.read(&mut buffer).await? > 0 {
        surveyor.push(&buffer)?;
        let sql = sql_of(|mut piece| rewriter.push(&buffer, &mut piece))?;
        feed(loader, &sql).await?;
        buffer.clear();
    }
    let sql = sql_of(|mut piece| rewriter.finish(&mut piece).map(|_| ()))?;
    feed(loader, &sql).await?;
    let survey = surveyor.finish()?;
    if !survey.trailer {
        bail!(Failure::new("pg_dump ended without the line that says its dump is complete; nothing was changed"));
    }
    Ok(survey.sections.into_iter().flat_map(|section| section.tables).collect())
}

/// Feeds SQL; a loader that failed is used up.
///
/// # Errors
/// What psql said.
pub async fn feed(loader: &mut Option<Loader>, sql: &[u8]) -> Result<()> {
    if loader.as_mut().context("psql has ended")?.write(sql).await.is_err() {
        let failed = loader.take().context("psql has ended")?;
        return Err(failed.failure().await);
    }
    Ok(())
}

/// Waits until all that was fed is done: much of it may be in a pipe still, or wait for a lock.
///
/// # Errors
/// What psql said.
pub async fn done(loader: &mut Option<Loader>) -> Result<()> {
    feed(loader, format!("SELECT '{RETURNED}done ';\n").as_bytes()).await?;
    if loader.as_mut().context("psql has ended")?.returned("done").await.is_err() {
        let failed = loader.take().context("psql has ended")?;
        return Err(failed.failure().await);
    }
    Ok(())
}

/// Only what is SQL: no meta-command reaches psql.
fn sql_of(step: impl FnOnce(&mut dyn FnMut(Piece<'_>) -> Result<()>) -> Result<()>) -> Result<Vec<u8>> {
    let mut sql = Vec::new();
    step(&mut |piece| {
        if let Piece::Sql(bytes) | Piece::Gap(bytes) | Piece::Rows { rows: bytes, .. } | Piece::RowsEnd(bytes) = piece {
            sql.extend_from_slice(bytes);
        }
        Ok(())
    })?;
    Ok(sql)
}
