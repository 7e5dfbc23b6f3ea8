//! Whether tables still are what the snapshot says.
//!
//! What a snapshot sees of the catalogue stays as it was; a table's rows are read by its name and from its file, as they are now. Until
//! a table is locked, somebody may give its name or its columns' names to others, or empty or rewrite it: then an older snapshot finds
//! no rows in it, and no error says so. A name's schema may even be renamed while the table is locked.

use anyhow::{Context, Result, bail};
use tokio_postgres::{Client, Statement};

use super::large::{Large, quoted};
use crate::error::Failure;
use crate::sources::postgres::connect::Session;

/// How many of these tables are what the snapshot says. Beside what the snapshot sees, names and files are looked up as they are now.
const STILL: &str = "
SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1) AND c.relfilenode = pg_catalog.pg_relation_filenode(c.oid)
  AND pg_catalog.to_regclass(pg_catalog.format('%I.%I', n.nspname, c.relname)) = c.oid
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a, pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, a.attnum) i
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND i.identity IS DISTINCT FROM pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname))";

/// A table whose rows lie elsewhere than the snapshot says; of an extension's own only those whose rows are saved.
const REWRITTEN: &str = "
SELECT pg_catalog.textsend(pg_catalog.format('%I.%I', n.nspname, c.relname))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.relfilenode <> 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND NOT c.oid = ANY (COALESCE(x.extconfig, '{}')))
  AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid) LIMIT 1";

/// Whether these tables, which the session has locked, are what its snapshot sees: by their names and their columns' names, and by
/// where their rows lie.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn are_still_there(session: &Session, tables: &[Large]) -> Result<bool> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let row = session.query_one(STILL, &[&oids]).await.context("looking for the tables once more")?;
    Ok(usize::try_from(row.get::<_, i64>(0)) == Ok(tables.len()))
}

/// A table that was emptied or rewritten since the session's snapshot was taken, if there is one.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn rewritten(session: &Session) -> Result<Option<String>> {
    let row = session.query_opt(REWRITTEN, &[]).await.context("looking for tables that were rewritten")?;
    Ok(row.map(|row| String::from_utf8_lossy(row.get(0)).into_owned()))
}

/// Asks what a name means now.
pub struct Names(Statement);

impl Names {
    /// For this session.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn new(session: &Client) -> Result<Self> {
        let asked = session.prepare("SELECT pg_catalog.to_regclass($1)::pg_catalog.oid").await;
        Ok(Self(asked.context("preparing to look for a table")?))
    }

    /// Checks that a table's name means it, and not another one: its schema was not renamed. Asked after its rows were read, because
    /// before that it was checked with all others.
    ///
    /// # Errors
    /// When it means something else, or cannot be asked.
    pub async fn still_mean(&self, session: &Client, table: &Large) -> Result<()> {
        let name = quoted(&table.schema, &table.name);
        let row = session.query_one(&self.0, &[&name]).await.with_context(|| format!("looking for {name}"))?;
        if row.get::<_, Option<u32>>(0) != Some(table.oid) {
            bail!(
                Failure::new(format!("{name} was given another name while it was read; nothing was saved"))
                    .hint("run the backup again when schemas are no longer renamed")
            );
        }
        Ok(())
    }
}
