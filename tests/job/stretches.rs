//! Large tables of a dump of ours are read by the sessions that load them: the same content, in the dump's order, and the same failures.

use std::path::Path;

use bkp::repository::bucket::member;

use super::gunzip;
use super::members::{Says, members, with_members};
use crate::support::bkp::{Bkp, Output};
use crate::support::cluster::Cluster;
use crate::support::gcs::{Fault, Gcs, Op};
use crate::support::normal::{difference, lines};
use crate::support::workdir::WorkDir;

/// Large tables and more, with all that rows may hold; some are bad in other databases, or take their time.
const SHOP: &str = r"
CREATE SCHEMA s;
CREATE TABLE s.a (i integer, t text, CHECK (current_database() NOT LIKE 'bad%' OR i <> 45678),
 CHECK (current_database() NOT LIKE 'slow%' OR i <> 45678 OR pg_sleep(60)::text = ''));
CREATE TABLE s.b (t text, i integer, u bytea);
CREATE TABLE s.c (i integer, t text);
INSERT INTO s.a SELECT i, CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN E'\\.' WHEN 2 THEN E'a\tb\nc\\d' ELSE 'é' END || repeat(md5(i::text), 12)
 FROM generate_series(1, 60000) i;
INSERT INTO s.b SELECT CASE i % 3 WHEN 0 THEN NULL ELSE E'\\.' || i END, i, decode(repeat(md5(i::text), 12), 'hex') FROM generate_series(1, 60000) i;
INSERT INTO s.c SELECT i, repeat(md5(i::text), 12) FROM generate_series(1, 60000) i;
CREATE TABLE s.small AS SELECT generate_series(1, 500) i;
CREATE TABLE s._small AS SELECT generate_series(1, 77) i;
CREATE FUNCTION s.f() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE EXTENSION pg_trgm SCHEMA s;
ALTER TABLE s.a ADD PRIMARY KEY (i);
ALTER TABLE s.c ADD PRIMARY KEY (i);
CREATE INDEX ON s.b (i, t);
ALTER TABLE s.b ADD FOREIGN KEY (i) REFERENCES s.c NOT VALID;
";

pub(super) struct Shop {
    pub(super) cluster: Cluster,
    work: WorkDir,
    /// In its bucket, or in a directory.
    gcs: Option<Gcs>,
}

impl Shop {
    /// Saved by one run.
    pub(super) fn on(major: u32) -> Self {
        Self::made(Cluster::start(major), None, "")
    }

    /// Whose databases are made so.
    pub(super) fn made(cluster: Cluster, gcs: Option<Gcs>, so: &str) -> Self {
        let shop = Shop { cluster, work: WorkDir::new(), gcs };
        for name in ["shop", "other"] {
            shop.cluster.psql("postgres", &format!("CREATE DATABASE {name} {so}"));
            let keys = SHOP.replace("REFERENCES s.c NOT VALID", "REFERENCES s.a NOT VALID");
            shop.cluster.psql(name, &keys);
        }
        // Its rows end otherwise than the other one's.
        shop.cluster.psql("other", "DELETE FROM s.b WHERE i > 55000; UPDATE s.small SET i = i + 1;");
        shop.bkp(&["init"]).ok();
        shop.bkp(&["backup"]).ok();
        shop
    }

    pub(super) fn with(&self, arguments: &[&str]) -> Bkp {
        let bkp = Bkp::new(&self.cluster).env("BKP_DATABASES", "shop,other").env("RUST_LOG", "warn,bkp=debug");
        let bkp = match &self.gcs {
            Some(gcs) => bkp.google(gcs, ""),
            None => bkp.bucket(&self.work.join("bucket")),
        };
        // Pauses are remembered there: everybody else's is another.
        bkp.env("BKP_STATE_DIR", self.work.join("state")).env("BKP_KEEP_REPLACED", "never").args(arguments)
    }

    pub(super) fn bkp(&self, arguments: &[&str]) -> Output {
        self.with(arguments).env("BKP_JOBS", "2").run()
    }

    pub(super) fn content(&self, database: &str) -> Vec<String> {
        lines(&self.cluster.pg_dump(database, []))
    }

    /// Whether a table's rows lie in the order of their numbers.
    fn is_in_order(&self, database: &str, table: &str) -> bool {
        let sql = format!(
            "SELECT count(*) > 1000 AND bool_and(i > before) FROM (SELECT i, lag(i, 1, 0) OVER (ORDER BY ctid) AS before FROM {table}) t"
        );
        self.cluster.psql(database, &sql).trim() == "t"
    }

    /// Whether all rows of a table are marked as visible to all, but for pages that the server has made ahead. ANALYZE has counted them.
    fn is_frozen(&self, database: &str, table: &str) -> bool {
        let sql = format!(
            "SELECT relpages > 1000 AND relallvisible > relpages - 64 FROM pg_class WHERE oid = '{table}'::regclass"
        );
        self.cluster.psql(database, &sql).trim() == "t"
    }

    pub(super) fn dump(&self) -> std::path::PathBuf {
        let folder = self.work.join("bucket").join("db");
        let mut found = std::fs::read_dir(&folder).expect("the bucket").map(|entry| entry.expect("an entry").path());
        found.next().expect("a dump")
    }

    /// Puts other lines into the dump's SQL, sealed as if they had been there.
    pub(super) fn rewrite(&self, from: &str, to: &str) {
        let good = std::fs::read(self.dump()).expect("the dump");
        let mut members: Vec<Vec<u8>> = members(&good).into_iter().map(gunzip).collect();
        members.pop().expect("a seal");
        let place = |sql: &Vec<u8>| memchr::memmem::find(sql, from.as_bytes());
        let (first, at) = members.iter().enumerate().find_map(|(first, sql)| Some((first, place(sql)?))).expect(from);
        members[first].splice(at..at + from.len(), to.bytes());
        // One must not become longer than they may be.
        let behind = members[first].split_off(at + to.find('\n').expect("a line") + 1);
        members.insert(first + 1, behind);
        let members: Vec<Vec<u8>> = members.iter().map(|sql| member::packed(sql, 1).expect("packed")).collect();
        std::fs::write(self.dump(), with_members(&good, &members, Says::All)).expect("written");
    }
}

#[track_caller]
pub(super) fn assert_same(before: &[String], after: &[String]) {
    if let Some(difference) = difference(before, after) {
        panic!("{difference}");
    }
}

fn comes_back(shop: &Shop) {
    let before = ["shop", "other"].map(|name| shop.content(name));
    for jobs in ["2", "1", "5"] {
        shop.cluster.psql("shop", "TRUNCATE s.a, s.b");
        shop.cluster.psql("other", "DROP TABLE s.c");
        let out = shop.with(&["restore", "--yes"]).env("BKP_JOBS", jobs).run().ok();
        assert_eq!(out.stderr.contains(&format!("rows are loaded by {jobs} sessions")), jobs != "1", "{}", out.stderr);
        assert_eq!(out.stderr.contains("read by a session"), jobs != "1", "{}", out.stderr);
        for table in ["s.a", "s.b", "s.c"] {
            let copied = out.stderr.matches(&format!("{table} is copied frozen, past psql")).count();
            assert!(jobs != "2" || copied == 2, "{table} of {copied} databases: {}", out.stderr);
        }
        for (name, before) in ["shop", "other"].iter().zip(&before) {
            assert_same(before, &shop.content(name));
            // Dealt out they would lie otherwise.
            for table in ["s.a", "s.b"] {
                assert!(jobs == "5" || shop.is_in_order(name, table), "{jobs}: {table} of {name}: {}", out.stderr);
                assert!(jobs != "2" || shop.is_frozen(name, table), "{table} of {name} is not frozen: {}", out.stderr);
            }
        }
    }
    // One of two: what is not wanted is passed over.
    let out = shop.with(&["restore", "--only", "other", "--as", "again", "--yes"]).env("BKP_JOBS", "2").run().ok();
    out.says("rows are loaded by 2 sessions");
    assert_same(&before[1], &shop.content("again"));
}

#[test]
fn tables_that_sessions_read_by_themselves_come_back_in_their_order_on_14() {
    comes_back(&Shop::on(14));
}

#[test]
fn tables_that_sessions_read_by_themselves_come_back_in_their_order_on_18() {
    let shop = Shop::on(18);
    // Nothing could be frozen under a snapshot that is kept.
    shop.cluster.reconfigure("default_transaction_isolation = 'repeatable read'");
    comes_back(&shop);
}

#[test]
fn tables_that_sessions_read_by_themselves_come_back_from_an_object_store() {
    comes_back(&Shop::made(Cluster::start(16), Some(Gcs::start()), ""));
}

#[test]
fn a_large_table_that_has_rows_already_keeps_them() {
    let shop = Shop::on(15);
    // Nobody writes such a dump; but were it there, nothing of it may be lost.
    shop.rewrite("\nCOPY s.a (", "\nINSERT INTO s.a VALUES (0, 'before');\nCOPY s.a (");
    let out = shop.bkp(&["restore", "--only", "shop", "--yes"]).ok();
    let out = out.says("s.a is copied as ever, past psql").says("s.b is copied frozen, past psql");
    let found = shop.cluster.psql("shop", "SELECT count(*), sum(i), min(t) FILTER (WHERE i = 0) FROM s.a");
    assert_eq!(found.trim(), "60001|1800030000|before", "{}", out.stderr);
}

#[test]
fn a_bad_row_far_into_a_table_is_told_as_by_one_session() {
    let shop = Shop::on(16);
    let told = |jobs: &str| {
        let bad = ["restore", "--only", "shop", "--as", "bad", "--yes"];
        let out = shop.with(&bad).env("BKP_JOBS", jobs).run().fails_with(1).says("23514").says("COPY a, row 45678");
        assert!(!shop.cluster.databases().iter().any(|name| name.contains("bad")), "something is left");
        let place = out.stderr.find("of the dump").expect("a place in the dump");
        out.stderr[..place].rsplit("line ").next().expect("a line").to_owned()
    };
    assert_eq!(told("1"), told("2"));
}

/// Changes a byte of a file behind its back: who looks at its name, length and time sees the same file.
fn change(file: &Path, at: u64, good: &[u8]) -> String {
    change_to(file, at, good[usize::try_from(at).expect("a place")] ^ 0x55)
}

fn change_to(file: &Path, at: u64, byte: u8) -> String {
    let name = file.display();
    format!(
        "/bin/sh -c 'cp -p {name} {name}.was; printf \\\\{byte:03o} | dd of={name} bs=1 seek={at} conv=notrunc 2>/dev/null; touch -r {name}.was {name}; rm {name}.was'"
    )
}

#[test]
fn what_is_changed_after_it_was_proven_is_not_restored() {
    let shop = Shop::on(15);
    let dump = shop.dump();
    let good = std::fs::read(&dump).expect("the dump");
    let before = shop.content("shop");
    // Within the rows of the first table, of the second, and what one reader reads between and behind them.
    for at in [4, 10, 45, 99].map(|percent| good.len() as u64 * percent / 100) {
        let pause = change(&dump, at, &good);
        let restore = shop.with(&["restore", "--yes"]).env("BKP_JOBS", "2").env("BKP_RESUME_COMMAND", "/bin/true");
        let out = restore.env("BKP_PAUSE_COMMAND", pause).run().fails_with(5);
        assert_ne!(std::fs::read(&dump).expect("the dump"), good, "{at}: nothing was changed");
        out.never_says("now one does");
        assert!(!shop.cluster.databases().iter().any(|name| name.contains("__")), "{at}: something is left");
        std::fs::write(&dump, &good).expect("the dump");
    }
    assert_same(&before, &shop.content("shop"));
}

/// Takes a place in the queue of faults and does nothing.
const NOTHING: Fault = Fault::KeepOnly(0);

#[test]
fn a_store_that_fails_whoever_reads_leaves_everything_as_it_was() {
    let shop = Shop::made(Cluster::start(17), Some(Gcs::start()), "");
    let gcs = shop.gcs.as_ref().expect("a bucket");
    let before = shop.content("shop");
    let mut failed = Vec::new();
    for (fault, code) in [(Fault::FlipBit(40), 5), (Fault::Status(404), 1), (Fault::Cut(1000), 0)] {
        // The seal and the first reading come before; then there are several who read.
        for at in 3..8 {
            for _ in 0..at {
                gcs.fail_next(Op::Get, NOTHING);
            }
            gcs.fail_next(Op::Get, fault.clone());
            let out = shop.with(&["restore", "--yes"]).env("BKP_JOBS", "2").run();
            assert_eq!(gcs.faults_left(), 0, "{fault:?} at {at}: nothing failed");
            assert!(out.code == code, "{fault:?} at {at}: {} and not {code}: {}", out.code, out.stderr);
            if code != 0 {
                out.never_says("now one does");
                failed.push(at);
            }
            assert!(
                !shop.cluster.databases().iter().any(|name| name.contains("__")),
                "{fault:?} at {at}: something is left"
            );
            assert_same(&before, &shop.content("shop"));
        }
    }
    assert_eq!(failed.len(), 10);
}

#[test]
fn a_dump_of_another_tool_that_is_changed_after_it_was_read_is_not_restored() {
    let (cluster, work) = (Cluster::start(15), WorkDir::new());
    cluster.psql("postgres", "CREATE DATABASE shop");
    cluster.psql("shop", "CREATE TABLE t (i integer); INSERT INTO t SELECT generate_series(100000, 699999)");
    let good = cluster.pg_dump("shop", []);
    let place = |what: &[u8]| good.windows(what.len()).position(|here| here == what).expect("a row") as u64;
    let (at, end) = (place(b"500000"), place(b"\\.\n"));
    std::fs::create_dir_all(work.join("bucket").join("db")).expect("a bucket");
    let dump = work.file("bucket/db/shop.sql", &good);
    for jobs in ["1", "2"] {
        // It stays a number, and SQL that loads; or its rows do not end.
        for pause in [change_to(&dump, at, b'6'), change_to(&dump, end, b'9')] {
            let bkp = Bkp::new(&cluster).bucket(&work.join("bucket")).env("POSTGRES_DB", "shop").env("BKP_JOBS", jobs);
            let bkp = bkp.env("BKP_STATE_DIR", work.join("state")).env("BKP_RESUME_COMMAND", "/bin/true");
            let out = bkp.env("BKP_PAUSE_COMMAND", pause).args(["restore", "shop.sql", "--yes"]).run().fails_with(5);
            out.says("another dump at the second reading");
            assert_ne!(std::fs::read(&dump).expect("the dump"), good, "nothing was changed");
            assert!(!cluster.databases().iter().any(|name| name.contains("__")), "something is left");
            std::fs::write(&dump, &good).expect("the dump");
        }
    }
    assert_eq!(cluster.psql("shop", "SELECT count(*), sum(i) FROM t").trim(), "600000|239999700000");
}
