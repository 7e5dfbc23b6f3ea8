//! What ends sessions and jumps clocks, while a backup is made.

use std::fs;

use super::Shop;
use super::producers::clients_with;
use crate::support::cluster::Cluster;
use crate::support::retimed::retimed;
use crate::support::wait::until;

/// The sessions of bkp and of its children on the server.
const OURS: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'bkp %'";

#[test]
fn time_limits_of_the_server_and_the_account_end_neither_the_lock_nor_the_snapshot() {
    let cluster = Cluster::options(17)
        .conf("idle_session_timeout = 1000")
        .conf("transaction_timeout = 1500")
        .conf("idle_in_transaction_session_timeout = 1000")
        .conf("statement_timeout = 1000")
        .start();
    let shop = Shop::on(cluster);
    let clients = clients_with(&shop, "pg_dump", "sleep 3; exec $REAL \"$@\"");
    let rules = |bkp: crate::support::bkp::Bkp| bkp.env("BKP_KEEP_LAST", "9").env("BKP_PG_BIN", &clients);
    rules(shop.bkp(["backup"])).run().ok().never_says("lock");
    assert_eq!(shop.dumps().len(), 1);
}

#[test]
fn a_run_that_lost_its_lock_keeps_its_dump_and_forgets_nothing() {
    let shop = Shop::open();
    for _ in 0..3 {
        shop.bkp(["backup"]).run().ok();
    }
    let clients = clients_with(&shop, "pg_dump", "touch \"$(dirname \"$0\")/begun\"; sleep 2; exec $REAL \"$@\"");
    let strict = |bkp: crate::support::bkp::Bkp| bkp.env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    let running = strict(shop.bkp(["backup"])).env("BKP_PG_BIN", &clients).spawn();
    until("pg_dump", || clients.join("begun").exists());
    shop.cluster.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    running.wait().fails_with(4).says("lock");
    assert_eq!(shop.dumps().len(), 4);
    shop.bkp(["check", "--read-data"]).run().ok();
}

#[test]
fn the_dump_just_made_stays_when_the_clock_jumped_back() {
    let shop = Shop::open();
    for year in 2097..2100 {
        shop.bkp(["backup"]).run().ok();
        let newest =
            shop.dumps().into_iter().find(|dump| !dump.to_string_lossy().contains("db_dump-209")).expect("one");
        retimed(&newest, &format!("{year}0101_000000"));
    }
    shop.bkp(["backup"]).env("BKP_KEEP_LAST", "3").run().ok();
    assert_eq!(shop.dumps().len(), 4);
}

#[test]
fn a_backup_that_is_stopped_while_pg_dump_waits_leaves_no_session_on_the_server() {
    let shop = Shop::open();
    let mut holder = shop.hold_orders();
    let running = shop.bkp(["backup"]).spawn();
    until("pg_dump waits", || {
        shop.cluster.psql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted").trim() == "1"
    });
    running.kill(rustix::process::Signal::TERM);
    let began = std::time::Instant::now();
    running.wait().fails_with(143);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    until("no session of ours", || shop.cluster.psql("postgres", OURS).trim() == "0");
    drop(holder.stdin.take());
    let _ = holder.wait();
}

#[test]
fn databases_that_are_dropped_meanwhile_are_skipped_when_all_are_wanted() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE DATABASE zz_short_lived");
    // The first database's dump gives it the time to go.
    let clients = clients_with(&shop, "pg_dump", "touch \"$(dirname \"$0\")/begun\"; sleep 2; exec $REAL \"$@\"");
    let running = shop.bkp(["backup"]).env("BKP_DATABASES", "all").env("BKP_PG_BIN", &clients).spawn();
    until("pg_dump", || clients.join("begun").exists());
    shop.cluster.psql("postgres", "DROP DATABASE zz_short_lived");
    running.wait().ok().says("zz_short_lived");
    shop.bkp(["check", "--read-data"]).run().ok();
}

#[test]
fn what_was_put_aside_outlives_a_backup_that_does_not_hold_its_successor() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.bkp(["restore"]).run().ok();
    let kept = shop.databases_of_ours();
    assert_eq!(kept.len(), 1);
    let clients = clients_with(&shop, "pg_dump", "touch \"$(dirname \"$0\")/begun\"; sleep 2; exec $REAL \"$@\"");
    let running =
        shop.bkp(["backup", "--allow-shrink"]).env("BKP_DATABASES", "all").env("BKP_PG_BIN", &clients).spawn();
    until("pg_dump", || clients.join("begun").exists());
    shop.cluster.psql("postgres", "DROP DATABASE shop");
    running.wait().ok().says("shop");
    assert_eq!(shop.databases_of_ours(), kept, "the last copy of the shop on this server");
}

#[test]
fn a_damaged_seal_forgets_nothing() {
    let shop = Shop::open();
    for _ in 0..3 {
        shop.bkp(["backup"]).run().ok();
    }
    let last = shop.dumps().pop().expect("a dump");
    let whole = fs::read(&last).expect("a dump");
    let mut damaged = whole.clone();
    let seal = damaged.len() - 60;
    damaged[seal] ^= 0x55;
    fs::remove_file(&last).expect("removed");
    fs::write(&last, &damaged).expect("written");
    shop.bkp(["check"]).run().fails_with(5);
    let strict = |bkp: crate::support::bkp::Bkp| bkp.env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1");
    strict(shop.bkp(["backup"])).run().fails_with(4).says("nothing was forgotten");
    assert_eq!(shop.dumps().len(), 4);
    strict(shop.bkp(["forget"])).run().fails_with(5);
    assert_eq!(shop.dumps().len(), 4);
}

#[test]
fn an_account_that_does_not_see_every_row_saves_nothing_and_is_told_what_it_lacks() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE ROLE reader LOGIN PASSWORD 'r'; CREATE ROLE nobody LOGIN PASSWORD 'n'; GRANT pg_read_all_data TO reader");
    let backup = |user: &str, password: &str| {
        shop.bkp(["backup"]).env("POSTGRES_USER", user).env("POSTGRES_PASSWORD", password).run()
    };
    backup("reader", "r").ok().says("without their passwords");
    backup("nobody", "n").fails_with(1).says("permission denied").says("pg_read_all_data");
    shop.cluster.psql("shop", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY");
    backup("reader", "r").fails_with(1).says("BYPASSRLS");
    assert_eq!(shop.dumps().len(), 1);
}
