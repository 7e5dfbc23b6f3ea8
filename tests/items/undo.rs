//! `bkp restore --undo`, with databases and files: both are as they were, or both are not.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::quick::{Plain, listed, restic_that};
use super::{App, tree};
use crate::support::bkp::{Bkp, Output, Running};
use crate::support::wait::until;

type State = (String, Vec<String>);

/// An application that was saved, lost and restored: with its state before the restore, and now.
fn restored() -> (App, State, State) {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    let lost = app.state();
    app.bkp(["restore"]).run().ok();
    let restored = app.state();
    assert_ne!(lost, restored);
    (app, lost, restored)
}

fn undo(app: &App) -> Bkp {
    app.bkp(["restore", "--undo"]).env("BKP_LOCK_WAIT", "20")
}

/// One copy of the database, one of the files, and no other trace.
fn nothing_is_left(app: &App, told: &str) {
    let databases = app.cluster.databases();
    let known = |name: &String| ["postgres", "shop", "template0", "template1"].contains(&name.as_str());
    let others: Vec<&String> = databases.iter().filter(|name| !known(name)).collect();
    assert!(others.len() == 1 && others[0].starts_with("shop__was_"), "{told}\n{databases:?}");
    let own = fs::read_dir(app.files()).expect("read").flatten().map(|entry| entry.file_name());
    let own: Vec<_> = own.filter(|name| name.to_string_lossy().starts_with(".bkp-")).collect();
    assert_eq!(own.len(), 1, "{told}\n{own:?}");
    let journal = fs::read_to_string(app.files().join(&own[0]).join("journal.json")).expect("a journal");
    assert!(!journal.contains("pending"), "{told}\n{journal}");
}

#[test]
fn databases_and_files_go_to_and_fro_with_all_that_was_done_since() {
    let (app, lost, _) = restored();
    app.cluster.psql("shop", "CREATE TABLE since AS SELECT 1 AS i; DELETE FROM orders WHERE id % 3 = 0");
    app.work.file("files/since", "made after the restore");
    app.work.file("files/data/since", "made after the restore");
    fs::remove_file(app.files().join(".hidden")).expect("removed");
    let worked_on = app.state();

    undo(&app).args(["--dry-run"]).run().ok().says("the files in");
    assert_eq!(app.state(), worked_on);
    undo(&app).run().ok();
    assert_eq!(app.state(), lost);
    nothing_is_left(&app, "undone");

    app.work.file("files/later", "made after the undo");
    let later = app.state();
    undo(&app).run().ok();
    assert_eq!(app.state(), worked_on);
    undo(&app).run().ok();
    assert_eq!(app.state(), later);
    nothing_is_left(&app, "to and fro");

    app.bkp(["list"]).run().ok().says("files /").says("by the undo of");
    assert_eq!(listed(app.bkp(["list", "--replaced", "--json"])).len(), 2);
    app.bkp(["backup"]).run().ok();
    assert_eq!(listed(app.bkp(["list", "--replaced", "--json"])).len(), 0);
    undo(&app).run().fails_with(1).says("nothing to undo");
    assert_eq!(app.state(), later);
}

#[test]
fn the_copies_stay_until_all_of_it_is_saved_and_as_long_as_that_is_said() {
    let (app, lost, _) = restored();
    app.bkp(["backup"]).env("BKP_KEEP_REPLACED", "always").run().ok();
    // One that saves the databases and fails at the files.
    let restic = restic_that(&app.work, "case \" $* \" in *' backup '*files*) exit 1;; esac\nexec $REAL \"$@\"");
    app.bkp(["backup"]).env("BKP_RESTIC_BIN", restic).run();
    nothing_is_left(&app, "kept");
    undo(&app).run().ok();
    assert_eq!(app.state(), lost);
}

#[test]
fn what_is_gone_of_one_half_keeps_the_other_from_going_back_alone() {
    let (app, _, restored) = restored();
    // Saved by somebody who knows only the databases: their copy goes.
    app.bkp(["backup"]).without("BKP_FILES").run().ok().says("dropped shop__was_");
    undo(&app).run().fails_with(1).says("nothing was begun").says("the database shop from before run").says("/.bkp-");
    undo(&app).env("BKP_DATABASES", "none").without("POSTGRES_DB").run().fails_with(1).says("no server is set");
    assert_eq!(app.state(), restored);

    let (app, _, restored) = self::restored();
    undo(&app).without("BKP_FILES").run().fails_with(1).says("BKP_FILES names another directory");
    assert_eq!(app.state(), restored);
}

#[test]
fn a_restore_of_files_alone_is_undone_alone() {
    let (app, _, restored) = restored();
    app.work.file("files/config/app.php", "changed");
    app.cluster.psql("shop", "DELETE FROM orders WHERE true");
    let changed = app.state();
    app.bkp(["restore", "--only", "files"]).run().ok();
    assert_eq!(app.state(), (changed.0.clone(), restored.1));
    undo(&app).run().ok();
    assert_eq!(app.state(), changed);
}

#[test]
fn a_paused_application_is_resumed_and_its_maintenance_file_stays_nowhere() {
    let (app, lost, restored) = restored();
    for file in ["files/maintenance.html", "files/config/maintenance.php"] {
        let paused = |bkp: Bkp| {
            let bkp =
                bkp.env("BKP_MAINTENANCE_FILE", app.work.join(file)).env("BKP_MAINTENANCE_CONTENT", "be back soon");
            bkp.env("BKP_QUIESCE_ON", "restore")
        };
        paused(undo(&app)).run().ok();
        assert_eq!(app.state(), lost);
        paused(undo(&app)).run().ok();
        assert_eq!(app.state(), restored);
    }
}

/// Waits until the files are turned and the databases are not.
fn files_are_turned(app: &App, running: &mut Running, live: &str) {
    let journal = || {
        let own = fs::read_dir(app.files()).expect("read").flatten().map(|entry| entry.path().join("journal.json"));
        own.filter_map(|path| fs::read_to_string(path).ok()).collect::<String>()
    };
    let state = format!("{{\"settled\":\"{live}\"}}");
    let is_turned = || journal().contains("\"pending\"") && journal().contains(&state);
    until("the files", || is_turned() || !running.running());
    assert!(is_turned(), "{}", journal());
}

/// Keeps databases from being renamed.
fn hold_names(app: &App) -> std::process::Child {
    let mut psql = app.cluster.client("psql");
    psql.args([
        "-X",
        "-q",
        "-d",
        "postgres",
        "-c",
        "BEGIN; LOCK TABLE pg_database IN SHARE MODE; SELECT pg_sleep(100)",
    ]);
    let holder = psql.env("PGAPPNAME", "holder").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql");
    let granted =
        "SELECT count(*) FROM pg_locks WHERE relation = 'pg_database'::regclass AND mode = 'ShareLock' AND granted";
    until("the lock", || app.cluster.psql("postgres", granted) == "1");
    holder
}

fn let_names_go(app: &App, mut holder: std::process::Child) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'";
    app.cluster.psql("postgres", end);
    let _ = holder.wait();
}

#[test]
fn a_session_lost_before_the_commit_turns_the_files_back() {
    let (app, lost, restored) = restored();
    let holder = hold_names(&app);
    let mut running = undo(&app).spawn();
    files_are_turned(&app, &mut running, "old");
    assert_eq!(tree(&app.files()), lost.1);
    let waiting = "FROM pg_stat_activity WHERE query LIKE '%RENAME%' AND wait_event_type = 'Lock'";
    until("the renames", || app.cluster.psql("postgres", &format!("SELECT count(*) {waiting}")) == "1");
    app.cluster.psql("postgres", &format!("SELECT pg_terminate_backend(pid) {waiting}"));
    running.wait().fails_with(1);
    let_names_go(&app, holder);
    assert_eq!(app.state(), restored);
    nothing_is_left(&app, "lost session");
}

#[test]
fn killed_between_the_two_halves_the_files_go_back_and_a_server_that_crashed_knows_it_too() {
    let (mut app, lost, restored) = restored();
    for crash in [false, true] {
        let holder = hold_names(&app);
        let mut running = undo(&app).spawn();
        files_are_turned(&app, &mut running, "old");
        running.kill(Signal::KILL);
        assert_eq!(running.wait().code, 137);
        // Who knows nothing of the database decides nothing.
        let alone = |arguments: &[&str]| {
            undo(&app)
                .env("BKP_DATABASES", "none")
                .without("POSTGRES_DB")
                .without("POSTGRES_HOST")
                .args(arguments)
                .run()
        };
        alone(&[]).fails_with(1).says("not decided yet");
        assert_eq!(tree(&app.files()), lost.1);
        if crash {
            app.cluster.stop_immediate();
            app.cluster.start_again();
            drop(holder);
        } else {
            let_names_go(&app, holder);
        }
        app.bkp(["resume"]).env("BKP_LOCK_WAIT", "20").run().ok().says("taken back");
        assert_eq!(app.state(), restored);
        nothing_is_left(&app, "killed between");
    }
}

#[test]
fn when_the_commit_was_done_but_its_answer_lost_all_is_undone() {
    let (mut app, lost, _) = restored();
    for killed in [true, false] {
        let holder = hold_names(&app);
        let mut running = undo(&app).spawn();
        files_are_turned(&app, &mut running, if killed { "old" } else { "new" });
        // A COMMIT that is done and not answered: the server waits for a standby that there is not.
        app.cluster.reconfigure("synchronous_standby_names = 'nobody'\nsynchronous_commit = on");
        let_names_go(&app, holder);
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        until("the commit", || app.cluster.psql("postgres", waiting) == "1");
        if killed {
            running.kill(Signal::KILL);
            running.wait();
            let resumed = app.bkp(["resume"]).env("BKP_LOCK_WAIT", "20").spawn();
            app.cluster.reconfigure("synchronous_standby_names = ''\nsynchronous_commit = off");
            resumed.wait().ok();
            assert_eq!(app.state(), lost);
        } else {
            app.cluster.stop_immediate();
            running.wait().fails_with(1).says("bkp resume");
            app.cluster.start_again();
            app.cluster.reconfigure("synchronous_standby_names = ''\nsynchronous_commit = off");
            app.bkp(["resume"]).run().ok().says("it was done");
            assert_ne!(app.state(), lost);
        }
        nothing_is_left(&app, "unanswered");
    }
}

/// bkp under strace, which kills it before the nth of these system calls.
fn killed_at(app: &App, calls: &str, nth: usize) -> Output {
    let mut strace = Command::new("strace");
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={nth}"));
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, env!("CARGO_BIN_EXE_bkp")]);
    let mut bkp = Bkp::by(strace).env("BKP_APP", "shop").env("TOKIO_WORKER_THREADS", "1");
    for (key, value) in app.cluster.env() {
        bkp = bkp.env(&key, value);
    }
    app.with_settings(bkp).args(["restore", "--undo"]).run()
}

/// Kills an undo before each of its calls of a kind, one after the other; gives how many that were, and how often it was done.
fn killed_at_every(calls: &str, (app, lost, restored): &(App, State, State)) -> (usize, usize) {
    const FAR: usize = 200;
    let (mut kills, mut done) = (0, 0);
    for nth in 1..FAR {
        let before = app.state();
        let out = killed_at(app, calls, nth);
        let told = format!("{calls} {nth}: {out:?}");
        let resumed = app.bkp(["resume"]).env("BKP_LOCK_WAIT", "20").run();
        assert_eq!(resumed.code, 0, "{told}\n{resumed:?}");
        let after = app.state();
        assert!(after == *lost || after == *restored, "{told}\n{after:?}");
        nothing_is_left(app, &told);
        if out.code == 0 {
            assert_ne!(after, before, "{told}");
            println!("{calls}: {kills} kills, {done} of them when it was done");
            return (kills, done);
        }
        assert_eq!(out.code, 137, "{told}");
        kills += 1;
        done += usize::from(after != before);
    }
    panic!("{calls}: no end after {FAR}");
}

#[test]
fn killed_before_any_change_of_the_volume_both_are_old_or_both_are_new() {
    let app = restored();
    let (mut all, mut all_done) = (0, 0);
    // One by one, because strace counts each kind by itself.
    for calls in ["renameat", "renameat2", "mkdirat", "unlinkat", "fsync", "syncfs", "fchmod", "ftruncate"] {
        let (kills, done) = killed_at_every(calls, &app);
        all += kills;
        all_done += done;
    }
    assert!(all > 20 && all_done > 1, "{all} kills, {all_done} done");
}

#[test]
fn killed_before_any_message_to_the_server_both_are_old_or_both_are_new() {
    let (kills, done) = killed_at_every("sendto", &restored());
    assert!(kills > 15 && done > 0, "{kills} kills, {done} done");
}

#[test]
fn of_several_directories_all_are_turned_or_none() {
    let plain = Plain::open();
    let two = plain.work.dir("two");
    fs::write(two.join("file"), "two").expect("write");
    let both = format!("{},{}", plain.files().display(), two.display());
    let bkp = |arguments: &[&str]| plain.bkp([]).env("BKP_FILES", &both).args(arguments);
    let state = || (plain.tree(), tree(&two));
    bkp(&["backup"]).run().ok();
    let saved = state();
    plain.work.file("files/config/app.php", "spoilt");
    plain.work.file("two/file", "spoilt");
    let spoilt = state();
    bkp(&["restore"]).run().ok();
    assert_eq!(state(), saved);
    let mut outcomes = [0, 0];
    for calls in ["renameat", "renameat2", "syncfs"] {
        for nth in 1.. {
            let before = state();
            let mut strace = Command::new("strace");
            let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={nth}"));
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, env!("CARGO_BIN_EXE_bkp")]);
            let out = plain.settings(Bkp::by(strace)).env("BKP_FILES", &both).args(["restore", "--undo"]).run();
            bkp(&["resume"]).run().ok();
            let after = state();
            assert!(after == saved || after == spoilt, "{calls} {nth}: {after:?}");
            outcomes[usize::from(after != before)] += 1;
            if out.code == 0 {
                break;
            }
            assert_eq!(out.code, 137, "{calls} {nth}: {out:?}");
            assert!(nth < 100, "no end");
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes[0] > 8 && outcomes[1] > 5, "{outcomes:?}");
    // What died back then can still be undone.
    let before = state();
    bkp(&["restore", "--undo"]).run().ok();
    assert_ne!(state(), before);
    // One directory of the two does not go back alone.
    bkp(&["restore", "--undo"]).env("BKP_FILES", plain.files()).run().fails_with(1).says("as one");
}
