//! Targets that lack something: said at once and before anything is made.

use super::Shop;
use super::producers::clients_with;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;

#[test]
fn a_missing_extension_is_named() {
    let shop = Shop::open();
    let dump = String::from_utf8(shop.cluster.pg_dump("shop", [])).expect("UTF-8");
    let at = dump.find("\nCREATE TABLE").expect("a table");
    shop.put(
        "shop.sql",
        format!("{}\nCREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA public;\n{}", &dump[..at], &dump[at..])
            .as_bytes(),
    );
    let orders = shop.orders();
    shop.bkp(["restore"]).run().fails_with(1).says("timescaledb");
    assert_eq!(shop.orders(), orders);
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn a_missing_role_is_named_with_the_statement_that_makes_it() {
    let shop = Shop::open();
    let dump = shop.cluster.pg_dump("shop", []);
    let fresh = Cluster::start(15);
    shop.put("shop.sql", &dump);
    Bkp::new(&fresh)
        .bucket(&shop.bucket())
        .env("POSTGRES_DB", "shop")
        .args(["restore"])
        .run()
        .fails_with(1)
        .says("CREATE ROLE \"shop\";");
    assert!(!fresh.databases().contains(&"shop".to_owned()));
    fresh.psql("postgres", "CREATE ROLE shop LOGIN");
    Bkp::new(&fresh).bucket(&shop.bucket()).env("POSTGRES_DB", "shop").args(["restore"]).run().ok();
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let shop = Shop::open();
    shop.bkp(["backup"]).env("POSTGRES_PASSWORD", "canary-0815").run().fails_with(12).never_says("canary-0815");
}

#[test]
fn a_password_that_is_changed_amid_the_run_is_told_as_a_wrong_one() {
    for program in ["pg_dumpall", "pg_dump"] {
        let shop = Shop::open();
        let script = format!(
            "$(dirname $REAL)/psql -X -q -d shop -c \"ALTER ROLE postgres PASSWORD 'canary-{program}'\"; exec $REAL \"$@\""
        );
        let out = shop.bkp(["backup"]).env("BKP_PG_BIN", clients_with(&shop, program, &script)).run();
        out.fails_with(12).says("POSTGRES_PASSWORD").never_says("canary");
        assert!(shop.dumps().is_empty(), "{program}");
    }
}

#[test]
fn a_server_without_space_keeps_the_live_database() {
    let work = crate::support::workdir::WorkDir::new();
    let small = work.dir("small");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=110m,mode=0777", "tmpfs"])
        .arg(&small)
        .status()
        .expect("mount runs")
        .success();
    assert!(
        mounted,
        "this test mounts a small file system: run the tests as root, or in a user namespace (unshare -rm)"
    );
    let shop = Shop::open();
    let space = small.join("space");
    std::fs::create_dir(&space).expect("a directory");
    crate::support::parts::give_to_server_user(&space);
    shop.cluster
        .psql("shop", "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 10) AS t FROM generate_series(1, 150000) i");
    shop.cluster.psql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", space.display()));
    shop.cluster.psql("postgres", "ALTER DATABASE shop SET TABLESPACE small");
    shop.bkp(["backup"]).run().ok();
    shop.lose_orders();
    let lost = shop.orders();
    let out = shop.bkp(["restore"]).run();
    let serving = shop.orders();
    let ours = shop.databases_of_ours();
    drop(shop);
    std::process::Command::new("umount").arg("-l").arg(&small).status().expect("umount runs");
    assert_eq!((out.code, serving), (1, lost), "{out:?}");
    assert!(ours.is_empty());
    out.says("No space left").says("disk is full");
}
