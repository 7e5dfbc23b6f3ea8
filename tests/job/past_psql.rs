//! Rows of large tables go to the server past psql, where that makes no difference: the same content, the same failures, and nothing left.

use rustix::process::Signal;

use super::stretches::{Shop, assert_same};
use crate::support::bkp::Running;
use crate::support::cluster::Cluster;
use crate::support::wait::until;

impl Shop {
    fn counts(&self, of: &str) -> String {
        self.cluster.psql("postgres", &format!("SELECT count(*) FROM {of}")).trim().to_owned()
    }

    /// A restore in the middle of a table that waits for a minute there.
    fn slow(&self) -> Running {
        let mut running =
            self.with(&["restore", "--only", "shop", "--as", "slow", "--yes"]).env("BKP_JOBS", "2").spawn();
        until("a COPY that waits", || {
            assert!(running.running(), "it has ended");
            self.counts("pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'COPY s.a %FREEZE%'") == "1"
        });
        running
    }

    fn nothing_is_left(&self) {
        until("no session of ours", || self.counts("pg_stat_activity WHERE application_name ~ '^bkp '") == "0");
        assert_eq!(self.counts("pg_database WHERE datname ~ 'slow|wrong|__'"), "0", "{:?}", self.cluster.databases());
    }
}

#[test]
fn what_is_bad_is_told_in_the_same_words() {
    let shop = Shop::on(16);
    let good = std::fs::read(shop.dump()).expect("the dump");
    let text = shop.cluster.psql("shop", "SELECT left(t, 9) FROM s.c WHERE i = 34567");
    let told = |jobs: &str, code: &str| {
        let restore = shop.with(&["restore", "--only", "shop", "--as", "wrong", "--yes"]).env("BKP_JOBS", jobs);
        let out = restore.run().fails_with(1).never_says("now one does");
        shop.nothing_is_left();
        assert_eq!(out.stderr.contains("s.c is copied frozen, past psql, in binary"), jobs == "2", "{}", out.stderr);
        let line = out.stderr.lines().find(|line| line.contains(code)).expect(code);
        line[line.find("line ").expect("a place")..].to_owned()
    };
    let row = format!("\n34567\t{}", text.trim());
    let [table, short] =
        ["text", "character varying(384)"].map(|t| format!("TABLE s.c (\n    i integer NOT NULL,\n    t {t}\n"));
    // From here on rows go as text: PostgreSQL writes no such number, and takes it.
    let odd = ("\n20000\t", "\n 20000\t");
    // A value; one that is too long for the server; a line end of others; behind the rows, a key on them; each with its line of the dump.
    for (changes, code, says) in [
        (&[(&*row, "\nno number\t")][..], "22P02", "row 34567"),
        (&[odd, (&row, "\nno number\t")], "22P02", "row 34567"),
        (&[(&table, &short), (&row, "\n34567\t0123456789")], "22001", "row 34567"),
        (&[(&table, &short), odd, (&row, "\n34567\t0123456789")], "22001", "row 34567"),
        (&[(&row, "\n34567\t\r")], "22P04", "row 34567"),
        (&[odd, (&row, "\n34567\t\r")], "22P04", "row 34567"),
        (&[(&row, "\n34566\t")], "23505", "ADD CONSTRAINT"),
    ] {
        std::fs::write(shop.dump(), &good).expect("the dump");
        changes.iter().for_each(|(from, to)| shop.rewrite(from, to));
        let by_psql = told("1", code);
        assert!(by_psql.contains(says), "{by_psql}");
        assert!(!by_psql.contains("no number"), "a value is told: {by_psql}");
        assert_eq!(by_psql, told("2", code));
    }
}

#[test]
fn what_several_sessions_have_collected_is_told_together() {
    let shop = Shop::on(16);
    // The key that another one refers to: whichever session makes which, both have failed before the next database begins.
    shop.rewrite("\n34567\t", "\n34566\t");
    for _ in 0..6 {
        let restore = shop.with(&["restore", "--only", "shop", "--as", "wrong", "--yes"]).env("BKP_JOBS", "2");
        let out = restore.run().fails_with(1).says("rows are loaded by 2 sessions").never_says("now one does");
        out.says("2 statements failed").says("23505").says("42830");
        shop.nothing_is_left();
    }
}

#[test]
fn a_session_past_psql_that_is_ended_fails_the_load() {
    let shop = Shop::on(17);
    let running = shop.slow();
    shop.cluster.psql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'COPY s.a %'",
    );
    // By the words of whichever comes first, the server's or the connection's end.
    let out = running.wait().fails_with(1).says("s.a is copied frozen, past psql");
    out.says("the server went away; when it is back, run the restore again");
    shop.nothing_is_left();
}

#[test]
fn a_load_past_psql_that_is_stopped_leaves_nothing_and_one_that_is_killed_is_cleared_by_the_next() {
    let shop = Shop::on(18);
    let running = shop.slow();
    running.kill(Signal::TERM);
    running.wait().fails_with(143).says("s.a is copied frozen, past psql");
    shop.nothing_is_left();
    let running = shop.slow();
    running.kill(Signal::KILL);
    running.wait().fails_with(137).says("s.a is copied frozen, past psql");
    assert_eq!(shop.counts("pg_database WHERE datname ~ '^slow__'"), "1", "a load was killed");
    let before = shop.content("shop");
    shop.bkp(&["restore", "--only", "shop", "--as", "after", "--yes"]).ok();
    assert_same(&before, &shop.content("after"));
    shop.nothing_is_left();
}

#[test]
fn where_its_text_is_not_utf_8_or_the_server_has_few_free_sessions_psql_has_all_rows() {
    let latin = "ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    let few = Cluster::options(15).conf("max_connections = 16").start();
    for shop in [Shop::made(Cluster::start(15), None, latin), Shop::made(few, None, "")] {
        let before = shop.content("shop");
        shop.cluster.psql("shop", "DROP TABLE s.b");
        let out = shop.bkp(&["restore", "--only", "shop", "--yes"]).ok().says("rows are loaded by 2 sessions");
        out.says("s.a is copied frozen, by psql").never_says("past psql");
        assert_same(&before, &shop.content("shop"));
    }
}

#[test]
fn where_a_session_is_set_psql_has_all_rows_from_there_on() {
    let shop = Shop::on(15);
    // A table's rows may depend on it, and no catalogue lists it.
    shop.rewrite("\nCOPY s.b (", "\nSET shop.tenant = 'x';\nCOPY s.b (");
    let before = shop.content("shop");
    let out = shop.bkp(&["restore", "--only", "shop", "--yes"]).ok();
    let out = out.says("s.a is copied frozen, past psql").says("s.b is copied frozen, by psql");
    out.says("s.c is copied frozen, by psql");
    assert_same(&before, &shop.content("shop"));
}

#[test]
fn where_no_session_like_its_own_can_be_had_psql_has_all_rows() {
    let shop = Shop::on(16);
    let slow = "UPDATE pg_catalog.pg_language SET lanname = lanname WHERE CASE lanname WHEN 'c' THEN pg_catalog.pg_sleep(5) IS NULL END;";
    shop.rewrite("\nCREATE TABLE s.a (", &format!("\n{slow}\nCREATE TABLE s.a ("));
    let before = shop.content("shop");
    let restore = shop.with(&["restore", "--only", "shop", "--yes"]).env("BKP_JOBS", "2").spawn();
    until("the first session", || shop.counts("pg_stat_activity WHERE wait_event = 'PgSleep'") == "1");
    // From here on every session is another.
    shop.cluster.psql("postgres", "ALTER ROLE postgres SET work_mem = '7MB'");
    let out =
        restore.wait().ok().says("rows go through psql: no session like its own can be had").says("frozen, by psql");
    // The second one has been opened since.
    out.says("frozen, past psql");
    assert_same(&before, &shop.content("shop"));
}
