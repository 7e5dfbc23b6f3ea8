//! Backups of a standby while its primary removes what they read: replay is paused for them and goes on afterwards, whatever
//! happens to them; without a pause a cancelled dump is done again and never kept.
//!
//! The dump is held in its middle by a script around pg_dump that asks a second script, the hook, to end. So a test decides
//! what happens between a dump's first row and its last, and nothing depends on time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::bkp::{Bkp, Output, Running};
use crate::support::cluster::Cluster;
use crate::support::parts::MAJORS;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// A primary with rows, its standby that cancels what is in the way at once, and a bucket.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    work: WorkDir,
}

/// A row leaves the middle of the table, and vacuum removes it for good: whoever still reads it is in replay's way.
const REMOVE: &str = "UPDATE much SET n = n + 1 WHERE i % 50 = 0; VACUUM much;";

/// What the table holds.
const ROWS: &str = "SELECT count(*), sum(n), md5(string_agg(m::text, '' ORDER BY i)) FROM much m";

impl Pair {
    fn of(major: u32) -> Self {
        let primary = Cluster::start(major);
        primary.psql("postgres", "CREATE DATABASE shop");
        // More than fits into the pipes and sockets between server and bkp: a dump held at its beginning is held there.
        primary.psql(
            "shop",
            "CREATE TABLE much AS SELECT i, 0 AS n, repeat(md5(i::text), 24) AS t FROM generate_series(1, 6000) i",
        );
        let cancel_at_once = Cluster::options(major).conf("max_standby_streaming_delay = 0");
        let standby = Cluster::standby_with(&primary, cancel_at_once);
        let pair = Self { primary, standby, work: WorkDir::new() };
        pair.bkp(["init"]).run().ok();
        pair
    }

    fn bkp<const N: usize>(&self, arguments: [&str; N]) -> Bkp {
        let bkp = Bkp::new(&self.standby).bucket(&self.work.join("bucket"));
        bkp.env("POSTGRES_DB", "shop").env("POSTGRES_HOST", self.standby.socket_dir()).args(arguments)
    }

    /// A backup whose pg_dump, after its first rows, runs a hook before it goes on.
    fn held_by(&self, hook: &str) -> Bkp {
        let directory = self.work.dir("clients");
        let real = Cluster::client_bin(self.standby.major());
        for program in ["pg_dump", "pg_dumpall", "psql"] {
            let real = real.join(program);
            let real = real.display();
            let script = if program == "pg_dump" {
                format!("set -o pipefail; {real} \"$@\" | {{ head -c 20000; {hook}\ncat; }}")
            } else {
                format!("exec {real} \"$@\"")
            };
            let text = format!("#!/bin/bash\ncase \"$1\" in --version) exec {real} --version;; esac\n{script}\n");
            let path = directory.join(program);
            fs::write(&path, text).expect("a script");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable");
        }
        self.bkp(["backup"]).env("BKP_PG_BIN", &directory)
    }

    /// A backup that is held until [`Pair::let_go`].
    fn held(&self) -> Bkp {
        let (begun, go) = (self.work.join("begun"), self.work.join("go"));
        let wait = format!("for _ in $(seq 1200); do [ -e {} ] && break; sleep 0.05; done", go.display());
        self.held_by(&format!("touch {}; {wait}", begun.display()))
    }

    /// Starts a backup and waits until its dump is held.
    fn hold(&self, backup: Bkp) -> Running {
        let _ = fs::remove_file(self.work.join("begun"));
        let running = backup.spawn();
        until("the dump", || self.work.join("begun").exists());
        running
    }

    fn let_go(&self) {
        self.work.file("go", "");
    }

    /// A script's words that remove rows under the dump, and wait until the standby has cancelled it.
    fn cancel(&self) -> String {
        let psql = |cluster: &Cluster, database: &str, sql: &str| {
            let client = Cluster::client_bin(cluster.major()).join("psql");
            let port = cluster.port();
            format!(
                "{} -XqAt -h {} -p {port} -U postgres -d {database} -c \"{sql}\"",
                client.display(),
                cluster.socket_dir()
            )
        };
        let remove: Vec<String> =
            REMOVE.split_inclusive(';').map(|sql| psql(&self.primary, "shop", sql.trim())).collect();
        let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'bkp backup%' AND state = 'idle in transaction'";
        let there = psql(&self.standby, "postgres", ours);
        format!(
            "{} >&2; for _ in $(seq 200); do [ \"$({there})\" = 0 ] && break; sleep 0.05; done",
            remove.join(" >&2; ")
        )
    }

    fn paused(&self) -> bool {
        let mut said = None;
        until("an answer", || {
            said = self.standby.try_psql("postgres", "SELECT pg_is_wal_replay_paused()").ok();
            said.is_some()
        });
        said.is_some_and(|said| said.trim() == "t")
    }

    fn rows(cluster: &Cluster) -> String {
        cluster.psql("shop", ROWS)
    }

    /// Replay goes on: what the primary has now arrives.
    fn catches_up(&self) {
        until("replay goes on", || !self.paused());
        let wanted = Self::rows(&self.primary);
        // Replay that catches up cancels whoever looks on.
        until("the standby catches up", || self.standby.try_psql("shop", ROWS).is_ok_and(|rows| rows == wanted));
    }

    fn dumps(&self) -> Vec<PathBuf> {
        super::dumps(&self.work.join("bucket"))
    }

    /// What a restored copy of the newest dump has; restored on the primary, as a standby takes none.
    fn saved(&self) -> String {
        let restore = Bkp::new(&self.primary).bucket(&self.work.join("bucket")).env("POSTGRES_DB", "shop");
        restore.args(["restore", "--as", "copy", "--only", "shop"]).run().ok();
        self.primary.psql("copy", ROWS)
    }
}

/// Writes and vacuums until it is dropped.
fn under_load<T>(primary: &Cluster, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                primary.psql("shop", REMOVE);
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        load.join().expect("the load");
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn replay_is_paused_for_a_dump_on(major: u32) {
    let pair = Pair::of(major);
    let output = under_load(&pair.primary, || {
        let running = pair.hold(pair.held());
        assert!(pair.paused());
        // The standby receives all the while that the dump is held, and replays nothing of it.
        let before = Pair::rows(&pair.standby);
        let received =
            || pair.standby.psql("postgres", "SELECT pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn() > 3000000");
        until("something to replay", || received().trim() == "t");
        pair.let_go();
        (running.wait().ok(), before)
    });
    output.0.says("replay is paused for the dump").says("replay goes on").never_says("doing it again");
    assert_eq!(pair.dumps().len(), 1);
    pair.catches_up();
    assert_eq!(pair.saved(), output.1, "the dump is the standby's state at the pause");
}

#[test]
fn replay_is_paused_for_a_dump_and_goes_on_14() {
    replay_is_paused_for_a_dump_on(14);
}

#[test]
fn replay_is_paused_for_a_dump_and_goes_on_17() {
    replay_is_paused_for_a_dump_on(17);
}

#[test]
fn every_major_is_saved_from_a_standby() {
    // 13 as well: it says that it will pause, not that it has.
    for major in [13].into_iter().chain(MAJORS) {
        let pair = Pair::of(major);
        pair.primary
            .psql("shop", "CREATE UNLOGGED TABLE brief (i serial, t text); INSERT INTO brief (t) VALUES ('gone')");
        let there = "SELECT count(*) FROM pg_class WHERE relname = 'brief'";
        until("the table", || pair.standby.psql("shop", there).trim() == "1");
        pair.bkp(["backup"]).run().ok().says("1 are saved without theirs").says("replay is paused");
        assert!(!pair.paused(), "{major}");
        assert_eq!(pair.saved(), Pair::rows(&pair.primary), "{major}");
    }
}

fn a_cancelled_dump(mode: &str, hook: impl Fn(&Pair) -> String) -> (Pair, Output) {
    let pair = Pair::of(17);
    let output = pair.held_by(&hook(&pair)).env("BKP_STANDBY", mode).run();
    assert!(!pair.paused());
    pair.catches_up();
    (pair, output)
}

#[test]
fn a_dump_that_is_cancelled_each_time_fails_and_is_no_backup() {
    let (pair, output) = a_cancelled_dump("none", Pair::cancel);
    output
        .fails_with(1)
        .says("conflict with recovery")
        .says("cancelled the dump 3 times")
        .says("leave BKP_STANDBY at pause");
    assert!(pair.dumps().is_empty(), "{:?}", pair.dumps());
}

#[test]
fn a_dump_that_is_cancelled_once_is_done_again() {
    let (pair, output) = a_cancelled_dump("none", |pair| {
        let once = pair.work.join("once");
        format!("if [ ! -e {0} ]; then touch {0}; {1}; fi", once.display(), pair.cancel())
    });
    output.ok().says("doing it again");
    assert_eq!(pair.dumps().len(), 1);
    assert_eq!(pair.saved(), Pair::rows(&pair.primary));
}

#[test]
fn feedback_that_is_off_is_said_and_feedback_that_is_on_protects() {
    let pair = Pair::of(17);
    pair.bkp(["backup"]).env("BKP_STANDBY", "feedback").run().ok().says("hot_standby_feedback is off");
    pair.standby.reconfigure("hot_standby_feedback = on\nwal_receiver_status_interval = 1");
    let running = pair.hold(pair.held().env("BKP_STANDBY", "feedback"));
    let xmin = "SELECT count(*) FROM pg_replication_slots WHERE xmin IS NOT NULL";
    until("feedback", || pair.primary.psql("postgres", xmin).trim() == "1");
    pair.primary.psql("shop", REMOVE);
    // It goes on while the dump is held: this is replayed, and cancels nothing.
    pair.catches_up();
    pair.let_go();
    running.wait().ok().says("tells its primary").never_says("doing it again").never_says("is off");
}

#[test]
fn term_in_the_middle_of_a_dump_lets_replay_go_on() {
    let pair = Pair::of(17);
    let running = pair.hold(pair.held());
    assert!(pair.paused());
    running.kill(Signal::TERM);
    running.wait().fails_with(143).says("replay goes on");
    assert!(!pair.paused());
    assert!(pair.dumps().is_empty());
    pair.catches_up();
}

#[test]
fn a_killed_run_leaves_nothing_paused_and_needs_nobody_to_resume() {
    for major in [14, 18] {
        let pair = Pair::of(major);
        let running = pair.hold(pair.held());
        assert!(pair.paused());
        running.kill(Signal::KILL);
        pair.catches_up();
        pair.let_go();
        running.wait().fails_with(137);
        pair.bkp(["backup"]).run().ok().never_says("somebody");
        assert!(!pair.paused());
    }
}

#[test]
fn the_pause_of_a_dead_run_is_not_taken_for_somebody_s_own() {
    let pair = Pair::of(17);
    // A guard as a killed run leaves it, slowed down: it has the lock and has not resumed yet.
    let guard = "SELECT pg_advisory_lock_shared(1651208193, 7), pg_wal_replay_pause()\\; SELECT pg_sleep(1)\\; SELECT pg_wal_replay_resume();";
    thread::scope(|scope| {
        let guard = scope.spawn(|| pair.standby.psql("postgres", guard));
        until("the guard", || pair.paused());
        pair.bkp(["backup"]).run().ok().never_says("somebody").says("replay goes on");
        guard.join().expect("the guard");
    });
    assert!(!pair.paused());
}

#[test]
fn a_lost_session_lets_replay_go_on() {
    let pair = Pair::of(17);
    let running = pair.hold(pair.held());
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'bkp backup%'";
    pair.standby.psql("postgres", &format!("{end} AND application_name NOT LIKE '%guard' AND datname = 'postgres'"));
    pair.catches_up();
    pair.let_go();
    running.wait();
    assert!(!pair.paused());
}

#[test]
fn a_lost_guard_is_stood_in_for() {
    let pair = Pair::of(17);
    let running = pair.hold(pair.held());
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE '%guard'";
    assert_eq!(pair.standby.psql("postgres", end).trim(), "1");
    assert!(pair.paused());
    pair.let_go();
    running.wait().ok().says("somebody had ended the session");
    pair.catches_up();
}

#[test]
fn somebody_s_own_pause_stays() {
    let pair = Pair::of(17);
    pair.standby.psql("postgres", "SELECT pg_wal_replay_pause()");
    pair.bkp(["backup"]).run().ok().says("somebody else paused").never_says("goes on");
    assert!(pair.paused());
    assert_eq!(pair.dumps().len(), 1);
}

#[test]
fn of_two_runs_the_last_one_out_resumes() {
    let pair = Pair::of(17);
    let running = pair.hold(pair.held());
    pair.bkp(["backup"]).env("BKP_APP", "other").run().ok().never_says("somebody");
    assert!(pair.paused(), "the first still reads");
    pair.let_go();
    running.wait().ok();
    pair.catches_up();
}

#[test]
fn an_account_that_may_not_pause_saves_without() {
    let pair = Pair::of(17);
    pair.primary.psql("postgres", "CREATE ROLE saver LOGIN; GRANT pg_read_all_data TO saver");
    let there = "SELECT count(*) FROM pg_roles WHERE rolname = 'saver'";
    until("the role", || pair.standby.psql("postgres", there).trim() == "1");
    pair.bkp(["backup"]).env("POSTGRES_USER", "saver").run().ok().says("may not pause").says("GRANT EXECUTE");
    pair.primary.psql("postgres", "GRANT EXECUTE ON FUNCTION pg_wal_replay_pause(), pg_wal_replay_resume() TO saver");
    let granted = "SELECT has_function_privilege('saver', 'pg_wal_replay_resume()', 'EXECUTE')";
    until("the grant", || pair.standby.psql("postgres", granted).trim() == "t");
    pair.bkp(["backup"]).env("POSTGRES_USER", "saver").run().ok().says("replay is paused").says("replay goes on");
    assert!(!pair.paused());
}

#[test]
fn a_table_that_the_primary_has_locked_does_not_hold_replay_for_ever() {
    let pair = Pair::of(17);
    let mut psql = pair.primary.client("psql");
    let mut holder = psql.args(["-Xq", "-d", "shop"]).stdin(std::process::Stdio::piped()).spawn().expect("psql");
    let lock = b"BEGIN; LOCK TABLE much IN ACCESS EXCLUSIVE MODE; SELECT pg_current_wal_flush_lsn() \\g /dev/null\n";
    std::io::Write::write_all(holder.stdin.as_mut().expect("a pipe"), lock).expect("written");
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND locktype = 'relation'";
    until("the lock", || pair.standby.psql("postgres", held).trim() != "0");

    pair.standby.psql("postgres", "SELECT pg_wal_replay_pause()");
    pair.bkp(["backup"]).run().fails_with(1).says("would wait for ever").says("shop");
    pair.standby.psql("postgres", "SELECT pg_wal_replay_resume()");

    let running = pair.bkp(["backup"]).spawn();
    let seen = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    until("the guard", || pair.standby.psql("postgres", seen).trim() == "1");
    // Closing psql's input ends its transaction.
    drop(holder.stdin.take());
    holder.wait().expect("psql");
    running.wait().ok().says("holds tables of shop locked").says("replay is paused");
    pair.catches_up();
}

#[test]
fn a_standby_that_is_promoted_in_the_middle_is_saved() {
    let pair = Pair::of(17);
    let running = pair.hold(pair.held());
    pair.standby.psql("postgres", "SELECT pg_promote(true, 30)");
    pair.let_go();
    running.wait().ok();
    assert_eq!(pair.dumps().len(), 1);
    assert_eq!(pair.standby.psql("postgres", "SELECT pg_is_in_recovery()").trim(), "f");
}

#[test]
fn a_standby_takes_no_restore_and_says_so_before_anything() {
    let pair = Pair::of(17);
    pair.bkp(["backup"]).run().ok();
    pair.bkp(["restore"]).run().fails_with(1).says("read-only").says("restore on its primary");
    let databases = pair.standby.databases();
    assert!(!databases.iter().any(|name| name.contains("__bkp_")), "{databases:?}");
}

#[test]
fn what_a_dead_restore_left_is_said_on_a_standby_and_not_dropped() {
    let pair = Pair::of(17);
    let name = "shop__bkp_20261121T231004Z-7f3a9c";
    pair.primary.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
    until("the leftover", || pair.standby.databases().iter().any(|database| database == name));
    pair.bkp(["backup"]).run().ok().says("a standby cannot drop it");
    assert!(pair.standby.databases().iter().any(|database| database == name));
    let primary = Bkp::new(&pair.primary).bucket(&pair.work.join("bucket")).env("POSTGRES_DB", "shop");
    primary.args(["backup"]).within(Duration::from_secs(60)).run().ok().says("dropped");
}
