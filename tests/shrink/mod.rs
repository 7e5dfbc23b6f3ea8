//! Much less than before: the backup is stored, fails all the same, and nothing old goes for it, this night and the next ones.

use std::fs;

use serde_json::Value;

use crate::items::App;
use crate::items::quick::{Plain, listed};
use crate::job::Shop;
use crate::support::bkp::{Bkp, Output};
use crate::support::gcs::{Gcs, Op};

/// Retention that keeps one run and no more, so that whatever is forgotten shows.
fn greedy(bkp: Bkp) -> Bkp {
    bkp.env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1")
}

fn runs(list: Bkp) -> usize {
    let rows: Vec<Value> = listed(list);
    assert!(rows.iter().all(|row| row["sealed"] == true), "{rows:#?}");
    rows.len()
}

fn newest(list: Bkp) -> String {
    listed(list)[0]["run"].as_str().expect("a run").to_owned()
}

#[track_caller]
fn fails(bkp: Bkp, says: &[&str]) -> Output {
    let out = bkp.run().fails_with(1).says("is stored and sealed, but it shrank").says("bkp backup --allow-shrink");
    says.iter().fold(out, |out, words| out.says(words))
}

/// What a person sees.
fn kept(shop: &Shop) -> usize {
    runs(shop.bkp(["list", "--json"]))
}

/// Of runs of one second nobody knows which is the newest.
fn another_second() {
    let second = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let begun = second();
    crate::support::wait::until("another second", || second() > begun);
}

#[test]
fn a_table_that_was_emptied_fails_every_night_until_it_is_allowed() {
    let shop = Shop::open();
    greedy(shop.bkp(["backup"])).run().ok();
    let good = newest(shop.bkp(["list", "--json"]));
    shop.cluster.psql("shop", "TRUNCATE orders");
    let metrics = shop.work.join("bkp.prom");
    for night in 1..=3 {
        let backup = greedy(shop.bkp(["backup"])).env("BKP_METRICS_FILE", &metrics);
        fails(backup, &["database shop has 100 rows, and had 1100"]).says("saved 1 database");
        let told = fs::read_to_string(&metrics).expect("metrics");
        assert!(told.lines().any(|line| line == "bkp_backup_rows{app=\"shop\"} 100"), "it is told as stored: {told}");
        assert!(!told.contains("bkp_retention_failing"), "which was not tried: {told}");
        assert_eq!(kept(&shop), 1 + night, "stored, and nothing is forgotten");
    }
    // By hand neither: what is too small takes no place in any rule.
    greedy(shop.bkp(["forget"])).run().ok();
    shop.bkp(["list"]).run().ok().says(&good);
    fails(greedy(shop.bkp(["backup"])), &["database shop has 100 rows, and had 1100"]);
    another_second();
    greedy(shop.bkp(["backup", "--allow-shrink"])).run().ok();
    assert_eq!(kept(&shop), 1);
    // From now on that is the measure.
    greedy(shop.bkp(["backup"])).run().ok();
    shop.bkp(["list"]).run().ok().never_says(&good);
    shop.cluster.psql("shop", "TRUNCATE customers CASCADE");
    fails(shop.bkp(["backup"]), &["database shop has no rows, and had 100"]);
    shop.bkp(["backup"]).env("BKP_SHRINK_LIMIT", "off").run().ok();
    shop.bkp(["backup"]).run().ok();
}

#[test]
fn data_that_comes_back_ends_it_by_itself() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "TRUNCATE orders");
    fails(shop.bkp(["backup"]), &["100 rows, and had 1100"]);
    shop.cluster.psql(
        "shop",
        "INSERT INTO orders (customer, placed, total) SELECT 1, now(), n FROM generate_series(1, 1500) n",
    );
    greedy(shop.bkp(["backup"])).run().ok();
    assert_eq!(kept(&shop), 1);
}

#[test]
fn below_the_limit_nothing_is_said_and_what_shrinks_slowly_is_followed() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    for left in [600, 300, 150] {
        shop.cluster.psql("shop", &format!("DELETE FROM orders WHERE id > {left}"));
        shop.bkp(["backup"]).run().ok();
    }
}

#[test]
fn the_first_backup_and_one_of_another_application_measure_nothing() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "TRUNCATE orders");
    shop.bkp(["backup"]).env("BKP_APP", "another").run().ok();
    fails(shop.bkp(["backup"]), &["database shop has 100 rows, and had 1100"]);
}

#[test]
fn a_database_that_is_gone_is_told_unless_the_settings_no_longer_name_it() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE DATABASE blog");
    shop.cluster.psql("blog", "CREATE TABLE posts AS SELECT n FROM generate_series(1, 5) n");
    let all = || shop.bkp(["backup"]).env("BKP_DATABASES", "all");
    all().run().ok();
    shop.bkp(["backup"]).env("BKP_DATABASES", "shop").run().ok();
    all().run().ok();
    shop.cluster.psql("postgres", "DROP DATABASE blog");
    fails(all(), &["database blog is gone, which had 5 rows"]);
}

#[test]
fn a_restore_that_went_wrong_keeps_its_way_back() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.bkp(["restore"]).run().ok();
    shop.cluster.psql("shop", "TRUNCATE orders");
    fails(shop.bkp(["backup"]), &[]);
    shop.bkp(["restore", "--undo"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM orders"), "1000");
}

#[test]
fn seals_that_cannot_be_read_are_a_warning_and_never_become_a_measure() {
    let (shop, gcs) = (Shop::open(), Gcs::start());
    let bkp = |arguments: &[&str]| {
        let bkp = shop.bkp([]).google(&gcs, "");
        bkp.args(arguments)
    };
    bkp(&["backup"]).run().ok();
    shop.cluster.psql("shop", "TRUNCATE orders");
    gcs.forbid([Op::Get]);
    bkp(&["backup"]).run().ok().says("cannot be told, because the seals before it cannot be read");
    gcs.forbid([]);
    fails(bkp(&["backup"]), &["database shop has 100 rows, and had 1100"]);
}

#[test]
fn a_directory_that_lost_most_of_its_files_fails_every_night_until_it_is_allowed() {
    let plain = Plain::open();
    for number in 0..100 {
        plain.work.file(&format!("files/many/{number}"), format!("{number}"));
    }
    greedy(plain.bkp(["backup"])).run().ok();
    let kept = || runs(plain.bkp(["list", "--json"]));
    for number in 0..40 {
        fs::remove_file(plain.files().join(format!("many/{number}"))).expect("removed");
    }
    greedy(plain.bkp(["backup"])).run().ok().says("1 forgotten");
    let good = newest(plain.bkp(["list", "--json"]));
    for number in 40..95 {
        fs::remove_file(plain.files().join(format!("many/{number}"))).expect("removed");
    }
    for night in 1..=2 {
        fails(greedy(plain.bkp(["backup"])), &["files", "has 8 files, and had 63"]);
        assert_eq!(kept(), 1 + night);
    }
    greedy(plain.bkp(["forget"])).run().ok();
    plain.bkp(["list"]).run().ok().says(&good);
    greedy(plain.bkp(["backup"])).env("BKP_SHRINK_LIMIT", "90%").run().ok();
    assert_eq!(kept(), 1);
    greedy(plain.bkp(["backup", "--allow-shrink"])).run().ok();
    greedy(plain.bkp(["backup"])).run().ok();
}

#[test]
fn a_database_in_restic_is_measured_by_its_sql() {
    let app = App::quick();
    app.cluster.psql("shop", "INSERT INTO orders (customer, placed, note, total) SELECT 1, now(), repeat('x', 100), n FROM generate_series(1, 3000) n");
    app.bkp(["backup"]).run().ok();
    app.cluster.psql("shop", "TRUNCATE orders");
    for _ in 0..2 {
        fails(app.bkp(["backup"]), &["database shop has", "and had"]);
    }
    app.bkp(["backup", "--allow-shrink"]).run().ok();
    app.bkp(["backup"]).run().ok();
}
