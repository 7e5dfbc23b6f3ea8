//! The night after a table was emptied: the newest backup is the one that nobody wants.

use super::{newest, with_bucket};
use crate::items::App;
use crate::items::quick::Plain;

#[test]
fn an_emptied_night_is_marked_and_restored_only_by_its_name() {
    let app = App::quick();
    with_bucket(&app, &["backup"]).run().ok();
    let (good, state) = (newest(&app), app.state());
    app.cluster.psql("shop", "TRUNCATE orders");
    with_bucket(&app, &["backup"]).run().fails_with(1);
    let emptied = newest(&app);
    with_bucket(&app, &["list"]).run().ok().says(" SHRANK ").says("  ! database shop has 100 rows, and had 1100");

    let lost = app.state();
    for arguments in [&["restore"][..], &["restore", "--yes"], &["restore", "--dry-run"], &["restore", "--to", "look"]]
    {
        let out = with_bucket(&app, arguments).run().fails_with(1);
        out.says("shrank by more than BKP_SHRINK_LIMIT").says(&format!("bkp restore {good}")).says(&emptied);
    }
    with_bucket(&app, &[]).called("restore.sh").run().fails_with(1).says(&good);
    assert_eq!(app.state(), lost, "nothing was touched");
    // What touches nothing live goes on proving what there is, and says of what.
    with_bucket(&app, &["drill"]).run().ok().says("is much smaller than the backup before it");

    // Called by its name on a terminal, which script makes: the question says it too, and no is no.
    let asked = format!("exec script -qec \"$0 restore {emptied}\" /dev/null");
    let said = with_bucket(&app, &[]).by_way_of(["sh", "-c", &asked]).stdin("n\n").run().fails_with(2);
    said.says("much smaller than the one before it (see the warning). Go ahead all the same? [y/N]")
        .says("not confirmed");
    assert_eq!(app.state(), lost);

    with_bucket(&app, &["restore", &good]).run().ok().never_says("much smaller");
    assert_eq!(app.state(), state);
    with_bucket(&app, &["restore", &emptied]).run().ok().says("database shop has 100 rows, and had 1100");
    assert_eq!(app.state(), lost);
    with_bucket(&app, &["restore"]).env("BKP_SHRINK_LIMIT", "off").run().ok();
}

#[test]
fn what_was_allowed_to_shrink_is_restored_as_ever() {
    let app = App::quick();
    with_bucket(&app, &["backup"]).run().ok();
    app.cluster.psql("shop", "TRUNCATE orders");
    with_bucket(&app, &["backup", "--allow-shrink"]).run().ok();
    with_bucket(&app, &["list"]).run().ok().never_says("SHRANK");
    with_bucket(&app, &["restore"]).run().ok();
}

#[test]
fn files_alone_that_shrank_are_restored_only_by_name_or_by_their_snapshot() {
    let plain = Plain::open();
    for number in 0..50 {
        plain.work.file(&format!("files/many/{number}"), "x");
    }
    plain.bkp(["backup"]).run().ok();
    let whole = plain.tree();
    std::fs::remove_dir_all(plain.files().join("many")).expect("removed");
    plain.bkp(["backup"]).run().fails_with(1);
    let runs = plain.listed();
    let (emptied, good) = (runs[0]["snapshots"][0]["id"].as_str(), runs[1]["snapshots"][0]["id"].as_str());
    let out = plain.bkp(["restore"]).run().fails_with(1);
    out.says("has 3 files, and had 53").says(runs[1]["run"].as_str().expect("a run"));
    // As the old scripts were told it: by the snapshot's id.
    plain.bkp([]).called("restore.bb").args([&good.expect("an id")[..8]]).run().ok();
    assert_eq!(plain.tree(), whole);
    plain.bkp(["restore", "--snapshot", emptied.expect("an id")]).run().ok().says("much smaller");
}
