//! `bkp restore --undo`, with databases: everything as it was, to and fro, or a clear word why not.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::compare::{Snapshot, assert_same};

/// Beyond any number of messages that an undo sends.
const FAR: usize = 200;

/// bkp for all databases of the server.
fn all<const N: usize>(shop: &Shop, arguments: [&str; N]) -> Bkp {
    Bkp::new(&shop.cluster).bucket(&shop.bucket()).args(arguments)
}

/// Everything but what is put aside.
fn state(shop: &Shop) -> Snapshot {
    Snapshot::of(&shop.cluster).without_replaced()
}

fn undo(shop: &Shop) -> Bkp {
    shop.bkp(["restore", "--undo"])
}

/// The copies that are there, without their run.
fn copies(shop: &Shop) -> Vec<String> {
    let cut = |name: String| name.split("__was_").next().unwrap_or_default().to_owned();
    shop.databases_of_ours().into_iter().map(cut).collect()
}

fn rows(bkp: Bkp) -> Vec<serde_json::Value> {
    serde_json::from_slice(&bkp.run().ok().bytes).expect("JSON")
}

/// Properties that no dump of before says, so that only the very database brings them back.
const PROPERTIES: &str = "ALTER DATABASE shop OWNER TO clerk; GRANT CONNECT ON DATABASE shop TO PUBLIC; \
    GRANT CREATE ON DATABASE shop TO shop WITH GRANT OPTION; REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC; \
    ALTER DATABASE shop SET work_mem = '7MB'; ALTER ROLE clerk IN DATABASE shop SET search_path = 'a', \"B c\"; \
    ALTER DATABASE shop CONNECTION LIMIT 17; COMMENT ON DATABASE shop IS 'It''s \\ the \"shop\", \u{fc}ber alles'";

#[test]
fn a_database_comes_back_with_all_that_belongs_to_it_and_goes_again() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("postgres", &format!("CREATE ROLE clerk; {PROPERTIES}"));
    shop.lose_orders();
    let before = state(&shop);
    shop.bkp(["restore"]).run().ok().says("restore --undo");
    shop.cluster.psql("shop", "CREATE TABLE since AS SELECT 1 AS i");
    shop.cluster.psql("postgres", "COMMENT ON DATABASE shop IS 'restored'; ALTER DATABASE shop SET work_mem = '8MB'");
    let restored = state(&shop);

    undo(&shop).args(["--dry-run"]).run().ok().says("plan").says("becomes shop again");
    assert_same(&restored, &state(&shop));
    let out = undo(&shop).args(["--json"]).run().ok();
    let record: serde_json::Value = serde_json::from_str(&out.stdout).expect("one document");
    assert_eq!(record["databases"], serde_json::json!(["shop"]));
    assert!(record["replaced"][0].as_str().is_some_and(|name| name.starts_with("shop__was_")), "{record}");
    assert_same(&before, &state(&shop));
    assert_eq!(copies(&shop), ["shop"]);

    // And again, and again.
    undo(&shop).run().ok();
    assert_same(&restored, &state(&shop));
    undo(&shop).run().ok();
    assert_same(&before, &state(&shop));
    assert_eq!(copies(&shop), ["shop"]);
}

#[test]
fn several_go_together_with_the_one_that_all_sessions_are_in_and_the_one_that_was_not_there() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE DATABASE second; CREATE DATABASE fresh; CREATE TABLE notes AS SELECT 1 AS i");
    for name in ["second", "fresh"] {
        shop.cluster.psql(name, "CREATE TABLE t AS SELECT 1 AS i");
    }
    shop.cluster.psql("template1", "CREATE TABLE u AS SELECT 1 AS i");
    all(&shop, ["backup"]).run().ok();
    shop.lose_orders();
    shop.cluster.psql("postgres", "DROP DATABASE fresh");
    shop.cluster.psql("postgres", "INSERT INTO notes VALUES (2)");
    shop.cluster.psql("template1", "INSERT INTO u VALUES (2)");
    shop.cluster.psql("second", "UPDATE t SET i = 2");
    let before = state(&shop);
    all(&shop, ["restore"]).run().ok();
    let restored = state(&shop);
    assert!(restored.difference(&before).is_some_and(|told| told.contains("fresh")), "a database came anew");

    // With both databases that everybody can be in among them.
    all(&shop, ["restore", "--undo"]).run().ok().says("there was no fresh before");
    assert_same(&before, &state(&shop));
    assert_eq!(copies(&shop), ["fresh", "postgres", "second", "shop", "template1"]);
    all(&shop, ["restore", "--undo"]).run().ok();
    assert_same(&restored, &state(&shop));
    all(&shop, ["restore", "--undo"]).run().ok();
    assert_same(&before, &state(&shop));

    // What has no successor goes with the others; that so much is gone is meant.
    all(&shop, ["backup", "--allow-shrink"]).run().ok();
    assert!(shop.databases_of_ours().is_empty(), "{:?}", shop.databases_of_ours());
}

#[test]
fn of_two_restores_the_last_is_undone_and_the_first_stays() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let saved = shop.orders();
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM orders WHERE id % 2 = 0");
    let half = shop.orders();
    shop.bkp(["restore"]).run().ok();
    assert_eq!(shop.orders(), saved);
    undo(&shop).run().ok();
    assert_eq!(shop.orders(), half);
    assert_eq!(copies(&shop), ["shop", "shop"]);
    undo(&shop).run().ok();
    assert_eq!(shop.orders(), saved);
}

#[test]
fn what_was_replaced_stays_until_its_successor_is_saved_and_is_listed() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    let run = shop.databases_of_ours().remove(0).trim_start_matches("shop__was_").to_owned();

    // A backup that fails, and one of another application, drop nothing.
    shop.bkp(["backup"]).env("BKP_DATABASES", "shop,missing").without("POSTGRES_DB").run().fails_with(1);
    shop.bkp(["backup"]).env("BKP_APP", "another").run().ok();
    shop.bkp(["backup"]).env("BKP_KEEP_REPLACED", "always").run().ok();

    shop.bkp(["list"]).run().ok().says("KEPT AS").says(&format!("shop__was_{run}")).says("database shop");
    let copies = rows(shop.bkp(["list", "--replaced", "--json"]));
    assert_eq!(copies.len(), 1);
    assert_eq!((copies[0]["run"].as_str(), copies[0]["item"].as_str()), (Some(run.as_str()), Some("database shop")));
    assert!(copies[0]["bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{copies:?}");
    assert!(copies[0]["since"].as_str().is_some_and(|since| since.starts_with(&run[..4])), "{copies:?}");
    // Scripts that read the list find backups in it and nothing else.
    assert!(rows(shop.bkp(["list", "--json"])).iter().all(|row| row["object"].is_string()));

    shop.bkp(["backup"]).run().ok().says("dropped shop__was_");
    assert_eq!(rows(shop.bkp(["list", "--replaced", "--json"])).len(), 0);
    undo(&shop).run().fails_with(1).says("nothing to undo").says("BKP_KEEP_REPLACED");
    shop.bkp(["list", "--replaced"]).run().ok().says("nothing that a restore replaced");
}

#[test]
fn what_was_replaced_goes_with_its_subscriptions_and_nobody_is_called_for_their_slots() {
    for major in [13, 17] {
        let shop = Shop::open_on(major);
        // Nobody answers there: who tried to drop the slot would fail.
        let news = "CREATE SUBSCRIPTION news CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false)";
        shop.cluster.psql("shop", news);
        shop.bkp(["backup"]).run().ok();
        let of_live = || {
            let sql = "SELECT subname || coalesce(subslotname, 'none') FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = 'shop'";
            shop.cluster.psql("postgres", sql)
        };
        let before = of_live();
        shop.bkp(["restore"]).run().ok();
        shop.bkp(["backup"]).run().ok().says("dropped shop__was_");
        assert!(shop.databases_of_ours().is_empty(), "it stays for ever");
        assert_eq!(of_live(), before);
        // What somebody has enabled meanwhile is theirs to end.
        shop.bkp(["restore"]).run().ok();
        let was = shop.databases_of_ours().remove(0);
        shop.cluster.psql(&was, "ALTER SUBSCRIPTION news ENABLE");
        shop.bkp(["backup"]).run().ok().says(&was);
        assert_eq!(shop.databases_of_ours(), std::slice::from_ref(&was));
        shop.cluster.psql(&was, "ALTER SUBSCRIPTION news DISABLE");
        shop.bkp(["backup"]).run().ok();
        assert!(shop.databases_of_ours().is_empty());
    }
}

#[test]
fn never_keeping_leaves_nothing_to_undo() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.bkp(["restore"]).env("BKP_KEEP_REPLACED", "never").run().ok();
    undo(&shop).run().fails_with(1).says("nothing to undo");
    let orders = shop.orders();
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    undo(&shop).env("BKP_KEEP_REPLACED", "never").run().ok();
    assert_ne!(shop.orders(), orders);
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn what_somebody_renamed_dropped_or_replaced_is_said_and_nothing_is_begun() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE DATABASE second");
    shop.cluster.psql("second", "CREATE TABLE t AS SELECT 1 AS i");
    all(&shop, ["backup"]).run().ok();
    all(&shop, ["restore"]).run().ok();
    let copy = |of: &str| shop.databases_of_ours().into_iter().find(|name| name.starts_with(of)).expect("a copy");
    let (first, second) = (copy("shop"), copy("second"));
    let psql = |script: &str| shop.cluster.psql("postgres", script);
    let refused = || all(&shop, ["restore", "--undo"]).run().fails_with(1).says("nothing was begun");

    psql(&format!("ALTER DATABASE \"{first}\" RENAME TO mine"));
    refused().says("is called mine by now").says(&second);
    psql(&format!("ALTER DATABASE mine RENAME TO \"{first}\""));

    psql("ALTER DATABASE shop RENAME TO elsewhere; ");
    psql("CREATE DATABASE shop");
    refused().says("the database shop is not the one that run");
    psql("DROP DATABASE shop");

    psql(&format!("ALTER DATABASE \"{second}\" RENAME TO other; "));
    psql("DROP DATABASE other");
    let told = refused();
    told.says(&format!("{second}, the database second")).says(&first);
    // With nobody under its name, what was there can take it.
    let shop_only = Shop::open();
    shop_only.bkp(["backup"]).run().ok();
    shop_only.lose_orders();
    let lost = shop_only.orders();
    shop_only.bkp(["restore"]).run().ok();
    shop_only.cluster.psql("postgres", "DROP DATABASE shop");
    undo(&shop_only).run().ok().says("there is no shop now");
    assert_eq!(shop_only.orders(), lost);
}

#[test]
fn accounts_that_may_not_are_told_and_other_applications_are_left_alone() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    let restored = shop.orders();
    undo(&shop)
        .env("BKP_APP", "another")
        .run()
        .fails_with(1)
        .says("nothing to undo")
        .says("other applications are there: shop");
    shop.cluster.psql("postgres", "CREATE ROLE poor LOGIN PASSWORD 'pw'");
    let poor = undo(&shop).env("POSTGRES_USER", "poor").env("POSTGRES_PASSWORD", "pw");
    poor.run().fails_with(1).says("CREATEDB").says("belongs to shop").says("nothing was begun");
    shop.bkp(["restore", "--undo", "latest"]).run().fails_with(2).says("cannot be used with");
    shop.bkp(["restore", "--undo", "--only", "shop"]).run().fails_with(2);
    assert_eq!(shop.orders(), restored);
}

#[test]
fn sessions_are_shut_out_of_both() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    let lost = shop.orders();
    shop.bkp(["restore"]).run().ok();
    let copy = shop.databases_of_ours().remove(0);
    let sleepers = ["shop", copy.as_str()].map(|database| {
        let mut psql = shop.cluster.client("psql");
        psql.args(["-X", "-d", database, "-c", "SELECT pg_sleep(600)"]);
        psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql")
    });
    let there = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
    crate::support::wait::until("the sessions", || shop.cluster.psql("postgres", there).trim() == "2");
    undo(&shop).run().ok();
    for mut sleeper in sleepers {
        assert!(!sleeper.wait().expect("psql").success());
    }
    assert_eq!(shop.orders(), lost);
}

#[test]
fn a_prepared_transaction_is_said_before_and_a_late_one_leaves_all_as_it_is() {
    let shop = Shop::open();
    shop.cluster.reconfigure("max_prepared_transactions = 5");
    let mut shop = shop;
    shop.cluster.stop();
    shop.cluster.start_again();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    let restored = shop.orders();
    shop.cluster.psql("shop", "BEGIN; CREATE TABLE early (i int); PREPARE TRANSACTION 'early'");
    undo(&shop).run().fails_with(1).says("ROLLBACK PREPARED 'early'").says("nothing was begun");
    shop.cluster.psql("shop", "ROLLBACK PREPARED 'early'");
    assert_eq!((shop.orders(), copies(&shop)), (restored, vec!["shop".to_owned()]));
}

/// bkp under strace, which kills it before its nth message to the server.
fn killed_at(shop: &Shop, nth: usize) -> i32 {
    let mut strace = Command::new("strace");
    let inject = format!("inject=sendto:signal=KILL:when={nth}");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", &inject, env!("CARGO_BIN_EXE_bkp")]);
    let mut bkp = Bkp::by(strace).env("BKP_APP", "shop").env("TOKIO_WORKER_THREADS", "1");
    for (key, value) in shop.cluster.env() {
        bkp = bkp.env(&key, value);
    }
    let bucket = shop.bucket();
    bkp.bucket(Path::new(&bucket)).env("BKP_DATABASES", "shop,second,postgres").args(["restore", "--undo"]).run().code
}

#[test]
fn killed_at_every_message_to_the_server_all_databases_are_old_or_all_are_new() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE DATABASE second");
    for name in ["second", "postgres"] {
        shop.cluster.psql(name, "CREATE TABLE t AS SELECT 1 AS i");
    }
    let bkp = |arguments: &[&str]| {
        let bkp = Bkp::new(&shop.cluster).bucket(&shop.bucket()).env("BKP_DATABASES", "shop,second,postgres");
        bkp.env("BKP_LOCK_WAIT", "20").args(arguments)
    };
    let orders = "SELECT count(*) FROM orders";
    let ask = || {
        let one = |database: &str, question: &str| shop.cluster.psql(database, question).trim().to_owned();
        [one("shop", orders), one("second", "SELECT i FROM t"), one("postgres", "SELECT i FROM t")]
    };
    bkp(&["backup"]).run().ok();
    let new = ask();
    shop.lose_orders();
    shop.cluster.psql("second", "UPDATE t SET i = 2");
    shop.cluster.psql("postgres", "UPDATE t SET i = 2");
    let old = ask();
    bkp(&["restore"]).run().ok();
    assert_eq!(ask(), new);
    let (mut killed, mut turned) = (0, 0);
    for nth in 1..FAR {
        let before = ask();
        let code = killed_at(&shop, nth);
        bkp(&["resume"]).run().ok();
        let after = ask();
        assert!(after == old || after == new, "message {nth}: {after:?}");
        assert_eq!(copies(&shop), ["postgres", "second", "shop"], "message {nth}");
        turned += usize::from(before != after);
        if code == 0 {
            assert_ne!(before, after);
            break;
        }
        assert_eq!(code, 137, "message {nth}");
        killed += 1;
    }
    assert!((20..FAR - 1).contains(&killed) && turned > 1, "{killed} kills, {turned} turned");
    println!("{killed} kills, {turned} of them after the commit");
}

#[test]
fn what_was_replaced_and_cannot_be_dropped_is_told_and_the_restore_is_done_all_the_same() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    shop.lose_orders();
    let subscribed = "CREATE SUBSCRIPTION one CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)";
    shop.cluster.psql("shop", subscribed);
    // Its first copy goes on, as the server has it: DROP SUBSCRIPTION would call the other one.
    let copying = "INSERT INTO pg_subscription_rel SELECT oid, 'orders'::regclass, 'd', NULL FROM pg_subscription";
    shop.cluster.psql("shop", copying);
    let never = |arguments: &[&str]| shop.bkp([]).args(arguments).env("BKP_KEEP_REPLACED", "never").run();
    let kept = "restored shop from";
    let out = never(&["restore", "--json"]).ok();
    out.says(kept).says("is still there").says("amid its first copy").says("\"replaced\":[\"shop__was_");
    assert_eq!((shop.orders(), shop.databases_of_ours().len()), (orders, 1));
    never(&["restore", "--undo"]).ok().says("undid run");
}
