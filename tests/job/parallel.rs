//! Several sessions load what one would have loaded: the same content, the same failures, and nothing left of any of them.

use std::fmt::Write as _;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::statistics::same_statistics;
use super::{Shop, gzip};
use crate::support::bkp::{Bkp, Output, Running};
use crate::support::cluster::Cluster;
use crate::support::fixtures;
use crate::support::normal::{difference, lines};
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

const TRAILER: &str = "\n--\n-- PostgreSQL database dump complete\n--\n";

/// A server with an empty bucket, and dumps that no bkp has written.
pub(super) struct Foreign {
    pub(super) cluster: Cluster,
    pub(super) work: WorkDir,
}

impl Foreign {
    pub(super) fn on(major: u32) -> Self {
        Self::of(Cluster::start(major))
    }

    pub(super) fn of(cluster: Cluster) -> Self {
        cluster.psql("postgres", "CREATE ROLE shop; CREATE ROLE \"Odd \"\"r\";");
        Self { cluster, work: WorkDir::new() }
    }

    /// Loads a dump under a name of its own.
    pub(super) fn load(&self, name: &str, dump: &[u8], jobs: &str) -> Output {
        self.start(name, dump, jobs).wait()
    }

    pub(super) fn start(&self, name: &str, dump: &[u8], jobs: &str) -> Running {
        let bucket = self.work.join("bucket");
        let folder = bucket.join("db");
        std::fs::create_dir_all(&folder).expect("the bucket's folder");
        std::fs::write(folder.join("new.sql.gz"), gzip(dump)).expect("a dump in the bucket");
        let bkp = Bkp::new(&self.cluster).bucket(&bucket).env("POSTGRES_DB", "new").env("BKP_JOBS", jobs);
        bkp.args(["restore", "--as", name, "--yes"]).spawn()
    }

    fn databases(&self) -> Vec<String> {
        let ours = |name: &String| name.contains("__bkp_");
        self.cluster.databases().into_iter().filter(ours).collect()
    }

    /// Sessions of bkp's, in any database.
    pub(super) fn sessions(&self, and: &str) -> usize {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^bkp ' {and}");
        self.cluster.psql("postgres", &sql).trim().parse().expect("a number")
    }

    #[track_caller]
    pub(super) fn same(&self, one: &str, other: &str) {
        let content = |name: &str| lines(&self.cluster.pg_dump(name, []));
        if let Some(difference) = difference(&content(one), &content(other)) {
            panic!("{one} and {other} differ:\n{difference}");
        }
        let values = "SELECT string_agg(format('%s %s %s', schemaname, sequencename, last_value), ',' ORDER BY schemaname, sequencename) FROM pg_sequences";
        assert_eq!(self.cluster.psql(one, values), self.cluster.psql(other, values));
    }

    #[track_caller]
    pub(super) fn nothing_is_left(&self) {
        until("no session of ours", || self.sessions("") == 0);
        assert!(self.databases().is_empty(), "{:?}", self.databases());
    }
}

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Rows of `(i int, t text)`: some small, some of a megabyte, with all that a text may hold.
fn rows(dice: &mut Dice, from: u64, count: u64) -> String {
    let mut out = String::new();
    for i in from..from + count {
        let long = if dice.up_to(400) == 0 { 300_000 } else { dice.up_to(60) as usize };
        let odd = ["\\N", "a\\tb\\\\", "\\\\.", "; COPY x FROM stdin;", "\u{e9}\u{4e2d}"][dice.up_to(5) as usize];
        let text = if odd == "\\N" { odd.to_owned() } else { format!("{odd}{}", "x".repeat(long)) };
        let _ = writeln!(out, "{i}\t{text}");
    }
    out
}

/// A dump as a seed makes it: tables of all sizes, and between and after their rows whatever a dump may have.
fn dump(seed: u64) -> String {
    let mut dice = Dice(seed.wrapping_mul(77) + 5);
    let mut sql = String::from(
        "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSELECT pg_catalog.set_config('search_path', '', false);\nCREATE SCHEMA s;\n",
    );
    let tables = 4 + dice.up_to(5);
    for t in 0..tables {
        let inline = if dice.up_to(5) == 0 { " PRIMARY KEY" } else { "" };
        let _ = writeln!(sql, "CREATE TABLE s.\"T {t}\" (i integer{inline}, t text);\nCREATE SEQUENCE s.q{t};");
    }
    sql.push_str("CREATE TABLE s.p (i integer NOT NULL, t text) PARTITION BY RANGE (i);\n");
    for t in 0..3 {
        let (from, to) = (t * 1000, (t + 1) * 1000);
        let _ = writeln!(
            sql,
            "CREATE TABLE s.p{t} (i integer NOT NULL, t text);\nALTER TABLE ONLY s.p ATTACH PARTITION s.p{t} FOR VALUES FROM ({from}) TO ({to});"
        );
    }
    for t in 0..tables {
        match dice.up_to(12) {
            0 => sql.push_str("SET default_tablespace = '';\n"),
            1 => sql.push_str("SET SESSION AUTHORIZATION DEFAULT;\n/* ; COPY */ -- \\.\n"),
            2 => {
                let _ = writeln!(
                    sql,
                    "INSERT INTO s.\"T {t}\" VALUES (-1, 'one');\nINSERT INTO s.\"T {t}\" VALUES (-2, 'two');"
                );
            }
            3 => {
                let _ = writeln!(
                    sql,
                    "BEGIN;\nCOPY s.\"T {t}\" FROM stdin;\n-3\tin a transaction\n\\.\nINSERT INTO s.\"T {t}\" VALUES (-4);\nCOMMIT;"
                );
            }
            4 => {
                let _ = writeln!(
                    sql,
                    "CREATE TABLE s.late{t} (i integer, t text);\nCOPY s.late{t} (i) FROM stdin;\n1\n2\n\\."
                );
            }
            5 => {
                let _ = writeln!(sql, "SELECT pg_catalog.setval('s.q{t}', {}, true);", 1 + dice.up_to(900));
            }
            6 => {
                let _ = writeln!(
                    sql,
                    "GRANT SELECT ON TABLE s.\"T {t}\" TO shop;\nALTER TABLE s.\"T {t}\" OWNER TO \"Odd \"\"r\";"
                );
            }
            7 => sql.push_str("BEGIN;\nSET LOCAL work_mem = '8MB';\nCOMMIT;\n"),
            8 => {
                let _ = writeln!(sql, "CREATE INDEX early{t} ON s.\"T {t}\" USING btree (md5(t));");
            }
            // Whoever did not hear of it reads other characters.
            9 => sql.push_str("SET client_encoding = 'LATIN1';\n"),
            10 => sql.push_str("SET client_encoding = 'UTF8';\n"),
            _ => {}
        }
        let count = [0, 1, 50, 5_000, 40_000][dice.up_to(5) as usize];
        let columns = if dice.up_to(2) == 0 { " (i, t)" } else { "" };
        let _ = write!(sql, "COPY s.\"T {t}\"{columns} FROM stdin;\n{}\\.\n\n", rows(&mut dice, 0, count));
    }
    for t in 0..3 {
        let _ = write!(sql, "COPY s.p{t} (i, t) FROM stdin;\n{}\\.\n", rows(&mut dice, t * 1000, 1000));
    }
    for t in 0..tables {
        let _ = writeln!(sql, "SELECT pg_catalog.setval('s.q{t}', {}, false);", 1 + dice.up_to(900));
    }
    for t in 0..tables {
        let _ = writeln!(
            sql,
            "--\n-- Keys\n--\n\nCREATE INDEX \"by {t}\" ON s.\"T {t}\" USING btree (i);\nCREATE INDEX also{t} ON s.\"T {t}\" USING btree (t) WHERE (length(t) < 100);\nCOMMENT ON INDEX s.\"by {t}\" IS 'x';"
        );
        let _ = writeln!(
            sql,
            "CREATE UNIQUE INDEX once{t} ON s.\"T {t}\" USING btree (i, abs(i));\nALTER TABLE ONLY s.\"T {t}\"\n    ADD CONSTRAINT key{t} UNIQUE (i);\nCOMMENT ON CONSTRAINT key{t} ON s.\"T {t}\" IS 'y';"
        );
        if dice.up_to(6) == 0 {
            let _ = writeln!(sql, "CREATE VIEW s.v{t} AS SELECT i FROM s.\"T {t}\";");
        }
        if dice.up_to(9) == 0 {
            sql.push_str("DO $$BEGIN PERFORM 1; END$$;\n");
        }
    }
    sql.push_str("ALTER TABLE ONLY s.p ADD CONSTRAINT p_key PRIMARY KEY (i);\n");
    for t in 0..3 {
        let _ = writeln!(sql, "CREATE INDEX p{t}_t ON s.p{t} USING btree (md5(t));");
    }
    for t in 1..tables {
        let (from, to) = (dice.up_to(tables), t);
        let _ = writeln!(
            sql,
            "ALTER TABLE ONLY s.\"T {from}\" ADD CONSTRAINT f{t} FOREIGN KEY (i) REFERENCES s.\"T {to}\"(i) NOT VALID;"
        );
    }
    sql.push_str("CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END$$;\n");
    for t in 0..tables {
        let _ = writeln!(sql, "CREATE TRIGGER g BEFORE INSERT ON s.\"T {t}\" FOR EACH ROW EXECUTE FUNCTION s.f();");
    }
    sql.push_str("GRANT USAGE ON SCHEMA s TO shop;\n");
    sql + TRAILER
}

fn several_sessions_load_the_same_as_one(major: u32, seeds: std::ops::Range<u64>) {
    let server = Foreign::on(major);
    let mut several = 0;
    for seed in seeds {
        let dump = dump(seed);
        let (one, four) = (format!("one{seed}"), format!("four{seed}"));
        server.load(&one, dump.as_bytes(), "1").ok().never_says("rows are loaded by");
        let out = server.load(&four, dump.as_bytes(), "4").ok();
        assert!(!out.stderr.contains("now one does"), "seed {seed}: {}", out.stderr);
        several += usize::from(out.stderr.contains("rows are loaded by 4 sessions"));
        server.same(&one, &four);
        same_statistics(&server, &one, &four);
    }
    assert!(several > 2, "{several} loads used several sessions");
    server.nothing_is_left();
}

#[test]
fn several_sessions_load_the_same_as_one_on_14() {
    several_sessions_load_the_same_as_one(14, 0..5);
}

#[test]
fn several_sessions_load_the_same_as_one_on_18() {
    several_sessions_load_the_same_as_one(18, 5..10);
}

#[test]
fn everything_that_a_dump_can_contain_is_loaded_by_four_as_by_one() {
    for major in [14, 18] {
        let cluster = Cluster::start(major);
        fixtures::everything(&cluster);
        let dump = cluster.pg_dump(fixtures::SHOP, []);
        let server = Foreign { cluster, work: WorkDir::new() };
        server.load("one", &dump, "1").ok();
        server.load("four", &dump, "4").ok();
        server.same("one", "four");
        same_statistics(&server, "one", "four");
    }
}

/// A dump of one table, with rows of so many bytes and what comes after them.
pub(super) fn table(rows: &str, after: &str) -> String {
    let before = "SET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\n\
                  CREATE TABLE public.much (i integer, t text);\nCREATE TABLE public.other (i integer);\n";
    format!(
        "{before}COPY public.much (i, t) FROM stdin;\n{rows}\\.\n\nCOPY public.other (i) FROM stdin;\n1\n-5\n\\.\n{after}\n{TRAILER}"
    )
}

pub(super) fn many(count: u64) -> String {
    (0..count).map(|i| format!("{i}\t{}\n", "y".repeat(100))).collect()
}

#[test]
fn a_large_table_is_dealt_out_to_all_sessions() {
    let server = Foreign::on(16);
    let dump = table(&many(300_000), "");
    server.load("new", dump.as_bytes(), "4").ok().says("rows are loaded by 4 sessions");
    let found = server.cluster.psql("new", "SELECT count(*), count(DISTINCT i), count(DISTINCT xmin::text) FROM much");
    assert_eq!(found.trim(), "300000|300000|4");
}

#[test]
fn where_the_order_of_rows_can_matter_one_session_loads() {
    let server = Foreign::on(15);
    let trigger = "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END$$;\n\
                   CREATE TRIGGER g BEFORE INSERT ON public.much FOR EACH ROW EXECUTE FUNCTION public.f();\n";
    let key = "ALTER TABLE public.other ADD PRIMARY KEY (i);\nALTER TABLE public.much ADD FOREIGN KEY (i) REFERENCES public.other;\n";
    let event = "CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;\n\
                 CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION public.e();\n";
    for (name, before, why) in [("a", trigger, "a trigger"), ("b", key, "a foreign key"), ("c", event, "")] {
        let dump = table("", "").replacen("COPY", &format!("{before}COPY"), 1);
        let out = server.load(name, dump.as_bytes(), "4").ok().never_says("sessions");
        assert!(out.stderr.contains(why), "{}", out.stderr);
    }
    // Between rows and rows, too.
    let between =
        table("", "").replacen("\\.\n", &format!("\\.\n{}", trigger.replace("public.much", "public.other")), 1);
    let out = server.load("e", between.as_bytes(), "4").ok().says("rows are loaded by 4 sessions");
    out.says("one session loads the rest of e__bkp_").says("a trigger is there");
    let temporary = table("", "").replacen("COPY", "CREATE TEMP TABLE x (i int);\nCOPY", 1);
    server.load("d", temporary.as_bytes(), "4").ok().never_says("sessions");
}

#[test]
fn failures_are_told_as_by_one_session() {
    let server = Foreign::on(15);
    let keys = "ALTER TABLE ONLY public.much\n    ADD CONSTRAINT k PRIMARY KEY (i);\n\
                CREATE INDEX fine ON public.other USING btree (i);\n\
                ALTER TABLE ONLY public.other\n    ADD CONSTRAINT f FOREIGN KEY (i) REFERENCES public.much(i);\n\
                CREATE UNIQUE INDEX twice ON public.other USING btree (abs(i - i));";
    let bad = many(60_000).replacen("\n41234\t", "\nx4hush\t", 1);
    let one_more = format!("{}7\tagain\n", many(60_000));
    for (what, dump, codes) in [
        ("a bad row far down a table that is dealt out", table(&bad, ""), &["22P02"][..]),
        ("a duplicate key, and an index that is not", table(&one_more, keys), &["23505"]),
        ("a foreign key that is broken, and an index", table(&many(60_000), keys), &["23503", "23505"]),
    ] {
        let told = |jobs: &str| {
            let out = server.load("new", dump.as_bytes(), jobs).fails_with(1);
            server.nothing_is_left();
            codes.iter().for_each(|code| assert!(out.stderr.contains(code), "{what}: {}", out.stderr));
            assert_eq!(out.stderr.contains("rows are loaded by"), jobs != "1", "{what}: {}", out.stderr);
            let of_dump = |line: &&str| {
                !line.contains(" WARN ")
                    && (line.contains("of the dump") && !line.contains("hint: ") || line.contains("statements failed"))
            };
            let told: Vec<String> = out.stderr.lines().filter(of_dump).map(unnamed).collect();
            assert!(!told.is_empty() && !out.stderr.contains("x4hush"), "{what}: {}", out.stderr);
            told
        };
        assert_eq!(told("1"), told("4"), "{what}");
    }
    let line = bad.lines().position(|line| line.starts_with("x4hush")).expect("there") + 6;
    let out = server.load("new", table(&bad, "").as_bytes(), "4").fails_with(1);
    out.says(&format!("line {line} of the dump")).says("COPY much, row 41235, column i");
}

/// A line without what every run has for itself: the time, and the name of what it loads into.
pub(super) fn unnamed(line: &str) -> String {
    let line = line.find("the replay").map_or(line, |at| &line[at..]);
    line.split(' ').filter(|word| !word.contains("__bkp_")).collect::<Vec<_>>().join(" ")
}

/// Psql processes that belong to a bkp.
fn psqls(of: &Running) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        if parent == Some(&of.pid().to_string()) && stat.contains("(psql") {
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}

/// A load that is slow in its rows (a check that sleeps) or after them (an index that does).
fn slow(server: &Foreign, among_rows: bool) -> Running {
    let nap = "CREATE FUNCTION public.nap(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM pg_catalog.pg_sleep(0.05); RETURN i; END$$;\n";
    let check =
        if among_rows { "ALTER TABLE public.much ADD CHECK (pg_catalog.pg_sleep(0.05)::text = '');\n" } else { "" };
    let indexes = "CREATE INDEX a ON public.much USING btree (public.nap(i));\nCREATE INDEX b ON public.much USING btree (public.nap(i + 1));\n";
    let dump = table(&many(60_000), if among_rows { "" } else { indexes });
    let dump = dump.replacen("COPY", &format!("{nap}{check}COPY"), 1);
    let mut running = server.start("new", dump.as_bytes(), "3");
    let at = if among_rows { "COPY" } else { "CREATE INDEX" };
    until("two sessions at it", || {
        assert!(running.running(), "it has ended");
        server.sessions(&format!("AND state = 'active' AND query ~ '{at}'")) >= 2
    });
    running
}

#[test]
fn a_session_that_is_killed_or_ended_fails_the_load_and_takes_the_others_along() {
    let server = Foreign::on(15);
    for among_rows in [true, false] {
        let running = slow(&server, among_rows);
        let children = psqls(&running);
        assert_eq!(children.len(), 3, "{children:?}");
        kill_process(children[1], Signal::KILL).expect("killed");
        running.wait().fails_with(1).says("was killed by signal 9");
        server.nothing_is_left();
        let running = slow(&server, among_rows);
        let at = if among_rows { "COPY" } else { "CREATE INDEX" };
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^bkp ' AND query ~ '{at}' LIMIT 1"
        );
        server.cluster.psql("postgres", &end);
        running.wait().fails_with(1).says("57P01");
        server.nothing_is_left();
    }
}

#[test]
fn a_load_that_is_stopped_leaves_no_session_and_one_that_is_killed_is_cleared_by_the_next() {
    let server = Foreign::on(15);
    for among_rows in [true, false] {
        let running = slow(&server, among_rows);
        running.kill(Signal::TERM);
        running.wait().fails_with(143);
        server.nothing_is_left();
        let running = slow(&server, among_rows);
        running.kill(Signal::KILL);
        running.wait().fails_with(137);
        server.load("after", table("", "").as_bytes(), "2").ok();
        server.nothing_is_left();
        server.cluster.psql("postgres", "DROP DATABASE after");
    }
}

#[test]
fn where_the_server_has_no_connection_left_fewer_sessions_load() {
    let shop = Shop::open();
    shop.cluster.psql("shop", "CREATE TABLE much AS SELECT i, repeat('x', 50) FROM generate_series(1, 50000) i");
    shop.cluster.psql(
        "postgres",
        "ALTER ROLE shop CREATEDB CONNECTION LIMIT 5 PASSWORD 'pw'; ALTER TABLE IF EXISTS much OWNER TO shop",
    );
    shop.cluster
        .psql("shop", "ALTER TABLE much OWNER TO shop; ALTER SCHEMA public OWNER TO shop; DROP VIEW IF EXISTS x");
    shop.bkp(["backup"]).run().ok();
    let as_shop = shop.bkp(["restore", "--as", "copy"]).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw");
    let out = as_shop.env("BKP_JOBS", "16").within(Duration::from_secs(60)).run().ok();
    assert!(out.stderr.contains("the server has few free"), "{}", out.stderr);
    assert_eq!(shop.cluster.psql("copy", "SELECT count(*) FROM much").trim(), "50000");
}
