//! What becomes binary rows of a dump's text is, byte for byte, what the server itself writes; what cannot become them comes back as well.

use std::path::Path;

use bkp::sources::postgres::binary::{Encoder, HEADER, Kind, TRAILER};
use bytes::Bytes;

use super::stretches::assert_same;
use crate::support::bkp::{Bkp, Running};
use crate::support::cluster::Cluster;
use crate::support::normal::lines;
use crate::support::parts::MAJORS;
use crate::support::workdir::WorkDir;

/// Every type that can be told, with values all over its range.
const ALL: &str = include_str!("kinds.sql");

/// The types of a table's columns; those of an enum as text.
fn kinds(cluster: &Cluster, table: &str) -> Vec<Kind> {
    let asked = format!(
        "SELECT CASE typtype WHEN 'e' THEN 25 ELSE t.oid END FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
         WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    );
    let oids = cluster.psql("shop", &asked);
    oids.lines().map(|oid| Kind::of(oid.parse().expect("a number")).expect("a kind")).collect()
}

/// A table as text and as binary rows.
fn written(cluster: &Cluster, dir: &Path, table: &str, set: &str) -> [Vec<u8>; 2] {
    ["text", "binary"].map(|form| {
        let file = dir.join(form);
        let file = file.display();
        cluster.psql("shop", &format!("SET DateStyle = ISO; {set} COPY {table} TO '{file}' (FORMAT {form})"));
        std::fs::read(dir.join(form)).expect("rows")
    })
}

/// What comes of text in pieces of this length, and what of it could not be told.
fn encoded(kinds: &[Kind], text: &[u8], length: usize) -> (Vec<u8>, Vec<u8>) {
    let mut encoder = Encoder::new(kinds.to_vec()).expect("columns");
    let mut binary = HEADER.to_vec();
    for rows in text.chunks(length) {
        if encoder.has_given_up() {
            break;
        }
        encoder.push(Bytes::copy_from_slice(rows));
        while let Some(rows) = encoder.next(64 << 10) {
            binary.extend_from_slice(&rows);
            encoder.ends_batch();
        }
    }
    binary.extend_from_slice(TRAILER);
    (binary, encoder.rest().concat())
}

#[test]
fn every_kind_of_value_is_what_the_server_writes_of_it_whatever_its_major_and_its_zone() {
    for major in [13].into_iter().chain(MAJORS) {
        let cluster = Cluster::start(major);
        cluster.psql("postgres", "CREATE DATABASE shop");
        cluster.psql("shop", ALL);
        let (kinds, dir) = (kinds(&cluster, "kinds"), cluster.server_dir("rows"));
        for zone in ["UTC", "Asia/Kathmandu", "Europe/Amsterdam", "America/St_Johns", "-15:59", "+15:59"] {
            let [text, binary] = written(&cluster, &dir, "kinds", &format!("SET TimeZone = '{zone}';"));
            assert!(text.len() > 3_000_000, "{} bytes", text.len());
            for length in [64 << 10, 1000] {
                let (found, rest) = encoded(&kinds, &text, length);
                let rest = String::from_utf8_lossy(&rest);
                assert_eq!(rest.lines().next(), None, "{major}, {zone}");
                let place = found.iter().zip(&binary).position(|(found, wanted)| found != wanted);
                assert!(found == binary, "{major}, {zone}: another at {place:?}");
            }
        }
    }
}

/// Values that have no telling, and that the server takes.
const NOT_TOLD: [(&str, &str); 15] = [
    ("date", "infinity"),
    ("date", "0044-03-15 BC"),
    ("date", "10000-01-01"),
    ("timestamp", "-infinity"),
    ("timestamp", "0044-03-15 12:00:00 BC"),
    ("timestamp", "12345-01-01 00:00:00"),
    ("timestamptz", "infinity"),
    ("timestamptz", "0044-03-15 12:00:00+00 BC"),
    ("numeric", "NaN"),
    ("text[]", "{{a},{b}}"),
    ("text[]", "[0:1]={a,b}"),
    ("integer[]", "[2:2]={7}"),
    ("timestamp[]", "{infinity}"),
    ("numeric[]", "{NaN}"),
    // More digits than are counted.
    ("numeric", "1e1000"),
];

#[test]
fn what_the_server_writes_otherwise_is_not_told() {
    let cluster = Cluster::start(17);
    cluster.psql("postgres", "CREATE DATABASE shop");
    let dir = cluster.server_dir("rows");
    for (kind, value) in NOT_TOLD {
        cluster.psql(
            "shop",
            &format!(
                "DROP TABLE IF EXISTS odd; CREATE TABLE odd (i integer, odd {kind});
                 INSERT INTO odd VALUES (1, NULL), (2, '{value}'), (3, NULL)"
            ),
        );
        let [text, binary] = written(&cluster, &dir, "odd", "");
        let (found, rest) = encoded(&kinds(&cluster, "odd"), &text, 1000);
        let first = HEADER.len() + 2 + 8 + 4;
        assert!(rest.starts_with(b"2\t") && rest.ends_with(b"\n3\t\\N\n"), "{value} of {kind}");
        assert_eq!(found, [&binary[..first], TRAILER].concat(), "{value} of {kind}");
    }
}

#[test]
fn what_is_not_told_comes_back_as_text_with_all_that_is_before_and_behind_it() {
    let cluster = Cluster::start(16);
    let work = WorkDir::new();
    cluster.psql("postgres", "CREATE DATABASE shop");
    let mut script = String::new();
    let mut table = |name: &str, columns: &str, third: &str| {
        let rows = format!("SELECT i, repeat(md5(i::text), 14) {third} FROM generate_series(1, 50000) i");
        script.push_str(&format!("CREATE TABLE {name} ({columns}); INSERT INTO {name} {rows};"));
    };
    table(
        "ends",
        "i integer, t text, at date",
        ", CASE i % 46000 WHEN 0 THEN 'infinity' ELSE DATE '2024-02-29' + i END",
    );
    table("long", "i integer, t text, u text", ", CASE i WHEN 46000 THEN repeat(E'é\\n', 2000000) END");
    table("\"Odd, (names)\"", "i integer, \"t, (x) FROM stdin\" text", "");
    // Neither of a type that can be told, nor of all columns.
    table("none", "i integer, t text, at point", ", point '(1,2)'");
    table("made", "i integer, t text, d integer GENERATED ALWAYS AS (i * 2) STORED", "");
    // What comes last may be dealt out among sessions.
    table("tail", "i integer, t text", "");
    cluster.psql("shop", &script);
    cluster.psql("shop", &format!("{ALL} {}", "INSERT INTO kinds SELECT * FROM kinds;".repeat(3)));
    let content = || lines(&cluster.pg_dump("shop", []));
    let before = content();
    let bkp = |arguments: &[&str]| {
        let bkp = Bkp::new(&cluster).bucket(&work.join("bucket")).env("POSTGRES_DB", "shop").env("BKP_JOBS", "2");
        let bkp = bkp.env("RUST_LOG", "warn,bkp=debug").env("BKP_STATE_DIR", work.join("state"));
        bkp.env("BKP_KEEP_REPLACED", "never").args(arguments).run()
    };
    bkp(&["init"]).ok();
    bkp(&["backup"]).ok();
    cluster.psql("shop", "DROP TABLE ends, none, made");
    let out = bkp(&["restore", "--yes"]).ok();
    assert_same(&before, &content());
    for (table, is_binary) in
        [("ends", true), ("long", true), ("kinds", true), ("Odd, (names)", true), ("none", false), ("made", false)]
    {
        let copied = format!("public.{table} is copied frozen, past psql");
        let line = out.stderr.lines().find(|line| line.contains(&copied)).expect(&out.stderr);
        assert_eq!(line.ends_with(", in binary"), is_binary, "{line}");
    }
    assert_eq!(out.stderr.matches("rows go as text from row ").count(), 2, "{}", out.stderr);
    assert_eq!(out.stderr.matches("rows go as text from row 46000 on").count(), 2, "{}", out.stderr);
    // Where NULL in an array is a word, only the server reads it, and refuses it of some types.
    cluster.psql("postgres", "ALTER ROLE postgres SET array_nulls = off");
    let out = bkp(&["restore", "--yes"]).fails_with(1).says("public.kinds is copied frozen, past psql");
    out.says("22P02: invalid input syntax for type boolean").never_says("in binary");
}

/// The most memory of its own, in bytes, that any process of a server has while `running` runs.
fn most_memory(cluster: &Cluster, running: &mut Running) -> u64 {
    let server = std::fs::read_to_string(cluster.data_dir().join("postmaster.pid")).expect("a server");
    let server = format!("PPid:\t{}", server.lines().next().expect("its number"));
    let kilobytes = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let mut most = 0;
    while running.running() {
        let all = std::fs::read_dir("/proc").expect("processes").flatten();
        let status = all.filter_map(|process| std::fs::read_to_string(process.path().join("status")).ok());
        let ours = status.filter(|status| status.lines().any(|line| line == server));
        most = ours.filter_map(|status| kilobytes(&status)).fold(most, u64::max);
    }
    most * 1024
}

#[test]
fn the_server_keeps_few_long_rows_in_memory() {
    let (cluster, work) = (Cluster::start(17), WorkDir::new());
    cluster.psql("postgres", "CREATE DATABASE shop");
    // What is as long as all behind it is one session's.
    for table in ["long", "more", "tail"] {
        let rows = "SELECT i, repeat(md5(i::text), 32768) FROM generate_series(1, 70) i";
        cluster.psql(
            "shop",
            &format!("CREATE TABLE {table} (i integer, t text); ALTER TABLE {table} ALTER t SET STORAGE EXTERNAL; INSERT INTO {table} {rows}"),
        );
    }
    let bkp = |arguments: &[&str]| {
        let bkp = Bkp::new(&cluster).bucket(&work.join("bucket")).env("POSTGRES_DB", "shop").env("BKP_JOBS", "2");
        bkp.env("RUST_LOG", "warn,bkp=debug").env("BKP_STATE_DIR", work.join("state")).args(arguments)
    };
    bkp(&["init"]).run().ok();
    bkp(&["backup"]).run().ok();
    let mut restore = bkp(&["restore", "--as", "again", "--yes"]).spawn();
    let most = most_memory(&cluster, &mut restore);
    restore.wait().ok().says("public.long is copied frozen, past psql, in binary").never_says("rows go as text");
    let asked = "SELECT count(*), md5(string_agg(t, '' ORDER BY t)) FROM (TABLE long UNION ALL TABLE more UNION ALL TABLE tail) of";
    let [before, after] = ["shop", "again"].map(|name| cluster.psql(name, asked));
    assert_eq!(before, after);
    // Of 73 MB that each table has: eight, a row, and what a process has anyway.
    assert!(most < 40 << 20, "{most} bytes");
}
