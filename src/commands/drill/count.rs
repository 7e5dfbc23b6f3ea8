//! Counting what the server has after the load: not what COPY said it took, but what a query finds.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::error::Failure;
use crate::exit::Exit;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::survey::Copied;

/// What was counted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counted {
    /// Tables whose rows were counted and are as many as in the dump.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
    /// Tables that could not be counted: their name is not the server's, or we may not read them.
    pub uncounted: u64,
}

/// Counts every table that the dump fills. Reads each of them once, so it costs about what a sequential scan of the database costs.
///
/// # Errors
/// Exit code 5 when a table is not there or has another number of rows than the dump.
pub async fn count(session: &Session, database: &str, copied: &[Copied]) -> Result<Counted> {
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for table in copied {
        // A partitioned table may be filled by several COPYs.
        *expected.entry(&table.table).or_default() += table.rows;
    }
    let broken = |what: String| Failure::new(format!("database {database}: {what}")).exit(Exit::ProofFailed);
    // What a policy hides is not counted then, and not taken for lost.
    session.batch_execute("SET row_security = off").await.context("asking for all rows")?;
    let mut counted = Counted::default();
    for (table, rows) in expected {
        let Some(place) = place(session, table).await? else {
            // A name without its schema, or one that is no UTF-8, cannot be looked up by itself.
            if !table.contains('.') || table.contains(char::REPLACEMENT_CHARACTER) {
                counted.uncounted += 1;
                continue;
            }
            bail!(broken(format!("table {table} of the dump is not there after the load")));
        };
        let only = if place.partitioned { "" } else { "ONLY " };
        let there = match session.query_one(&format!("SELECT count(*) FROM {only}{table}"), &[]).await {
            Ok(row) => u64::try_from(row.get::<_, i64>(0)).unwrap_or_default(),
            Err(error) if error.code().is_some_and(|code| code.code() == "42501") => {
                counted.uncounted += 1;
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("counting {table} in the copy of {database}")),
        };
        // What an extension brings itself is not in a dump, only what was added.
        if there != rows && !(place.of_extension && there > rows) {
            bail!(broken(format!("table {table} has {rows} rows in the dump, the server counts {there}")));
        }
        counted.tables += 1;
        counted.rows += there;
    }
    if counted.uncounted > 0 {
        tracing::warn!("{} tables of {database} could not be counted after the load", counted.uncounted);
    }
    Ok(counted)
}

struct Place {
    partitioned: bool,
    of_extension: bool,
}

async fn place(session: &Session, table: &str) -> Result<Option<Place>> {
    let row = session
        .query_opt(
            "SELECT c.relkind = 'p', EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                AND d.objid = c.oid AND d.deptype = 'e')
             FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)",
            &[&table],
        )
        .await
        .context("looking up a table")?;
    Ok(row.map(|row| Place { partitioned: row.get(0), of_extension: row.get(1) }))
}
