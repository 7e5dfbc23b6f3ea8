//! Tables in a database's catalogue.

use anyhow::{Context, Result, bail};

use super::Table;
use super::spec::{Spec, pick};
use crate::error::Failure;
use crate::sources::postgres::connect::Session;

/// Finds the table that is meant.
///
/// # Errors
/// When there is none or more than one, or it is no table.
pub async fn meant(session: &Session, spec: &Spec) -> Result<Table> {
    let rows = session
        .query(
            "SELECT n.nspname::text, c.relname::text, c.oid, c.relkind::text
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
               AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
             ORDER BY 1, 2",
            &[],
        )
        .await
        .context("asking for the tables")?;
    let names: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let row = &rows[pick(&names, spec)?];
    let table = |partitioned| Table { oid: row.get(2), schema: row.get(0), name: row.get(1), partitioned };
    let kind = match row.get::<_, &str>(3) {
        "r" => return Ok(table(false)),
        "p" => return Ok(table(true)),
        "v" => "a view",
        "m" => "a materialized view",
        _ => "a foreign table",
    };
    bail!(
        Failure::new(format!("{} is {kind} in the backup, not a table", spec.shown()))
            .hint("to look at the whole database: bkp restore --as NAME --only DATABASE")
    )
}

/// Finds all tables that are meant, each once: under two spellings it is one, and a partition comes with its table.
///
/// # Errors
/// As [`meant`].
pub async fn all_meant(session: &Session, specs: &[Spec]) -> Result<Vec<Table>> {
    let mut found: Vec<(Table, Vec<Table>)> = Vec::new();
    for spec in specs {
        let table = meant(session, spec).await?;
        let tree = with_partitions(session, &table).await?;
        let holds = |tree: &[Table], table: &Table| tree.iter().any(|one| one.oid == table.oid);
        if !found.iter().any(|(_, other)| holds(other, &table)) {
            found.retain(|(other, _)| !holds(&tree, other));
            found.push((table, tree));
        }
    }
    Ok(found.into_iter().map(|(table, _)| table).collect())
}

/// The table of that very name, if it is there.
///
/// # Errors
/// When something else has the name, or the catalogue cannot be read.
pub async fn named(session: &Session, schema: &str, name: &str) -> Result<Option<Table>> {
    let row = session
        .query_opt(
            "SELECT c.oid, c.relkind::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = $2",
            &[&schema, &name],
        )
        .await
        .context("asking for the table")?;
    let Some(row) = row else { return Ok(None) };
    let partitioned = match row.get::<_, &str>(1) {
        "r" => false,
        "p" => true,
        _ => bail!(
            Failure::new(format!("{schema}.{name} is no table in the live database, but something else of that name"))
                .hint("rename or drop it, then run the restore again")
        ),
    };
    Ok(Some(Table { oid: row.get(0), schema: schema.to_owned(), name: name.to_owned(), partitioned }))
}

/// Whether the schema is there.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn has_schema(session: &Session, schema: &str) -> Result<bool> {
    let row = session.query_opt("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", &[&schema]).await;
    Ok(row.context("asking for the schema")?.is_some())
}

/// What the table is a partition of, at every height.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn above(session: &Session, table: &Table) -> Result<Vec<Table>> {
    let rows = session
        .query(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p'
             FROM pg_catalog.pg_partition_ancestors($1::oid) a JOIN pg_catalog.pg_class c ON c.oid = a.relid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid <> $1",
            &[&table.oid],
        )
        .await
        .context("asking what the table is a partition of")?;
    Ok(tables(&rows))
}

/// The table and its partitions, at every depth.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn with_partitions(session: &Session, table: &Table) -> Result<Vec<Table>> {
    let rows = session
        .query(
            "WITH RECURSIVE tree(oid) AS (
                 SELECT $1::oid
                 UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid
                   JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relispartition)
             SELECT c.oid, n.nspname::text, c.relname::text, c.relkind = 'p'
             FROM tree JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             ORDER BY c.oid",
            &[&table.oid],
        )
        .await
        .context("asking for the partitions")?;
    Ok(tables(&rows))
}

fn tables(rows: &[tokio_postgres::Row]) -> Vec<Table> {
    let table = |row: &tokio_postgres::Row| Table {
        oid: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        partitioned: row.get(3),
    };
    rows.iter().map(table).collect()
}
