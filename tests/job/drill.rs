//! A drill: proves a backup, shows evidence, touches nothing live, and leaves nothing, however it ends.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::wait::until;

/// All that a drill must not change: what is in every database, and what databases and roles there are.
fn live(shop: &Shop) -> (Vec<u8>, String) {
    let catalogue =
        "SELECT oid, datname, datdba, datacl, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1;
        SELECT oid, r.rolname, r.rolcanlogin, shobj_description(oid, 'pg_authid') FROM pg_roles r ORDER BY 1;
        SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2";
    (shop.cluster.pg_dumpall(["--no-comments", "--restrict-key=test"]), shop.cluster.psql("postgres", catalogue))
}

pub(super) fn of_drills(shop: &Shop) -> Vec<String> {
    shop.cluster.databases().into_iter().filter(|name| name.contains("__drill_")).collect()
}

fn evidence(path: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("the evidence")).expect("JSON")
}

/// A shop whose dump takes a while to load.
fn slow_shop() -> Shop {
    let shop = Shop::open();
    shop.cluster.psql(
        "shop",
        "CREATE TABLE much AS SELECT i, md5(i::text) AS t FROM generate_series(1, 200000) i; CREATE INDEX ON much (t)",
    );
    shop.bkp(["backup"]).run().ok();
    shop
}

#[test]
fn a_drill_proves_a_backup_shows_it_and_touches_nothing_live() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    let before = live(&shop);
    let (path, metrics) = (shop.work.join("evidence.json"), shop.work.join("bkp.prom"));
    let checks = "SELECT count(*) = 1000 FROM orders;\n\\connect shop\nSELECT ';' <> '' AND EXISTS (TABLE customers);";
    let drill = shop.bkp(["drill", "--json"]).env("BKP_DRILL_EVIDENCE", &path).env("BKP_METRICS_FILE", &metrics);
    let out = drill.env("BKP_DRILL_SQL", checks).run().ok().says("proven: ");
    assert!(live(&shop) == before, "live data, databases or roles are other than before");

    let shown = evidence(&path);
    assert_eq!(serde_json::from_str::<Value>(&out.stdout).expect("JSON"), shown, "one evidence, two ways to see it");
    assert_eq!((&shown["result"], &shown["app"]), (&"proven".into(), &"shop".into()));
    assert_eq!(shown["databases"]["shop"]["counted_rows"], 1100, "as saved, not as lost since");
    assert_eq!(shown["databases"]["shop"]["rows"], 1100);
    assert_eq!(shown["checks"].as_array().expect("checks").len(), 2);
    assert!(shown["backup"]["digest"].as_str().expect("a digest").starts_with("blake3:"));
    assert!(shown["backup"]["from"][0].as_str().expect("an address").starts_with("file://"));
    assert!(shown["time_to_restore_seconds"].as_f64().expect("a time") > 0.0);
    let told = fs::read_to_string(&metrics).expect("metrics");
    assert!(told.contains("bkp_drill_success{app=\"shop\"} 1\n") && told.contains("bkp_last_proof_timestamp_seconds"));

    let listed = shop.bkp(["list", "--json"]).run().ok();
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert!(listed[0]["proven"].is_string(), "{listed}");
    shop.bkp(["list"]).run().ok().says("PROVEN");
    // Once more: a proof that is there already is as good.
    shop.bkp(["drill"]).run().ok();
}

#[test]
fn a_check_that_does_not_hold_fails_the_drill_and_can_write_nothing() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let path = shop.work.join("evidence.json");
    for (query, instead) in [
        ("SELECT count(*) = 0 FROM orders", "false"),
        ("SELECT NULL::bool", "NULL"),
        ("SELECT 1", "a value of type int4"),
        ("SELECT true, true", "2 columns"),
        ("SELECT true WHERE false", "0 rows"),
        ("SELECT true FROM orders", "1000 rows"),
        ("TABLE nosuch", "error 42P01"),
        ("DELETE FROM orders RETURNING true", "error 25006"),
        ("COMMIT", "0 rows"),
    ] {
        let drill =
            shop.bkp(["drill", "--evidence"]).args([&path]).env("BKP_DRILL_SQL", format!("SELECT true; {query}"));
        drill.run().fails_with(5).says(instead);
        let shown = evidence(&path);
        assert_eq!((&shown["result"], &shown["checks"][1]["instead"]), (&"failed".into(), &instead.into()), "{query}");
        assert!(of_drills(&shop).is_empty(), "{query}");
    }
    shop.bkp(["drill"]).env("BKP_DRILL_SQL", "\\! true").run().fails_with(2);
    // Nor is a check that was taken back an answer: it says nothing of the backup.
    let taken_back = "SELECT pg_cancel_backend(pg_backend_pid())";
    let out = shop.bkp(["drill"]).env("BKP_DRILL_SQL", taken_back).run().fails_with(1);
    out.says("a check could not be asked: error 57014: SELECT pg_cancel");
    let listed = shop.bkp(["list", "--json"]).run().ok().stdout;
    assert!(listed.contains("\"proven\":null"), "none of these proved it: {listed}");
}

#[test]
fn roles_that_the_server_lacks_are_there_without_rights_and_only_for_the_drill() {
    let shop = Shop::open();
    shop.cluster.psql("shop", "CREATE ROLE gone LOGIN SUPERUSER PASSWORD 'x'; ALTER TABLE orders OWNER TO gone");
    shop.cluster.psql("shop", "GRANT SELECT ON customers TO gone");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "REASSIGN OWNED BY gone TO shop; DROP OWNED BY gone; DROP ROLE gone");
    let before = live(&shop);
    let harmless = "SELECT NOT rolcanlogin AND NOT rolsuper FROM pg_roles WHERE rolname = 'gone';
        SELECT tableowner = 'gone' FROM pg_tables WHERE tablename = 'orders'";
    shop.bkp(["drill"]).env("BKP_DRILL_SQL", harmless).run().ok();
    assert!(live(&shop) == before, "the role stayed, or something else is other than before");
}

/// A drill that has begun to load.
fn loading(shop: &Shop) -> crate::support::bkp::Running {
    let running = shop.bkp(["drill"]).spawn();
    until("the drill's database", || !of_drills(shop).is_empty());
    running
}

#[test]
fn a_drill_that_is_terminated_takes_everything_back() {
    let shop = slow_shop();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let running = loading(&shop);
        running.kill(signal);
        running.wait().fails_with(code);
        assert!(of_drills(&shop).is_empty());
    }
}

#[test]
fn what_a_killed_drill_left_goes_with_the_next_start_of_anything() {
    let shop = slow_shop();
    shop.cluster.psql("shop", "CREATE ROLE gone; GRANT SELECT ON orders TO gone");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DROP OWNED BY gone; DROP ROLE gone");
    let before = live(&shop);
    for next in ["drill", "backup", "resume"] {
        let running = loading(&shop);
        running.kill(Signal::KILL);
        running.wait();
        assert!(!of_drills(&shop).is_empty(), "killed before its end");
        shop.bkp([next]).env("BKP_LOCK_WAIT", "30").run().ok();
        assert!(live(&shop) == before, "{next}: something is left");
    }
}

#[test]
fn a_database_that_only_looks_like_a_drills_is_somebodys() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let name = "shop__drill_20260101T000000Z-abcdef";
    shop.cluster.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
    shop.cluster.psql("postgres", &format!("COMMENT ON DATABASE \"{name}\" IS 'mine'"));
    shop.bkp(["drill"]).run().ok();
    shop.bkp(["resume"]).run().ok();
    assert_eq!(of_drills(&shop), [name]);
}

#[test]
fn a_database_that_subscribes_to_another_server_leaves_no_copy_and_its_slot_is_left_alone() {
    let shop = Shop::open();
    // Nobody answers there: who tried to drop the slot would fail.
    let news = "CREATE SUBSCRIPTION news CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false)";
    shop.cluster.psql("shop", news);
    shop.bkp(["backup"]).run().ok();
    let before = live(&shop);
    shop.bkp(["drill"]).run().ok();
    assert!(of_drills(&shop).is_empty(), "it stays for ever");
    assert!(live(&shop) == before, "the live subscription is other than before");
}

#[test]
fn two_drills_wait_for_each_other_and_a_backup_for_none() {
    let shop = slow_shop();
    let running = loading(&shop);
    // Held where it is, so that the others meet it.
    running.kill(Signal::STOP);
    shop.bkp(["drill"]).run().fails_with(11).says("bkp drill");
    let all = |bkp: Bkp| bkp.without("POSTGRES_DB").env("BKP_DATABASES", "all");
    all(shop.bkp(["backup"])).run().ok();
    running.kill(Signal::CONT);
    running.wait().ok();
    let sql = super::gunzip(&fs::read(shop.dumps().pop().expect("the dump")).expect("the dump"));
    let of_a_drill = sql.windows(8).any(|bytes| bytes == b"__drill_");
    assert!(!of_a_drill, "what a drill loads is no data of the application's");
}

#[test]
fn the_newest_proven_run_is_never_forgotten_while_no_newer_one_is_proven() {
    let shop = Shop::open();
    let few = |bkp: Bkp| bkp.env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    shop.bkp(["backup"]).run().ok();
    shop.bkp(["drill"]).run().ok();
    let proven = shop.dumps().pop().expect("the dump");
    for _ in 0..3 {
        few(shop.bkp(["backup"])).run().ok();
        assert!(shop.dumps().contains(&proven));
    }
    few(shop.bkp(["forget"])).run().ok();
    // Three of one second may take each other's numbers: which of them is the newest is not asked here.
    assert!(shop.dumps().len() == 2 && shop.dumps().contains(&proven));
    shop.bkp(["drill"]).run().ok();
    few(shop.bkp(["forget"])).run().ok();
    assert!(!proven.exists(), "a newer one is proven");
    assert_eq!(shop.dumps().len(), 1);
    let proofs = fs::read_dir(shop.bucket().join("proven")).expect("proofs").count();
    assert_eq!(proofs, 1, "a proof goes with its dump");
}
