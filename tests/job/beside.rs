//! A pod that idles is deleted while operators work in it: process 1 alone is told, and the commands beside it clean up all the same.

use std::os::unix::fs::symlink;
use std::process::{Child, Command};

use rustix::process::Signal;

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::container::Container;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

/// Sessions of bkp and of its children on the server, and locks of theirs.
const OURS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'bkp %'";

/// What an index of a side database waits for, and the live one does not.
const SLOW: &str = "CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN IF current_database() <> 'shop' THEN PERFORM pg_sleep(600); END IF; RETURN i; END $$;
    CREATE INDEX slowly ON orders (slow(id::int))";

fn idle() -> Bkp {
    Bkp::bare().args(["wait"])
}

fn end(mut holder: Child) {
    drop(holder.stdin.take());
    let _ = holder.wait();
}

fn until_pg_dump_waits(shop: &Shop) {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    until("pg_dump waits", || shop.cluster.psql("postgres", waiting).trim() == "1");
}

fn nothing_is_left(shop: &Shop) {
    until("no session of ours, and so no lock", || shop.cluster.psql("postgres", OURS).trim() == "0");
    assert!(shop.databases_of_ours().is_empty(), "{:?}", shop.databases_of_ours());
}

/// A restore that was begun beside process 1 and is in the middle of the load, with the application paused.
fn restored_beside_is_cleaned_up(first: Bkp) {
    let shop = Shop::open();
    shop.cluster.psql("shop", SLOW);
    shop.bkp(["backup"]).run().ok();
    let saved = shop.orders();
    let closed = shop.work.join("closed");
    let container = Container::start(first);
    let restore = shop.bkp(["restore"]).env("BKP_MAINTENANCE_FILE", &closed).env("BKP_MAINTENANCE_CONTENT", "closed");
    let restore = container.exec(restore).spawn();
    let indexing = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until("the side database", || shop.cluster.psql("postgres", indexing).trim() != "0");
    assert!(closed.exists(), "the application is paused");
    container.term();
    restore.wait().fails_with(143).says("asked to stop; cleaning up");
    container.wait().ok().says("passed on to `bkp restore` (process ").says("what ran beside me has ended");
    assert!(!closed.exists(), "the application is given back");
    assert_eq!(shop.orders(), saved);
    nothing_is_left(&shop);
    shop.bkp(["restore"]).args(["--dry-run"]).run().ok();
}

#[test]
fn a_restore_cleans_up_when_the_pod_beside_whose_process_1_it_runs_is_deleted() {
    restored_beside_is_cleaned_up(idle());
}

#[test]
fn an_old_entrypoint_does_the_same() {
    let work = WorkDir::new();
    let entrypoint = work.join("entrypoint-start-and-wait.sh");
    symlink(env!("CARGO_BIN_EXE_bkp"), &entrypoint).expect("a link");
    restored_beside_is_cleaned_up(Bkp::by(Command::new(&entrypoint)));
}

#[test]
fn commands_in_an_operators_shell_are_told_as_well_and_those_of_another_program_are_not() {
    let shop = Shop::open();
    let holder = shop.hold_orders();
    let container = Container::start(idle());
    // An interactive shell lives on after TERM, and so does this one's script.
    let script = "trap '' USR1; \"$0\" backup; echo \"shell: $?\"";
    let bkp = shop.bkp([]).by_way_of(["sh", "-c", script]);
    let shell = container.exec(bkp).spawn();
    until_pg_dump_waits(&shop);
    let (there, told) = (shop.work.join("there"), shop.work.join("told"));
    let script =
        format!("trap 'echo >{}' TERM; echo >{}; while :; do sleep 0.1; done", told.display(), there.display());
    let mut other = container.exec(Bkp::by(Command::new("sh")).args(["-c", &script])).spawn();
    until("the other", || there.exists());
    container.term();
    shell.wait().ok().says("shell: 143");
    container.wait().ok().says("passed on to `bkp backup` (process ");
    until("the end of all others", || !other.running());
    other.wait().fails_with(137);
    assert!(!told.exists());
    nothing_is_left(&shop);
    assert!(shop.dumps().is_empty());
    end(holder);
}

#[test]
fn a_second_signal_ends_process_1_at_once_and_the_next_run_repairs() {
    let shop = Shop::open();
    let holder = shop.hold_orders();
    let mut container = Container::start(idle());
    // One that hears nothing.
    let deaf = container.exec(shop.bkp(["backup"])).spawn();
    until_pg_dump_waits(&shop);
    let bkp = format!("pgrep --exact bkp --ns {} --nslist pid", container.first().as_raw_nonzero());
    let mut found = String::new();
    until("two of bkp", || {
        let out = Command::new("sh").args(["-c", &bkp]).output().expect("pgrep");
        found = String::from_utf8_lossy(&out.stdout).into_owned();
        found.lines().count() == 2
    });
    let first = container.first().as_raw_nonzero().to_string();
    let other = found.lines().find(|line| *line != first).and_then(|line| line.parse().ok()).expect("the other");
    let other = rustix::process::Pid::from_raw(other).expect("a number");
    rustix::process::kill_process(other, Signal::STOP).expect("stopped");
    container.term();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(container.running(), "it waits for the other");
    container.term();
    let stat = format!("/proc/{}/stat", other.as_raw_nonzero());
    until("it is killed", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z")));
    // nsenter stopped with its child, and a namespace is not gone before all in it are waited for.
    deaf.kill(Signal::CONT);
    container.wait().ok().says("asked to stop once more");
    deaf.wait().fails_with(137);
    end(holder);
    shop.bkp(["backup"]).env("BKP_LOCK_WAIT", "30").run().ok();
}

#[test]
fn process_1_ends_at_once_when_nothing_runs_beside_it() {
    let work = WorkDir::new();
    let container = Container::start(idle());
    let script = format!("echo >{}; sleep 600", work.join("there").display());
    let shell = container.exec(Bkp::by(Command::new("sh")).args(["-c", &script])).spawn();
    until("the shell", || work.join("there").exists());
    container.term();
    container.wait().ok().never_says("passed on");
    shell.wait().fails_with(137);
}

#[test]
fn process_1_ends_when_its_terminal_is_closed() {
    let container = Container::start(idle());
    rustix::process::kill_process(container.first(), Signal::HUP).expect("process 1");
    container.wait().ok();
}

#[test]
fn process_1_reaps_what_commands_leave_behind() {
    let container = Container::start(idle());
    // The shell ends before its child, which process 1 inherits.
    let script = "(sleep 0.2; exit 3) & echo $!";
    let out = container.exec(Bkp::by(Command::new("sh")).args(["-c", script])).run().ok();
    let gone = format!("! test -e /proc/{}", out.stdout.trim());
    until("the child is reaped", || container.exec(Bkp::by(Command::new("sh")).args(["-c", &gone])).run().code == 0);
    container.term();
    container.wait().ok();
}

#[test]
fn where_it_is_not_process_1_it_ends_alone() {
    let shop = Shop::open();
    let holder = shop.hold_orders();
    // A shell that stays, as an init does; with a command after it, or the shell becomes bkp.
    let wrapped = Bkp::bare().args(["wait"]).by_way_of(["sh", "-c", "\"$@\"; echo \"wait: $?\"; sleep 600", "sh"]);
    let container = Container::of(wrapped);
    let backup = container.exec(shop.bkp(["backup"])).spawn();
    until_pg_dump_waits(&shop);
    let idle = Command::new("pgrep").args(["--parent", &container.first().as_raw_nonzero().to_string()]).output();
    let idle = String::from_utf8_lossy(&idle.expect("pgrep").stdout).trim().parse().expect("one child");
    let idle = rustix::process::Pid::from_raw(idle).expect("a number");
    container.listens(idle);
    rustix::process::kill_process(idle, Signal::TERM).expect("there");
    until("its end", || rustix::process::test_kill_process(idle).is_err());
    end(holder);
    backup.wait().ok();
    container.kill();
    container.wait().says("wait: 0").never_says("passed on");
    assert_eq!(shop.dumps().len(), 1);
}

#[test]
fn a_shell_that_becomes_it_changes_nothing() {
    let shop = Shop::open();
    let holder = shop.hold_orders();
    let container = Container::start(Bkp::bare().args(["wait"]).by_way_of(["sh", "-c", "exec \"$@\"", "sh"]));
    let backup = container.exec(shop.bkp(["backup"])).spawn();
    until_pg_dump_waits(&shop);
    container.term();
    backup.wait().fails_with(143);
    container.wait().ok().says("passed on to `bkp backup` (process ");
    nothing_is_left(&shop);
    end(holder);
}
