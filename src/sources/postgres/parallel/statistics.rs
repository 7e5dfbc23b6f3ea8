//! Statistics of what was loaded. Of tables whose rows several sessions took they are taken as soon as all rows are there, beside the first
//! keys and indexes: so no session waits at the end for another that looks at the largest table, and who checks a key or fills a
//! materialized view knows what is in the tables. The end sees to the rest: what no early look counts for ([`keeps`]), expressions of
//! indexes, statistics of several columns, views that keep rows.

use std::cmp::Reverse;

use anyhow::{Context, Result};
use bytes::Bytes;
use memchr::memmem;

use super::lane::{Job, Part};
use super::replay::{Mode, Replay};
use super::schedule::Hold;
use super::touches::{self, Qualified, Thing};
use crate::sources::postgres::connect::Session;
use crate::sources::postgres::server::{self, literal};
use crate::sources::postgres::statement::Statement;

/// What ANALYZE without a name takes, the largest first; but for the catalogue's own tables, of which the server takes statistics as it
/// needs them, and for tables of these numbers, unless there is more to look at by now. With a table its partitions are taken.
const TO_ANALYZE: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), CASE c.relkind WHEN 'p'
   THEN (SELECT pg_catalog.sum(pg_catalog.pg_relation_size(t.relid))::pg_catalog.int8 FROM pg_catalog.pg_partition_tree(c.oid) t)
   ELSE pg_catalog.pg_relation_size(c.oid) END
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND NOT c.relisshared AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (NOT EXISTS (SELECT FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS done (oid) WHERE done.oid = c.oid)
   OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL)
   OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = c.oid)) ORDER BY 2 DESC, 1";

/// Below this size in bytes tables are taken together.
const SMALL: u64 = 1 << 20;
/// How many of those.
const SMALL_TOGETHER: usize = 50;

impl Replay {
    /// Takes statistics of tables whose rows are all there, before anything is made of them. Each table is its statement's alone meanwhile,
    /// because the server lets no index be made of it.
    pub(super) fn analyze_loaded(&mut self) {
        let Mode::Several(several) = &mut self.mode else { return };
        if !self.rows_came || self.is_other || self.analyzed.is_some() {
            return;
        }
        let known = |(table, bytes): (&Qualified, &u64)| Some((several.facts.lonely(table)?, table.clone(), *bytes));
        let mut tables: Vec<(u32, Qualified, u64)> = self.bytes.iter().filter_map(known).collect();
        tables.sort_by_key(|(.., bytes)| Reverse(*bytes));
        for some in together(&tables, |(.., bytes)| *bytes) {
            let names: Vec<Vec<u8>> = some
                .iter()
                .map(|(_, (schema, name), _)| [&schema.quoted()[..], b".", &name.quoted()].concat())
                .collect();
            let sql = [b"ANALYZE ", &names.join(&b", "[..])[..], b";\n"].concat();
            let things = some.iter().map(|(_, table, _)| (Thing::Table(table.clone()), Hold::Alone));
            several.schedule.add(job(sql), things, some.iter().map(|(.., bytes)| *bytes).sum());
        }
        self.analyzed = Some(tables.iter().map(|(oid, ..)| *oid).collect());
    }

    /// Rows come once more, into this table or who knows where.
    pub(super) fn outdates(&mut self, table: Option<&Qualified>) {
        let (Some(analyzed), Mode::Several(several)) = (&mut self.analyzed, &self.mode) else { return };
        match table.and_then(|table| several.facts.lonely(table)) {
            Some(oid) => _ = analyzed.remove(&oid),
            None => analyzed.clear(),
        }
    }

    /// Takes the statistics that are still to be taken.
    ///
    /// # Errors
    /// When that fails.
    pub async fn analyze(&mut self) -> Result<()> {
        self.rest().await?;
        let done: Vec<u32> = self.analyzed.take().unwrap_or_default().into_iter().collect();
        let Mode::Several(_) = &self.mode else { return self.ours(None, b"\nANALYZE;\n").await };
        let Ok(tables) = self.to_analyze(&done).await else {
            // Names in another encoding, say: they need not be spelled.
            return self.ours(None, b"\nANALYZE;\n").await;
        };
        let Mode::Several(several) = &mut self.mode else { return Ok(()) };
        if tables.is_empty() {
            return Ok(());
        }
        several.alone = false;
        let session = b"\nRESET SESSION AUTHORIZATION;\nSET client_encoding = 'UTF8';\n";
        let given = several.lanes.iter_mut().try_for_each(|lane| lane.give(job(session.to_vec())));
        for some in together(&tables, |(_, bytes)| *bytes) {
            let names: Vec<&str> = some.iter().map(|(name, _)| name.as_str()).collect();
            let sql = format!("ANALYZE {};\n", names.join(", "));
            several.schedule.add(job(sql.into_bytes()), [], some.iter().map(|(_, bytes)| *bytes).sum());
        }
        self.goes_on(given).await?;
        self.rest().await?;
        let encoding = self.target.encoding.as_deref().map_or("DEFAULT".to_owned(), literal);
        self.ours(None, format!("\nSET client_encoding = {encoding};\n").as_bytes()).await
    }

    /// Names, in UTF-8, and sizes; asked of the server, which knows what was made.
    async fn to_analyze(&self, done: &[u32]) -> Result<Vec<(String, u64)>> {
        let target = &self.target;
        let session = Session::connect(&target.postgres, &target.database, &target.session_name).await;
        let rows = session.map_err(server::told)?.query(TO_ANALYZE, &[&done]).await.context("asking for the tables")?;
        Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect())
    }
}

/// Each large one by itself, small ones together; the largest come first.
fn together<T>(tables: &[T], bytes: impl Fn(&T) -> u64) -> impl Iterator<Item = &[T]> {
    let (large, small) = tables.split_at(tables.partition_point(|table| bytes(table) >= SMALL));
    large.chunks(1).chain(small.chunks(SMALL_TOGETHER))
}

fn job(sql: Vec<u8>) -> Job {
    Job { parts: vec![Part::At(None), Part::Sql(Bytes::from(sql))], numbers: Vec::new() }
}

/// Whether what sets a session may make it another account's, which is only told that it has no right to a table; or, among rows, set
/// another encoding than the names have by which tables are known.
pub fn makes_other(sql: &[u8], among_rows: bool) -> bool {
    let sql = sql.to_ascii_lowercase();
    let says = |word: &str| memmem::find(&sql, word.as_bytes()).is_some();
    says("role") || says("authorization") || (among_rows && (says("encoding") || says("names")))
}

/// Whether a statement that goes alone leaves rows, and what is known of them, as they are. Of what is not known it is not said.
pub fn keeps(sql: &[u8]) -> bool {
    let statement = Statement::parse(sql, true);
    let is = |at: usize, words: &[&str]| words.iter().any(|word| statement.is(at, word));
    match () {
        () if is(0, &["comment", "grant", "revoke", "security", "refresh"]) => true,
        () if is(0, &["create"]) => {
            let made = 1 + 2 * usize::from(is(1, &["or"]));
            let kinds = ["function", "procedure", "trigger", "policy", "publication", "rule", "statistics", "view"];
            is(made, &kinds) || is(made, &["materialized", "index", "unique", "subscription", "constraint"])
        }
        () if is(0, &["alter"]) && is(1, &["table"]) => {
            let table = touches::qualified(&statement, 2 + usize::from(is(2, &["only"])));
            let several = statement.tokens().iter().any(|token| token.depth == 0 && token.is_punct(b','));
            let harmless = |(_, at): (Qualified, usize)| {
                is(at, &["owner", "enable", "disable", "force", "replica"])
                    || (is(at, &["add"]) && is(at + 1, &["constraint"]))
            };
            !several && table.is_some_and(harmless)
        }
        () => {
            let kinds =
                ["function", "procedure", "view", "index", "publication", "subscription", "statistics", "policy"];
            is(0, &["alter"]) && (is(1, &kinds) || is(1, &["rule", "trigger", "default", "domain"]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_bring_rows_or_change_columns_outdates_statistics() {
        for sql in [
            "INSERT INTO s.t VALUES (1);",
            "UPDATE s.t SET a = 1;",
            "TRUNCATE s.t;",
            "SELECT pg_catalog.pg_restore_attribute_stats('relation', 's.t'::regclass);",
            "ALTER TABLE ONLY s.t ALTER COLUMN a SET STATISTICS 1000;",
            "ALTER TABLE s.t OWNER TO a, ADD COLUMN b integer;",
            "ALTER TABLE ONLY s.t ATTACH PARTITION s.u DEFAULT;",
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY;",
            "ALTER TABLE t ALTER COLUMN owner TYPE text;",
            "ALTER TABLE ONLY t ADD COLUMN force integer;",
            "CREATE TABLE s.u () INHERITS (s.t);",
            "CREATE FOREIGN TABLE s.u () INHERITS (s.t) SERVER x;",
            "DO $$ BEGIN END $$;",
        ] {
            assert!(!keeps(sql.as_bytes()), "{sql}");
        }
        for sql in [
            "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY;",
            "ALTER TABLE ONLY s.t REPLICA IDENTITY FULL;",
            "ALTER TABLE ONLY s.t ADD CONSTRAINT c NOT NULL i NOT VALID;",
            "ALTER PUBLICATION p ADD TABLE ONLY s.t;",
            "CREATE OR REPLACE VIEW s.v AS SELECT 1;",
            "CREATE POLICY p ON s.t USING (a > 1);",
            "REFRESH MATERIALIZED VIEW s.v;",
            "COMMENT ON TRIGGER x ON s.t IS 'x';",
        ] {
            assert!(keeps(sql.as_bytes()), "{sql}");
        }
    }

    #[test]
    fn what_sets_an_account_or_later_an_encoding_is_seen() {
        for sql in
            ["SET SESSION AUTHORIZATION shop;", "SELECT pg_catalog.set_config('role', 'x', false);", "RESET ROLE;"]
        {
            assert!(makes_other(sql.as_bytes(), false), "{sql}");
        }
        assert!(!makes_other(b"SET client_encoding = 'LATIN1';", false) && makes_other(b"SET NAMES 'UTF8';", true));
        assert!(!makes_other(b"SET row_security = off;", true));
    }

    #[test]
    fn large_tables_come_by_themselves_and_small_ones_together() {
        let sizes: Vec<u64> = [SMALL * 2, SMALL].into_iter().chain((0..60).map(|n| 100 - n)).collect();
        let lengths: Vec<usize> = together(&sizes, |bytes| *bytes).map(<[u64]>::len).collect();
        assert_eq!(lengths, [1, 1, SMALL_TOGETHER, 10]);
    }
}
