//! A restore dies by KILL before each of its calls that change anything, one run for each; the next start, whichever it is, finds
//! the application wholly old or wholly new, leaves nothing behind, and says which way it went.
//!
//! A first run under strace counts the calls of every thread of bkp. Its children are let go, so they are orphans when it dies, as
//! they are after the OOM killer. `make test-kills` takes every point, `make test` a spread of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::quick::listed;
use super::{App, tree};
use crate::support::bkp::{Bkp, Output};
use crate::support::wait::until;

/// Calls that change something outside the process, and those that ask others to.
pub(super) const CALLS: &str = "openat,write,writev,pwrite64,sendto,sendmsg,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,\
    rmdir,fsync,fdatasync,syncfs,fchmod,fchmodat,fchown,fchownat,ftruncate,linkat,symlinkat,utimensat,kill";

/// After so many kills a new scene is set, for the watch over tests that hang counts by its age.
pub(super) const ANEW: usize = 50;

/// What is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Both,
    Databases,
    Files,
}

/// Two databases and files, saved, to be lost again and again.
struct Scene {
    app: App,
    what: What,
    saved: String,
    new: State,
    roles: String,
}

type State = (Vec<String>, Vec<String>);

impl Scene {
    fn open(what: What) -> Self {
        let app = App::quick();
        app.cluster.psql("postgres", "CREATE DATABASE second");
        app.cluster.psql("second", "CREATE TABLE t AS SELECT i FROM generate_series(1, 50) i");
        let roles = String::new();
        let mut scene = Self { app, what, saved: String::new(), new: (vec![], vec![]), roles };
        scene.bkp(&["backup"]).run().ok();
        scene.saved = listed(scene.bkp(&["list", "--json"]))[0]["run"].as_str().expect("a run").to_owned();
        scene.new = scene.state();
        scene.roles = scene.role_names();
        scene
    }

    fn settings(&self, bkp: Bkp) -> Bkp {
        let bkp = self.app.with_settings(bkp).without("POSTGRES_DB").env("BKP_LOCK_WAIT", "20");
        let bkp = bkp.env("BKP_APP", "shop").env("BKP_MAINTENANCE_FILE", self.maintenance());
        let bkp = bkp.env("BKP_MAINTENANCE_CONTENT", "be back soon");
        match self.what {
            What::Both => bkp.env("BKP_DATABASES", "shop,second"),
            What::Databases => bkp.env("BKP_DATABASES", "shop,second").without("BKP_FILES"),
            What::Files => bkp.env("BKP_DATABASES", "none"),
        }
    }

    fn bkp(&self, arguments: &[&str]) -> Bkp {
        self.settings(Bkp::new(&self.app.cluster)).args(arguments)
    }

    /// Beside the data where there are files, which is where its note goes too.
    fn maintenance(&self) -> PathBuf {
        self.app.work.join("files/maintenance.html")
    }

    fn traced(&self, options: &[&str]) -> Output {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-b", "execve", "-qq", "-s", "0", "-y", "-e", &format!("trace={CALLS}")]);
        strace.args(options).arg(env!("CARGO_BIN_EXE_bkp"));
        let mut bkp = Bkp::by(strace).env("TOKIO_WORKER_THREADS", "1");
        for (key, value) in self.app.cluster.env() {
            bkp = bkp.env(&key, value);
        }
        self.settings(bkp).args(["restore", &self.saved]).run()
    }

    /// The contents: of the databases, of the files.
    fn state(&self) -> State {
        let second = "SELECT count(*), sum(i) FROM t";
        let databases = vec![self.app.orders(), self.app.cluster.psql("second", second)];
        (databases, tree(&self.app.files()))
    }

    /// An accident that is like no other.
    fn lose(&self, round: usize) -> State {
        self.app.cluster.psql("shop", "DELETE FROM orders WHERE id % 2 = 0");
        self.app.cluster.psql("second", &format!("DELETE FROM t; INSERT INTO t VALUES ({round}000)"));
        let _ = fs::remove_dir_all(self.app.files().join("data"));
        self.app.work.file("files/config/app.php", format!("overwritten {round}"));
        self.app.work.file("files/junk", format!("of the accident {round}"));
        self.state()
    }

    /// What may be there after the kill: of the two that are saved only what this scene restores changes.
    fn is_new(&self, old: &State, now: &State, told: &str) -> bool {
        let new = match self.what {
            What::Both => self.new.clone(),
            What::Databases => (self.new.0.clone(), old.1.clone()),
            What::Files => (old.0.clone(), self.new.1.clone()),
        };
        assert!(now == old || *now == new, "neither old nor new: {told}\nis {now:?}\nold {old:?}\nnew {new:?}");
        *now == new
    }

    fn role_names(&self) -> String {
        self.app.cluster.psql("postgres", "SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles")
    }

    /// What a death leaves that the next start has to clear.
    fn traces(&self) -> Vec<String> {
        let databases = self.app.cluster.databases();
        let mut traces: Vec<String> = databases.into_iter().filter(|name| is_side(name)).collect();
        for entry in fs::read_dir(self.app.files()).expect("read").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let journal = fs::read_to_string(entry.path().join("journal.json")).unwrap_or_default();
            // Put aside: by a restore, or by the undo that stands in it.
            let is_aside = ["{\"settled\":\"new\"}", "\"by\":"].iter().any(|text| journal.contains(text));
            if name.starts_with(".bkp-") && !is_aside || name == "maintenance.html" {
                traces.push(format!("{name} {journal}"));
            }
        }
        traces
    }

    fn nothing_is_left(&self, told: &str) {
        assert_eq!(self.traces(), [""; 0], "{told}");
        assert_eq!(self.role_names(), self.roles, "{told}");
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
        // A session ends some time after its client.
        until("the locks to be gone", || self.app.cluster.psql("postgres", held) == "0");
    }
}

/// A database that a restore loads into, or stands in.
fn is_side(name: &str) -> bool {
    let known = ["postgres", "second", "shop", "template0", "template1"];
    !known.contains(&name) && !name.contains("__was_")
}

/// A call of one kind, by its number in its thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point(pub String, pub usize);

/// The changing calls of a run, in their order.
pub(super) fn points(log: &str) -> Vec<Point> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut points = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        if !call.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            continue;
        }
        let count = counts.entry((thread, call)).or_default();
        *count += 1;
        let changes = match call {
            "openat" => arguments.contains("O_CREAT"),
            // Wakes other threads, or tells a log.
            "write" | "writev" => {
                !arguments.contains("anon_inode") && !arguments.starts_with("1<") && !arguments.starts_with("2<")
            }
            _ => true,
        };
        let point = Point(call.to_owned(), *count);
        if changes && !points.contains(&point) {
            points.push(point);
        }
    }
    points
}

/// Every point, or as many as that, spread over all.
pub(super) fn spread(points: Vec<Point>, count: usize) -> Vec<Point> {
    if std::env::var_os("BKP_TEST_ALL_KILLS").is_some() {
        return points;
    }
    let all = points.len();
    // The last one too: it lies behind the swap.
    (1..=count.min(all)).map(|at| points[at * all / count.min(all) - 1].clone()).collect()
}

/// The changing calls of a restore that nobody kills.
fn counted(what: What) -> Vec<Point> {
    let scene = Scene::open(what);
    let log = scene.app.work.join("strace");
    let first = scene.lose(0);
    scene.traced(&["-o", log.to_str().expect("a path")]).ok();
    assert!(scene.is_new(&first, &scene.state(), "not killed"));
    scene.nothing_is_left("not killed");
    points(&fs::read_to_string(&log).expect("the calls"))
}

fn killed_at_a_spread(what: What, count: usize) {
    let all = counted(what);
    let (known, tried) = (all.len(), spread(all, count));
    assert!(known > 20, "{known} points");

    let (mut old, mut new, mut beyond) = (0, 0, 0);
    let mut scene: Option<Scene> = None;
    for (round, Point(call, nth)) in tried.iter().enumerate() {
        if round % ANEW == 0 {
            drop(scene.take());
        }
        let scene = scene.get_or_insert_with(|| Scene::open(what));
        let before = scene.lose(round + 1);
        let out = scene.traced(&["-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL:when={nth}")]);
        let traces = scene.traces();
        let next = ["resume", "backup", "restore"][round % 3];
        let told = format!("{what:?} {call} {nth}, then {next}, found {traces:?}\n{out:?}");
        assert!(out.code == 137 || out.code == 0, "{told}");
        let mut then = scene.bkp(&[next]);
        if next == "restore" {
            then = then.args([&scene.saved]);
        }
        let then = then.run();
        let told = format!("{told}\n{then:?}");
        assert_eq!(then.code, 0, "{told}");
        scene.nothing_is_left(&told);
        if next == "restore" {
            assert!(scene.is_new(&before, &scene.state(), &told), "{told}");
            // What it found is what it put aside.
            scene.bkp(&["restore", "--undo"]).run().ok();
        }
        let is_new = scene.is_new(&before, &scene.state(), &told);
        // A note that was not written to its end says of no pause: there is nothing to tell.
        if traces.iter().any(|trace| !trace.ends_with(".json.new ")) {
            let word = if is_new { "the restored application is live" } else { "as it was before that run" };
            assert!(then.stderr.contains(word), "does not say {word:?}: {told}");
        }
        match (out.code, is_new) {
            (0, _) => beyond += 1,
            (_, true) => new += 1,
            (_, false) => old += 1,
        }
    }
    let scene = scene.expect("a scene");
    // The orphans of the dead left locks behind, shared ones, which are no hindrance until somebody wants to be alone.
    scene.bkp(&["backup"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1").run().ok();
    assert_eq!(fs::read_dir(scene.app.repository().join("locks")).expect("locks").count(), 0);
    println!("{what:?}: {known} points, {} tried: {old} old, {new} new, {beyond} not reached", tried.len());
    assert!(old > 0 && beyond * 5 <= tried.len(), "{old} old, {new} new, {beyond} not reached");
    // Which of the last calls come to be reached is chance; a spread may miss all that lie behind the COMMIT.
    assert!(new > 0 || tried.len() < known, "{old} old, {new} new, {beyond} not reached");
}

#[test]
fn a_restore_of_databases_and_files_killed_anywhere_is_done_or_not_done() {
    killed_at_a_spread(What::Both, 14);
}

#[test]
fn a_restore_of_databases_killed_anywhere_is_done_or_not_done() {
    killed_at_a_spread(What::Databases, 6);
}

#[test]
fn a_restore_of_files_killed_anywhere_is_done_or_not_done() {
    killed_at_a_spread(What::Files, 8);
}
