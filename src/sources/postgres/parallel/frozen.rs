//! A large table that one session loads alone, in one transaction that empties it first (as `pg_restore -j` does). The server writes its
//! rows as visible to all (`COPY … WITH (FREEZE)`) then: what reads them next, the first index, need not ask for each row whether its
//! transaction has been committed and write that answer into the table a second time; from 14 on nor has a vacuum. Where the server keeps
//! a log as short as it can (`wal_level = minimal`), they are not logged either.
//!
//! Nothing is emptied but what has no byte: the server is asked under a lock that nobody else can have.

use std::sync::Arc;

use bytes::Bytes;

use super::touches::Qualified;
use crate::sources::postgres::binary::{Encoder, Kind};
use crate::sources::postgres::load::{Broken, Copy, Loader, Twin};
use crate::sources::postgres::rewrite::Begun;

/// COPYs its rows frozen if the server lets it.
#[derive(Debug)]
pub struct Frozen {
    /// The table.
    pub table: Qualified,
    /// Its number in the catalogue.
    pub oid: u32,
    /// The dump's statement.
    pub begun: Begun,
    /// How many COPYs have come before it.
    pub come: usize,
    /// What it says, without an option and what ends it.
    pub copy: Bytes,
    /// Who may take its rows past psql.
    pub twin: Option<Arc<Twin>>,
}

const COMMIT: &str = "COMMIT;\n";

/// At any other level the server's first answer within the transaction would forbid to freeze.
const BEGIN: &str = "\nBEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;\n";

/// The types of a table's columns and, spelled as pg_dump does, their names; none where NULL in an array means a word. An enum's values are
/// read as text is.
const COLUMNS: &str = "SELECT pg_catalog.concat(pg_catalog.string_agg(CASE WHEN t.typtype OPERATOR(pg_catalog.=) 'e' THEN '25' \
    ELSE t.oid::pg_catalog.text END, ',' ORDER BY a.attnum), ' (', pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' \
    ORDER BY a.attnum), ')') FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid \
    WHERE pg_catalog.current_setting('array_nulls')::pg_catalog.bool AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND a.attrelid OPERATOR(pg_catalog.=) ";

impl Frozen {
    /// Begins a transaction and the table's COPY in it.
    ///
    /// # Errors
    /// As [`Loader::write`].
    pub async fn begin(&self, loader: &mut Loader) -> Result<(), Broken> {
        if let Some(twin) = &self.twin {
            loader.goes_directly(twin).await?;
        }
        loader.come(self.come);
        loader.begins(self.begun.clone()).await?;
        loader.at(None);
        loader.write(BEGIN.as_bytes()).await?;
        let is_frozen = self.may_be(loader).await? && self.is_empty(loader).await?;
        if is_frozen {
            loader.write(&self.says("TRUNCATE ONLY", "")).await?;
        }
        let encoder = if loader.is_direct() { self.encoder(loader).await? } else { None };
        let (how, by) = (if is_frozen { "frozen" } else { "as ever" }, if loader.is_direct() { "past" } else { "by" });
        let form = if encoder.is_some() { ", in binary" } else { "" };
        tracing::debug!("{}.{} is copied {how}, {by} psql{form}", self.table.0, self.table.1);
        loader.at(self.begun.line);
        let table = String::from_utf8_lossy(self.table.1.as_bytes()).into_owned();
        loader.copy(Copy { table, says: self.copy.clone(), is_frozen, encoder }).await
    }

    /// Ends the COPY, with the line that ends its rows, and its transaction.
    ///
    /// # Errors
    /// As [`Loader::write`].
    pub async fn end(loader: &mut Loader, mark: &[u8]) -> Result<(), Broken> {
        loader.end_copy(mark).await?;
        loader.at(None);
        loader.write(COMMIT.as_bytes()).await?;
        loader.goes_through_psql();
        Ok(())
    }

    /// Whether this session may empty it, and the server's own way to keep tables (number 2, before 12 none) keeps it.
    async fn may_be(&self, loader: &mut Loader) -> Result<bool, Broken> {
        let asks = "pg_catalog.has_table_privilege(c.oid, 'TRUNCATE') AND c.relam OPERATOR(pg_catalog.=) ANY ('{0,2}')";
        self.ask(loader, asks).await
    }

    /// Whether it has no byte, nor will before this transaction ends.
    async fn is_empty(&self, loader: &mut Loader) -> Result<bool, Broken> {
        loader.write(&self.says("LOCK TABLE ONLY", " IN ACCESS EXCLUSIVE MODE")).await?;
        self.ask(loader, "pg_catalog.pg_relation_size(c.oid) OPERATOR(pg_catalog.=) 0").await
    }

    /// What tells its rows in the binary form; nothing where a column's type cannot be told, or the COPY names other columns than all in
    /// their order.
    async fn encoder(&self, loader: &mut Loader) -> Result<Option<Encoder>, Broken> {
        let told = loader.answer(&format!("{COLUMNS}{}", self.oid)).await?;
        let Some((types, columns)) = told.split_once(' ') else { return Ok(None) };
        if !self.copy.ends_with(format!(" {columns} FROM stdin").as_bytes()) {
            return Ok(None);
        }
        let kinds: Option<Vec<Kind>> = types.split(',').map(|oid| Kind::of(oid.parse().ok()?)).collect();
        Ok(kinds.and_then(Encoder::new))
    }

    async fn ask(&self, loader: &mut Loader, what: &str) -> Result<bool, Broken> {
        let oid = self.oid;
        let asks = format!("SELECT {what} FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) {oid}");
        Ok(loader.answer(&asks).await? == "t")
    }

    /// A statement about the table, spelled as the dump's encoding has it.
    fn says(&self, before: &str, after: &str) -> Vec<u8> {
        let (schema, name) = (self.table.0.quoted(), self.table.1.quoted());
        [before.as_bytes(), b" ", &schema, b".", &name, after.as_bytes(), b";\n"].concat()
    }
}
