//! The tables that are worth reading with several sessions, as the catalogue has them.

use anyhow::{Context, Result};

use super::merge::Key;
use super::words;
use crate::sources::postgres::connect::Session;
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

/// Ordinary tables, of the user's own: neither an extension's, which pg_dump saves by rules of its own, nor with row security, which may
/// hide rows, nor unlogged, which a standby cannot read. Names that cannot be told to pg_dump in every encoding are left to it.
const QUERY: &str = "
SELECT s.schema, s.name, s.owner, s.columns, s.pages, s.bytes, s.oid FROM (
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated::text = '' ORDER BY a.attnum) AS columns,
    pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8 AS pages,
    pg_catalog.pg_table_size(c.oid) AS bytes
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_am m ON m.oid = c.relam
  WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND m.amname = 'heap' AND NOT c.relrowsecurity
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
      AND (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
        OR d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = n.oid))
    AND (pg_catalog.getdatabaseencoding() = 'UTF8'
      OR (SELECT pg_catalog.bool_and(x.name::text COLLATE \"C\" ~ '^[ -~]*$') FROM (
        SELECT n.nspname AS name UNION ALL SELECT c.relname UNION ALL SELECT pg_catalog.pg_get_userbyid(c.relowner)
        UNION ALL SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0) x))
) s
WHERE s.bytes >= $1 ORDER BY s.bytes DESC, s.schema, s.name LIMIT $2";

/// How many of these tables are what the snapshot says. The names are looked up, and the files, as they are now.
const STILL: &str = "
SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c
JOIN ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.text[])) AS t (oid, name) ON t.oid = c.oid
WHERE pg_catalog.to_regclass(t.name) = c.oid AND c.relfilenode = pg_catalog.pg_relation_filenode(c.oid)";

/// Whether these names, which the session has locked, still mean the tables that its snapshot sees, and their rows lie where
/// they lay: a table that was emptied or rewritten since has no rows for an older snapshot, and no error says so.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn are_still_there(session: &Session, tables: &[Large]) -> Result<bool> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let names: Vec<String> = tables.iter().map(|table| quoted(&table.schema, &table.name)).collect();
    let row = session.query_one(STILL, &[&oids, &names]).await.context("looking for the tables once more")?;
    Ok(usize::try_from(row.get::<_, i64>(0)) == Ok(tables.len()))
}

/// The large tables of a session's database in the order in which pg_dump writes them, and how many sessions may read them.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn of(session: &Session, jobs: usize) -> Result<(Vec<Large>, usize)> {
    if jobs < 2 || session.server_version_major() < OLDEST_MAJOR {
        return Ok((Vec::new(), 1));
    }
    let rows = session.query(QUERY, &[&LARGE_BYTES, &MOST]).await.context("looking for large tables")?;
    let mut tables: Vec<Large> = rows
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
    let ident = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
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

    /// What stands before its rows.
    pub fn begin(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| words::spelled(column)).collect();
        format!(
            "--\n-- Data for Name: {}; Type: TABLE DATA; Schema: {}; Owner: {}\n--\n\nCOPY {}.{} ({}) FROM stdin;\n",
            self.name,
            self.schema,
            self.owner,
            words::spelled(&self.schema),
            words::spelled(&self.name),
            columns.join(", ")
        )
    }

    /// Asks for its rows from one page to before another.
    pub fn copy(&self, from: u32, until: Option<u32>) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| super::super::server::ident(column)).collect();
        let end = until.map(|until| format!(" AND ctid < '({until},0)'")).unwrap_or_default();
        format!(
            "COPY (SELECT {} FROM ONLY {} WHERE ctid >= '({from},0)'{end}) TO STDOUT",
            columns.join(", "),
            quoted(&self.schema, &self.name)
        )
    }
}
