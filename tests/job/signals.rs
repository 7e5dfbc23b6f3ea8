//! TERM and kill -9 at every step: the old data serves, nothing half-done is listed, the next run repairs.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::wait::until;

/// A shop whose dump takes a while to load: a trigger-free table with an index that is slow to build.
fn slow_shop() -> Shop {
    let shop = Shop::open();
    shop.cluster.psql(
        "shop",
        "CREATE TABLE much AS SELECT i, md5(i::text) AS t FROM generate_series(1, 150000) i; CREATE INDEX ON much (t)",
    );
    shop
}

/// Moments after the start at which a run is hit; together they reach every step.
const MOMENTS_MS: [u64; 9] = [20, 60, 120, 200, 300, 450, 650, 900, 1300];

fn hit(bkp: Bkp, signal: Signal, after_ms: u64) -> i32 {
    let running = bkp.spawn();
    std::thread::sleep(Duration::from_millis(after_ms));
    running.kill(signal);
    running.wait().code
}

fn backup_hit_by(signal: Signal, allowed: &[i32]) {
    let shop = slow_shop();
    let is_part = |dump: &Path| dump.extension().is_some_and(|extension| extension == "part");
    // What a killed upload leaves is hidden, and goes with the next one.
    let count = || shop.dumps().iter().filter(|dump| signal != Signal::KILL || !is_part(dump)).count();
    for moment in MOMENTS_MS {
        let before = count();
        let code = hit(shop.bkp(["backup"]), signal, moment);
        assert!(code == 0 || allowed.contains(&code), "{moment} ms: {code}");
        let after = count();
        assert!(
            after == before + usize::from(code == 0) || (code != 0 && after == before + 1 && signal == Signal::KILL),
            "{moment} ms"
        );
        // Whatever is listed is whole.
        shop.bkp(["check", "--read-data"]).run().ok();
    }
    shop.bkp(["backup"]).run().ok();
    assert!(!shop.dumps().iter().any(|dump| is_part(dump)), "{:?}", shop.dumps());
}

#[test]
fn a_backup_that_is_terminated_leaves_nothing_half_done() {
    backup_hit_by(Signal::TERM, &[143]);
}

#[test]
fn a_backup_that_is_interrupted_leaves_nothing_half_done() {
    backup_hit_by(Signal::INT, &[130]);
}

#[test]
fn a_backup_that_is_killed_leaves_nothing_that_is_listed() {
    backup_hit_by(Signal::KILL, &[-9, 137]);
}

fn restore_hit_by(signal: Signal, allowed: &[i32]) {
    let shop = slow_shop();
    let saved = shop.orders();
    shop.bkp(["backup"]).run().ok();
    for moment in MOMENTS_MS {
        shop.lose_orders();
        let lost = shop.orders();
        let code = hit(shop.bkp(["restore"]), signal, moment);
        assert!(code == 0 || allowed.contains(&code), "{moment} ms: {code}");
        let now = shop.orders();
        if code == 0 {
            assert_eq!(now, saved, "{moment} ms");
        } else if signal != Signal::KILL {
            assert_eq!(now, lost, "{moment} ms: the old one serves");
            assert!(!shop.databases_of_ours().iter().any(|name| name.contains("__bkp_")), "{moment} ms");
        } else {
            assert!(now == lost || now == saved, "{moment} ms: one of the two, whole");
        }
    }
    // The next run gives back what a dead one left.
    shop.bkp(["restore"]).env("BKP_LOCK_WAIT", "30").run().ok();
    assert_eq!(shop.orders(), saved);
    assert!(!shop.databases_of_ours().iter().any(|name| name.contains("__bkp_")), "{:?}", shop.databases_of_ours());
    shop.bkp(["backup"]).run().ok();
    assert!(shop.databases_of_ours().is_empty(), "{:?}", shop.databases_of_ours());
}

#[test]
fn a_restore_that_is_terminated_leaves_the_old_database_serving() {
    restore_hit_by(Signal::TERM, &[143]);
}

#[test]
fn a_restore_that_is_killed_leaves_one_of_the_two_whole() {
    restore_hit_by(Signal::KILL, &[-9, 137]);
}

#[test]
fn a_waiting_pod_ends_at_once_on_term() {
    let running = Bkp::bare().args(["wait"]).spawn();
    std::thread::sleep(Duration::from_millis(300));
    running.kill(Signal::TERM);
    let began = std::time::Instant::now();
    running.wait().ok();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn who_is_asked_on_a_terminal_may_end_it_instead_of_answering() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let before = shop.orders();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let (screen, process) = (shop.work.join("screen"), shop.work.join("process"));
        // A terminal whose keyboard nobody touches.
        let terminal = "mkfifo keys; sleep 300 >keys & \
            script -qefc \"echo \\$\\$ >$PROCESS; exec $*\" \"$SCREEN\" <keys; code=$?; kill $!; exit $code";
        let running = shop
            .bkp(["restore"])
            .by_way_of(["sh", "-c", terminal, "terminal"])
            .env("SCREEN", &screen)
            .env("PROCESS", &process)
            .within(Duration::from_secs(20))
            .spawn();
        until("the question", || std::fs::read_to_string(&screen).is_ok_and(|shown| shown.contains("Go ahead?")));
        let process: i32 = std::fs::read_to_string(&process).expect("a number").trim().parse().expect("a number");
        kill_process(Pid::from_raw(process).expect("a process"), signal).expect("a signal");
        running.wait().fails_with(code);
        std::fs::remove_file(&screen).expect("the screen");
        assert_eq!(shop.orders(), before);
    }
    shop.bkp(["restore", "--yes"]).run().ok();
}
