//! The heartbeat: it says what happened, and whatever becomes of it, the run ends as it would have.

use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::receiver::{Manner, Receiver};
use crate::support::wait::until;
use crate::support::workdir::WorkDir;

const TOKEN: &str = "c4n4ry-token";

/// As talkative as bkp can be: the address must not be in it all the same.
fn beating(bkp: Bkp, url: &str) -> Bkp {
    bkp.env("BKP_HEARTBEAT_URL", url).env("RUST_LOG", "trace")
}

#[test]
fn a_backup_calls_when_it_begins_and_when_it_is_saved() {
    let (shop, receiver) = (Shop::open(), Receiver::start(Manner::Answers(200)));
    beating(shop.bkp(["backup"]), &receiver.url(TOKEN)).run().ok().never_says("c4n4ry").never_says("heartbeat");
    let calls = receiver.calls();
    assert_eq!(receiver.paths(), [format!("/{TOKEN}/start"), format!("/{TOKEN}")]);
    assert!(calls[1].body.contains("exit 0") && calls[1].body.contains("1100 rows"), "{calls:?}");
    assert!(calls[0].query.starts_with("rid=") && calls[0].query == calls[1].query, "{calls:?}");
    // Nothing was attempted, so nothing is told.
    beating(shop.bkp(["backup", "--dry-run"]), &receiver.url(TOKEN)).run().ok();
    beating(shop.bkp(["list"]), &receiver.url(TOKEN)).run().ok();
    assert_eq!(receiver.calls().len(), 2);
}

#[test]
fn a_backup_that_fails_says_so_and_why_also_when_its_settings_are_wrong() {
    let (shop, receiver) = (Shop::open(), Receiver::start(Manner::Answers(200)));
    let backup = || beating(shop.bkp(["backup"]), &receiver.url(TOKEN));
    let failed = format!("/{TOKEN}/fail");
    backup().env("POSTGRES_DB", "absent").run().fails_with(1);
    let call = receiver.calls().pop().expect("a call");
    assert!(call.path == failed && call.body.contains("exit 1") && call.body.contains("absent"), "{call:?}");
    backup().env("BKP_KEEP_LAST", "many").run().fails_with(2);
    let call = receiver.calls().pop().expect("a call");
    assert!(call.path == failed && call.body.contains("exit 2") && call.body.contains("BKP_KEEP_LAST"), "{call:?}");
    // From a file, as secrets are mounted; and with a name for the application that nothing could be filed under.
    let file = shop.work.file("heartbeat", format!("{}\n", receiver.url(TOKEN)));
    let backup = shop.bkp(["backup"]).env("BKP_HEARTBEAT_URL_FILE", file).env("BKP_APP", "no/name");
    backup.run().fails_with(2).never_says("c4n4ry");
    assert_eq!(receiver.paths().iter().filter(|path| **path == failed).count(), 3);
}

#[test]
fn wrong_arguments_are_told_to_whoever_waits_for_what_was_meant_and_not_when_somebody_types_them() {
    let (work, receiver) = (WorkDir::new(), Receiver::start(Manner::Answers(200)));
    let (backups, drills) = (receiver.url(TOKEN), receiver.url("drills"));
    let called = |bkp: Bkp| bkp.env("BKP_HEARTBEAT_URL", &backups).env("BKP_DRILL_HEARTBEAT_URL", &drills);
    let metrics = work.join("bkp.prom");
    let backup =
        called(Bkp::bare().args(["backup", "--frob"])).env("BKP_METRICS_FILE", &metrics).env("BKP_APP", "shop");
    backup.run().fails_with(2).says("unexpected argument '--frob'").never_says("c4n4ry");
    assert_eq!(receiver.paths(), [format!("/{TOKEN}/start"), format!("/{TOKEN}/fail")]);
    let body = &receiver.calls()[1].body;
    assert!(body.contains("bkp backup of shop: exit 2") && body.contains("unexpected argument '--frob'"), "{body}");
    let metrics = std::fs::read_to_string(metrics).expect("metrics");
    assert!(metrics.contains("bkp_last_run_exit_status{app=\"shop\",command=\"backup\"} 2"), "{metrics}");

    let json = called(Bkp::bare().args(["drill", "--scratch"])).env("BKP_LOG", "json");
    json.run().fails_with(2).says("a value is required");
    assert_eq!(receiver.paths().split_off(2), ["/drills/start", "/drills/fail"]);
    called(Bkp::bare().called("backup.sh").args(["--frob"])).run().fails_with(2);
    assert_eq!(receiver.paths().split_off(4), [format!("/{TOKEN}/start"), format!("/{TOKEN}/fail")]);

    for nobodys in [vec!["bakcup"], vec!["list", "--frob"], vec!["backup", "--dry-run", "--frob"]] {
        called(Bkp::bare().args(nobodys)).run().fails_with(2);
    }
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", concat!(env!("CARGO_BIN_EXE_bkp"), " backup --frob"), "/dev/null"]);
    called(Bkp::by(script)).run().fails_with(2);
    assert_eq!(receiver.calls().len(), 6, "{:?}", receiver.paths());
}

#[test]
fn a_backup_that_is_terminated_says_so() {
    let (shop, receiver) = (Shop::open(), Receiver::start(Manner::Answers(200)));
    // Somebody holds a table, so it is still under way.
    let mut psql = shop.cluster.client("psql");
    psql.args(["-X", "-q", "-d", "shop", "-c", "BEGIN; LOCK TABLE orders", "-c", "SELECT pg_sleep(600)"]);
    let mut holder = psql.stdout(std::process::Stdio::null()).spawn().expect("psql");
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database <> 0";
    until("the lock", || shop.cluster.psql("postgres", held).trim() != "0");
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let before = receiver.calls().len();
        // The one before still waits on the server, for a moment.
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'";
        until("nobody to wait", || shop.cluster.psql("postgres", waits).trim() == "0");
        let running = beating(shop.bkp(["backup"]), &receiver.url(TOKEN)).without("RUST_LOG").spawn();
        until("the dump to wait", || shop.cluster.psql("postgres", waits).trim() != "0");
        running.kill(signal);
        running.wait().fails_with(code);
        let calls = receiver.calls().split_off(before);
        assert_eq!(
            calls.iter().map(|call| call.path.as_str()).collect::<Vec<_>>(),
            [format!("/{TOKEN}/start"), format!("/{TOKEN}/fail")]
        );
        assert!(calls[1].body.contains(&format!("exit {code}")), "{calls:?}");
    }
    holder.kill().expect("killed");
    holder.wait().expect("ended");
}

#[test]
fn a_receiver_that_is_dead_or_refuses_changes_nothing_and_is_told() {
    let shop = Shop::open();
    // A port where nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = format!("http://{}/{TOKEN}", listener.local_addr().expect("an address"));
    drop(listener);
    let out = beating(shop.bkp(["backup"]), &dead).run().ok().never_says("c4n4ry");
    out.says("the heartbeat could not be told of the end: Connection refused");
    let nowhere = format!("http://heartbeat.invalid/{TOKEN}");
    let out = beating(shop.bkp(["backup"]), &nowhere).without("RUST_LOG").run().ok().never_says("c4n4ry");
    out.says("the heartbeat could not be told of the end: ");
    for status in [500, 404, 301] {
        let receiver = Receiver::start(Manner::Answers(status));
        let out = beating(shop.bkp(["backup"]), &receiver.url(TOKEN)).run().ok().never_says("c4n4ry");
        out.says(&format!("the heartbeat could not be told of the end: it answers {status}"));
        // What may be over in a moment is tried again; what is wrong stays wrong.
        let ends = receiver.paths().iter().filter(|path| **path == format!("/{TOKEN}")).count();
        assert_eq!(ends, if status == 500 { 3 } else { 1 }, "{status}");
    }
}

#[test]
fn a_receiver_that_never_answers_does_not_keep_a_run() {
    let (shop, receiver) = (Shop::open(), Receiver::start(Manner::Holds));
    let out = beating(shop.bkp(["backup"]), &receiver.url(TOKEN)).run().ok().never_says("c4n4ry");
    out.says("the heartbeat could not be told of the beginning").says("the heartbeat could not be told of the end");
    // The run is over, and nobody has got an answer yet.
    assert!(receiver.held() > 0, "it was never called");
    let gate = Receiver::start(Manner::Holds);
    let backup = shop.bkp(["backup"]).env("BKP_PUSHGATEWAY_URL", gate.url(TOKEN)).env("POSTGRES_DB", "absent");
    backup.run().fails_with(1).says("the metrics could not be pushed: no answer within").never_says("c4n4ry");
    assert!(gate.held() > 0, "it was never called");
}

#[test]
fn a_drill_calls_its_own_and_without_one_tells_the_backups_only_that_it_failed() {
    let (shop, receiver) = (Shop::open(), Receiver::start(Manner::Answers(200)));
    shop.bkp(["backup"]).run().ok();
    let drill = || beating(shop.bkp(["drill"]), &receiver.url("backups")).without("RUST_LOG");
    drill().run().ok();
    assert!(receiver.calls().is_empty(), "a drill's success says nothing of tonight's backup");
    drill().env("BKP_DRILL_SQL", "SELECT false").run().fails_with(5);
    drill().env("BKP_DRILL_HEARTBEAT_URL", receiver.url("drills")).run().ok();
    assert_eq!(receiver.paths(), ["/backups/fail", "/drills/start", "/drills"]);
}

#[test]
fn a_url_that_is_none_is_a_fault_that_does_not_say_it() {
    let shop = Shop::open();
    for name in ["BKP_HEARTBEAT_URL", "BKP_DRILL_HEARTBEAT_URL", "BKP_PUSHGATEWAY_URL"] {
        let out = shop.bkp(["backup"]).env(name, "hc.example.org/c4n4ry").run().fails_with(2);
        out.says(&format!("{name}: must be a URL")).never_says("c4n4ry");
    }
}
