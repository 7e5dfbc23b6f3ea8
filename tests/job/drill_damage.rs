//! Damage that is planted in a bucket, kind by kind: a drill finds each, says so in its evidence, and touches nothing live.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::drill::of_drills;
use super::{Shop, gunzip, gzip};
use crate::support::wait::until;

/// Changes the bucket; is given its dumps, oldest first.
type Damage = fn(&[PathBuf]);

fn change(path: &PathBuf, with: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let bytes = fs::read(path).expect("the dump");
    fs::remove_file(path).expect("removed");
    fs::write(path, with(bytes)).expect("written");
}

/// Changes the SQL and packs it again, so that the gzip is faultless.
fn repack(dumps: &[PathBuf], with: impl FnOnce(String) -> String) {
    change(newest(dumps), |bytes| gzip(with(String::from_utf8(gunzip(&bytes)).expect("UTF-8")).as_bytes()));
}

fn newest(dumps: &[PathBuf]) -> &PathBuf {
    dumps.last().expect("a dump")
}

/// Where the rows of the orders begin.
fn rows(sql: &str) -> usize {
    let at = sql.find("COPY public.orders").expect("orders");
    at + sql[at..].find('\n').expect("a line") + 1
}

fn end_of_line(sql: &str, at: usize) -> usize {
    at + sql[at..].find('\n').expect("a line") + 1
}

/// Name, damage, and the exit code that tells it.
const KINDS: [(&str, Damage, i32); 14] = [
    ("object cut in the middle", |d| change(newest(d), |b| b[..b.len() / 2].to_vec()), 5),
    ("object without its last byte", |d| change(newest(d), |b| b[..b.len() - 1].to_vec()), 5),
    ("one bit flipped in the gzip", flip, 5),
    ("rubbish behind the gzip", |d| change(newest(d), |b| [b, b"rubbish".to_vec()].concat()), 5),
    ("the gzip of nothing", |d| change(newest(d), |_| gzip(b"")), 5),
    ("one digit of a row changed, packed again", digit, 5),
    ("a row taken out, packed again", row_out, 5),
    ("a row there twice, packed again", row_twice, 5),
    ("a COPY cut short, packed again", copy_cut, 5),
    ("a table taken out, packed again", table_out, 5),
    (
        "a statement added, packed again",
        |d| repack(d, |s| s.replacen("COPY public.orders", "SELECT 1;\nCOPY public.orders", 1)),
        5,
    ),
    ("the seal's rows changed", |d| repack(d, |s| s.replacen("\"public.orders\":1", "\"public.orders\":2", 1)), 5),
    ("two runs under each other's name", swapped, 5),
    ("another application's dump alone", others, 1),
];

fn flip(dumps: &[PathBuf]) {
    change(newest(dumps), |mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        bytes
    });
}

fn digit(dumps: &[PathBuf]) {
    repack(dumps, |sql| {
        let at = rows(&sql);
        let other = if sql[at..].starts_with('9') { "8" } else { "9" };
        format!("{}{other}{}", &sql[..at], &sql[at + 1..])
    });
}

fn row_out(dumps: &[PathBuf]) {
    repack(dumps, |sql| {
        let at = rows(&sql);
        format!("{}{}", &sql[..at], &sql[end_of_line(&sql, at)..])
    });
}

fn row_twice(dumps: &[PathBuf]) {
    repack(dumps, |sql| {
        let at = rows(&sql);
        format!("{}{}", &sql[..end_of_line(&sql, at)], &sql[at..])
    });
}

fn copy_cut(dumps: &[PathBuf]) {
    repack(dumps, |sql| sql[..end_of_line(&sql, rows(&sql))].to_owned());
}

fn table_out(dumps: &[PathBuf]) {
    repack(dumps, |sql| {
        let from = sql.find("COPY public.orders").expect("orders");
        let to = from + sql[from..].find("\n\\.\n").expect("its end") + 4;
        format!("{}{}", &sql[..from], &sql[to..])
    });
}

fn swapped(dumps: &[PathBuf]) {
    let (one, other) = (fs::read(&dumps[0]).expect("a dump"), fs::read(&dumps[1]).expect("a dump"));
    change(&dumps[0], |_| other);
    change(&dumps[1], |_| one);
}

fn others(dumps: &[PathBuf]) {
    for dump in dumps {
        change(dump, |bytes| {
            let sql = String::from_utf8(gunzip(&bytes)).expect("UTF-8");
            gzip(sql.replacen("\"app\":\"shop\"", "\"app\":\"wiki\"", 1).as_bytes())
        });
    }
}

#[test]
fn a_drill_finds_every_kind_of_damage() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let first = shop.dumps();
    let second_of =
        |path: &PathBuf| path.display().to_string().split("db_dump-").nth(1).expect("a time")[..15].to_owned();
    until("a dump of another second", || {
        let made = shop.dumps();
        if made.len() > 1 {
            fs::remove_file(&made[1]).expect("removed");
        }
        shop.bkp(["backup"]).run().ok();
        second_of(&shop.dumps()[1]) != second_of(&first[0])
    });
    let dumps = shop.dumps();
    let whole: Vec<Vec<u8>> = dumps.iter().map(|path| fs::read(path).expect("a dump")).collect();
    shop.bkp(["drill"]).run().ok();
    fs::remove_dir_all(shop.bucket().join("proven")).expect("removed");
    let (orders, evidence) = (shop.orders(), shop.work.join("evidence.json"));
    let mut missed = Vec::new();
    for (kind, damage, code) in KINDS {
        damage(&dumps);
        // By its name: whatever its end says, it is that one.
        let name = newest(&dumps).file_name().expect("a name").to_string_lossy().into_owned();
        let out = shop.bkp(["drill", "--evidence"]).args([evidence.as_os_str(), name.as_ref()]).run();
        let shown: Value = serde_json::from_slice(&fs::read(&evidence).expect("evidence")).expect("JSON");
        let result = if code == 5 { "failed" } else { "not_tried" };
        if out.code != code || shown["result"] != result || shown["why"].is_null() {
            missed.push(format!("{kind}: {out:?}"));
        }
        fs::remove_file(&evidence).expect("removed");
        assert_eq!((shop.orders(), of_drills(&shop)), (orders.clone(), vec![]), "{kind}");
        assert!(!shop.bucket().join("proven").join(name).exists());
        for (path, bytes) in dumps.iter().zip(&whole) {
            change(path, |_| bytes.clone());
        }
    }
    println!("{} kinds of damage, {} found", KINDS.len(), KINDS.len() - missed.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    shop.bkp(["drill"]).run().ok();
}
