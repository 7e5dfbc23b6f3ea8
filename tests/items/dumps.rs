//! Databases item by item: produced once for all repositories, whole or not there, and restored in whole or in part.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::App;
use super::quick::{listed, restic_at, restic_that, snapshot_ids};
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::run::run;

/// Client programs of which each call of pg_dump for SQL is noted; `script` stands for it where it is not empty.
fn clients(app: &App, script: &str) -> std::path::PathBuf {
    let directory = app.work.dir("clients");
    let real = Cluster::client_bin(app.cluster.major());
    for program in ["pg_dump", "pg_dumpall", "psql"] {
        let script = if program == "pg_dump" && !script.is_empty() { script } else { "exec $REAL \"$@\"" };
        let text = format!(
            "#!/bin/sh\nREAL={}\ncase \"$1\" in --version) exec $REAL \"$@\";; esac\necho {program} >>{}\n{script}\n",
            real.join(program).display(),
            directory.join("calls").display()
        );
        fs::write(directory.join(program), text).expect("a script");
        fs::set_permissions(directory.join(program), fs::Permissions::from_mode(0o755)).expect("an executable");
    }
    directory
}

fn with_bucket(app: &App, bkp: Bkp) -> Bkp {
    bkp.bucket(&app.work.join("bucket"))
}

#[test]
fn a_dump_is_produced_once_and_stored_in_both_repositories() {
    let app = App::quick();
    app.work.dir("bucket/db");
    let (clients, state) = (clients(&app, ""), app.state());
    with_bucket(&app, app.bkp(["backup"])).env("BKP_PG_BIN", &clients).run().ok();
    let calls = fs::read_to_string(clients.join("calls")).expect("calls");
    assert_eq!(calls.lines().filter(|call| *call == "pg_dump").count(), 1, "{calls}");
    let rows = listed(with_bucket(&app, app.bkp(["list", "--json"])));
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(
        rows[0]["object"].is_string() && rows[0]["snapshots"].as_array().expect("snapshots").len() == 3,
        "{rows:?}"
    );
    for hide in ["bucket", "repository"] {
        app.lose_everything();
        let aside = app.work.join("aside");
        fs::rename(app.work.join(hide), &aside).expect("moved");
        match hide {
            "bucket" => app.bkp(["restore"]).run().ok(),
            _ => Bkp::new(&app.cluster)
                .env("POSTGRES_DB", "shop")
                .bucket(&app.work.join("bucket"))
                .args(["restore"])
                .run()
                .ok(),
        };
        assert_eq!(app.orders(), state.0, "without the {hide}");
        fs::rename(&aside, app.work.join(hide)).expect("moved back");
    }
}

#[test]
fn one_repository_that_fails_fails_the_run_and_the_others_copy_is_whole() {
    let app = App::quick();
    app.work.dir("bucket/db");
    let state = app.state();
    // The bucket goes away after the run has begun an object in it.
    let bucket = app.work.join("bucket");
    let pg_dump = clients(&app, &format!("rm -rf {0}; touch {0}; exec $REAL \"$@\"", bucket.display()));
    let out = with_bucket(&app, app.bkp(["backup"])).env("BKP_PG_BIN", pg_dump).run();
    out.fails_with(1).says("not stored everywhere").says("the bucket");
    assert_eq!(listed(app.bkp(["list", "--json"]))[0]["sealed"], true);
    app.lose_everything();
    app.bkp(["restore"]).run().ok();
    assert_eq!(app.state(), state);

    fs::remove_file(app.work.join("bucket")).expect("removed");
    app.work.dir("bucket/db");
    let script = "case \"$*\" in *relay-stdin*) echo 'Fatal: unable to save' >&2; exit 1;; esac\nexec $REAL \"$@\"";
    let restic = restic_that(&app.work, script);
    let out = with_bucket(&app, app.bkp(["backup"])).env("BKP_RESTIC_BIN", restic).run();
    out.fails_with(1).says("not stored everywhere").says("restic");
    app.lose_everything();
    let rows = listed(with_bucket(&app, app.bkp(["list", "--json"])));
    assert!(rows[0]["object"].is_string(), "{rows:?}");
    let object = rows[0]["object"].as_str().expect("an object");
    with_bucket(&app, app.bkp(["restore", object, "--only", "shop"])).run().ok();
    assert_eq!(app.orders(), state.0);
}

#[test]
fn a_producer_that_fails_leaves_no_snapshot_and_the_run_is_incomplete() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let state = app.state();
    let whole = listed(app.bkp(["list", "--json"]))[0]["run"].as_str().expect("a run").to_owned();
    for script in ["$REAL \"$@\"; echo 'pg_dump: error: lost' >&2; exit 1", "$REAL \"$@\" | head -c 3000; kill -9 $$"] {
        let before = snapshot_ids(&app.repository()).len();
        app.bkp(["backup"]).env("BKP_PG_BIN", clients(&app, script)).run().fails_with(1);
        let rows = listed(app.bkp(["list", "--json"]));
        assert!(
            rows[0]["snapshots"].as_array().expect("snapshots").iter().all(|one| one["item"] == "roles"),
            "{rows:?}"
        );
        assert!(snapshot_ids(&app.repository()).len() <= before + 1);
        assert_eq!(rows[0]["sealed"], false);
        let half = rows[0]["run"].as_str().expect("a run");
        app.bkp(["restore", half]).run().fails_with(1).says("incomplete").says("database shop");
        app.bkp(["list"]).run().ok().says("incomplete").says("MISSING database shop");
    }
    app.lose_everything();
    app.bkp(["restore"]).run().ok().says(&whole);
    assert_eq!(app.state(), state);
}

#[test]
fn a_part_is_restored_and_the_rest_is_left_alone() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let saved = app.state();
    app.lose_everything();
    let lost = app.state();
    app.bkp(["restore", "--as", "beside"]).run().ok();
    assert_eq!(app.cluster.psql("beside", "SELECT count(*) FROM orders"), "1000");
    assert_eq!(app.state(), lost);
    app.bkp(["restore", "--dry-run"]).run().ok();
    assert_eq!(app.state(), lost);
    app.bkp(["restore", "--only", "files"]).run().ok();
    assert_eq!(app.state(), (lost.0.clone(), saved.1.clone()));
    app.lose_everything();
    app.bkp(["restore", "--only", "shop"]).run().ok();
    assert_eq!(app.state(), (saved.0, lost.1));

    // A run whose files are gone is whole no more, and gives what it has.
    let ids = restic_at(&app.repository(), &["snapshots", "--json", "--tag", "item=roles"]);
    assert!(ids.success);
    let rows = listed(app.bkp(["list", "--json"]));
    let snapshots = rows[0]["snapshots"].as_array().expect("snapshots");
    let files =
        snapshots.iter().find(|one| one["item"].as_str().is_some_and(|item| item.starts_with("files"))).expect("files");
    assert!(restic_at(&app.repository(), &["forget", files["id"].as_str().expect("an id")]).success);
    app.cluster.psql("shop", "DELETE FROM orders WHERE true");
    app.bkp(["restore"]).run().fails_with(1).says("lacks files");
    app.bkp(["restore", "--incomplete"]).run().ok();
    assert_eq!(app.cluster.psql("shop", "SELECT count(*) FROM orders"), "1000");
}

#[test]
fn what_restic_dumps_loads_with_psql_alone() {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let orders = app.orders();
    let ran = restic_at(
        &app.repository(),
        &["dump", "--tag", "bkp", "--path", "/database-shop.sql", "latest", "/database-shop.sql"],
    );
    assert!(ran.success, "{}", ran.stderr);
    app.cluster.psql("postgres", "DROP DATABASE shop");
    let mut psql = app.cluster.client("psql");
    let loaded = run(psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]), &ran.stdout);
    assert!(loaded.success, "{}", loaded.stderr);
    assert_eq!(app.orders(), orders);
}
