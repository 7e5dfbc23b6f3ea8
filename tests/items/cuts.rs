//! The server is started again, or the line to it is cut, at every step of a restore of several databases, with files and without:
//! all of them are old or all are new, the exit code tells which, and the files are those of the databases.

use std::process::{Child, Stdio};

use super::quick::restic_that;
use super::{App, tree};
use crate::support::bkp::{Bkp, Running};
use crate::support::cut::{At, Line};
use crate::support::wait::until;

type State = (Vec<String>, Vec<String>);

/// Two databases, saved and then spoilt; files too, or left alone.
struct Several {
    app: App,
    with_files: bool,
    saved: State,
    lost: State,
}

impl Several {
    fn open(with_files: bool, more: &str) -> Self {
        let app = App::quick();
        app.cluster.psql("postgres", "CREATE DATABASE second");
        app.cluster.psql("second", &format!("CREATE TABLE t AS SELECT 1 AS i; {more}"));
        let mut scene = Self { app, with_files, saved: State::default(), lost: State::default() };
        scene.bkp(&["backup"]).run().ok();
        scene.saved = scene.state();
        scene.app.lose_everything();
        scene.app.cluster.psql("second", "INSERT INTO t VALUES (2)");
        scene.lost = scene.state();
        if !with_files {
            scene.saved.1.clone_from(&scene.lost.1);
        }
        scene
    }

    fn bkp(&self, arguments: &[&str]) -> Bkp {
        let bkp = self.app.with_settings(Bkp::new(&self.app.cluster)).without("POSTGRES_DB").args(arguments);
        let bkp = bkp.env("BKP_DATABASES", "shop,second").env("BKP_LOCK_WAIT", "20");
        if self.with_files { bkp } else { bkp.without("BKP_FILES") }
    }

    fn state(&self) -> State {
        let second = self.app.cluster.psql("second", "SELECT string_agg(i::text, ',' ORDER BY i) FROM t");
        (vec![self.app.orders(), second], tree(&self.app.files()))
    }

    fn nothing_is_left(&self) {
        let databases = self.app.cluster.databases();
        let known = ["postgres", "second", "shop", "template0", "template1"];
        let left = databases.iter().filter(|name| !known.contains(&name.as_str()) && !name.contains("__was_"));
        assert_eq!(left.count(), 0, "{databases:?}");
        let names = std::fs::read_dir(self.app.files()).expect("read").flatten();
        let journals = names.filter_map(|entry| std::fs::read_to_string(entry.path().join("journal.json")).ok());
        for journal in journals {
            assert!(journal.contains("settled") && !journal.contains("pending"), "{journal}");
        }
    }

    fn restart(&mut self) {
        self.app.cluster.stop_immediate();
        self.app.cluster.start_again();
    }

    /// As it was, at the latest after the next start; then the restore works.
    fn is_old(&self) {
        self.bkp(&["resume"]).run().ok();
        assert_eq!(self.state(), self.lost);
        self.nothing_is_left();
        self.bkp(&["restore"]).run().ok();
        assert_eq!(self.state(), self.saved);
    }

    /// How many sessions there are of which this is so.
    fn sessions(&self, which: &str) -> String {
        self.app.cluster.psql("postgres", &format!("SELECT count(*) FROM pg_stat_activity WHERE {which}"))
    }
}

/// Keeps one database from being renamed, and no other.
fn hold(scene: &Several, database: &str) -> Child {
    let mut psql = scene.app.cluster.client("psql");
    let statement = format!("BEGIN; COMMENT ON DATABASE {database} IS 'held'; SELECT pg_sleep(100)");
    psql.args(["-X", "-q", "-d", "postgres", "-c", &statement]).stdout(Stdio::null()).stderr(Stdio::null());
    let holder = psql.env("PGAPPNAME", "holder").spawn().expect("psql");
    until("the holder", || scene.sessions("application_name = 'holder' AND wait_event = 'PgSleep'") == "1");
    holder
}

#[test]
fn a_line_cut_before_the_commit_leaves_all_old_and_one_cut_after_it_all_new() {
    for with_files in [true, false] {
        let scene = Several::open(with_files, "");
        let through = |line: &Line| scene.bkp(&["restore"]).env("POSTGRES_PORT", line.port());

        let line = Line::to(&scene.app.cluster, At::Before);
        through(&line).run().fails_with(1).says("did not answer").never_says("which is done");
        assert_eq!((line.cuts(), scene.state()), (1, scene.lost.clone()));
        scene.nothing_is_left();

        let line = Line::to(&scene.app.cluster, At::After);
        through(&line).run().ok().says("the connection was lost just after the swap, which is done");
        assert_eq!((line.cuts(), scene.state()), (1, scene.saved.clone()));
        scene.nothing_is_left();

        // What was put aside is whole as well, and an undo stands it too.
        let undo = |line: &Line| scene.bkp(&["restore", "--undo"]).env("POSTGRES_PORT", line.port());
        let line = Line::to(&scene.app.cluster, At::Before);
        undo(&line).run().fails_with(1);
        assert_eq!((line.cuts(), scene.state()), (1, scene.saved.clone()));
        let line = Line::to(&scene.app.cluster, At::After);
        undo(&line).run().ok();
        assert_eq!((line.cuts(), scene.state()), (1, scene.lost.clone()));
        scene.nothing_is_left();
    }
}

#[test]
fn a_server_started_again_between_the_renames_leaves_all_old() {
    for with_files in [true, false] {
        let mut scene = Several::open(with_files, "");
        let mut holder = hold(&scene, "shop");
        let mut running = scene.bkp(&["restore"]).spawn();
        renames_wait(&scene, &mut running);
        scene.restart();
        running.wait().fails_with(1).says("nothing was swapped");
        assert_eq!(scene.state(), scene.lost);
        let _ = holder.wait();
        scene.is_old();
    }
}

/// One database has its new name, as far as the transaction sees; the other one is waited for.
fn renames_wait(scene: &Several, running: &mut Running) {
    let waits = "query LIKE '%RENAME%' AND wait_event_type = 'Lock'";
    until("the renames", || !running.running() || scene.sessions(waits) == "1");
    let renamed = "SELECT count(*) FROM pg_locks WHERE classid = 'pg_database'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    assert_ne!(scene.app.cluster.psql("postgres", renamed), "0", "nothing was renamed before");
}

#[test]
fn a_server_started_again_while_it_loads_or_before_the_exchange_leaves_all_old() {
    let slow = "CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(2)'; \
                CREATE INDEX ON t (public.slow(i))";
    let mut scene = Several::open(true, slow);
    let mut running = scene.bkp(&["restore"]).spawn();
    until("the load", || !running.running() || scene.sessions("wait_event = 'PgSleep'") == "1");
    scene.restart();
    running.wait().fails_with(1);
    assert_eq!(scene.state(), scene.lost);
    scene.bkp(&["resume"]).run().ok();
    scene.nothing_is_left();

    let stands = "case \" $* \" in *' restore '*) touch $D/here; while [ ! -e $D/go ]; do sleep 0.02; done;; esac\nexec $REAL \"$@\"";
    let restic = restic_that(&scene.app.work, stands);
    let running = scene.bkp(&["restore"]).env("BKP_RESTIC_BIN", restic).spawn();
    until("the files", || scene.app.work.join("faults/here").exists());
    scene.restart();
    scene.app.work.file("faults/go", "");
    running.wait().fails_with(1);
    assert_eq!(scene.state(), scene.lost);
    scene.is_old();
}

/// The servers of tests wait for no COMMIT to be on disk; this one does.
#[test]
fn a_server_that_crashes_just_after_a_restore_or_an_undo_has_it_still() {
    for with_files in [false, true] {
        let mut scene = Several::open(with_files, "");
        for (arguments, is_back) in [(&["restore"][..], true), (&["restore", "--undo"], false)] {
            scene.bkp(arguments).run().ok();
            scene.app.cluster.stop_immediate();
            scene.app.cluster.start_again();
            let expected = if is_back { &scene.saved } else { &scene.lost };
            assert_eq!(&scene.state(), expected, "{arguments:?}, files: {with_files}");
        }
    }
}
