//! Retention after success, with its floor.

use super::Shop;

#[test]
fn old_dumps_are_forgotten_after_a_backup_and_the_floor_stays() {
    let shop = Shop::open();
    for _ in 0..6 {
        shop.bkp(["backup"]).run().ok();
    }
    let dumps = shop.dumps();
    shop.bkp(["forget", "--dry-run"]).env("BKP_KEEP_LAST", "1").run().ok().says("would be forgotten");
    assert_eq!(shop.dumps(), dumps);
    shop.bkp(["backup"]).env("BKP_KEEP_LAST", "1").run().ok();
    assert_eq!(shop.dumps().len(), 3, "three sealed runs are the floor");
    assert!(shop.dumps().iter().all(|dump| !dumps[..4].contains(dump)), "the oldest went");
    shop.bkp(["forget"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1").run().ok();
    assert_eq!(shop.dumps().len(), 1);
}

#[test]
fn without_rules_nothing_is_forgotten_and_other_files_never_are() {
    let shop = Shop::open();
    shop.put("readme.txt", b"mine");
    shop.put("db_dump-20200101_000000.bak.gz", b"an old one");
    shop.bkp(["backup"]).env("BKP_APP", "other").run().ok();
    for _ in 0..4 {
        shop.bkp(["backup"]).run().ok();
    }
    assert_eq!(shop.dumps().len(), 7);
    shop.bkp(["forget"]).env("BKP_KEEP_LAST", "3").run().ok();
    let left: Vec<String> =
        shop.dumps().iter().map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(left.len(), 5, "{left:?}: another application's dump, three of ours and the file");
    assert!(left.contains(&"readme.txt".to_owned()));
}

#[test]
fn a_failed_backup_forgets_nothing() {
    let shop = Shop::open();
    for _ in 0..4 {
        shop.bkp(["backup"]).run().ok();
    }
    shop.bkp(["backup"])
        .env("BKP_KEEP_LAST", "1")
        .env("BKP_KEEP_MIN", "1")
        .env("BKP_DATABASES", "nosuch")
        .run()
        .fails_with(1);
    assert_eq!(shop.dumps().len(), 4);
}
