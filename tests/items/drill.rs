//! A drill of what lies in a restic repository: its databases are tried, damage is found, nothing live is touched.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{App, tree};

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
fn databases_and_files_of_a_repository_are_proven_and_nothing_stays() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    let before = app.state();
    drill(&app).env("BKP_DRILL_SQL", "SELECT count(*) = 1000 FROM orders").run().ok();
    assert_eq!(app.state(), before, "nothing live is touched");
    let shown = shown(&app);
    assert_eq!((&shown["result"], &shown["databases"]["shop"]["counted_rows"]), (&"proven".into(), &1100.into()));
    let files = &shown["files"][format!("files {}", app.files().display())];
    assert_eq!((&files["files"], &files["figures_compared"]), (&3.into(), &true.into()), "{shown:#}");
    assert_eq!(shown["not_tried"], serde_json::json!([]));
    assert_eq!(left(&app), Vec::<String>::new());

    let before = app.state();
    let metrics = app.work.join("bkp.prom");
    let part = drill(&app).without("BKP_FILES").env("BKP_METRICS_FILE", &metrics).run().ok();
    part.says("was not tried").says("proven in part: ");
    let told = std::fs::read_to_string(metrics).expect("metrics");
    assert!(told.contains("bkp_drill_success") && !told.contains("bkp_last_proof"), "the whole is not proven: {told}");
    assert_eq!(self::shown(&app)["not_tried"], serde_json::json!([format!("files {}", app.files().display())]));
    // With a place to restore them to they are, and not where they live.
    drill(&app).without("BKP_FILES").env("BKP_DRILL_SCRATCH", app.work.join("named")).run().ok();
    let shown = self::shown(&app);
    assert_eq!(
        (&shown["not_tried"], shown["files"].as_object().map(serde_json::Map::len)),
        (&serde_json::json!([]), Some(1))
    );
    let inside = app.files().join("data/new");
    drill(&app).without("BKP_FILES").env("BKP_DRILL_SCRATCH", inside).run().fails_with(2).says("in or around");
    assert_eq!(app.state(), before);
}

#[test]
fn databases_and_files_are_proven_whole_in_a_place_where_no_server_is() {
    let mut app = App::quick();
    app.bkp(["backup"]).run().ok();
    let before = tree(&app.files());
    app.cluster.stop();
    // Too little room for a server is found before anything is made.
    let small = app.work.join("small");
    let mounted = super::quick::Mounted::tmpfs(&small, "size=8m,mode=0755");
    drill(&app).args(["--scratch"]).args([&small]).run().fails_with(1).says("nothing was begun").says("--scratch");
    assert_eq!(shown(&app)["result"], "not_tried");
    assert_eq!(fs::read_dir(&small).expect("the scratch directory").count(), 0);
    drop(mounted);

    drill(&app).env("BKP_DRILL_SQL", "SELECT count(*) = 1000 FROM orders").run().ok();
    let shown = shown(&app);
    assert_eq!((&shown["result"], &shown["databases"]["shop"]["counted_rows"]), (&"proven".into(), &1100.into()));
    let files = &shown["files"][format!("files {}", app.files().display())];
    assert_eq!((&files["files"], &shown["not_tried"]), (&3.into(), &serde_json::json!([])), "{shown:#}");
    assert_eq!((left(&app), tree(&app.files())), (vec![], before));
    // Settings that speak of files alone: the databases are tried when it is asked for, with nothing known of any server.
    let settings = ["POSTGRES_DB", "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD"];
    let bare = settings.into_iter().fold(drill(&app), crate::support::bkp::Bkp::without);
    bare.env("BKP_DRILL_SERVER", "throwaway").run().ok();
    assert_eq!(self::shown(&app)["databases"]["shop"]["counted_rows"], 1100);
}

#[test]
fn a_server_without_room_is_found_before_anything_is_loaded() {
    let app = App::quick();
    app.cluster
        .psql("shop", "CREATE TABLE much AS SELECT repeat(md5(i::text), 10) AS t FROM generate_series(1, 3000) i");
    app.bkp(["backup"]).run().ok();
    // The server keeps its own directory; who looks finds a small volume in its place.
    let note = fs::read(app.cluster.data_dir().join("postmaster.pid")).expect("the server's note");
    let mounted = super::quick::Mounted::tmpfs(&app.cluster.data_dir(), "size=64k");
    fs::write(app.cluster.data_dir().join("postmaster.pid"), note).expect("a copy");
    drill(&app).run().fails_with(1).says("nothing was begun").says("the server's disk has");
    drop(mounted);
    assert_eq!(shown(&app)["result"], "not_tried");
    drill(&app).run().ok();
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

/// What is in the scratch directory that is taken when none is named.
fn left(app: &App) -> Vec<String> {
    let scratch = fs::read_dir(app.work.join("state/drill/shop"));
    scratch.map(|all| all.map(|one| one.expect("a name").path().display().to_string()).collect()).unwrap_or_default()
}

/// Files alone, of which one fills a pack.
fn only_files() -> App {
    let app = App::quick();
    let noise: Vec<u8> =
        (0..400_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).rotate_left(i % 32).to_le_bytes()).collect();
    app.work.file("files/data/large", noise);
    app.bkp(["backup"]).env("BKP_DATABASES", "none").run().ok();
    app
}

fn drill_files(app: &App) -> crate::support::bkp::Bkp {
    drill(app).without("POSTGRES_DB").env("BKP_DATABASES", "none")
}

#[test]
fn files_that_a_pack_lost_or_changed_are_found_out_without_any_server() {
    let app = only_files();
    drill_files(&app).run().ok();
    assert_eq!(shown(&app)["result"], "proven");
    let pack = packs(&app).remove(0);
    let (whole, before) = (fs::read(&pack).expect("a pack"), tree(&app.files()));
    let found = |kind: &str| {
        fs::remove_file(app.work.join("evidence.json")).expect("removed");
        let out = drill_files(&app).without("RESTIC_CACHE_DIR").run();
        assert_eq!(out.code, 5, "{kind}: {out:?}");
        assert_eq!(shown(&app)["result"], "failed", "{kind}");
        assert_eq!((left(&app), tree(&app.files())), (vec![], before.clone()), "{kind}");
    };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    fs::remove_file(&pack).expect("removed");
    fs::write(&pack, flipped).expect("a pack");
    found("a bit flipped in a pack");
    fs::remove_file(&pack).expect("removed");
    found("a pack is gone");
    fs::write(&pack, whole).expect("a pack");
    drill_files(&app).run().ok();
}

#[test]
fn a_scratch_directory_that_is_live_or_somebodys_is_refused() {
    let app = only_files();
    app.work.file("mine/photo.jpg", "precious");
    let before = tree(app.work.path());
    for (scratch, why) in
        [("files", "in or around"), ("files/data/new", "in or around"), (".", "in or around"), ("mine", "not empty")]
    {
        drill_files(&app).args(["--scratch"]).args([app.work.join(scratch)]).run().fails_with(2).says(why);
        assert_eq!(files_in(&tree(app.work.path())), files_in(&before), "{scratch}");
    }
    let named = app.work.join("named");
    drill_files(&app).env("BKP_DRILL_SCRATCH", &named).run().ok();
    assert_eq!(fs::read_dir(&named).expect("made").count(), 0);
    // A unit that is not told where the files live.
    drill_files(&app).without("BKP_FILES").env("BKP_DRILL_SCRATCH", &named).run().ok();
    assert_eq!(shown(&app)["files"].as_object().map(serde_json::Map::len), Some(1));
}

/// Only of what is live and of what is somebody's: restic's cache and our state change.
fn files_in(tree: &[String]) -> Vec<&String> {
    tree.iter().filter(|line| line.contains("files") || line.contains("mine")).collect()
}

#[test]
fn a_drill_of_files_that_is_ended_leaves_nothing_or_what_the_next_start_removes() {
    let app = only_files();
    let before = tree(&app.files());
    for (signal, code) in [("TERM", 143), ("KILL", 137)] {
        for next in ["drill", "backup", "resume"] {
            // In the middle of the restore: what it wrote is there.
            let script = format!(
                "#!/bin/sh\ncase \" $* \" in *' restore '*) {} \"$@\"; kill -{signal} $PPID; sleep 5;; *) exec {} \"$@\";; esac\n",
                app.restic.display(),
                app.restic.display()
            );
            let restic = app.work.file(&format!("restic-{signal}"), script);
            fs::set_permissions(&restic, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
            drill_files(&app).env("BKP_RESTIC_BIN", restic).run().fails_with(code);
            assert_eq!(left(&app).is_empty(), signal == "TERM", "{:?}", left(&app));
            app.bkp([next]).without("POSTGRES_DB").env("BKP_DATABASES", "none").run().ok();
            assert_eq!((left(&app), tree(&app.files())), (vec![], before.clone()), "{next}");
        }
    }
}
