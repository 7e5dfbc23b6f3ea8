//! One half of a restore is refused when the other one is done or ready: neither is live then, by what they hold.

use std::fs;
use std::process::Stdio;

use super::quick::{Mounted, restic_that};
use super::{App, tree};
use crate::support::wait::until;

/// No database of a dead restore, and nothing staged.
fn nothing_is_left(app: &App, roots: &[&std::path::Path]) {
    let databases = app.cluster.databases();
    assert!(!databases.iter().any(|name| name.contains("bkp") || name.contains("__was_")), "{databases:?}");
    for root in roots {
        let names = fs::read_dir(root).expect("read").flatten().map(|entry| entry.file_name());
        let own: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".bkp-")).collect();
        assert!(own.is_empty(), "{own:?} in {}", root.display());
    }
}

#[test]
fn a_second_directory_that_cannot_be_exchanged_gives_the_first_one_and_the_databases_back() {
    let app = App::quick();
    app.work.file("two/data/file", "two");
    let (one, two) = (app.files(), app.work.join("two"));
    let both = format!("{},{}", one.display(), two.display());
    let bkp = |arguments: &[&str]| app.bkp([]).env("BKP_FILES", &both).args(arguments);
    bkp(&["backup"]).run().ok();
    let saved = (app.state(), tree(&two));
    app.lose_everything();
    app.work.file("two/data/file", "changed");
    let changed = (app.state(), tree(&two));

    // All is loaded, and the last directory is being staged, when a volume is mounted in it: nobody could know.
    let stands = "case \" $* \" in *' restore '*/two/.bkp-*) touch $D/here; while [ ! -e $D/go ]; do sleep 0.02; done;; esac\nexec $REAL \"$@\"";
    let restic = restic_that(&app.work, stands);
    let mut running = bkp(&["restore"]).env("BKP_RESTIC_BIN", restic).spawn();
    until("the second directory", || app.work.join("faults/here").exists() || !running.running());
    let mounted = Mounted::tmpfs(&two.join("data"), "size=1m");
    app.work.file("faults/go", "");
    // The first one had been exchanged by then.
    running.wait().fails_with(1).says("files: ").says("entries replaced or put aside").says("mounted");
    drop(mounted);
    assert_eq!((app.state(), tree(&two)), changed);
    bkp(&["resume"]).run().ok();
    assert_eq!((app.state(), tree(&two)), changed);
    nothing_is_left(&app, &[&one, &two]);
    bkp(&["restore"]).run().ok();
    assert_eq!((app.state(), tree(&two)), saved);
}

#[test]
fn a_session_that_cannot_be_ended_keeps_databases_and_files_as_they_are() {
    let app = App::quick();
    app.cluster.psql("postgres", "CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'pw'");
    app.cluster.psql("postgres", "CREATE DATABASE till OWNER keeper");
    app.cluster.psql("till", "SET ROLE keeper; CREATE TABLE t AS SELECT 1 AS i");
    let bkp = |arguments: &[&str]| {
        let bkp = app.bkp([]).env("POSTGRES_DB", "till").args(arguments);
        bkp.env("POSTGRES_USER", "keeper").env("POSTGRES_PASSWORD", "pw")
    };
    let state = || (app.cluster.psql("till", "SELECT string_agg(i::text, ',' ORDER BY i) FROM t"), tree(&app.files()));
    bkp(&["backup"]).run().ok();
    let saved = state();
    app.lose_everything();
    app.cluster.psql("till", "INSERT INTO t VALUES (2)");
    let changed = state();

    let mut psql = app.cluster.client("psql");
    psql.args(["-X", "-q", "-d", "till", "-c", "SELECT pg_sleep(100)"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = psql.env("PGAPPNAME", "auditor").spawn().expect("psql");
    until("the session", || {
        app.cluster.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"
    });
    let out = bkp(&["restore"]).run();
    let _ = holder.kill();
    let _ = holder.wait();
    out.fails_with(1)
        .says("entries replaced or put aside")
        .says("the live ones are untouched")
        .says("pg_signal_backend");
    assert_eq!(state(), changed);
    nothing_is_left(&app, &[&app.files()]);

    app.cluster.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'till'");
    bkp(&["restore"]).run().ok();
    assert_eq!(state(), saved);
}
