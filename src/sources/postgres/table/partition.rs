//! A partition without its table: in the side database it is made to stand alone before it is copied. pg_dump would write it as a part,
//! and the live table would make the partition's indexes and keys before pg_dump's own statements do.

use anyhow::{Context, Result};

use super::{Table, find, links, quoted};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::literal;

/// What makes a table a partition.
#[derive(Debug, Clone)]
pub struct Part {
    table: Table,
    parent: String,
    /// The statement that makes it one.
    pub statement: String,
}

impl Part {
    /// What the table is a partition of; nothing when it is none.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub async fn of(side: &Session, table: &Table) -> Result<Option<Part>> {
        side.batch_execute("SELECT pg_catalog.set_config('search_path', '', false)").await?;
        let row = side
            .query_opt(
                "SELECT n.nspname::text, p.relname::text, pg_catalog.pg_get_expr(c.relpartbound, c.oid)
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
                 JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
                 WHERE c.oid = $1 AND c.relispartition",
                &[&table.oid],
            )
            .await
            .context("asking what the table is a partition of")?;
        Ok(row.map(|row| {
            let parent = quoted(row.get(0), row.get(1));
            let bound: &str = row.get(2);
            let statement = format!("ALTER TABLE {parent} ATTACH PARTITION {} {bound}", table.quoted());
            Part { table: table.clone(), parent, statement }
        }))
    }

    /// Statements for the side database that make it stand alone. Keys of others to the whole go: they would hold its rows.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub async fn detached(&self, side: &Session) -> Result<String> {
        let above = find::above(side, &self.table).await?;
        let mut script: String = links::to(side, &above).await?.iter().map(links::Link::dropped).collect();
        script.push_str(&format!("ALTER TABLE {} DETACH PARTITION {};\n", self.parent, self.table.quoted()));
        Ok(script)
    }

    /// A statement that makes it a partition again if the live table allows it, and else leaves it alone.
    pub fn tried(&self) -> String {
        let body = format!("BEGIN {}; EXCEPTION WHEN OTHERS THEN NULL; END", self.statement);
        format!("DO {};\n", literal(&body))
    }

    /// Whether it is one now.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub async fn is_there(&self, live: &Session) -> Result<bool> {
        let asked = "SELECT relispartition FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)";
        let row = live.query_opt(asked, &[&self.table.quoted()]).await.context("asking for the partition")?;
        Ok(row.is_some_and(|row| row.get(0)))
    }
}
