//! A server where nothing is yet: roles, databases and rights come from the dump.

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;

#[test]
fn roles_come_back_with_their_passwords_and_existing_ones_are_left_alone() {
    let shop = Shop::open();
    shop.cluster.psql(
        "postgres",
        "CREATE ROLE reader LOGIN PASSWORD 'from the dump'; CREATE ROLE writer LOGIN CONNECTION LIMIT 7",
    );
    shop.cluster.psql("shop", "GRANT SELECT ON orders TO reader, writer");
    shop.bkp(["backup"]).run().ok();
    let fresh = Cluster::start(15);
    fresh.psql("postgres", "CREATE ROLE writer LOGIN CONNECTION LIMIT 3");
    let restore = |arguments: &[&str], mode: &str| {
        Bkp::new(&fresh)
            .bucket(&shop.bucket())
            .env("POSTGRES_DB", "shop")
            .env("BKP_RESTORE_ROLES", mode)
            .args(arguments)
            .run()
    };
    restore(&["restore"], "missing").ok();
    let password = "SELECT rolpassword FROM pg_authid WHERE rolname = 'reader'";
    assert_eq!(fresh.psql("postgres", password), shop.cluster.psql("postgres", password));
    let limit =
        || fresh.psql("postgres", "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'writer'").trim().to_owned();
    assert_eq!(limit(), "3", "an existing role is left alone");
    restore(&["restore"], "all").ok();
    assert_eq!(limit(), "7", "unless all roles are asked for");
}

#[test]
fn a_failed_restore_takes_back_the_roles_that_it_made() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE ROLE reader");
    shop.cluster.psql("shop", "GRANT SELECT ON orders TO reader");
    let mut dump = shop.cluster.pg_dumpall([]);
    let at = dump.windows(9).rposition(|w| w == b"\nCOPY pub").expect("a table");
    dump.splice(at..at, b"\nSELECT 1/0;\n".iter().copied());
    shop.put("all.sql", &dump);
    let fresh = Cluster::start(15);
    Bkp::new(&fresh).bucket(&shop.bucket()).args(["restore"]).run().fails_with(1).says("22012");
    assert_eq!(fresh.psql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname IN ('reader', 'shop')").trim(), "0");
    assert_eq!(fresh.databases().into_iter().filter(|name| name.contains("shop")).count(), 0);
}

#[test]
fn loading_under_another_name_touches_nothing_else() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    shop.lose_orders();
    let lost = shop.orders();
    // Nor is the application paused for it.
    let beside = shop.bkp(["restore", "--as", "shop_yesterday"]);
    beside.env("BKP_PAUSE_COMMAND", "/bin/false").env("BKP_RESUME_COMMAND", "/bin/false").run().ok();
    assert_eq!(shop.orders(), lost);
    assert_eq!(
        shop.cluster
            .psql("shop_yesterday", "SELECT count(*), md5(string_agg(o::text, '' ORDER BY o::text)) FROM orders o"),
        orders
    );
    assert!(shop.databases_of_ours().is_empty());
    shop.bkp(["restore", "--as", "shop_yesterday"]).run().fails_with(1).says("there already");
}

#[test]
fn a_dry_run_shows_the_plan_and_makes_nothing() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    let (lost, databases) = (shop.orders(), shop.cluster.databases());
    shop.bkp(["restore", "--dry-run"]).run().ok().says("plan: database shop").says("CREATE ROLE");
    assert_eq!((shop.orders(), shop.cluster.databases()), (lost, databases));
    let dumps = shop.dumps();
    shop.bkp(["backup", "--dry-run"]).run().ok().says("shop");
    assert_eq!(shop.dumps(), dumps);
}
