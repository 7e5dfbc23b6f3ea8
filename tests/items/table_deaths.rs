//! A restore of a table dies by KILL before each of its calls that change anything: the live database has the table as it was, or all
//! that was asked for, and the next start drops what was loaded beside. Points are found and chosen as for whole restores.

use std::fs;
use std::process::Command;

use super::App;
use super::deaths::{ANEW, CALLS, Point, points, spread};
use super::quick::listed;
use crate::support::bkp::{Bkp, Output};
use crate::support::wait::until;

/// The database alone, saved.
struct Scene {
    app: App,
    run: String,
    arguments: &'static [&'static str],
    saved: String,
}

impl Scene {
    fn open(arguments: &'static [&'static str]) -> Self {
        let app = App::quick();
        let mut scene = Self { app, run: String::new(), arguments, saved: String::new() };
        scene.saved = scene.rows("orders");
        scene.bkp(&["backup"]).run().ok();
        scene.run = listed(scene.bkp(&["list", "--json"]))[0]["run"].as_str().expect("a run").to_owned();
        scene
    }

    fn settings(&self, bkp: Bkp) -> Bkp {
        self.app.with_settings(bkp).without("BKP_FILES").env("BKP_APP", "shop").env("BKP_LOCK_WAIT", "20")
    }

    fn bkp(&self, arguments: &[&str]) -> Bkp {
        self.settings(Bkp::new(&self.app.cluster)).args(arguments)
    }

    fn traced(&self, options: &[&str]) -> Output {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-b", "execve", "-qq", "-s", "0", "-y", "-e", &format!("trace={CALLS}")]);
        strace.args(options).arg(env!("CARGO_BIN_EXE_bkp"));
        let mut bkp = Bkp::by(strace).env("TOKIO_WORKER_THREADS", "1");
        for (key, value) in self.app.cluster.env() {
            bkp = bkp.env(&key, value);
        }
        self.settings(bkp).args(["restore", &self.run]).args(self.arguments).run()
    }

    fn rows(&self, table: &str) -> String {
        let sql = format!("SELECT count(*), md5(string_agg(o::text, '' ORDER BY o::text)) FROM {table} o");
        self.app.cluster.psql("shop", &sql)
    }

    /// An accident that is like no other, in a database without traces of earlier restores.
    fn lose(&self, round: usize) -> String {
        for table in self.made() {
            self.app.cluster.psql("shop", &format!("DROP TABLE {table}"));
        }
        self.app.cluster.psql("shop", &format!("UPDATE orders SET note = 'accident {round}' WHERE id % 2 = 0"));
        self.rows("orders")
    }

    /// Tables that a restore made.
    fn made(&self) -> Vec<String> {
        let sql =
            "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relname ~ '^orders_(was|bkp)_' ORDER BY 1";
        self.app.cluster.psql("shop", sql).lines().map(str::to_owned).collect()
    }

    /// Whether it is done, all of it; not at all otherwise.
    fn is_done(&self, lost: &str, told: &str) -> bool {
        // Whoever was told to commit does, if bkp lives or not.
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND application_name LIKE 'bkp%'";
        until("the sessions to end", || self.app.cluster.psql("postgres", sessions) == "0");
        let (now, made) = (self.rows("orders"), self.made());
        match (made.as_slice(), self.arguments.contains(&"--in-place")) {
            ([], _) => assert_eq!(now, lost, "the table has changed: {told}"),
            ([was], true) => assert_eq!((now, self.rows(was)), (self.saved.clone(), lost.to_owned()), "{told}"),
            ([beside], false) => assert_eq!((now, self.rows(beside)), (lost.to_owned(), self.saved.clone()), "{told}"),
            _ => panic!("{made:?}: {told}"),
        }
        !made.is_empty()
    }

    fn nothing_is_left(&self, told: &str) {
        let known = ["postgres", "shop", "template0", "template1"];
        let databases = self.app.cluster.databases();
        assert!(databases.iter().all(|name| known.contains(&name.as_str())), "{databases:?}: {told}");
    }
}

/// The changing calls of a restore that nobody kills.
fn counted(arguments: &'static [&'static str]) -> Vec<Point> {
    let scene = Scene::open(arguments);
    let (log, lost) = (scene.app.work.join("strace"), scene.lose(0));
    scene.traced(&["-o", log.to_str().expect("a path")]).ok();
    assert!(scene.is_done(&lost, "not killed"));
    scene.nothing_is_left("not killed");
    points(&fs::read_to_string(&log).expect("the calls"))
}

fn killed_at_a_spread(arguments: &'static [&'static str], count: usize) {
    let all = counted(arguments);
    let (known, tried) = (all.len(), spread(all, count));
    assert!(known > 10, "{known} points");

    let (mut old, mut new, mut beyond) = (0, 0, 0);
    let mut scene: Option<Scene> = None;
    for (round, Point(call, nth)) in tried.iter().enumerate() {
        if round % ANEW == 0 {
            drop(scene.take());
        }
        let scene = scene.get_or_insert_with(|| Scene::open(arguments));
        let lost = scene.lose(round + 1);
        let out = scene.traced(&["-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL:when={nth}")]);
        let told = format!("{arguments:?} {call} {nth}\n{out:?}");
        assert!(out.code == 137 || out.code == 0, "{told}");
        let then = scene.bkp(&[["resume", "backup"][round % 2]]).run();
        let told = format!("{told}\n{then:?}");
        assert_eq!(then.code, 0, "{told}");
        scene.nothing_is_left(&told);
        match (out.code, scene.is_done(&lost, &told)) {
            (0, true) => beyond += 1,
            (_, true) => new += 1,
            (_, false) => old += 1,
        }
    }
    println!("{arguments:?}: {known} points, {} tried: {old} old, {new} new, {beyond} not reached", tried.len());
    assert!(old > 0 && new + beyond > 0 && beyond * 5 <= tried.len(), "{old} old, {new} new, {beyond} not reached");
}

#[test]
fn a_table_beside_the_live_one_is_there_whole_or_not_at_all_wherever_the_restore_is_killed() {
    killed_at_a_spread(&["--table", "orders"], 9);
}

#[test]
fn a_table_in_place_has_all_rows_of_the_backup_or_its_own_wherever_the_restore_is_killed() {
    killed_at_a_spread(&["--table", "orders", "--in-place"], 9);
}
