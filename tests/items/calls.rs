//! How often restic is called, since each call computes its key anew for half a second, and what goes on side by side.

use std::fs;

use serde_json::Value;

use super::App;
use super::quick::{Plain, restic_at, restic_that, snapshot_ids};
use crate::support::bkp::Bkp;
use crate::support::run::Ran;
use crate::support::workdir::WorkDir;

/// restic that notes what it is called for.
const NOTED: &str = "echo \"$1\" >>$D/log; exec $REAL \"$@\"";

/// What a run calls restic for, in no order; the version is not asked of the repository.
fn calls(work: &WorkDir, bkp: Bkp) -> Vec<String> {
    let restic = restic_that(work, NOTED);
    let log = work.file("faults/log", "");
    bkp.env("BKP_RESTIC_BIN", restic).run().ok();
    let mut calls: Vec<String> = fs::read_to_string(log).expect("a log").lines().map(str::to_owned).collect();
    calls.sort();
    calls
}

fn snapshots(told: &Ran) -> Vec<Value> {
    serde_json::from_slice(&told.stdout).expect("JSON")
}

#[test]
fn a_night_calls_restic_once_for_each_item_and_once_for_the_list() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    assert_eq!(calls(&app.work, app.bkp(["backup"])), ["backup", "backup", "backup", "snapshots"]);
    // The list; the roles and the database to prove them, and to load them; the directories to prove them.
    let restore = app.bkp(["restore"]);
    assert_eq!(calls(&app.work, restore), ["dump", "dump", "dump", "dump", "ls", "restore", "snapshots"]);

    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    assert_eq!(calls(&plain.work, plain.bkp(["backup"])), ["backup", "snapshots"]);
    let to = plain.work.join("to").display().to_string();
    assert_eq!(calls(&plain.work, plain.bkp(["restore", "--to", &to])), ["restore", "snapshots"]);
}

#[test]
fn an_unchanged_tree_is_not_read_again_whoever_saved_it_last() {
    let plain = Plain::open();
    let backup = || {
        plain.bkp(["backup"]).run().ok();
        let newest = snapshots(&plain.restic(&["snapshots", "--json", "latest"])).pop().expect("a snapshot");
        (newest["parent"].clone(), newest["summary"]["files_unmodified"].clone())
    };
    assert_eq!(backup(), (Value::Null, 0.into()), "the first");
    let first = snapshot_ids(&plain.repository()).remove(0);
    assert_eq!(backup(), (first.clone().into(), 3.into()));
    // Under another host's name, which restic by itself would not look at.
    assert!(plain.restic(&["rewrite", "--forget", "--new-host", "pod-x7f3", &first]).success);
    let others = snapshots(&plain.restic(&["snapshots", "--json", "--host", "pod-x7f3"])).remove(0)["id"].clone();
    for id in snapshot_ids(&plain.repository()).iter().filter(|id| **id != others) {
        assert!(plain.restic(&["forget", id]).success);
    }
    assert_eq!(backup(), (others, 3.into()));
}

#[test]
fn nothing_is_read_of_a_directory_before_the_application_is_paused() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    // It also changes what the directory is: by its name another one is meant afterwards.
    let pause = plain.work.file(
        "pause",
        format!("#!/bin/sh\nset -e\ncp -a {0} {0}.frozen\nmv {0} {0}.live\nmv {0}.frozen {0}\necho paused >{0}/data/state\n", plain.files().display()),
    );
    fs::set_permissions(&pause, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let backup = plain.bkp(["backup"]).env("BKP_PAUSE_COMMAND", &pause).env("BKP_RESUME_COMMAND", "/bin/true");
    backup.env("BKP_QUIESCE_ON", "backup").run().ok();
    let ids = snapshots(&plain.restic(&["snapshots", "--json", "latest"]));
    let id = ids[0]["id"].as_str().expect("an id");
    assert_eq!(restic_at(&plain.repository(), &["dump", id, "/data/state"]).text(), "paused");
    assert_eq!(ids[0]["paths"][0], plain.files().display().to_string());
}

#[test]
fn a_directory_of_which_restic_would_choose_another_parent_is_saved_once() {
    let plain = Plain::open();
    plain.bkp(["backup"]).run().ok();
    let first = snapshot_ids(&plain.repository()).remove(0);
    // Another application's directory of the same host and path, which restic takes for ours.
    plain.bkp(["backup"]).env("BKP_APP", "other").env("RESTIC_HOST", "shop").run().ok();
    // Its own choice has begun, and has its lock, when the list comes.
    let locked = format!("ls {}/locks | grep -qv tmp", plain.repository().display());
    let restic = restic_that(
        &plain.work,
        &format!("case \"$1\" in snapshots) until {locked}; do sleep 0.01; done;; esac\nexec $REAL \"$@\""),
    );
    plain.bkp(["backup"]).env("BKP_RESTIC_BIN", restic).run().ok();
    assert_eq!(snapshot_ids(&plain.repository()).len(), 3);
    let newest = snapshots(&plain.restic(&["snapshots", "--json", "latest"])).pop().expect("a snapshot");
    assert_eq!(newest["parent"], Value::from(first));
}

#[test]
fn a_pause_that_fails_leaves_nothing_of_what_was_begun() {
    let app = App::quick();
    let backup = app.bkp(["backup"]).env("BKP_PAUSE_COMMAND", "/bin/false").env("BKP_RESUME_COMMAND", "/bin/true");
    backup.env("BKP_QUIESCE_ON", "backup").run().fails_with(1);
    assert!(snapshot_ids(&app.repository()).is_empty());
    assert!(fs::read_dir(app.repository().join("locks")).expect("read").next().is_none(), "they gave their locks back");
}
