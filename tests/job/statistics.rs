//! After a restore the server knows of every table what ANALYZE would have told it, whenever its rows came and whoever loaded them.

use super::parallel::{Foreign, many, table};
use crate::support::cluster::Cluster;
use crate::support::workdir::WorkDir;

/// Tables of which statistics are taken at different times.
const TABLES: &str = "
CREATE ROLE other;
CREATE SCHEMA s;
CREATE TABLE s.large (id integer PRIMARY KEY, t text);
INSERT INTO s.large SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 20000) n;
CREATE TABLE s.\"Öd \"\"d\" (id integer UNIQUE, of integer REFERENCES s.large);
INSERT INTO s.\"Öd \"\"d\" SELECT n, 7 FROM generate_series(1, 500) n;
CREATE TABLE s.expressed (t text);
INSERT INTO s.expressed SELECT 'T' || n % 9 FROM generate_series(1, 900) n;
CREATE INDEX ON s.expressed (lower(t));
CREATE TABLE s.related (a integer, b integer);
INSERT INTO s.related SELECT n % 10, n % 10 FROM generate_series(1, 1000) n;
CREATE INDEX ON s.related (a);
CREATE STATISTICS s.of_related (dependencies) ON a, b FROM s.related;
CREATE TABLE s.parent (i integer PRIMARY KEY);
INSERT INTO s.parent SELECT generate_series(1, 100);
CREATE TABLE s.child (t text) INHERITS (s.parent);
INSERT INTO s.child SELECT n, 'x' FROM generate_series(1, 300) n;
CREATE TABLE s.parts (i integer PRIMARY KEY, t text) PARTITION BY RANGE (i);
CREATE TABLE s.part PARTITION OF s.parts FOR VALUES FROM (0) TO (1000);
INSERT INTO s.parts SELECT n, n % 3 FROM generate_series(1, 400) n;
CREATE TABLE s.empty (i integer PRIMARY KEY);
CREATE TABLE s.shut (i integer PRIMARY KEY, t text);
INSERT INTO s.shut SELECT n, n % 4 FROM generate_series(1, 600) n;
ALTER TABLE s.shut ENABLE ROW LEVEL SECURITY;
ALTER TABLE s.shut OWNER TO other;
CREATE MATERIALIZED VIEW s.kept AS SELECT count(*), of FROM s.\"Öd \"\"d\" GROUP BY of;
CREATE INDEX ON s.kept (of);
";

/// What the server knows of each column that does not depend on where rows lie, where the sample has all of them.
const KNOWN: &str = "SELECT format('%s.%s.%s %s: ', schemaname, tablename, attname, inherited)
    || COALESCE(CASE WHEN reltuples <= 30000 THEN format('%s %s %s', null_frac, avg_width, n_distinct) END, $$sampled$$) AS known
  FROM pg_stats JOIN pg_class ON pg_class.oid = format('%I.%I', schemaname, tablename)::regclass
  WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
UNION ALL SELECT format('%s: %s', statistics_name, dependencies) FROM pg_stats_ext
UNION ALL SELECT format('%s holds %s', oid::regclass, reltuples) FROM pg_class WHERE relkind IN ('r', 'm') AND oid >= 16384
ORDER BY 1";

#[track_caller]
pub(super) fn same_statistics(server: &Foreign, one: &str, other: &str) {
    assert_eq!(server.cluster.psql(one, KNOWN), server.cluster.psql(other, KNOWN), "{one} and {other}");
}

/// Where in the log of this database these words stand.
fn places(server: &Foreign, database: &str, words: &str) -> Vec<usize> {
    let (log, of) = (server.cluster.log(), format!("{database}__bkp_"));
    let lines = log.lines().filter(|line| line.contains(&of)).enumerate();
    lines.filter(|(_, line)| line.contains(words)).map(|(at, _)| at).collect()
}

fn watched(major: u32, encoding: &str) -> Foreign {
    let cluster = Cluster::start(major);
    cluster.reconfigure("log_statement = 'all'");
    cluster.reconfigure("log_line_prefix = '%d '");
    cluster.psql(
        "postgres",
        &format!("CREATE DATABASE source TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"),
    );
    cluster.psql("source", &format!("SET client_encoding = 'UTF8'; {TABLES} ANALYZE;"));
    Foreign { cluster, work: WorkDir::new() }
}

#[test]
fn all_that_analyze_tells_is_known_after_a_restore() {
    for (major, encoding) in [(14, "UTF8"), (18, "UTF8"), (16, "LATIN1")] {
        let server = watched(major, encoding);
        let dump = server.cluster.pg_dump("source", []);
        for jobs in ["1", "2", "4"] {
            let name = format!("by{jobs}");
            server.load(&name, &dump, jobs).ok().never_says("now one does");
            same_statistics(&server, "source", &name);
        }
        let looks =
            [places(&server, "by2", "ANALYZE \"s\".\"large\""), places(&server, "by2", "ANALYZE s.large")].concat();
        let key = places(&server, "by2", "ALTER TABLE ONLY s.large");
        assert!(
            looks.len() == 1 && looks < key,
            "{major} {encoding}: one look at the largest, before its key: {looks:?}, {key:?}"
        );
    }
}

#[test]
fn rows_that_come_after_a_look_are_looked_at_again() {
    let server = Foreign::on(17);
    let index =
        "CREATE INDEX by_t ON public.much USING btree (t);\nCREATE INDEX by_i ON public.other USING btree (i);\n";
    for (what, after) in [
        ("rows of the same table", format!("{index}COPY public.much (i, t) FROM stdin;\n-1\tx\n\\.\n")),
        ("an insert", format!("{index}INSERT INTO public.other VALUES (8), (9);\n")),
        ("an insert in a transaction", format!("{index}BEGIN;\nINSERT INTO public.other VALUES (8), (9);\nCOMMIT;\n")),
        ("what nobody knows", format!("{index}DO $$BEGIN DELETE FROM public.much WHERE i % 2 = 0; END$$;\n")),
    ] {
        let dump = table(&many(20_000), &after);
        let names = ["1", "4"].map(|jobs| {
            let name = format!("{what} by {jobs}").replace(' ', "_");
            server.load(&name, dump.as_bytes(), jobs).ok();
            name
        });
        same_statistics(&server, &names[0], &names[1]);
    }
}

#[test]
fn statistics_are_taken_where_a_dump_goes_on_as_another_account() {
    let server = Foreign::on(17);
    let after = "ALTER TABLE public.other OWNER TO shop;\nGRANT CREATE ON SCHEMA public TO shop;\nSET SESSION AUTHORIZATION shop;\n\
                 CREATE INDEX by_i ON public.other USING btree (i);\nRESET SESSION AUTHORIZATION;\n";
    let dump = table(&many(20_000), after);
    for jobs in ["1", "4"] {
        server.load(&format!("by{jobs}"), dump.as_bytes(), jobs).ok();
    }
    // Of the superuser's table that account may take none.
    same_statistics(&server, "by1", "by4");
}
