//! What was saved comes back, compared by content.

use super::{Shop, dumps, gunzip};
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};
use crate::support::fixtures;
use crate::support::workdir::WorkDir;
use std::fs;

/// Everything that pg_dump knows, saved, lost, restored in place and compared; then restored onto a fresh server.
fn everything_comes_back(major: u32) {
    let cluster = Cluster::start(major);
    fixtures::everything(&cluster);
    let before = Snapshot::of(&cluster);
    let work = WorkDir::new();
    let bucket = work.join("bucket");
    let bkp = |cluster: &Cluster, arguments: &[&str]| Bkp::new(cluster).bucket(&bucket).args(arguments).run();
    bkp(&cluster, &["init"]).ok();
    bkp(&cluster, &["backup"]).ok();

    cluster.psql("shop", "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE rubbish (i int)");
    bkp(&cluster, &["restore", "--yes"]).ok();
    assert_same(&before, &Snapshot::of(&cluster).without_replaced());

    let fresh = Cluster::start(major);
    bkp(&fresh, &["restore", "--yes"]).ok();
    let refused = |snapshot: Snapshot| snapshot.without_refused();
    assert_same(&refused(before), &refused(Snapshot::of(&fresh).without_replaced()));
}

#[test]
fn everything_comes_back_on_14() {
    everything_comes_back(14);
}

#[test]
fn everything_comes_back_on_15() {
    everything_comes_back(15);
}

#[test]
fn everything_comes_back_on_16() {
    everything_comes_back(16);
}

#[test]
fn everything_comes_back_on_17() {
    everything_comes_back(17);
}

#[test]
fn everything_comes_back_on_18() {
    everything_comes_back(18);
}

#[test]
fn a_server_older_than_every_client_is_saved_by_a_newer_one_and_restored() {
    let shop = Shop::open_on(13);
    shop.bkp(["backup"]).run().ok().says("client programs 14.");
    let (before, orders) = (Snapshot::of(&shop.cluster), shop.orders());
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    assert_eq!(shop.orders(), orders);
    assert_same(&before, &Snapshot::of(&shop.cluster).without_replaced());
}

#[test]
fn one_database_comes_back_and_the_replaced_one_is_kept_until_the_next_backup() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    let (before, orders) = (Snapshot::of(&shop.cluster), shop.orders());
    shop.lose_orders();
    shop.bkp(["restore", "--yes"]).run().ok();
    assert_eq!(shop.orders(), orders);
    assert_same(&before, &Snapshot::of(&shop.cluster).without_replaced());
    let [kept] = shop.databases_of_ours().try_into().expect("one replaced database");
    assert_eq!(
        shop.cluster.psql(&kept, "SELECT count(*) FROM orders").trim(),
        "0",
        "what was replaced is kept as it was"
    );
    shop.bkp(["backup"]).run().ok();
    assert!(shop.databases_of_ours().is_empty(), "dropped once its successor is saved");
}

#[test]
fn plain_gunzip_and_psql_restore_a_dump_on_a_fresh_server() {
    let cluster = Cluster::start(15);
    fixtures::shop(&cluster);
    let before = Snapshot::of_databases(&cluster, &["shop"]);
    let work = WorkDir::new();
    let bucket = work.join("bucket");
    Bkp::new(&cluster).bucket(&bucket).args(["init"]).run().ok();
    Bkp::new(&cluster).bucket(&bucket).args(["backup"]).run().ok();
    let sql = gunzip(&fs::read(&dumps(&bucket)[0]).expect("the dump"));
    // The procedure in the field comments out what names the superuser, and stops at errors.
    let edited: String = String::from_utf8_lossy(&sql)
        .lines()
        .map(|line| {
            if line.starts_with("CREATE ROLE postgres;") || line.starts_with("ALTER ROLE postgres ") {
                format!("-- {line}\n")
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    let fresh = Cluster::start(15);
    let ran = fresh.psql_bytes("postgres", edited.as_bytes());
    assert!(ran.success, "{}", ran.stderr);
    assert_same(&before, &Snapshot::of_databases(&fresh, &["shop"]));
}

#[test]
fn a_dump_of_one_database_holds_the_roles_that_it_uses_and_no_others() {
    let shop = Shop::open();
    shop.cluster.psql(
        "postgres",
        "CREATE ROLE stranger LOGIN PASSWORD 'x'; CREATE ROLE clerk; CREATE ROLE anna LOGIN; GRANT clerk TO anna",
    );
    shop.cluster.psql("shop", "GRANT SELECT ON orders TO clerk");
    shop.bkp(["backup"]).run().ok();
    let sql = String::from_utf8_lossy(&gunzip(&fs::read(&shop.dumps()[0]).expect("the dump"))).into_owned();
    for role in ["shop", "clerk", "anna"] {
        assert!(sql.contains(&format!("\nCREATE ROLE {role};")), "{role} is missing");
    }
    assert!(!sql.contains("\nCREATE ROLE stranger;"));

    let fresh = Cluster::start(15);
    Bkp::new(&fresh).bucket(&shop.bucket()).env("POSTGRES_DB", "shop").args(["restore"]).run().ok();
    assert_same(&Snapshot::of_databases(&shop.cluster, &["shop"]), &Snapshot::of_databases(&fresh, &["shop"]));
}

#[test]
fn the_right_client_is_picked_and_what_a_newer_one_writes_loads_where_it_came_from() {
    let shop = Shop::open_on(16);
    let only = |majors: &[u32]| {
        majors.iter().map(|major| Cluster::client_bin(*major).display().to_string()).collect::<Vec<_>>().join(":")
    };
    shop.bkp(["backup"]).env("BKP_PG_BIN", only(&[14, 18, 16, 17])).run().ok().says("client programs 16.");
    shop.bkp(["backup"]).env("BKP_PG_BIN", only(&[14, 18])).run().ok().says("client programs 18.");
    let newest = shop.dumps().pop().expect("a dump");
    let sql = gunzip(&fs::read(newest).expect("the dump"));
    assert!(!sql.windows(24).any(|w| w == b"\nSET transaction_timeout "), "a setting that a 16 server does not know");
    let fresh = Cluster::start(16);
    let ran =
        fresh.psql_bytes("postgres", &String::from_utf8_lossy(&sql).replace("CREATE ROLE postgres;", "").into_bytes());
    assert!(ran.success, "what a newer client wrote must load on the server that it came from: {}", ran.stderr);
}
