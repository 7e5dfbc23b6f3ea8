//! Tables that look as if several sessions could read them, and what changes under those that do.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};

use super::produced::{Large, assert_equal, clients_doing, shop_with_a_large_table};
use super::producers::clients_with;
use super::{Shop, gunzip};
use crate::support::compare::{Snapshot, assert_same};
use crate::support::wait::until;

/// Rows until a table is large.
const MANY: &str = "generate_series(1, 6000) n";

/// All rows of a database's dump, restored beside it, are those that it had.
fn comes_back(large: &Large, jobs: &str, database: &str) {
    let before = Snapshot::of_databases(&large.cluster, &[database]);
    large.bkp(jobs, database).args(["restore"]).run().ok();
    assert_same(&before, &Snapshot::of_databases(&large.cluster, &[database]));
}

#[test]
fn partitions_by_a_hash_that_another_server_computes_otherwise_go_to_their_root() {
    let large = Large::with(17, "shop.sql");
    large.cluster.psql(
        "shop",
        &format!(
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'glad', 'mad');
             CREATE TABLE days (mood mood, n int, t text) PARTITION BY LIST (n);
             CREATE TABLE moods PARTITION OF days DEFAULT PARTITION BY HASH (mood);
             CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY RANGE (n);
             CREATE TABLE moods_1_all PARTITION OF moods_1 DEFAULT;
             INSERT INTO days SELECT unnest(enum_range(NULL::mood)), n, repeat('x', 1900) FROM {MANY};
             CREATE TABLE plain AS SELECT n, repeat('y', 1900) AS t FROM {MANY};"
        ),
    );
    let sizes = "SELECT min(pg_table_size(oid)) > 9000000 FROM pg_class WHERE relname IN ('moods_0', 'moods_1_all')";
    assert_eq!(large.cluster.psql("shop", sizes), "t");
    let serial = large.sql("1", "shop", "dumped database shop");
    // As pg_dump writes it: both partitions into their root.
    let to_root = b"COPY public.days (mood, n, t) FROM stdin;\n";
    assert_eq!(serial.windows(to_root.len()).filter(|bytes| bytes == to_root).count(), 2);
    assert_equal(&serial, &large.sql("4", "shop", "4 sessions read its 1 large table"));
    // Where the rows lie is another matter afterwards.
    let rows = "SELECT count(*), md5(string_agg(mood || ' ' || n, ' ' ORDER BY mood, n)) FROM days";
    let before = large.cluster.psql("shop", rows);
    for jobs in ["1", "4"] {
        large.cluster.psql("shop", "TRUNCATE days");
        large.bkp(jobs, "shop").args(["restore"]).run().ok();
        assert_eq!(large.cluster.psql("shop", rows), before);
    }
}

/// A table of text, half of it large, in a database whose sessions speak another encoding than the database.
fn opposing(large: &Large, name: &str, encoding: &str, client: &str) {
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'");
    large.cluster.psql("postgres", &create);
    large.cluster.psql(
        name,
        &format!(
            "SET client_encoding = 'UTF8'; CREATE TABLE rows AS SELECT n, repeat('\u{e4}', 900) || n AS t FROM generate_series(1, 12000) n;
             CREATE TABLE small AS SELECT * FROM rows WHERE n < 5; COMMENT ON TABLE small IS '\u{e4}\u{f6}';
             CREATE TABLE wide AS SELECT n, repeat('\u{fc}', 900) AS t FROM generate_series(1, 12000) n;
             ALTER DATABASE {name} SET client_encoding = '{client}'"
        ),
    );
}

#[test]
fn a_dump_is_of_its_database_s_encoding_whatever_sessions_speak() {
    let large = Large::with(17, "shop.sql");
    opposing(&large, "latin", "LATIN1", "UTF8");
    opposing(&large, "uni", "UTF8", "LATIN1");
    for (name, client, letter) in
        [("latin", "UTF8", &b"\xe4\xe4\xe4\xe4"[..]), ("uni", "LATIN1", "\u{e4}\u{e4}".as_bytes())]
    {
        let serial = large.sql("1", name, "dumped database");
        assert!(serial.windows(letter.len()).any(|bytes| bytes == letter), "{name}");
        // Letters of Latin-1 are no text in UTF-8; letters of UTF-8 begin with this byte.
        assert_eq!(std::str::from_utf8(&serial).is_ok(), name == "uni");
        assert_eq!(serial.contains(&0xc3), name == "uni");
        assert_equal(&serial, &large.sql("3", name, "3 sessions read its 2 large tables"));
        for (variable, value) in
            [("PGOPTIONS", format!("-c client_encoding={client}")), ("PGCLIENTENCODING", client.to_owned())]
        {
            large.bkp("3", name).env(variable, value).args(["backup"]).run().ok();
            assert_equal(&serial, &large.newest());
        }
        comes_back(&large, "3", name);
    }
    large.cluster.psql("postgres", "ALTER DATABASE uni RESET ALL; ALTER ROLE postgres SET client_encoding = 'LATIN1'");
    let serial = large.sql("1", "uni", "dumped database");
    // What no letter of Latin-1 is, is saved all the same.
    let elephant = "SET client_encoding = 'UTF8'; SELECT t FROM small WHERE n = 0";
    large.cluster.psql("uni", "SET client_encoding = 'UTF8'; INSERT INTO small VALUES (0, '\u{1f418}')");
    let parallel = large.sql("3", "uni", "3 sessions read");
    assert!(parallel.len() > serial.len());
    large.cluster.psql("uni", "TRUNCATE small");
    large.bkp("3", "uni").args(["restore"]).run().ok();
    assert_eq!(large.cluster.psql("uni", elephant), "\u{1f418}");
}

#[test]
fn a_schema_that_is_renamed_while_its_tables_are_read_ends_the_run() {
    let shop = Shop::open_on(17);
    let rows = "AS SELECT n, repeat('x', 1900) AS t FROM generate_series(1, ";
    shop.cluster.psql("shop", &format!("CREATE SCHEMA s; CREATE TABLE s.large {rows} 40000) n"));
    // Another table gets the name, with no row that the snapshot sees.
    let rename = format!("ALTER SCHEMA s RENAME TO old; CREATE SCHEMA s; CREATE TABLE s.large {rows} 10) n");
    let clients = clients_doing(
        &shop,
        &format!(
            "$REAL \"$@\" | {{ IFS= read -r line; echo \"$line\"
until [ \"$($psql -c \"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_catalog.to_regclass%'\")\" = 2 ]; do :; done
$psql -c \"{rename}\" >/dev/null; cat; }}"
        ),
    );
    let run = shop.bkp(["backup"]).env("BKP_JOBS", "2").env("BKP_PG_BIN", &clients).run();
    run.fails_with(1).says("\"s\".\"large\" was given another name while it was read; nothing was saved");
    assert!(shop.dumps().is_empty());
}

#[test]
fn an_index_may_be_made_anew_and_rows_come_while_sessions_wait_with_what_they_read() {
    let shop = Shop::open_on(15);
    let rows = "AS SELECT n, repeat('x', 1900) AS t FROM generate_series(1, 40000) n";
    shop.cluster.psql("shop", &format!("CREATE TABLE large {rows}; ALTER TABLE large ADD PRIMARY KEY (n)"));
    // Nothing of the dump comes before both have gone through, so that no session reads on.
    let clients = clients_doing(
        &shop,
        "$REAL \"$@\" | { IFS= read -r line; echo \"$line\"
until [ \"$($psql -c \"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_catalog.to_regclass%' AND state = 'idle in transaction'\")\" = 2 ]; do :; done
$psql -v ON_ERROR_STOP=1 -c \"SET lock_timeout = '9s'\" -c 'REINDEX TABLE large' -c \"INSERT INTO large VALUES (0, 'new')\" >/dev/null; cat; }",
    );
    shop.bkp(["backup"]).env("BKP_JOBS", "2").env("BKP_PG_BIN", &clients).run().ok().says("2 sessions read");
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM large"), "40001");
    shop.bkp(["restore"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM large"), "40000");
}

/// A transaction that stays open until its input ends, with a commit.
fn migration(shop: &Shop, statement: &str) -> Child {
    let mut psql = shop.cluster.client("psql");
    let mut child = psql.args(["-X", "-q", "-d", "shop"]).stdin(Stdio::piped()).spawn().expect("psql");
    let script = format!("BEGIN;\n{statement};\n");
    child.stdin.as_mut().expect("a pipe").write_all(script.as_bytes()).expect("written");
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database <> 0 AND relation > 16383";
    until("the migration", || shop.cluster.psql("postgres", held) != "0");
    child
}

#[test]
fn a_table_that_was_rewritten_while_the_dump_waited_for_it_is_not_taken_for_an_empty_one() {
    for jobs in ["1", "2"] {
        let shop = shop_with_a_large_table();
        let orders: usize = shop.cluster.psql("shop", "SELECT count(*) FROM orders").parse().expect("a number");
        let mut migration = migration(&shop, "ALTER TABLE orders ADD COLUMN fresh text DEFAULT random()::text");
        let run = shop.bkp(["backup"]).env("BKP_JOBS", jobs).spawn();
        until("the wait", || shop.cluster.psql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") == "1");
        migration.stdin.as_mut().expect("a pipe").write_all(b"COMMIT;\n").expect("written");
        let out = run.wait().ok();
        drop(migration.stdin.take());
        assert!(migration.wait().expect("psql").success());
        if jobs == "1" {
            out.says("public.orders was emptied or made anew while the dump began; it is begun once more");
        }
        let sql = String::from_utf8(gunzip(&fs::read(&shop.dumps()[0]).expect("read"))).expect("UTF-8");
        let (_, rows) = sql.split_once("\nCOPY public.orders (").expect("the orders");
        let (head, rows) = rows.split_once('\n').expect("rows");
        assert!(head.contains("fresh"), "{head}");
        assert_eq!(rows.lines().take_while(|line| *line != "\\.").count(), orders);
    }
}

#[test]
fn a_dump_that_never_begins_without_a_table_being_emptied_fails() {
    let shop = Shop::open_on(16);
    // Between the snapshot and the locks of each.
    let script = "$(dirname $REAL)/psql -X -q -d shop -c 'TRUNCATE orders CASCADE'; exec $REAL \"$@\"";
    let clients = clients_with(&shop, "pg_dump", script);
    let run = shop.bkp(["backup"]).env("BKP_PG_BIN", &clients).run();
    run.fails_with(1).says("was emptied or made anew").says("nothing was saved");
    assert!(shop.dumps().is_empty());
}

/// The most memory that a run has ever had, in KiB.
fn peak_of(mut run: crate::support::bkp::Running) -> (u64, crate::support::bkp::Output) {
    let (status, mut peak) = (format!("/proc/{}/status", run.pid()), 0);
    let begun = std::time::Instant::now();
    while run.running() && begun.elapsed().as_secs() < 100 {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|kib| kib.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0).max(peak);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    (peak, run.wait())
}

#[test]
fn rows_of_tens_of_megabytes_do_not_pile_up_while_they_wait_for_their_turn() {
    let shop = Shop::open_on(17);
    // Small rows make the table one for several sessions, and long ones follow each other in it. A table of nothing but long rows is
    // read by pg_dump.
    shop.cluster.psql(
        "shop",
        &format!(
            "CREATE TABLE a_first AS SELECT n, repeat('long ', 4000000) AS t FROM generate_series(1, 20) n;
             INSERT INTO a_first SELECT n, repeat('x', 1900) FROM {MANY};
             CREATE TABLE long (n int, t text); ALTER TABLE long ALTER t SET STORAGE EXTERNAL;
             INSERT INTO long SELECT n, repeat('x', 300000) FROM generate_series(1, 150) n;
             CREATE TABLE b_second AS SELECT n, repeat('x', 1900) AS t FROM {MANY}"
        ),
    );
    // Nothing is taken from the readers before one of them has no room for more.
    let full = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'COPY (SEL%' AND wait_event = 'ClientWrite'";
    let wait = format!("until [ \"$($psql -c \"{full}\")\" = t ]; do :; done");
    let clients =
        clients_doing(&shop, &format!("$REAL \"$@\" | {{ IFS= read -r line; echo \"$line\"; {wait}; cat; }}"));
    let run = shop.bkp(["backup"]).env("BKP_JOBS", "4").env("BKP_GZIP_LEVEL", "1").env("BKP_PG_BIN", &clients);
    // What is freed is given back at once, and not kept for the next.
    let run = run.env("MALLOC_MMAP_THRESHOLD_", "1000000");
    let (peak, out) = peak_of(run.spawn());
    out.ok().says("4 sessions read its 2 large tables");
    assert!(peak > 20_000 && peak < 280_000, "{peak} KiB");
}
