//! Several sessions read what pg_dump would: the same text, of the same moment, and nothing left behind when it fails.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;

use super::producers::clients_with;
use super::{Shop, dumps, gunzip};
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::fixtures;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// A server with large tables, and a bucket that was made.
pub(super) struct Large {
    pub cluster: Cluster,
    pub work: WorkDir,
}

impl Large {
    pub fn open(major: u32) -> Self {
        Self::with(major, "large.sql")
    }

    pub fn with(major: u32, fixture: &str) -> Self {
        let cluster = Cluster::start(major);
        fixtures::load(&cluster, "postgres", "shop_role.sql");
        fixtures::load(&cluster, "shop", fixture);
        Self::on(cluster)
    }

    pub fn on(cluster: Cluster) -> Self {
        let large = Self { cluster, work: WorkDir::new() };
        large.bkp("1", "shop").args(["init"]).run().ok();
        large
    }

    pub fn bkp(&self, jobs: &str, database: &str) -> Bkp {
        let bucket = self.work.join("bucket");
        Bkp::new(&self.cluster).bucket(&bucket).env("POSTGRES_DB", database).env("BKP_JOBS", jobs)
    }

    /// A dump as SQL, without what differs in every run: pg_dump's keys and the seal.
    pub fn sql(&self, jobs: &str, database: &str, said: &str) -> Vec<u8> {
        self.bkp(jobs, database).args(["backup"]).run().ok().says(said);
        self.newest()
    }

    pub fn newest(&self) -> Vec<u8> {
        let sql = gunzip(&fs::read(dumps(&self.work.join("bucket")).pop().expect("a dump")).expect("read"));
        let varies = |line: &&[u8]| {
            line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ") || line.starts_with(b"-- bkp seal ")
        };
        sql.split_inclusive(|byte| *byte == b'\n').filter(|line| !varies(line)).flatten().copied().collect()
    }

    pub fn dumps(&self) -> usize {
        dumps(&self.work.join("bucket")).len()
    }

    /// Lets a statement run in a loop of its own, until the value is dropped.
    pub(super) fn looping(&self, body: &str) -> Looping<'_> {
        let mut psql = self.cluster.client("psql");
        psql.args(["-X", "-q", "-d", "shop"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = psql.spawn().expect("psql");
        let script = format!(
            "SET statement_timeout = 0; SET application_name = 'looping'; DO $$ BEGIN LOOP {body} END LOOP; END $$;\n"
        );
        child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
        until("the loop", || self.cluster.psql("postgres", LOOPS) == "1");
        Looping { large: self, child }
    }

    fn sessions_end(&self) {
        let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'bkp%'";
        until("our sessions to end", || {
            self.cluster.psql("postgres", &format!("{ours} AND pid <> pg_backend_pid()")) == "0"
        });
    }
}

const LOOPS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'looping' AND query LIKE 'DO %'";

pub(super) struct Looping<'a> {
    large: &'a Large,
    child: std::process::Child,
}

impl Drop for Looping<'_> {
    fn drop(&mut self) {
        let _ = self.large.cluster.try_psql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'looping'",
        );
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two texts are the same; where they part is told in few words.
#[track_caller]
pub(super) fn assert_equal(serial: &[u8], parallel: &[u8]) {
    if serial == parallel {
        return;
    }
    let at = serial.iter().zip(parallel).take_while(|(a, b)| a == b).count();
    let around =
        |text: &[u8]| String::from_utf8_lossy(&text[at.saturating_sub(300)..text.len().min(at + 300)]).into_owned();
    panic!(
        "{} and {} bytes, different at {at}:\n{}\n=====\n{}",
        serial.len(),
        parallel.len(),
        around(serial),
        around(parallel)
    );
}

fn every_byte_is_pg_dumps(major: u32) {
    let large = Large::open(major);
    let serial = large.sql("1", "shop", "dumped database shop");
    assert_equal(&serial, &large.sql("3", "shop", "3 sessions read its 9 large tables"));
}

#[test]
fn every_byte_is_pg_dumps_on_14() {
    every_byte_is_pg_dumps(14);
}

#[test]
fn every_byte_is_pg_dumps_on_15() {
    every_byte_is_pg_dumps(15);
}

#[test]
fn every_byte_is_pg_dumps_on_16() {
    every_byte_is_pg_dumps(16);
}

#[test]
fn every_byte_is_pg_dumps_on_17() {
    every_byte_is_pg_dumps(17);
}

#[test]
fn every_byte_is_pg_dumps_on_18_and_on_its_standby() {
    let large = Large::open(18);
    let serial = large.sql("1", "shop", "dumped database shop");
    assert_equal(&serial, &large.sql("2", "shop", "2 sessions read its 9 large tables"));
    let standby = Large::on(Cluster::standby_of(&large.cluster));
    let serial = standby.sql("1", "shop", "the server is a standby");
    assert_equal(&serial, &standby.sql("2", "shop", "2 sessions read its 9 large tables"));
}

#[test]
fn a_server_of_13_is_read_by_pg_dump_alone() {
    let large = Large::with(13, "shop.sql");
    large.cluster.psql("shop", "CREATE TABLE big AS SELECT repeat('x', 1900) AS t FROM generate_series(1, 6000)");
    large.bkp("4", "shop").args(["backup"]).run().ok().never_says("sessions read");
}

#[test]
fn bytes_of_other_encodings_pass_as_they_are() {
    let large = Large::with(17, "shop.sql");
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = encoding.to_lowercase();
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'");
        large.cluster.psql("postgres", &create);
        // A byte that is a letter in the one, and no text at all in UTF-8.
        let script = format!(
            "SET client_encoding = '{encoding}'; CREATE TABLE rows AS SELECT n, repeat(E'\\xe4', 1000) || n AS t FROM generate_series(1, 9000) n;
             CREATE TABLE \"t\u{1}\" AS SELECT * FROM rows; CREATE INDEX ON rows (n);"
        );
        // The second table's name is that byte.
        let script: Vec<u8> = script.bytes().map(|byte| if byte == 1 { 0xe4 } else { byte }).collect();
        let ran = large.cluster.psql_bytes(&name, &script);
        assert!(ran.success, "{}", ran.stderr);
        let serial = large.sql("1", &name, "dumped database");
        assert!(serial.windows(9).any(|bytes| bytes == [0xe4; 9]), "{encoding}: the bytes themselves");
        // The one whose name cannot be told to pg_dump is left to it.
        assert_equal(&serial, &large.sql("2", &name, "2 sessions read its 1 large table"));
    }
}

#[test]
fn all_sessions_see_the_same_moment() {
    let large = Large::with(17, "shop.sql");
    let table = |name: &str, rows: u32| {
        format!(
            "CREATE TABLE {name} (id integer PRIMARY KEY, money bigint, filler text) WITH (fillfactor = 60);
             INSERT INTO {name} SELECT n, 1000, repeat('x', 200) FROM generate_series(1, {rows}) n;"
        )
    };
    large.cluster.psql("shop", &(table("cash", 40_000) + &table("bank", 40_000) + &table("purse", 100)));
    // The purse is small, and pg_dump's; sessions of ours read the others.
    let _writer = large.looping(
        "UPDATE purse SET money = money - 7 WHERE id = (SELECT 1 + (random() * 99)::int);
         UPDATE cash SET money = money + 3 WHERE id = (SELECT 1 + (random() * 39999)::int);
         UPDATE bank SET money = money + 4 WHERE id = (SELECT 1 + (random() * 39999)::int); COMMIT;",
    );
    let filler = format!("\t{}", "x".repeat(200));
    for _ in 0..2 {
        let sql = large.sql("4", "shop", "4 sessions read its 2 large tables");
        let text = String::from_utf8(sql).expect("UTF-8");
        let rows = text.lines().filter_map(|line| line.strip_suffix(&filler));
        let money: Vec<i64> = rows.filter_map(|line| line.split('\t').nth(1)?.parse().ok()).collect();
        assert_eq!((money.len(), money.iter().sum::<i64>()), (80_100, 80_100_000));
    }
}

#[test]
fn a_session_that_is_ended_by_the_server_ends_the_run() {
    let large = Large::open(16);
    let _killer = large.looping(
        "PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (%' AND state = 'active' LIMIT 1;
         PERFORM pg_stat_clear_snapshot();",
    );
    large.bkp("2", "shop").args(["backup"]).run().fails_with(1).says("reading");
    assert_eq!(large.dumps(), 0);
    large.sessions_end();
}

/// A shop with a table that is read by our sessions, and one that pg_dump writes for a while.
pub(super) fn shop_with_a_large_table() -> Shop {
    let shop = Shop::open_on(17);
    let rows = "AS SELECT n, repeat('x', 1900) AS t FROM generate_series(1, ";
    shop.cluster.psql("shop", &format!("CREATE TABLE large {rows} 6000) n; CREATE TABLE later {rows} 3000) n"));
    shop
}

/// The clients with a pg_dump that does this when our sessions read, too.
pub(super) fn clients_doing(shop: &Shop, script: &str) -> PathBuf {
    let together = "case \"$*\" in *exclude-table-data*) ;; *) exec $REAL \"$@\" ;; esac";
    let psql = "psql=\"$(dirname $REAL)/psql -X -A -t -d shop\"";
    clients_with(shop, "pg_dump", &format!("{together}\n{psql}\n{script}"))
}

#[test]
fn a_run_that_is_told_to_end_while_sessions_read_leaves_none() {
    // The rest of the dump does not come while bkp lives.
    let script = "$REAL \"$@\" | head -c 3000; while kill -0 $PPID; do sleep 0.1; done";
    for (signal, code) in [(Signal::TERM, 143), (Signal::KILL, 137)] {
        let shop = shop_with_a_large_table();
        let clients = clients_doing(&shop, script);
        let run = shop.bkp(["backup"]).env("BKP_JOBS", "2").env("BKP_PG_BIN", &clients).spawn();
        let count = |what: &str| {
            let ours = "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND";
            shop.cluster.psql("postgres", &format!("{ours} {what}"))
        };
        until("sessions that read", || count("(query LIKE 'COPY (SELECT %' OR query LIKE '%to_regclass($%')") == "2");
        run.kill(signal);
        run.wait().fails_with(code);
        shop.bkp(["list"]).run().ok().says("no backups yet");
        until("our sessions to end", || count("application_name LIKE 'bkp%'") == "0");
    }
}

/// What was read by pg_dump alone: the table as somebody has changed it, with all of its rows.
fn all_rows_are_there(shop: &Shop, clients: &Path) {
    shop.bkp(["backup"]).env("BKP_JOBS", "2").env("BKP_PG_BIN", clients).run().ok().says("by pg_dump alone");
    let sql = gunzip(&fs::read(&shop.dumps()[0]).expect("read"));
    let sql = String::from_utf8_lossy(&sql);
    let (_, rows) = sql.split_once("\nCOPY public.large (n, t, fresh) FROM stdin;\n").expect("the new column");
    assert_eq!(rows.lines().take_while(|line| *line != "\\.").count(), 6000);
}

/// pg_dump has its locks; while it writes, somebody asks for a table for himself.
#[test]
fn a_table_that_somebody_waits_for_is_given_to_him_first() {
    let shop = shop_with_a_large_table();
    let clients = clients_doing(
        &shop,
        r#"$REAL "$@" | { IFS= read -r line
setsid $psql -c 'ALTER TABLE large ADD COLUMN fresh text DEFAULT random()' >/dev/null 2>&1 &
until [ "$($psql -c 'SELECT count(*) FROM pg_locks WHERE NOT granted')" = 1 ]; do :; done
echo "$line"; cat; }"#,
    );
    all_rows_are_there(&shop, &clients);
}

/// pg_dump has ended and has no locks any more, ours are not there yet, and the snapshot sees nothing in what is new.
#[test]
fn a_table_that_was_made_anew_before_it_could_be_locked_is_not_taken_for_an_empty_one() {
    for change in [
        "ALTER TABLE large ADD COLUMN fresh text DEFAULT random()",
        "CREATE TABLE new AS SELECT *, 1 AS fresh FROM large; ALTER TABLE large RENAME TO old; ALTER TABLE new RENAME TO large",
    ] {
        let shop = shop_with_a_large_table();
        let script = format!("$REAL \"$@\" >\"$0.out\"; $psql -c '{change}' >/dev/null; cat \"$0.out\"");
        all_rows_are_there(&shop, &clients_doing(&shop, &script));
    }
}
