//! A backup that waits for what somebody holds says so, and for whom; and it does not wait for ever.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::Shop;
use crate::support::wait::until;

/// A session that has done this in a transaction and goes on living, and the number of its server process.
fn holder(shop: &Shop, statements: &str) -> (Child, String) {
    let mut psql = shop.cluster.client("psql");
    psql.args(["-X", "-q", "-A", "-t", "-d", "shop"]).env("PGAPPNAME", "migration");
    let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql");
    let script = format!("BEGIN;\n{statements};\nSELECT pg_backend_pid();\n");
    child.stdin.as_mut().expect("a pipe").write_all(script.as_bytes()).expect("written");
    let mut pid = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut pid).expect("its number");
    (child, pid.trim().to_owned())
}

fn end(mut holder: Child) {
    drop(holder.stdin.take());
    let _ = holder.wait();
}

#[test]
fn a_table_that_somebody_holds_is_named_with_the_session_and_after_the_limit_the_run_fails() {
    let shop = Shop::open();
    let (migration, pid) = holder(&shop, "ALTER TABLE orders ADD COLUMN later int");
    let out = shop.bkp(["backup"]).env("BKP_TABLE_WAIT", "13s").within(Duration::from_secs(40)).run();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    until("pg_dump's end on the server", || shop.cluster.psql("postgres", waiting).trim() == "0");
    end(migration);
    let holds = format!(
        "for table public.orders of database shop, held by session {pid} of \"postgres\" (migration), idle in transaction, its transaction open since "
    );
    out.fails_with(1)
        .says(&format!("waiting since 10 s {holds}"))
        .says(&format!("given up after 13 s, nothing was saved: the dump waited {holds}"))
        .says(&format!("SELECT pg_terminate_backend({pid})"))
        .says("BKP_TABLE_WAIT");
    assert!(shop.dumps().is_empty());
}

#[test]
fn what_a_migration_holds_for_a_while_is_waited_for_and_saved() {
    let shop = Shop::open();
    // Not a table: pg_dump's own limit does not know of it.
    let (migration, _) =
        holder(&shop, "CREATE OR REPLACE VIEW spent AS SELECT name, 0::numeric AS total FROM customers");
    let running = shop.bkp(["backup"]).spawn();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL";
    until("the wait", || shop.cluster.psql("postgres", waiting).trim() != "0");
    // Longer than what goes unsaid.
    let begun = std::time::Instant::now();
    until("ten seconds of it", || begun.elapsed() > Duration::from_secs(12));
    end(migration);
    running.wait().ok().says("waiting since 10 s for view public.spent of database shop, held by session");
    assert_eq!(shop.dumps().len(), 1);
}

#[test]
fn a_restore_that_is_terminated_while_the_server_keeps_it_waiting_ends_at_once_and_leaves_nothing() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let before = shop.cluster.databases();
    let (migration, pid) = holder(&shop, "LOCK TABLE pg_catalog.pg_database IN SHARE MODE");
    let running = shop.bkp(["restore"]).within(Duration::from_secs(40)).spawn();
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE {pid} = ANY (pg_blocking_pids(pid)) AND query LIKE 'CREATE DATABASE%'"
    );
    until("the wait", || shop.cluster.psql("postgres", &waiting).trim() == "1");
    running.kill(Signal::TERM);
    // Nobody has let go of anything.
    running.wait().fails_with(143);
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'bkp%'";
    until("the end of its sessions", || shop.cluster.psql("postgres", ours).trim() == "0");
    end(migration);
    assert_eq!(shop.cluster.databases(), before);
    shop.bkp(["restore"]).run().ok();
}
