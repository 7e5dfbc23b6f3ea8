//! The accounts of `docs/security.md`, on every major: what they are for works, and nothing more does.

use crate::documents::page::{blocks, text};
use crate::job::Shop;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::gcs::{Gcs, Op};
use crate::support::parts::MAJORS;

const HEADING: &str = "Least rights on the server";

/// The page's statements, the account that saves first.
fn statements() -> [String; 2] {
    let found = blocks(&text("docs/security.md")).into_iter();
    let found: Vec<String> =
        found.filter(|block| block.heading == HEADING && block.kind == "sql").map(|block| block.lines).collect();
    found.try_into().expect("two blocks of SQL")
}

/// What the account may not do: each in a session of its own, as the server decides.
#[track_caller]
fn may_not(cluster: &Cluster, account: &str, statements: &[&str]) {
    for statement in statements {
        let tried =
            cluster.try_psql("shop", &format!("SET SESSION AUTHORIZATION {account};\nBEGIN;\n{statement};\nROLLBACK;"));
        let refused = tried.expect_err(&format!("{} of {account} on {}", statement, cluster.major()));
        let is_right = [
            "permission denied",
            "must be",
            "insufficient",
            "may not",
            "Only roles",
            "cannot run inside",
            "admin option",
        ];
        assert!(is_right.iter().any(|words| refused.contains(words)), "{statement}: {refused}");
    }
}

/// A shop with what needs more than `SELECT` on tables: row security, a schema of its owner's, a large object that may be read.
fn shop(major: u32) -> Shop {
    let shop = Shop::open_on(major);
    shop.cluster.psql(
        "shop",
        "SET ROLE shop; CREATE TABLE hidden (a int); INSERT INTO hidden VALUES (1); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
         RESET ROLE; CREATE SCHEMA inner_room AUTHORIZATION shop; SET ROLE shop;
         CREATE TABLE inner_room.kept (i serial); INSERT INTO inner_room.kept DEFAULT VALUES;
         CREATE FUNCTION inner_room.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION inner_room.f() FROM PUBLIC;
         RESET ROLE; CREATE DATABASE victim;",
    );
    for block in statements() {
        shop.cluster.psql("postgres", &block);
    }
    shop
}

fn as_account(bkp: Bkp, account: &str, password: &str) -> Bkp {
    bkp.env("POSTGRES_USER", account).env("POSTGRES_PASSWORD", password)
}

#[test]
fn the_accounts_of_the_page_save_and_restore_on_every_major_and_can_do_no_more() {
    for major in MAJORS {
        let shop = shop(major);
        let orders = shop.orders();
        as_account(shop.bkp(["backup"]), "bkp", "a long one").run().ok();
        may_not(
            &shop.cluster,
            "bkp",
            &[
                "INSERT INTO customers (name) VALUES ('x')",
                "UPDATE orders SET note = ''",
                "DELETE FROM orders",
                "TRUNCATE orders",
                "DROP TABLE orders",
                "SELECT nextval('orders_id_seq')",
                "CREATE TABLE inner_room.mine (i int)",
                "SELECT inner_room.f()",
                "CREATE ROLE pwned",
                "ALTER ROLE bkp SUPERUSER",
                "SET ROLE shop",
                "COPY orders TO PROGRAM 'true'",
                "COPY orders TO '/tmp/never'",
                "SELECT pg_read_file('postgresql.conf')",
                "CREATE EXTENSION file_fdw",
            ],
        );
        assert!(shop.cluster.try_psql("postgres", "SET SESSION AUTHORIZATION bkp;\nCREATE DATABASE pwned;").is_err());
        // What the page says of it: everything is everything.
        shop.cluster.psql("shop", "SET SESSION AUTHORIZATION bkp;\nSELECT rolpassword FROM pg_authid;");
        if major >= 15 {
            may_not(&shop.cluster, "bkp", &["CREATE TABLE public.mine (i int)"]);
        }

        shop.lose_orders();
        shop.cluster.psql("shop", "DROP SCHEMA inner_room CASCADE");
        as_account(shop.bkp(["restore"]), "bkp_restore", "another long one").run().ok();
        assert_eq!(shop.orders(), orders);
        let kept = "SELECT (SELECT count(*) FROM hidden), (SELECT count(*) FROM inner_room.kept), \
             (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop')";
        assert_eq!(shop.cluster.psql("shop", kept).trim(), "1|1|shop", "on {major}");
        may_not(
            &shop.cluster,
            "bkp_restore",
            &[
                "CREATE ROLE pwned",
                "ALTER ROLE bkp_restore SUPERUSER",
                "SET ROLE postgres",
                "GRANT pg_read_server_files TO bkp_restore",
                "SELECT rolpassword FROM pg_authid",
                "COPY orders TO PROGRAM 'true'",
                "SELECT pg_read_file('postgresql.conf')",
                "CREATE EXTENSION file_fdw",
            ],
        );
        for statement in
            ["DROP DATABASE victim;", "ALTER DATABASE victim RENAME TO pwned;", "ALTER SYSTEM SET work_mem = '1GB';"]
        {
            let tried =
                shop.cluster.try_psql("postgres", &format!("SET SESSION AUTHORIZATION bkp_restore;\n{statement}"));
            assert!(
                tried.expect_err(statement).contains("must be owner") || statement.contains("SYSTEM"),
                "{statement}"
            );
        }
    }
}

#[test]
fn large_objects_that_the_account_may_not_read_are_told_and_a_grant_mends_it() {
    for major in [14, 18] {
        let shop = shop(major);
        let loid = shop.cluster.psql("shop", "SET ROLE shop; SELECT lo_from_bytea(0, 'x')").trim().to_owned();
        let out = as_account(shop.bkp(["backup"]), "bkp", "a long one").run();
        if out.code != 0 {
            out.fails_with(1).says("large object");
            shop.cluster.psql("shop", &format!("SET ROLE shop; GRANT SELECT ON LARGE OBJECT {loid} TO bkp"));
        }
        as_account(shop.bkp(["backup"]), "bkp", "a long one").run().ok();
        assert_eq!(shop.dumps().len(), 1);
    }
}

#[test]
fn an_account_that_may_only_add_saves_and_one_that_may_only_read_restores() {
    let (shop, gcs) = (Shop::open(), Gcs::start());
    let bkp = |arguments: &[&str]| shop.bkp([]).google(&gcs, "").args(arguments);
    let orders = shop.orders();
    // To list, to create: no reading, no deleting, and on this store no overwriting without deleting.
    gcs.forbid([Op::Get, Op::Stat, Op::Delete]);
    bkp(&["backup"]).run().ok();
    let first = gcs.objects();
    bkp(&["doctor"]).run().ok().says("does not allow to delete").says("retention cannot work");
    let out = bkp(&["backup"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1").run().fails_with(4);
    out.says("does not allow to");
    assert!(gcs.objects().len() >= 3 && first.iter().all(|name| gcs.objects().contains(name)), "{:?}", gcs.objects());
    bkp(&["restore", "--yes"]).run().fails_with(1).says("does not allow to read");
    bkp(&["forget"]).env("BKP_KEEP_LAST", "1").env("BKP_KEEP_MIN", "1").run().fails_with(1).says("cannot be read");

    gcs.forbid([Op::Start, Op::Finish, Op::Delete]);
    let before = gcs.objects();
    bkp(&["list"]).run().ok().says("sealed");
    bkp(&["check", "--read-data"]).run().ok();
    shop.lose_orders();
    bkp(&["restore", "--yes"]).run().ok();
    assert_eq!(shop.orders(), orders);
    bkp(&["backup"]).run().fails_with(1).says("does not allow to create");
    // What an earlier doctor could not remove is told for what it is: nothing was tried.
    bkp(&["doctor"]).run().says("was not tried");
    assert_eq!(gcs.objects(), before, "nothing was changed");
    gcs.forbid([]);
}
