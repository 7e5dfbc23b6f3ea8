//! Runs beside each other, and choosing one.

use std::fs;

use super::Shop;
use crate::support::retimed::retimed;
use crate::support::wait::until;

#[test]
fn two_runs_of_one_application_never_overlap() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let mut holder = shop.hold_orders();
    let first = shop.bkp(["backup"]).spawn();
    until("the first run's lock", || {
        shop.cluster.psql("postgres", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").trim() != "0"
    });
    shop.bkp(["backup"]).run().fails_with(11).says("bkp backup 2");
    shop.bkp(["restore"]).run().fails_with(11).says("locked");
    shop.bkp(["forget"]).env("BKP_KEEP_LAST", "1").run().fails_with(11).says("bkp backup 2");
    shop.bkp(["forget", "--dry-run"]).env("BKP_KEEP_LAST", "1").run().ok();
    // Two applications that share a bucket and a second: who ends last finds the name taken.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    shop.bkp(["backup"]).env("BKP_APP", "another").env("BKP_DATABASES", "postgres").run().ok();
    let waiting = shop.bkp(["backup"]).env("BKP_LOCK_WAIT", "60").spawn();
    std::io::Write::write_all(holder.stdin.as_mut().expect("a pipe"), b"ROLLBACK;\n").expect("written");
    first.wait().ok();
    waiting.wait().ok();
    drop(holder.stdin.take());
    let _ = holder.wait();
    assert_eq!(shop.dumps().len(), 4);
}

#[test]
fn a_dump_of_another_application_is_refused_unless_asked_for() {
    let shop = Shop::open();
    shop.bkp(["backup"]).env("BKP_APP", "other").run().ok();
    let name = shop.dumps()[0].file_name().expect("a name").to_string_lossy().into_owned();
    shop.bkp(["restore", &name]).run().fails_with(1).says("BKP_APP=other");
    shop.bkp(["restore"]).run().fails_with(1).says("other");
    shop.bkp(["restore", &name, "--allow-other-app"]).run().ok();
}

#[test]
fn a_name_time_or_id_that_fits_nothing_is_an_error_that_names_candidates() {
    let shop = Shop::open();
    shop.bkp(["restore"]).run().fails_with(1).says("no backup yet");
    shop.bkp(["backup"]).run().ok();
    let name = shop.dumps()[0].file_name().expect("a name").to_string_lossy().into_owned();
    for when in ["1999-01-01", "19990101T000000Z-abcdef", "nonsense", "100y ago"] {
        shop.bkp(["restore", when]).run().fails_with(1).says(&name);
    }
    shop.bkp(["restore", "--only", "nosuch"]).run().fails_with(1).says("shop");
}

#[test]
fn list_shows_runs_newest_first_and_as_json() {
    let shop = Shop::open();
    shop.put("db_dump-20250101_000000.bak.gz", b"not a dump");
    shop.bkp(["backup"]).run().ok();
    let out = shop.bkp(["list", "--json"]).run().ok();
    let rows: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    assert_eq!(rows.as_array().expect("a list").len(), 2);
    assert_eq!(
        (&rows[0]["sealed"], &rows[0]["app"], &rows[0]["databases"][0]),
        (&true.into(), &"shop".into(), &"shop".into())
    );
    assert_eq!((&rows[1]["sealed"], &rows[1]["object"]), (&false.into(), &"db/db_dump-20250101_000000.bak.gz".into()));
    let table = shop.bkp(["list"]).run().ok().stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("AGE") && lines[1].contains(" sealed ") && lines[3].contains(" no seal"), "{table}");
}

#[test]
fn of_dumps_of_one_second_latest_is_the_last() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    let lost = shop.orders();
    shop.bkp(["backup", "--allow-shrink"]).run().ok();
    // Also where the second turned between the two: then the names are made as if it had not.
    let [first, second] = &shop.dumps()[..] else { panic!("two dumps") };
    let (older, newer) = if first.to_string_lossy().contains("-2.bak") { (second, first) } else { (first, second) };
    let newer = retimed(newer, "20250101_000000");
    fs::rename(newer, older.with_file_name("db_dump-20250101_000000-2.bak.gz")).expect("renamed");
    let older = retimed(older, "20250101_000000");
    assert!(!older.to_string_lossy().contains("-2.bak"));
    shop.bkp(["restore"]).run().ok();
    assert_eq!(shop.orders(), lost);
}

#[test]
fn what_is_stored_is_never_overwritten() {
    let shop = Shop::open();
    for _ in 0..3 {
        shop.bkp(["backup"]).run().ok();
    }
    assert_eq!(shop.dumps().len(), 3, "also within one second");
    let before: Vec<Vec<u8>> = shop.dumps().iter().map(|path| fs::read(path).expect("a dump")).collect();
    shop.bkp(["backup"]).run().ok();
    let after: Vec<Vec<u8>> = shop.dumps().iter().map(|path| fs::read(path).expect("a dump")).collect();
    assert!(before.iter().all(|dump| after.contains(dump)));
}

#[test]
fn init_is_safe_to_repeat_and_old_names_work() {
    let shop = Shop::open();
    shop.bkp(["init"]).run().ok().says("is there");
    shop.bkp([]).called("/backup.sh").run().ok();
    shop.bkp([]).called("list-snapshots.bb").run().ok().says("sealed");
    let orders = shop.orders();
    shop.lose_orders();
    shop.bkp([]).called("restore.bb").run().ok();
    assert_eq!(shop.orders(), orders);
}

#[test]
fn wrong_settings_are_told_all_at_once_and_without_values() {
    let shop = Shop::open();
    shop.bkp(["backup"])
        .env("BKP_KEEP_DAILY", "canary-one")
        .env("POSTGRES_PASSWORD_FILE", "/nonexistent/canary")
        .env("BKP_BUCKET", "ftp://canary-two")
        .run()
        .fails_with(2)
        .says("BKP_KEEP_DAILY")
        .says("POSTGRES_PASSWORD")
        .says("BKP_BUCKET")
        .never_says("canary-one")
        .never_says("canary-two");
}
