//! Dumps that bkp did not write: today's, from pg_dumpall and pg_dump, gzip or plain.

use super::{Shop, gzip};
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};

/// The shop, saved by a command of today, lost, and restored by bkp.
fn comes_back(major: u32, dump: impl FnOnce(&Cluster) -> Vec<u8>, name: &str, database: Option<&str>) {
    let shop = Shop::open_on(major);
    let before = Snapshot::of(&shop.cluster);
    let dump = dump(&shop.cluster);
    let dump = if name.ends_with("gz") { gzip(&dump) } else { dump };
    shop.put(name, &dump);
    shop.lose_orders();
    let bkp = Bkp::new(&shop.cluster).bucket(&shop.bucket()).args(["restore"]);
    let bkp = match database {
        Some(database) => bkp.env("POSTGRES_DB", database),
        None => bkp,
    };
    bkp.run().ok().says("has no seal");
    assert_same(&before, &Snapshot::of(&shop.cluster).without_replaced());
}

#[test]
fn pg_dumpall_of_today_comes_back() {
    comes_back(15, |cluster| cluster.pg_dumpall([]), "db_dump-20250101_000000.bak.gz", None);
}

#[test]
fn pg_dumpall_with_clean_comes_back() {
    comes_back(15, |cluster| cluster.pg_dumpall(["--clean"]), "db_dump-20250101_000000.bak.gz", None);
    comes_back(18, |cluster| cluster.pg_dumpall(["--clean", "--if-exists"]), "db_dump-20250101_000000.bak.gz", None);
}

#[test]
fn a_dump_of_one_database_comes_back_with_the_live_ones_properties() {
    comes_back(15, |cluster| cluster.pg_dump("shop", []), "shop.sql.gz", Some("shop"));
    comes_back(17, |cluster| cluster.pg_dump("shop", ["--create"]), "shop.sql", Some("shop"));
}

#[test]
fn a_dump_from_a_tape_comes_back_with_the_zeros_behind_it() {
    let padded = |cluster: &Cluster| [gzip(&cluster.pg_dump("shop", [])), vec![0; 1024]].concat();
    comes_back(15, padded, "shop.sql", Some("shop"));
}

#[test]
fn names_that_psql_has_variables_of_come_back() {
    let shop = Shop::open_on(17);
    // The blanks are for the psql of this test; pg_dump writes none.
    shop.cluster.psql(
        "shop",
        r#"CREATE TABLE odd ("Upper" int, "HOST" int, arr int[], cut int[] GENERATED ALWAYS AS (arr[1: "HOST"]) STORED,
             CHECK (cardinality(arr[1: "Upper"]) >= 0));
           INSERT INTO odd VALUES (1, 2, '{1,2,3}'); CREATE VIEW odder AS SELECT arr[1: "Upper"] FROM odd"#,
    );
    shop.bkp(["backup"]).run().ok();
    let before = Snapshot::of(&shop.cluster);
    shop.cluster.psql("shop", "DROP TABLE odd CASCADE");
    shop.bkp(["restore"]).run().ok();
    assert_same(&before, &Snapshot::of(&shop.cluster).without_replaced());
    shop.cluster.psql("shop", "DROP TABLE odd CASCADE");
    shop.bkp(["restore", "--table", "odd"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", "SELECT cut FROM odd").trim(), "{1,2}");
}

#[test]
fn a_routine_that_no_psql_loads_is_named_by_the_backup() {
    let shop = Shop::open_on(17);
    shop.cluster.psql(
        "shop",
        "CREATE SCHEMA begin; CREATE TABLE begin.x (i int); CREATE FUNCTION g() RETURNS begin.x LANGUAGE sql AS 'SELECT 1'",
    );
    for jobs in ["1", "2"] {
        let out = shop.bkp(["backup"]).env("BKP_JOBS", jobs).run();
        out.fails_with(1).says("CREATE FUNCTION public.g: psql takes each word begin").says("rename what is called so");
    }
}

#[test]
fn a_dump_with_inserts_comes_back() {
    comes_back(15, |cluster| cluster.pg_dump("shop", ["--inserts"]), "shop.sql", Some("shop"));
}

#[test]
fn a_dump_with_crlf_line_ends_outside_its_rows_comes_back() {
    let crlf = |cluster: &Cluster| {
        String::from_utf8(cluster.pg_dump("shop", ["--inserts"])).expect("UTF-8").replace('\n', "\r\n").into_bytes()
    };
    let shop = Shop::open();
    // A line's end inside of a value is data, and stays what the dump says.
    let orders = || {
        shop.cluster.psql(
            "shop",
            r"SELECT count(*), md5(string_agg(replace(o::text, E'\r', ''), '' ORDER BY o::text)) FROM orders o",
        )
    };
    let before = orders();
    shop.put("shop.sql", &crlf(&shop.cluster));
    shop.lose_orders();
    shop.bkp(["restore"]).run().ok();
    assert_eq!(orders(), before);
}

#[test]
fn a_dump_of_a_newer_server_loads_into_an_older_one_as_far_as_it_can() {
    let newer = Shop::open_on(18);
    let dump = newer.cluster.pg_dump("shop", []);
    assert!(String::from_utf8_lossy(&dump).contains("SET transaction_timeout"));
    let older = Shop::open_on(15);
    older.put("shop.sql", &dump);
    older.lose_orders();
    older.bkp(["restore"]).run().ok().says("transaction_timeout");
    assert_eq!(older.orders(), newer.orders());
}

#[test]
fn a_dump_without_a_trailer_is_refused_unless_asked_for() {
    let shop = Shop::open();
    let dump = String::from_utf8(shop.cluster.pg_dump("shop", [])).expect("UTF-8");
    let at = dump.find("-- PostgreSQL database dump complete").expect("the trailer");
    let orders = shop.orders();
    shop.put("shop.sql", &dump.as_bytes()[..at - 3]);
    shop.lose_orders();
    shop.bkp(["restore"]).run().fails_with(5).says("--allow-unproven");
    assert_ne!(shop.orders(), orders);
    shop.bkp(["restore", "--allow-unproven"]).run().ok();
    assert_eq!(shop.orders(), orders);
}

#[test]
fn a_dump_cut_inside_a_table_is_refused_whatever_is_asked() {
    let shop = Shop::open();
    let dump = String::from_utf8(shop.cluster.pg_dump("shop", [])).expect("UTF-8");
    let at = dump.find("COPY public.orders").expect("orders") + 400;
    shop.put("shop.sql", &dump.as_bytes()[..at]);
    shop.bkp(["restore", "--allow-unproven"]).run().fails_with(5);
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn a_dump_of_rows_only_is_told_for_what_it_is() {
    let shop = Shop::open();
    shop.put("shop.sql", &shop.cluster.pg_dump("shop", ["--data-only"]));
    let orders = shop.orders();
    shop.bkp(["restore"]).run().fails_with(1).says("--data-only");
    assert_eq!(shop.orders(), orders);
    assert!(shop.databases_of_ours().is_empty());
}

#[test]
fn a_dump_of_a_part_does_not_take_the_place_of_the_whole_unless_asked_for() {
    let shop = Shop::open();
    shop.cluster.psql("shop", "CREATE TABLE third AS SELECT 1 AS i");
    let orders = shop.orders();
    for arguments in [["--schema-only"], ["--table=third"]] {
        shop.put("shop.sql", &shop.cluster.pg_dump("shop", arguments));
        shop.bkp(["restore"]).run().fails_with(1).says("part of shop").says("--as NAME");
        assert_eq!(shop.orders(), orders);
        assert!(shop.databases_of_ours().is_empty());
    }
    shop.bkp(["restore", "--as", "beside"]).run().ok();
    shop.bkp(["restore", "--allow-unproven"]).run().ok();
    assert_eq!(shop.cluster.psql("shop", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").trim(), "1");
}

#[test]
fn meta_commands_and_programs_in_a_dump_are_refused_before_anything_is_made() {
    let shop = Shop::open();
    let good = String::from_utf8(shop.cluster.pg_dump("shop", [])).expect("UTF-8");
    let marker = shop.work.join("pwned");
    let evils = [
        format!("\\! touch {}", marker.display()),
        format!("SELECT 1 \\g |touch {}", marker.display()),
        format!("COPY public.orders FROM PROGRAM 'touch {}';", marker.display()),
        "\\i /etc/passwd".to_owned(),
        "\\connect template1 \\! id".to_owned(),
    ];
    for evil in evils {
        let at = good.find("\nCOPY ").expect("a table");
        let path = shop.put("shop.sql", format!("{}\n{evil}\n{}", &good[..at], &good[at..]).as_bytes());
        let out = shop.bkp(["restore"]).run();
        assert_ne!(out.code, 0, "{evil}");
        assert!(!marker.exists() && shop.databases_of_ours().is_empty(), "{evil}");
        std::fs::remove_file(path).expect("removed");
    }
}
