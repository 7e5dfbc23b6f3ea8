//! Servers, accounts and databases whose settings would end our sessions, hide their names, or forbid the swap.

use std::fs;

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;

/// bkp for all databases of the shop's server.
fn all<const N: usize>(shop: &Shop, arguments: [&str; N]) -> Bkp {
    Bkp::new(&shop.cluster).bucket(&shop.bucket()).args(arguments)
}

/// Saved, lost and restored: the orders are back, and nothing else is left but what was replaced.
fn comes_back(shop: &Shop) {
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    assert_eq!(shop.orders(), orders);
}

/// What takes longer to load than the servers below let a session wait.
fn takes_a_while(shop: &Shop) {
    shop.cluster.psql(
        "shop",
        "CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(0.8)'; \
         CREATE TABLE waited AS SELECT 1 AS i; CREATE INDEX ON waited (public.slow(i))",
    );
}

#[test]
fn sessions_that_wait_outlive_the_servers_time_outs() {
    for (major, lines) in [(15, ["", ""]), (17, ["transaction_timeout = '300ms'", "log_statement = 'none'"])] {
        let shop = Shop::open_on(major);
        takes_a_while(&shop);
        for line in [
            "idle_session_timeout = '300ms'",
            "idle_in_transaction_session_timeout = '300ms'",
            "statement_timeout = '400ms'",
            "lock_timeout = '200ms'",
        ] {
            shop.cluster.reconfigure(line);
        }
        lines.iter().filter(|line| !line.is_empty()).for_each(|line| shop.cluster.reconfigure(line));
        comes_back(&shop);
    }
}

#[test]
fn a_dump_that_takes_back_no_time_out_is_loaded_under_short_ones() {
    let shop = Shop::open();
    takes_a_while(&shop);
    let dump = String::from_utf8(shop.cluster.pg_dump("shop", [])).expect("UTF-8");
    let bare: String = dump.split_inclusive('\n').filter(|line| !line.contains("_timeout = 0;")).collect();
    shop.put("shop.sql", bare.as_bytes());
    shop.cluster.psql("postgres", "ALTER ROLE postgres SET statement_timeout = '300ms'");
    let orders = shop.orders();
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    assert_eq!(shop.orders(), orders);
}

#[test]
fn a_server_that_is_read_only_by_default_is_restored_with_its_roles() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let fresh = Cluster::start(15);
    fresh.psql("postgres", "ALTER ROLE postgres SET default_transaction_read_only = on");
    Bkp::new(&fresh).bucket(&shop.bucket()).env("POSTGRES_DB", "shop").args(["restore"]).run().ok();
    assert_eq!(fresh.psql("shop", "SELECT count(*) FROM orders").trim(), "1000");
}

#[test]
fn comments_and_settings_in_another_encoding_than_ours_do_not_stop_us() {
    let shop = Shop::open();
    shop.cluster
        .psql("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    shop.cluster.psql(
        "latin",
        "SET client_encoding = 'UTF8'; COMMENT ON DATABASE latin IS 'Größe'; \
         ALTER DATABASE latin SET search_path = 'public', 'é'; CREATE TABLE t (v text); INSERT INTO t VALUES ('Größe')",
    );
    comes_back(&shop);
    all(&shop, ["backup"]).run().ok();
    shop.cluster.psql("latin", "DELETE FROM t WHERE true");
    all(&shop, ["restore"]).run().ok();
    assert_eq!(shop.cluster.psql("latin", "SET client_encoding = 'UTF8'; SELECT v FROM t").trim(), "Größe");
    let comment = "SET client_encoding = 'UTF8'; SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'latin'";
    assert_eq!(shop.cluster.psql("latin", comment).trim(), "Größe");
}

#[test]
fn a_dump_in_latin1_gets_the_live_databases_grants_to_roles_with_any_name() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE ROLE \"müller\"; GRANT CREATE ON DATABASE shop TO \"müller\"; ALTER ROLE \"müller\" IN DATABASE shop SET application_name = 'für'");
    shop.put("shop.sql", &shop.cluster.pg_dump("shop", ["--encoding=LATIN1"]));
    shop.bkp(["restore"]).run().ok();
    let may = shop.cluster.psql("postgres", "SELECT has_database_privilege('müller', 'shop', 'CREATE')");
    assert_eq!(may.trim(), "t");
}

#[test]
fn databases_whose_long_names_differ_only_at_their_end_are_restored_together() {
    let shop = Shop::open();
    let names: Vec<String> =
        ["one", "two"].iter().map(|end| format!("{}{end}", "a_\"long\"_name_".repeat(5)[..60].to_owned())).collect();
    for name in &names {
        shop.cluster.psql("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\"")));
        shop.cluster.psql(name, "CREATE TABLE t AS SELECT current_database() AS name");
    }
    all(&shop, ["backup"]).run().ok();
    for name in &names {
        shop.cluster.psql(name, "DROP TABLE t");
    }
    all(&shop, ["restore"]).run().ok();
    for name in &names {
        assert_eq!(shop.cluster.psql(name, "SELECT name FROM t").trim(), name);
    }
}

#[test]
fn a_name_that_no_database_can_have_is_refused_before_anything_is_loaded() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.bkp(["restore", "--as", &"x".repeat(64)]).run().fails_with(1).says("63 bytes").says("nothing was begun");
}

#[test]
fn an_account_that_is_no_superuser_restores_a_fresh_server_with_its_roles() {
    for major in [15, 16, 18] {
        let shop = Shop::open_on(major);
        shop.bkp(["backup"]).run().ok();
        let fresh = Cluster::start(major);
        fresh.psql("postgres", "CREATE ROLE keeper LOGIN PASSWORD 'pw' CREATEDB CREATEROLE");
        if major < 16 {
            // There a role that may create roles may also make itself a member, but is none by itself.
            fresh.psql("postgres", "CREATE ROLE shop LOGIN; GRANT shop TO keeper");
        }
        let bkp = Bkp::new(&fresh).bucket(&shop.bucket()).env("POSTGRES_DB", "shop").args(["restore"]);
        bkp.env("POSTGRES_USER", "keeper")
            .env("POSTGRES_PASSWORD", "pw")
            .env("BKP_MAINTENANCE_DB", "postgres")
            .run()
            .ok();
        assert_eq!(fresh.psql("shop", "SELECT count(*) FROM orders").trim(), "1000");
    }
}

#[test]
fn an_account_that_does_not_own_the_live_database_is_told_before_anything_is_loaded() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("postgres", "CREATE ROLE keeper LOGIN PASSWORD 'pw' CREATEDB");
    let bkp = shop.bkp(["restore"]).env("POSTGRES_USER", "keeper").env("POSTGRES_PASSWORD", "pw");
    bkp.env("BKP_MAINTENANCE_DB", "postgres").run().fails_with(1).says("belongs to shop").says("nothing was begun");
}

#[test]
fn sessions_that_we_may_not_end_are_named_and_nothing_is_changed() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    let lost = shop.orders();
    shop.cluster.psql("postgres", "CREATE ROLE keeper LOGIN PASSWORD 'pw' CREATEDB; GRANT shop TO keeper");
    let mut admin = shop
        .cluster
        .client("psql")
        .args(["-X", "-q", "-d", "shop", "-c", "SELECT pg_sleep(600)"])
        .spawn()
        .expect("psql");
    let bkp = shop.bkp(["restore"]).env("POSTGRES_USER", "keeper").env("POSTGRES_PASSWORD", "pw");
    let out = bkp.env("BKP_MAINTENANCE_DB", "postgres").run();
    let _ = admin.kill();
    let _ = admin.wait();
    out.fails_with(1).says("of postgres (psql)").says("untouched");
    assert_eq!(shop.orders(), lost);
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn what_forbids_a_swap_is_told_before_anything_is_loaded() {
    let shop = Shop::open();
    shop.cluster.reconfigure("max_prepared_transactions = 5");
    shop.cluster.psql(
        "shop",
        "CREATE SUBSCRIPTION news CONNECTION 'host=192.0.2.1 connect_timeout=2' PUBLICATION p WITH (connect = false)",
    );
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "ALTER SUBSCRIPTION news ENABLE");
    shop.bkp(["restore"]).run().fails_with(1).says("ALTER SUBSCRIPTION \"news\" DISABLE").says("nothing was begun");
    shop.cluster.psql("shop", "ALTER SUBSCRIPTION news DISABLE");
    shop.bkp(["restore"]).run().ok();
}

#[test]
fn a_slot_of_the_live_database_and_its_consumer_do_not_stop_the_swap() {
    let mut shop = Shop::open();
    shop.cluster.reconfigure("wal_level = logical");
    shop.cluster.stop();
    shop.cluster.start_again();
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    shop.lose_orders();
    shop.cluster.psql("shop", "SELECT pg_create_logical_replication_slot('feed', 'test_decoding')");
    let sink = shop.work.join("feed");
    let mut feed = shop.cluster.client("pg_recvlogical");
    feed.args(["-d", "shop", "--slot", "feed", "--start", "--no-loop", "-f"]).arg(&sink);
    let mut feed = feed.spawn().expect("pg_recvlogical");
    crate::support::wait::until("the consumer", || {
        shop.cluster.psql("postgres", "SELECT active FROM pg_replication_slots").trim() == "t"
    });
    let out = shop.bkp(["restore"]).run();
    let _ = feed.kill();
    let _ = feed.wait();
    out.ok().says("slot feed stays");
    assert_eq!(shop.orders(), orders);
    let _ = fs::remove_file(sink);
}

#[test]
fn a_run_whose_lock_was_taken_from_it_does_not_swap() {
    // The database that holds the lock is itself restored, so the swap stands elsewhere and would not notice.
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE TABLE t AS SELECT 1 AS i; CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(2)'; CREATE INDEX ON t (public.slow(i))");
    all(&shop, ["backup"]).env("POSTGRES_DB", "postgres").run().ok();
    shop.cluster.psql("postgres", "UPDATE t SET i = 2");
    let running = all(&shop, ["restore"]).env("POSTGRES_DB", "postgres").spawn();
    crate::support::wait::until("the load", || {
        shop.cluster.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname ~ '^postgres__bkp'").trim()
            != "0"
    });
    shop.cluster.psql("template1", "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    running.wait().fails_with(1).says("held the lock");
    assert_eq!(shop.cluster.psql("postgres", "SELECT i FROM t").trim(), "2");
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn what_a_restore_was_making_when_others_dumped_is_not_restored() {
    let shop = Shop::open();
    let was = "shop__was_20250101T000000Z-abcdef";
    shop.cluster.psql("postgres", &format!("CREATE DATABASE \"{was}\""));
    shop.cluster.psql(was, "CREATE TABLE old AS SELECT 1 AS i");
    shop.put("db_dump-20250101_000000.bak.gz", &super::gzip(&shop.cluster.pg_dumpall([])));
    shop.cluster.psql("postgres", &format!("DROP DATABASE \"{was}\""));
    all(&shop, ["restore"]).run().ok().says("left out");
    assert!(!shop.cluster.databases().contains(&was.to_owned()));
}
