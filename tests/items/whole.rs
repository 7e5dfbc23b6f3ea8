//! Databases and files are restored as one: whatever fails in between, and whoever dies, both are old or both are new.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};

use bkp::sources::files::exchange;
use rustix::process::Signal;

use super::quick::{Mounted, Plain, restic_that};
use super::{App, tree};
use crate::support::bkp::Running;
use crate::support::wait::until;

/// Holds the restored files back until `go` is there, and says in `here` that it came to that.
const AT_THE_FILES: &str = "case \" $* \" in *' restore '*) touch $D/here; while [ ! -e $D/go ]; do sleep 0.02; done;; esac\nexec $REAL \"$@\"";

type State = (String, Vec<String>);

/// An application that is saved, then changed; with both states.
fn saved_and_changed() -> (App, State, State) {
    let app = App::quick();
    app.bkp(["backup"]).run().ok();
    let saved = app.state();
    app.lose_everything();
    let changed = app.state();
    (app, saved, changed)
}

/// A restore that stands before its files, its databases loaded.
fn at_the_files(app: &App) -> Running {
    let restic = restic_that(&app.work, AT_THE_FILES);
    let running = app.bkp(["restore"]).env("BKP_RESTIC_BIN", restic).spawn();
    until("the files", || app.work.join("faults/here").exists());
    running
}

fn go_on(app: &App) {
    app.work.file("faults/go", "");
}

fn restored_files_are_live(app: &App) {
    until("the exchange of the files", || !app.files().join("junk").exists());
}

/// Keeps databases from being renamed; dropped, it lets go.
struct Held(Child);

impl Held {
    fn names(app: &App) -> Self {
        let mut psql = app.cluster.client("psql");
        let statement = "BEGIN; LOCK TABLE pg_database IN SHARE MODE; SELECT pg_sleep(100)";
        psql.args(["-X", "-q", "-d", "postgres", "-c", statement]).stdout(Stdio::null()).stderr(Stdio::null());
        let held = Self(psql.env("PGAPPNAME", "holder").spawn().expect("psql"));
        let granted =
            "SELECT count(*) FROM pg_locks WHERE relation = 'pg_database'::regclass AND mode = 'ShareLock' AND granted";
        until("the lock", || app.cluster.psql("postgres", granted) == "1");
        held
    }

    fn let_go(self, app: &App) {
        app.cluster.psql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'",
        );
        drop(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nothing of dead or failed restores is left but what they put aside.
fn nothing_is_left(app: &App) {
    let databases = app.cluster.databases();
    assert!(!databases.iter().any(|name| name.contains("bkp") && !name.contains("__was_")), "{databases:?}");
    assert_eq!(own_entries(app), [""; 0]);
}

fn own_entries(app: &App) -> Vec<OsString> {
    let names = fs::read_dir(app.files()).expect("read").flatten().map(|entry| entry.file_name());
    names.filter(|name| name.as_bytes().starts_with(b".bkp-")).collect()
}

#[test]
fn killed_between_the_exchange_and_the_commit_the_old_files_come_back() {
    let (app, saved, changed) = saved_and_changed();
    let running = at_the_files(&app);
    let held = Held::names(&app);
    go_on(&app);
    restored_files_are_live(&app);
    running.kill(Signal::KILL);
    assert_eq!(running.wait().code, 137);
    held.let_go(&app);
    app.bkp(["resume"]).env("BKP_LOCK_WAIT", "20").run().ok().says("brought back");
    assert_eq!(app.state(), changed);
    nothing_is_left(&app);
    app.bkp(["restore"]).run().ok();
    assert_eq!(app.state(), saved);
}

#[test]
fn a_backup_of_files_alone_does_not_drop_the_files_of_databases_that_never_came() {
    let (app, _, changed) = saved_and_changed();
    let running = at_the_files(&app);
    let held = Held::names(&app);
    go_on(&app);
    restored_files_are_live(&app);
    running.kill(Signal::KILL);
    running.wait();
    held.let_go(&app);
    // As a unit of its own does it, every hour.
    let alone = app.bkp(["backup"]).env("BKP_DATABASES", "none").without("POSTGRES_DB").without("POSTGRES_HOST");
    alone.env("BKP_LOCK_WAIT", "20").run().ok().says("stays until a backup that has their server too");
    app.bkp(["resume"]).env("BKP_LOCK_WAIT", "20").run().ok().says("as it was before that run");
    assert_eq!(app.state(), changed);
    nothing_is_left(&app);
}

#[test]
fn a_session_lost_before_the_commit_gives_the_old_files_back_before_anything_else() {
    let (app, _, changed) = saved_and_changed();
    let running = at_the_files(&app);
    let held = Held::names(&app);
    go_on(&app);
    restored_files_are_live(&app);
    until("the swap", || {
        app.cluster.psql(
            "postgres",
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%RENAME%' AND wait_event_type = 'Lock'",
        ) == "1"
    });
    app.cluster.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%RENAME%' AND wait_event_type = 'Lock'");
    // Still held: no side database can go, and as long as they are there a death would be known for what it is.
    until("the old files", || app.files().join("junk").exists() && own_entries(&app).is_empty());
    assert_eq!(tree(&app.files()), changed.1);
    held.let_go(&app);
    running.wait().fails_with(1);
    assert_eq!(app.state(), changed);
    nothing_is_left(&app);
}

#[test]
fn a_server_that_goes_away_before_the_commit_gives_the_old_files_back() {
    let (mut app, _, changed) = saved_and_changed();
    let running = at_the_files(&app);
    let held = Held::names(&app);
    go_on(&app);
    restored_files_are_live(&app);
    app.cluster.stop_immediate();
    drop(held);
    running.wait().fails_with(1);
    assert_eq!(tree(&app.files()), changed.1);
    app.cluster.start_again();
    app.bkp(["resume"]).run().ok();
    assert_eq!(app.state(), changed);
    nothing_is_left(&app);
}

/// A COMMIT that is done and not answered: the server waits for a standby that there is not.
fn unanswered_commit(app: &App) {
    app.cluster.reconfigure("synchronous_standby_names = 'nobody'\nsynchronous_commit = on");
    go_on(app);
    restored_files_are_live(app);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until("the commit", || app.cluster.psql("postgres", waiting) == "1");
}

#[test]
fn when_the_commit_was_done_but_its_answer_lost_the_new_files_stay() {
    let (mut app, saved, _) = saved_and_changed();
    let running = at_the_files(&app);
    unanswered_commit(&app);
    app.cluster.stop_immediate();
    app.cluster.start_again();
    app.cluster.reconfigure("synchronous_standby_names = ''\nsynchronous_commit = off");
    running.wait();
    app.bkp(["resume"]).env("BKP_LOCK_WAIT", "20").run().ok();
    assert_eq!(app.state(), saved);
}

#[test]
fn while_it_cannot_be_asked_how_the_commit_ended_nothing_is_decided() {
    let (mut app, saved, _) = saved_and_changed();
    let running = at_the_files(&app);
    unanswered_commit(&app);
    app.cluster.stop_immediate();
    running.wait().fails_with(1).says("bkp resume");
    app.cluster.start_again();
    app.cluster.reconfigure("synchronous_standby_names = ''\nsynchronous_commit = off");
    app.bkp(["resume"]).run().ok();
    assert_eq!(app.state(), saved);
}

#[test]
fn killed_after_the_commit_and_before_its_answer_the_new_application_stays() {
    let (app, saved, _) = saved_and_changed();
    let running = at_the_files(&app);
    unanswered_commit(&app);
    running.kill(Signal::KILL);
    running.wait();
    let resumed = app.bkp(["resume"]).env("BKP_LOCK_WAIT", "20").spawn();
    app.cluster.reconfigure("synchronous_standby_names = ''\nsynchronous_commit = off");
    resumed.wait().ok();
    assert_eq!(app.state(), saved);
}

#[test]
fn rows_that_do_not_load_leave_the_old_files() {
    let app = App::quick();
    // Fits where it is, and nowhere else.
    app.cluster.psql(
        "shop",
        "CREATE FUNCTION here(i int) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT current_database() = 'shop' $$;
         CREATE TABLE picky (i int CHECK (public.here(i))); INSERT INTO picky VALUES (1)",
    );
    app.bkp(["backup"]).run().ok();
    app.lose_everything();
    let changed = app.state();
    app.bkp(["restore"]).run().fails_with(1).says("picky");
    assert_eq!(app.state(), changed);
    nothing_is_left(&app);
}

#[test]
fn files_that_do_not_fit_leave_the_old_databases() {
    let app = App::quick();
    let small = app.work.join("files");
    fs::rename(&small, app.work.join("aside")).expect("moved");
    let mounted = Mounted::tmpfs(&small, "size=8m");
    let copied = Command::new("cp").arg("-aT").arg(app.work.join("aside")).arg(&small).status();
    assert!(copied.expect("cp").success());
    fs::write(small.join("large"), vec![1; 3 << 20]).expect("write");
    app.bkp(["backup"]).run().ok();
    app.cluster.psql("shop", "DELETE FROM orders WHERE true");
    fs::write(small.join("config/app.php"), "changed").expect("write");
    let changed = app.state();

    // Known before: said before anything is done.
    let full = small.join("data/full");
    fs::write(&full, vec![1; 3 << 20]).expect("write");
    app.bkp(["restore"]).run().fails_with(1).says("nothing was begun").says("free");
    fs::remove_file(&full).expect("removed");

    // And when it fills up meanwhile.
    let script = "case \" $* \" in *' restore '*) head -c 4000000 /dev/zero >ROOT/data/full;; esac\nexec $REAL \"$@\"";
    let restic = restic_that(&app.work, &script.replace("ROOT", &small.display().to_string()));
    app.bkp(["restore"]).env("BKP_RESTIC_BIN", restic).run().fails_with(1).says("no space left");
    fs::remove_file(&full).expect("removed");
    assert_eq!(app.state(), changed);
    nothing_is_left(&app);

    let files = app.files();
    drop(mounted);
    fs::rename(app.work.join("aside"), app.work.join("aside2")).expect("moved");
    fs::write(files.join("old"), "old").expect("write");
    let read_only = Mounted::read_only(&files);
    app.bkp(["restore"]).run().fails_with(1).says("nothing was begun").says("read-only");
    drop(read_only);
    assert_eq!(app.orders(), changed.0);
}

#[test]
fn one_directory_exchanged_and_the_next_not_is_given_back() {
    let plain = Plain::open();
    let (one, two) = (plain.files(), plain.work.dir("two"));
    fs::write(two.join("file"), "old").expect("write");
    let before = (tree(&one), tree(&two));
    // As a restore that dies between the two leaves them.
    for (root, is_swapped) in [(&one, true), (&two, false)] {
        let root = root.canonicalize().expect("there");
        let staging = exchange::stage(&root, "20261121T000000Z-abcdef").expect("staged");
        fs::write(staging.target().join("file"), "new").expect("write");
        if is_swapped {
            let plan = staging.plan(&[], &[]).expect("a plan");
            staging.swap(plan).expect("swapped");
        }
    }
    assert_ne!(tree(&one), before.0);
    let both = format!("{},{}", one.display(), two.display());
    plain.bkp(["resume"]).env("BKP_FILES", both).run().ok();
    assert_eq!((tree(&one), tree(&two)), before);
}
