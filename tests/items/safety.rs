//! `BKP_SAFETY_BACKUP=1`: what is live is saved before it is replaced, and without that nothing is.

use std::fs;

use super::App;
use super::quick::{listed, restic_that};
use crate::support::bkp::Bkp;

fn restore(app: &App) -> Bkp {
    app.bkp(["restore"]).env("BKP_SAFETY_BACKUP", "1")
}

/// The safety runs that are listed.
fn safety_runs(app: &App) -> Vec<String> {
    let rows = listed(app.bkp(["list", "--json"]));
    let safety = rows.iter().filter(|row| row["safety"] == true);
    safety.map(|row| row["run"].as_str().expect("a run").to_owned()).collect()
}

#[test]
fn what_is_live_is_saved_sealed_and_comes_back_when_it_is_named() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let saved = app.state();
    app.lose_everything();
    let lost = app.state();
    // Retention that would leave nothing but the newest run: it must not take the one that is being restored.
    restore(&app).args(["--dry-run"]).run().ok().says("first a safety backup of what is live");
    assert!(safety_runs(&app).is_empty());
    restore(&app).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1").run().ok().says("is saved as safety backup");
    assert_eq!(app.state(), saved);
    let runs = safety_runs(&app);
    assert_eq!(runs.len(), 1);
    app.bkp(["list"]).run().ok().says("(safety)");
    let tagged = app.restic("", ["snapshots", "--tag", "safety", "--json"]);
    assert!(tagged.text().matches(&runs[0]).count() >= 3, "roles, database and files: {}", tagged.text());

    // What the restore put aside is there as ever.
    app.bkp(["restore", "--undo"]).run().ok();
    assert_eq!(app.state(), lost);
    // `latest`, a time and a day never mean the accident.
    app.bkp(["restore"]).run().ok();
    assert_eq!(app.state(), saved);
    app.bkp(["restore", "0h ago"]).run().ok();
    assert_eq!(app.state(), saved);
    app.bkp(["restore", &runs[0]]).run().ok();
    assert_eq!(app.state(), lost);
}

#[test]
fn it_takes_no_place_in_the_retention_and_goes_when_enough_newer_runs_are_there() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    restore(&app).run().ok();
    let keep = |app: &App| app.bkp(["backup"]).env("BKP_KEEP_LAST", "2").env("BKP_KEEP_MIN", "2");
    keep(&app).run().ok().says("0 forgotten");
    assert_eq!((listed(app.bkp(["list", "--json"])).len(), safety_runs(&app).len()), (3, 1));
    // The second newer one: the safety backup has done its duty, and the first run is one too many.
    keep(&app).run().ok().says("2 forgotten");
    assert_eq!((listed(app.bkp(["list", "--json"])).len(), safety_runs(&app).len()), (2, 0));
}

#[test]
fn without_it_nothing_is_restored() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    let lost = app.state();
    for (what, says) in [("item=files", "saving files"), ("item=database:shop", "dumping database shop")] {
        let script = format!("case \" $* \" in *' backup '*{what}*) echo broken >&2; exit 1;; esac\nexec $REAL \"$@\"");
        let restic = restic_that(&app.work, &script);
        let out = restore(&app).env("BKP_RESTIC_BIN", restic).run().fails_with(1).says("the safety backup failed");
        out.says("BKP_SAFETY_BACKUP=0").says(says);
        assert_eq!(app.state(), lost, "{what}");
        let ours = |name: &String| name.contains("__bkp_") || name.contains("__was_");
        assert!(!app.cluster.databases().iter().any(ours), "{what}");
    }
    // Known before anything is paused: said with the other faults.
    app.cluster.psql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS false");
    restore(&app).run().fails_with(1).says("nothing was begun").says("accepts no connections");
    app.cluster.psql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS true");
    assert_eq!(app.state(), lost);
}

#[test]
fn after_a_disaster_there_is_nothing_to_save_and_the_restore_goes_on() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let saved = app.state();
    app.cluster.psql("postgres", "DROP DATABASE shop");
    fs::remove_dir_all(app.files()).expect("removed");
    fs::create_dir(app.files()).expect("an empty volume");
    restore(&app).run().ok().says("nothing is live that could be saved");
    assert_eq!(app.state(), saved);
    assert!(safety_runs(&app).is_empty());

    // Half a disaster: what is left is saved.
    app.cluster.psql("postgres", "DROP DATABASE shop");
    restore(&app).run().ok();
    assert_eq!(app.state(), saved);
    let rows = listed(app.bkp(["list", "--json"]));
    assert_eq!(rows[0]["databases"], serde_json::json!([]), "{rows:?}");
    assert_eq!(rows[0]["sealed"], true);
}

#[test]
fn five_things_that_cannot_work_are_said_at_once_and_nothing_is_begun() {
    let app = App::quick();
    app.cluster.psql("shop", "CREATE ROLE clerk; GRANT SELECT ON orders TO clerk");
    app.bkp(["backup"]).run().ok();
    app.cluster.psql("shop", "DROP OWNED BY clerk; DROP ROLE clerk");
    app.lose_everything();
    let before = app.state();
    // An account that may nothing, a role that it would have to make, files that are gone, a database that cannot be saved first.
    app.cluster.psql("postgres", "CREATE ROLE poor LOGIN PASSWORD 'pw'; ALTER DATABASE shop ALLOW_CONNECTIONS false");
    let away = app.work.join("away");
    fs::rename(app.files(), &away).expect("moved");
    let out = restore(&app).env("POSTGRES_USER", "poor").env("POSTGRES_PASSWORD", "pw").run().fails_with(1);
    let out = out.says("nothing was begun").says("may not create databases").says("is the volume mounted");
    let out = out.says("accepts no connections").says("belongs to shop");
    let told = out.stderr.lines().filter(|line| line.starts_with("  - ")).count();
    let out = out.says("may not create roles, and these are missing: clerk");
    assert!(told >= 5, "{told} faults: {}", out.stderr);
    fs::rename(&away, app.files()).expect("moved");
    app.cluster.psql("postgres", "ALTER DATABASE shop ALLOW_CONNECTIONS true");
    assert_eq!(app.state(), before);
}
