//! What of the files cannot be restored is found before anything is paused or made.

use std::fs;
use std::path::PathBuf;

use super::App;
use super::quick::restic_that;

/// The files of the repository that hold directories, by its own index.
fn packs_of_trees(app: &App) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for id in app.restic("", ["list", "index", "--no-lock"]).text().lines() {
        let index = app.restic("", ["cat", "index", id, "--no-lock"]).text();
        let index: serde_json::Value = serde_json::from_str(&index).expect("JSON");
        for pack in index["packs"].as_array().expect("packs") {
            if pack["blobs"].as_array().expect("blobs").iter().any(|blob| blob["type"] == "tree") {
                let id = pack["id"].as_str().expect("an id");
                found.push(app.repository().join("data").join(&id[..2]).join(id));
            }
        }
    }
    found
}

#[test]
fn a_directory_that_the_repository_has_lost_is_told_with_the_other_faults_and_nothing_is_begun() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    let before = app.state();
    let packs = packs_of_trees(&app);
    assert!(!packs.is_empty());
    for pack in packs {
        fs::remove_file(pack).expect("a pack");
    }
    // restic keeps what it once read of them on this side.
    let _ = fs::remove_dir_all(app.work.join("cache"));
    let restore = || app.bkp(["restore", "--only", "files"]);
    let out = restore().run();
    assert_ne!(out.code, 0);
    out.says("cannot be restored").says("is damaged: something that it should hold is gone").never_says("beside");
    assert_eq!(app.state(), before);
    let away = app.work.join("away");
    fs::rename(app.files(), &away).expect("moved");
    let out = restore().run().fails_with(1);
    fs::rename(&away, app.files()).expect("moved");
    out.says("is the volume mounted").says("something that it should hold is gone").says("nothing was begun");
    assert_eq!(app.state(), before);
}

#[test]
fn what_has_no_room_is_refused_before_it_is_fetched() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    let before = app.state();
    // A file larger than any volume, which nobody can have.
    let script = "case \" $* \" in *snapshots*) $REAL \"$@\" | sed 's/\"total_bytes_processed\":[0-9]*/\"total_bytes_processed\":9000000000000000/g'; exit;; *' ls '*' --recursive '*) $REAL \"$@\" | sed 's/\"type\":\"file\"\\(.*\\)\"size\":[0-9]*/\"type\":\"file\"\\1\"size\":9000000000000000/'; exit;; *' restore '*) echo fetched >&2; exit 1;; esac\nexec $REAL \"$@\"";
    let restic = restic_that(&app.work, script);
    let to = app.work.join("look/deeper");
    let to = to.to_str().expect("a path");
    for arguments in [
        &["--path", "data/a/photo.jpg"][..],
        &["--path", "data"],
        &["--path", "data/a/photo.jpg", "--to", to],
        &["--to", to],
        &["--only", "files"],
    ] {
        let out = app.bkp(["restore"]).args(arguments).env("BKP_RESTIC_BIN", &restic).run().fails_with(1);
        out.says("free, and the files need ").says(".0 PB").never_says("fetched");
    }
    assert_eq!(app.state(), before);
    assert!(!app.work.join("look").exists());
    // What weighs nothing has room everywhere.
    app.bkp(["restore", "--path", "data/link"]).env("BKP_RESTIC_BIN", &restic).run().fails_with(1).says("fetched");
}
