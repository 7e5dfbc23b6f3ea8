//! What dead runs and restores left, and who is at work.

use rustix::process::Signal;

use super::Told;
use crate::items::App;
use crate::support::wait::until;

#[test]
fn what_a_restore_put_aside_is_told_with_its_size() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.bkp(["restore"]).run().ok();
    let told = Told::by(app.bkp([]), 0);
    let told = told.has(
        "warning",
        "left",
        &["database shop", "shop__was_", "MB", "the next sealed backup", "bkp restore --undo"],
    );
    told.has("warning", "left", &["put files", "aside", "bkp restore --undo"]);
    app.bkp(["backup"]).run().ok();
    Told::by(app.bkp([]), 0).all_ok_in(&["left"]);
}

#[test]
fn another_run_that_holds_the_lock_is_named_and_is_no_fault() {
    let app = App::quick();
    // Somebody keeps a table, so the backup waits with its locks held.
    let keeper =
        app.cluster.client("psql").arg("-dshop").arg("-c").arg("BEGIN; LOCK orders; SELECT pg_sleep(600)").spawn();
    let mut keeper = keeper.expect("psql");
    until("a lock", || {
        app.cluster.psql(
            "shop",
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'orders'::regclass",
        ) == "1"
    });
    let running = app.bkp(["backup"]).spawn();
    until("a run", || app.cluster.psql("postgres", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") != "0");
    Told::by(app.bkp([]), 0).has("warning", "left", &["is locked by bkp backup", "BKP_LOCK_WAIT"]);
    running.kill(Signal::TERM);
    running.wait().fails_with(143);
    keeper.kill().expect("killed");
    keeper.wait().expect("gone");
}

#[test]
fn an_application_that_a_dead_run_left_paused_is_told_and_stays_so() {
    let app = App::quick();
    let file = app.work.join("files/maintenance");
    let with_file = |arguments: [&str; 1]| {
        app.bkp(arguments).env("BKP_MAINTENANCE_FILE", &file).env("BKP_QUIESCE_ON", "backup,restore")
    };
    let restic = crate::items::quick::restic_that(
        &app.work,
        "case \" $* \" in *' backup '*item=files*) touch $D/there; sleep 600;; esac\nexec $REAL \"$@\"",
    );
    let running = with_file(["backup"]).env("BKP_RESTIC_BIN", restic).spawn();
    until("the files", || app.work.join("faults/there").exists());
    running.kill_group(Signal::KILL);
    running.wait().fails_with(137);
    assert!(file.exists());
    let told = Told::by(app.bkp([]).env("BKP_MAINTENANCE_FILE", &file), 0);
    told.has("warning", "left", &["has paused the application", "bkp resume"]).has("ok", "pause", &["can be made"]);
    assert!(file.exists(), "changes nothing");
    with_file(["resume"]).run().ok();
    Told::by(app.bkp([]).env("BKP_MAINTENANCE_FILE", &file), 0).all_ok_in(&["left", "pause"]);
}
