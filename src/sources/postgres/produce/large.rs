//! The tables that are worth reading with several sessions, as the catalogue has them.

use anyhow::{Context, Result};

use super::merge::Key;
use super::words;
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::ident;
use crate::sources::postgres::spare;

/// Below this a table is read in the time that it takes to begin.
const LARGE_BYTES: i64 = 8 << 20;

/// At most so many: pg_dump looks each one up that it is to leave out.
const MOST: i64 = 200;

/// Ranges of a table by its pages came with 14.
const OLDEST_MAJOR: u32 = 14;

/// A large table.
#[derive(Debug, Clone)]
pub struct Large {
    /// Its number, which a rename leaves alone.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    owner: String,
    /// The columns whose values are saved, in order; at least one.
    columns: Vec<String>,
    /// Pages of its rows.
    pub pages: u32,
    /// What it takes on disk with what lies outside of those pages, without its indexes.
    pub bytes: u64,
}

/// A page with more than this outside of it holds rows that are long themselves. One session reads them as fast as several that may
/// only read a little ahead, and several would hold several such rows.
const MOST_BYTES_A_PAGE: i64 = 32 << 20;

/// Ordinary tables, of the user's own: neither an extension's, which pg_dump saves by rules of its own, nor with row security, which may
/// hide rows, nor unlogged, which a standby cannot read.
const ORDINARY: &str = "c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relrowsecurity AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND c.relam = (SELECT m.oid FROM pg_catalog.pg_am m WHERE m.amname = 'heap')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
      AND (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
        OR d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = n.oid))";

/// With these a SELECT may give other rows than the table has.
const UNCHANGED: &str = "NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname IN ('timescaledb', 'citus'))";

/// Asked of each table, its size waits for whoever has it for himself.
fn sizes_query() -> String {
    format!(
        "SELECT s.oid, s.pages, s.bytes FROM (
           SELECT c.oid, pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8 AS pages,
             pg_catalog.pg_table_size(c.oid) AS bytes
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {ORDINARY} AND {UNCHANGED}
         ) s WHERE s.bytes >= $1 AND s.bytes <= s.pages * $2 ORDER BY s.bytes DESC LIMIT $3"
    )
}

/// Of these tables those that are what we can read, as the snapshot has them.
///
/// pg_dump itself gives rows of some hash partitions to their root, where the hash depends on numbers that another server will not have:
/// all of them are left to it. So are names that cannot be told to it in every encoding.
fn tables_query() -> String {
    format!(
        "SELECT n.nspname::text, c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text,
           ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated::text = '' ORDER BY a.attnum),
           s.pages, s.bytes, c.oid
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int8[]), pg_catalog.unnest($3::pg_catalog.int8[]))
             AS s (oid, pages, bytes) ON s.oid = c.oid
         WHERE {ORDINARY}
           AND NOT EXISTS (WITH RECURSIVE up (oid) AS (
               SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid
               UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN up ON i.inhrelid = up.oid)
             SELECT FROM up JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = up.oid WHERE p.partstrat = 'h')
           AND (pg_catalog.getdatabaseencoding() = 'UTF8'
             OR (SELECT pg_catalog.bool_and(x.name::text COLLATE \"C\" ~ '^[ -~]*$') FROM (
               SELECT n.nspname AS name UNION ALL SELECT c.relname UNION ALL SELECT pg_catalog.pg_get_userbyid(c.relowner)
               UNION ALL SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0) x))"
    )
}

/// Which tables are large, and how large.
#[derive(Debug, Default)]
pub struct Sizes {
    oids: Vec<u32>,
    pages: Vec<i64>,
    bytes: Vec<i64>,
}

/// Looks for large tables, where several sessions may read at all. Who holds a table for himself is waited for here, before there is a
/// snapshot: what he then has made of it is in the snapshot.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn sizes(session: &Session, jobs: usize) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    if jobs < 2 || session.server_version_major() < OLDEST_MAJOR {
        return Ok(sizes);
    }
    let rows = session.query(&sizes_query(), &[&LARGE_BYTES, &MOST_BYTES_A_PAGE, &MOST]).await;
    for row in rows.context("looking for large tables")? {
        sizes.oids.push(row.get(0));
        sizes.pages.push(row.get(1));
        sizes.bytes.push(row.get(2));
    }
    Ok(sizes)
}

/// The large tables as a session's snapshot has them, in the order in which pg_dump writes them, and how many sessions may read them.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn of(session: &Session, sizes: &Sizes, jobs: usize) -> Result<(Vec<Large>, usize)> {
    if sizes.oids.is_empty() {
        return Ok((Vec::new(), 1));
    }
    let rows = session.query(&tables_query(), &[&sizes.oids, &sizes.pages, &sizes.bytes]).await;
    let mut tables: Vec<Large> = rows
        .context("looking for large tables")?
        .iter()
        .map(|row| Large {
            schema: row.get(0),
            name: row.get(1),
            owner: row.get(2),
            columns: row.get(3),
            pages: u32::try_from(row.get::<_, i64>(4)).unwrap_or(u32::MAX),
            bytes: u64::try_from(row.get::<_, i64>(5)).unwrap_or(0),
            oid: row.get(6),
        })
        .filter(Large::is_plain)
        .collect();
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    if tables.is_empty() {
        return Ok((tables, 1));
    }
    Ok((tables, jobs.min(spare::sessions(session).await?)))
}

/// A name as patterns of pg_dump and statements take it.
pub fn quoted(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

impl Large {
    /// What pg_dump changes in its comments, and what is nothing to read, is left to it.
    fn is_plain(&self) -> bool {
        let plain = |name: &String| !name.chars().any(char::is_control);
        !self.columns.is_empty() && [&self.schema, &self.name, &self.owner].into_iter().chain(&self.columns).all(plain)
    }

    /// By what it is found in pg_dump's text.
    pub fn key(&self) -> Key {
        Key { schema: self.schema.clone().into_bytes(), name: self.name.clone().into_bytes() }
    }

    /// As the dump spells its name.
    pub fn spelled(&self) -> String {
        format!("{}.{}", words::spelled(&self.schema), words::spelled(&self.name))
    }

    /// What stands before its rows.
    pub fn begin(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| words::spelled(column)).collect();
        format!(
            "--\n-- Data for Name: {}; Type: TABLE DATA; Schema: {}; Owner: {}\n--\n\nCOPY {} ({}) FROM stdin;\n",
            self.name,
            self.schema,
            self.owner,
            self.spelled(),
            columns.join(", ")
        )
    }

    /// Asks for the rows of the range that has begun; `last`: of the last one. One text for all of them: a server that counts statements by
    /// their text would forget the application's for ours.
    pub fn copy(&self, last: bool) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| ident(column)).collect();
        let end = if last { "" } else { " AND ctid < pg_catalog.current_setting('bkp.until')::pg_catalog.tid" };
        format!(
            "COPY (SELECT {} FROM ONLY {} WHERE ctid >= pg_catalog.current_setting('bkp.from')::pg_catalog.tid{end}) TO STDOUT",
            columns.join(", "),
            quoted(&self.schema, &self.name)
        )
    }
}
