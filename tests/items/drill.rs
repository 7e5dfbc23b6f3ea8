//! A drill of what lies in a restic repository: its databases are tried, damage is found, nothing live is touched.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::App;

/// The repository's packs, largest first.
fn packs(app: &App) -> Vec<PathBuf> {
    let folders = fs::read_dir(app.repository().join("data")).expect("packs");
    let folders = folders.map(|entry| entry.expect("a folder").path()).filter(|path| path.is_dir());
    let mut packs: Vec<PathBuf> = folders
        .flat_map(|folder| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a pack").path()))
        .collect();
    packs.sort_by_key(|path| std::cmp::Reverse(path.metadata().expect("a pack").len()));
    packs
}

fn shown(app: &App) -> Value {
    serde_json::from_slice(&fs::read(app.work.join("evidence.json")).expect("evidence")).expect("JSON")
}

fn drill(app: &App) -> crate::support::bkp::Bkp {
    app.bkp(["drill", "--evidence"]).args([app.work.join("evidence.json")])
}

#[test]
fn the_databases_of_a_repository_are_proven_and_its_files_are_said_to_be_untried() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    let before = app.state();
    drill(&app).env("BKP_DRILL_SQL", "SELECT count(*) = 1000 FROM orders").run().ok();
    assert_eq!(app.state(), before, "nothing live is touched");
    let shown = shown(&app);
    assert_eq!((&shown["result"], &shown["databases"]["shop"]["counted_rows"]), (&"proven".into(), &1100.into()));
    let files = shown["not_tried"][0].as_str().expect("the files");
    assert!(files.contains(&app.files().display().to_string()), "{files}");
    assert_eq!(shown["remembered"], false, "a part is not the whole");
}

#[test]
fn a_repository_that_lost_or_changed_something_is_found_out() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let before = app.state();
    let found = |kind: &str, code: i32| {
        let _ = fs::remove_file(app.work.join("evidence.json"));
        let out = drill(&app).without("RESTIC_CACHE_DIR").run();
        assert_eq!(out.code, code, "{kind}: {out:?}");
        assert_ne!(shown(&app)["result"], "proven", "{kind}");
        assert_eq!(app.state(), before, "{kind}");
        assert!(!app.cluster.databases().iter().any(|name| name.contains("__drill_")), "{kind}");
    };
    let whole: Vec<(PathBuf, Vec<u8>)> =
        packs(&app).into_iter().map(|path| (path.clone(), fs::read(&path).expect("a pack"))).collect();
    let restored = || {
        for (path, bytes) in &whole {
            let _ = fs::remove_file(path);
            fs::write(path, bytes).expect("a pack");
        }
    };
    for (path, bytes) in &whole {
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 4;
        fs::remove_file(path).expect("removed");
        fs::write(path, flipped).expect("a pack");
    }
    found("a bit flipped in every pack", 5);
    restored();
    whole.iter().for_each(|(path, _)| fs::remove_file(path).expect("removed"));
    found("no pack is left", 5);
    restored();
    app.work.file("password", "another one\n");
    found("another password", 12);
    app.work.file("password", format!("{}\n", super::PASSWORD));
    let snapshots: Value = serde_json::from_slice(&app.restic("", ["snapshots", "--json"]).stdout).expect("JSON");
    let database = snapshots.as_array().expect("a list").iter().find(|one| one["paths"][0] == "/database-shop.sql");
    let id = database.expect("the database's snapshot")["id"].as_str().expect("an id").to_owned();
    assert!(app.restic("", ["forget", id.as_str()]).success);
    found("a snapshot of the run is gone", 1);
}
