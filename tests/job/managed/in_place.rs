//! Without CREATEDB: one transaction in the live database, which is whole before and after.

use super::{as_customer, content, managed, wreck};
use crate::job::{Shop, gunzip, gzip};
use crate::support::cluster::Cluster;
use crate::support::compare::assert_same;
use crate::support::wait::until;
use crate::support::workdir::WorkDir;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

fn brings_everything_back(major: u32) {
    let shop = managed(major);
    shop.bkp(["backup"]).run().ok();
    let before = content(&shop);
    wreck(&shop);
    as_customer(&shop, ["restore"])
        .run()
        .ok()
        .says("plan: database shop is loaded in place, in one transaction, because account \"shop\" has no CREATEDB")
        .says("--undo cannot");
    assert_same(&before, &content(&shop));
    assert!(shop.databases_of_ours().is_empty());
    let lo =
        shop.cluster.psql("shop", "SELECT convert_from(lo_get(4711), 'UTF8'), count(*) FROM pg_largeobject_metadata");
    assert_eq!(lo.trim(), "a large object|1");
}

#[test]
fn on_14_a_restore_in_place_brings_everything_back() {
    brings_everything_back(14);
}

#[test]
fn on_16_a_restore_in_place_brings_everything_back() {
    brings_everything_back(16);
}

#[test]
fn on_18_a_restore_in_place_brings_everything_back() {
    brings_everything_back(18);
}

#[test]
fn a_dump_that_drops_first_is_loaded_in_place_as_well() {
    let shop = managed(16);
    let before = content(&shop);
    let dump = shop.cluster.pg_dump("shop", ["--clean", "--if-exists"]);
    shop.put("db_dump-20260101_000000.sql", &dump);
    wreck(&shop);
    as_customer(&shop, ["restore"]).run().ok();
    assert_same(&before, &content(&shop));
}

/// The newest dump with one statement more at its end, before pg_dump's own last words.
///
/// Gives the line in which the statement ends.
pub(super) fn with_statement(shop: &Shop, statement: &str) -> usize {
    let path = shop.dumps().pop().expect("a dump");
    let sql = String::from_utf8(gunzip(&std::fs::read(&path).expect("read"))).expect("UTF-8");
    std::fs::remove_file(&path).expect("removed");
    let sql: String =
        sql.lines().filter(|line| !line.starts_with("-- bkp seal")).map(|line| format!("{line}\n")).collect();
    let at = sql.rfind("--\n-- PostgreSQL database dump complete").expect("the trailer");
    let sql = format!("{}{statement}\n\n{}", &sql[..at], &sql[at..]);
    shop.put("db_dump-20260101_000000.sql.gz", &gzip(sql.as_bytes()));
    sql[..at].lines().count() + statement.lines().count()
}

#[test]
fn a_statement_that_fails_at_the_very_end_changes_nothing() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    wreck(&shop);
    let wrecked = content(&shop);
    let line = with_statement(&shop, "COMMIT;\nCREATE TABLE public.last\n(i nowhere);");
    // It is told where it begins.
    let place = format!("line {} of the dump: ERROR:  42704", line - 1);
    as_customer(&shop, ["restore"]).run().fails_with(1).says(&place).says("it is as it was");
    assert_same(&wrecked, &content(&shop));
    // Beside the live database the line is the same.
    shop.bkp(["restore"]).run().fails_with(1).says(&place);
    assert_same(&wrecked, &content(&shop));
}

#[test]
fn a_dump_cannot_end_the_transaction() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    wreck(&shop);
    let wrecked = content(&shop);
    with_statement(&shop, "COMMIT;\nBEGIN;\nROLLBACK;\nSELECT 1/0;");
    as_customer(&shop, ["restore"]).run().fails_with(1).says("a_dump_that_rolls_back");
    assert_same(&wrecked, &content(&shop));
}

#[test]
fn a_constraint_that_was_deferred_is_checked_before_the_commit() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    let live = content(&shop);
    with_statement(
        &shop,
        "CREATE TABLE public.late (i int REFERENCES public.customers DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO public.late VALUES (-1);",
    );
    as_customer(&shop, ["restore"]).run().fails_with(1).says("23503");
    assert_same(&live, &content(&shop));
}

#[test]
fn what_the_account_may_not_drop_is_named_before_anything_begins() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "CREATE SCHEMA theirs; CREATE TABLE theirs.t (i int)");
    let live = content(&shop);
    as_customer(&shop, ["restore"])
        .run()
        .fails_with(1)
        .says("table theirs.t of postgres")
        .says("schema theirs of postgres")
        .says("nothing was begun");
    assert_same(&live, &content(&shop));
}

#[test]
fn too_few_locks_are_told_with_the_setting() {
    let mut shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql(
        "shop",
        "SET ROLE shop; SELECT format('CREATE TABLE many_%s ()', n) FROM generate_series(1, 3000) n \\gexec",
    );
    shop.cluster.reconfigure("max_locks_per_transaction = 10");
    shop.cluster.reconfigure("max_connections = 20");
    shop.cluster.stop();
    shop.cluster.start_again();
    as_customer(&shop, ["restore"]).run().fails_with(1).says("max_locks_per_transaction").says("nothing was begun");
}

#[test]
fn two_databases_cannot_be_one_without_createdb() {
    let shop = managed(16);
    shop.cluster.psql("postgres", "CREATE DATABASE second OWNER shop");
    shop.cluster.psql("second", "SET ROLE shop; CREATE TABLE t AS SELECT 1 AS i");
    let both = |bkp: crate::support::bkp::Bkp| bkp.without("POSTGRES_DB").env("BKP_DATABASES", "shop,second");
    both(shop.bkp(["backup"])).run().ok();
    both(as_customer(&shop, ["restore"])).run().fails_with(1).says("--only NAME").says("nothing was begun");
    shop.cluster.psql("second", "UPDATE t SET i = 2");
    both(as_customer(&shop, ["restore", "--only", "second"])).run().ok();
    assert_eq!(shop.cluster.psql("second", "SELECT i FROM t").trim(), "1");
}

#[test]
fn another_name_needs_an_empty_database() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    as_customer(&shop, ["restore", "--as", "copy"]).run().fails_with(1).says("CREATE DATABASE \"copy\" OWNER \"shop\"");
    shop.cluster.psql("postgres", "CREATE DATABASE copy OWNER shop");
    shop.cluster.psql("copy", "CREATE EXTENSION pageinspect");
    as_customer(&shop, ["restore", "--as", "copy"]).run().ok();
    as_customer(&shop, ["restore", "--as", "copy"]).run().fails_with(1).says("not empty");
    assert_eq!(
        shop.cluster.psql("copy", "SELECT count(*) FROM orders"),
        shop.cluster.psql("shop", "SELECT count(*) FROM orders")
    );
}

#[test]
fn sessions_in_the_way_are_ended_and_those_that_may_not_be_are_named() {
    let shop = managed(16);
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    shop.lose_orders();
    let lost = shop.orders();
    let mut superuser = shop.hold_orders();
    // A safety backup cannot be had while somebody holds a table, and waits no longer than that.
    as_customer(&shop, ["restore"])
        .run()
        .fails_with(1)
        .says("waited for table public.orders")
        .says("BKP_SAFETY_BACKUP=0");
    as_customer(&shop, ["restore"]).env("BKP_SAFETY_BACKUP", "0").run().fails_with(1).says("55P03").says("of postgres");
    assert_eq!(shop.cluster.psql("shop", "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND pid <> pg_backend_pid() LIMIT 1").trim(), "t");
    let _ = superuser.kill();
    let _ = superuser.wait();
    assert_eq!(shop.orders(), lost);
    let mut own = shop
        .cluster
        .client("psql")
        .env("PGUSER", "shop")
        .env("PGPASSWORD", "pw")
        .args(["-X", "-d", "shop", "-c", "BEGIN; LOCK orders; SELECT pg_sleep(600)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("psql");
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND pid <> pg_backend_pid()";
    until("the lock", || shop.cluster.psql("shop", held).trim() != "0");
    let out = as_customer(&shop, ["restore"]).env("BKP_SAFETY_BACKUP", "0").run();
    let _ = own.kill();
    let _ = own.wait();
    out.ok();
    assert_eq!(shop.orders(), orders);
}

#[test]
fn the_applications_rows_in_an_extensions_tables_come_back_once() {
    let work = WorkDir::new();
    std::fs::set_permissions(work.path(), std::fs::Permissions::from_mode(0o755)).expect("readable by the server");
    work.file("extension/jobs.control", "default_version = '1'\nschema = 'jobs'\ntrusted = true\n");
    let tables = "CREATE TABLE jobs.job (id serial PRIMARY KEY, what text);
        CREATE TABLE jobs.note (what text); INSERT INTO jobs.note VALUES ('of the extension itself');
        SELECT pg_catalog.pg_extension_config_dump('jobs.job', '');
        SELECT pg_catalog.pg_extension_config_dump('jobs.job_id_seq', '');
        SELECT pg_catalog.pg_extension_config_dump('jobs.note', 'WHERE what !~ $$^of the$$');";
    work.file("extension/jobs--1.sql", tables);
    let path = format!("extension_control_path = '{}:$system'", work.path().display());
    let shop = Shop::on(Cluster::options(18).conf(path).start());
    shop.cluster.psql("postgres", "ALTER ROLE shop PASSWORD 'pw'; GRANT CREATE ON DATABASE shop TO shop");
    shop.cluster.psql(
        "shop",
        "GRANT ALL ON SCHEMA public TO shop; SET ROLE shop; CREATE EXTENSION jobs; RESET ROLE; GRANT ALL ON SCHEMA jobs TO shop;
         GRANT ALL ON ALL TABLES IN SCHEMA jobs TO shop; GRANT ALL ON ALL SEQUENCES IN SCHEMA jobs TO shop;
         SET ROLE shop; INSERT INTO jobs.job (what) VALUES ('a'), ('b'); INSERT INTO jobs.note VALUES ('ours')",
    );
    let rows = |shop: &Shop| shop.cluster.psql("shop", "TABLE jobs.job ORDER BY id; TABLE jobs.note ORDER BY what");
    let saved = rows(&shop);
    assert_eq!(saved.lines().count(), 4, "{saved}");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "DELETE FROM jobs.job WHERE what = 'a'; INSERT INTO jobs.note VALUES ('since')");
    as_customer(&shop, ["restore"]).run().ok();
    assert_eq!(rows(&shop), saved);
}

#[test]
fn a_prepared_transaction_is_told_before_anything_begins() {
    let shop = Shop::on(Cluster::options(16).conf("max_prepared_transactions = 5").start());
    shop.cluster.psql("postgres", "ALTER ROLE shop PASSWORD 'pw'");
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("shop", "BEGIN; UPDATE orders SET total = 1 WHERE id = 1; PREPARE TRANSACTION 'it''s'");
    as_customer(&shop, ["restore"]).run().fails_with(1).says("nothing was begun").says("ROLLBACK PREPARED 'it''s'");
}
