//! Several sessions load what one would have loaded, also where rows, tables or the server's room do not let them go side by side.

use super::parallel::{Foreign, many, table};
use crate::support::cluster::Cluster;
use crate::support::wait::until;

/// The same dump with more before its first rows, and more tables with rows after its own.
fn with(before: &str, more: &[(&str, &str)]) -> String {
    let rows: String = more.iter().map(|(table, rows)| format!("COPY {table} FROM stdin;\n{rows}\\.\n")).collect();
    let dump = table(&many(200_000), &rows);
    dump.replacen("COPY", &format!("{before}COPY"), 1)
}

#[test]
fn line_ends_of_other_systems_are_kept_to_the_end_of_the_rows() {
    for major in [15, 17] {
        let server = Foreign::on(major);
        let keys = "ALTER TABLE ONLY public.much\n    ADD CONSTRAINT k PRIMARY KEY (i);\nCREATE INDEX fine ON public.other USING btree (i);";
        let dump = table(&many(60_000), keys).replace('\n', "\r\n");
        server.load("one", dump.as_bytes(), "1").ok();
        server.load("four", dump.as_bytes(), "4").ok().says("loaded by 4 sessions").never_says("now one does");
        server.same("one", "four");
        assert_eq!(server.cluster.psql("four", "SELECT max(length(t)) FROM much").trim(), "100");
    }
}

/// Rows that say how many rows of another table were there when they came; in every way in which a row can ask for it.
#[test]
fn rows_that_read_other_tables_find_what_they_would_have_found() {
    let reads = "CREATE FUNCTION public.seen(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS \
                 $$BEGIN RETURN (SELECT pg_catalog.count(*) FROM public.much); END$$;\n\
                 CREATE FUNCTION public.all_seen(i integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT public.seen(i) = 200000';\n";
    let operator = "CREATE FUNCTION public.same(a integer, b text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT public.all_seen(a)';\n\
                    CREATE OPERATOR public.=== (FUNCTION = public.same, LEFTARG = integer, RIGHTARG = text);\n";
    let tables = [
        (
            "generated",
            "CREATE TABLE public.generated (i integer, n integer GENERATED ALWAYS AS (public.seen(i)) STORED);\n",
        ),
        ("checked", "CREATE TABLE public.checked (i integer CHECK (public.all_seen(i)));\n"),
        ("operated", "CREATE TABLE public.operated (i integer CHECK (i OPERATOR(public.===) 'x'::text));\n"),
        (
            "domained",
            "CREATE DOMAIN public.known AS integer CHECK (public.all_seen(VALUE));\nCREATE TABLE public.domained (i public.known);\n",
        ),
        ("nested", "CREATE TYPE public.pair AS (k public.known);\nCREATE TABLE public.nested (p public.pair[]);\n"),
        (
            "parted",
            "CREATE TABLE public.parted (i integer) PARTITION BY LIST (public.seen(i));\nCREATE TABLE public.part PARTITION OF public.parted FOR VALUES IN (200000);\n",
        ),
        (
            "indexed",
            "CREATE TABLE public.indexed (i integer);\nCREATE UNIQUE INDEX ON public.indexed (i, public.seen(i));\n",
        ),
    ];
    let before = format!("{reads}{operator}{}", tables.map(|(_, sql)| sql).concat());
    let rows = tables.map(|(name, _)| match name {
        "generated" => ("public.generated (i)", "1\n2\n"),
        "checked" => ("public.checked (i)", "1\n"),
        "operated" => ("public.operated (i)", "1\n"),
        "domained" => ("public.domained (i)", "1\n"),
        "nested" => ("public.nested (p)", "{(1)}\n"),
        "parted" => ("public.part (i)", "1\n"),
        _ => ("public.indexed (i)", "1\n2\n"),
    });
    let server = Foreign::on(16);
    // Each at its own: behind one that waits, all would have waited.
    for (at, row) in rows.into_iter().enumerate() {
        let name = format!("new{at}");
        let out = server.load(&name, with(&before, &[row]).as_bytes(), "4").ok();
        out.says("rows are loaded by 4 sessions").never_says("now one does");
        let found = server.cluster.psql(&name, "SELECT count(DISTINCT xmin::text) FROM much");
        assert_eq!(found.trim(), "4", "{row:?}");
    }
    assert_eq!(server.cluster.psql("new0", "SELECT i, n FROM generated ORDER BY 1").trim(), "1|200000\n2|200000");
    server.nothing_is_left();
}

/// What reads them is in C, of the extension, and cannot be asked.
#[test]
fn tables_of_extensions_come_between_what_comes_before_and_after_them() {
    let server = Foreign::of(Cluster::options(15).conf("track_commit_timestamp = on").start());
    // Somebody's last row takes longer than all that comes after it; this is PostgreSQL's own, and says nothing of order.
    let slow = "ALTER TABLE public.much ADD CHECK (CASE WHEN i = 199999 THEN pg_catalog.pg_sleep(1)::text = '' ELSE true END);\n\
                CREATE TABLE public.of_extension (i integer);\nALTER EXTENSION plpgsql ADD TABLE public.of_extension;\n";
    let dump = with(slow, &[("public.of_extension (i)", "1\n")]);
    server.load("new", dump.as_bytes(), "4").ok().says("rows are loaded by 4 sessions");
    let later = "SELECT bool_and((SELECT max(pg_xact_commit_timestamp(xmin)) FROM much) < pg_xact_commit_timestamp(xmin)), count(*) FROM of_extension";
    assert_eq!(server.cluster.psql("new", later).trim(), "t|1");
}

#[test]
fn what_fails_by_the_order_is_loaded_again_by_one_session() {
    let server = Foreign::on(15);
    for code in ["P0001", "23502", "22023", "23505", "XX000", "53200"] {
        // It holds only while nobody else is here.
        let alone = format!(
            "CREATE FUNCTION public.alone() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN IF (SELECT pg_catalog.count(*) > 1 FROM pg_catalog.pg_stat_activity \
             WHERE datname = pg_catalog.current_database() AND backend_type = 'client backend') THEN RAISE EXCEPTION 'not alone' USING ERRCODE = '{code}'; END IF; RETURN true; END$$;\n\
             ALTER TABLE public.other ADD CHECK (public.alone());\n"
        );
        let dump = table(&many(10), "").replacen("COPY", &format!("{alone}COPY"), 1);
        let name = format!("new{}", code.to_lowercase());
        server.load(&name, dump.as_bytes(), "2").ok().says(code).says("now one does, in the dump's order");
        assert_eq!(server.cluster.psql(&name, "SELECT count(*) FROM much, other").trim(), "20");
    }
    server.nothing_is_left();
}

#[test]
fn rows_that_go_through_a_root_take_the_locks_of_one_session() {
    let server = Foreign::of(Cluster::options(15).conf("max_locks_per_transaction = 10").start());
    let mut before = String::from("CREATE TABLE public.root (i integer, t text) PARTITION BY HASH (i);\n");
    for at in 0..500 {
        before.push_str(&format!(
            "CREATE TABLE public.part{at} PARTITION OF public.root FOR VALUES WITH (MODULUS 500, REMAINDER {at});\n"
        ));
    }
    let dump = with(&before, &[("public.root (i, t)", &many(100_000))]);
    let out = server.load("new", dump.as_bytes(), "8").ok();
    out.says("rows are loaded by 8 sessions").never_says("now one does");
    assert_eq!(server.cluster.psql("new", "SELECT count(*), count(DISTINCT xmin::text) FROM root").trim(), "100000|1");
}

#[test]
fn no_more_than_a_quarter_of_the_free_sessions_load_beside_the_first() {
    let server = Foreign::of(Cluster::options(16).conf("max_connections = 10").start());
    let out = server.load("new", table(&many(1000), "").as_bytes(), "16").ok();
    out.says("the server has few free").says("rows are loaded by 2 sessions");
}

#[test]
fn sessions_that_have_nothing_to_do_any_more_are_ended() {
    let server = Foreign::on(15);
    let slow = "DO $$BEGIN PERFORM pg_catalog.pg_sleep(2); END$$;\nCREATE INDEX fine ON public.much USING btree (i);";
    let mut running = server.start("new", table(&many(60_000), slow).as_bytes(), "4");
    until("one session", || {
        assert!(running.running(), "it has ended");
        server.sessions("AND wait_event = 'PgSleep'") == 1
    });
    assert_eq!(server.sessions("AND datname ~ '__bkp_'"), 1);
    running.wait().ok().says("rows are loaded by 4 sessions").says("one session loads the rest of");
    let found = server.cluster.psql("new", "SELECT count(*), (SELECT count(*) FROM other) FROM much");
    assert_eq!(found.trim(), "60000|2");
}

#[test]
fn sequences_that_are_set_among_indexes_have_their_last_values() {
    let server = Foreign::on(15);
    let sets: String = (1..2000).map(|at| format!("SELECT pg_catalog.setval('public.q', {at}, true);\n")).collect();
    let after = format!("CREATE INDEX fine ON public.much USING btree (i);\n{sets}");
    let dump = table(&many(60_000), &after).replacen("COPY", "CREATE SEQUENCE public.q;\nCOPY", 1);
    server.load("new", dump.as_bytes(), "4").ok().says("rows are loaded by 4 sessions");
    assert_eq!(server.cluster.psql("new", "SELECT last_value FROM q").trim(), "1999");
}

#[test]
fn statistics_of_every_table_are_taken_once_partitions_too() {
    for major in [15, 18] {
        let server = Foreign::on(major);
        let before = "CREATE TABLE public.parted (i integer) PARTITION BY RANGE (i);\n\
                      CREATE TABLE public.low PARTITION OF public.parted FOR VALUES FROM (0) TO (9) PARTITION BY LIST (i);\n\
                      CREATE TABLE public.one PARTITION OF public.low FOR VALUES IN (1);\n\
                      CREATE TABLE public.high PARTITION OF public.parted FOR VALUES FROM (9) TO (99);\n";
        let dump = with(before, &[("public.one", "1\n"), ("public.high", "10\n11\n")]);
        server.load("four", dump.as_bytes(), "4").ok().says("loaded by 4 sessions");
        // A session tells what it did when it ends.
        until("statistics", || {
            server.cluster.psql("four", "SELECT sum(analyze_count) FROM pg_stat_user_tables").trim() != "0"
        });
        let counts = "SELECT string_agg(relname || analyze_count, ' ' ORDER BY relname) FROM pg_stat_user_tables WHERE relname IN ('parted', 'low', 'one', 'high', 'much')";
        assert_eq!(server.cluster.psql("four", counts).trim(), "high1 low1 much1 one1 parted1", "{major}");
        assert_eq!(server.cluster.psql("four", "SELECT reltuples FROM pg_class WHERE relname = 'high'").trim(), "2");
    }
}
