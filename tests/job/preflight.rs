//! What cannot work is found before anything is made, and said with all the rest.

use super::Shop;
use crate::support::bkp::Bkp;
use crate::support::cluster::Cluster;
use crate::support::compare::{Snapshot, assert_same};

/// The shop's dump, as `pg_dump --create` writes it, with one thing changed in its CREATE DATABASE.
fn put_changed(shop: &Shop, from: &str, to: &str) {
    let dump = String::from_utf8(shop.cluster.pg_dump("shop", ["--create"])).expect("UTF-8");
    let at = dump.find("CREATE DATABASE").expect("CREATE DATABASE");
    let end = at + dump[at..].find(';').expect("its end");
    assert!(dump[at..end].contains(from), "{}", &dump[at..end]);
    let changed = format!("{}{}{}", &dump[..at], dump[at..end].replace(from, to), &dump[end..]);
    shop.put("db_dump-20260101_000000.sql", changed.as_bytes());
}

fn refused(major: u32, changes: &[(&str, &str, &[&str])]) {
    let shop = Shop::open_on(major);
    let (before, databases) = (Snapshot::of(&shop.cluster), shop.cluster.databases());
    for (from, to, says) in changes {
        put_changed(&shop, from, to);
        for arguments in [&["restore"][..], &["restore", "--dry-run"]] {
            let mut out = shop.bkp([]).args(arguments).run().fails_with(1).says("nothing was begun");
            for told in *says {
                out = out.says(told);
            }
            out.says("cannot make a database for shop as the dump has it");
        }
        assert_eq!(shop.cluster.databases(), databases, "{to}");
    }
    assert_same(&before, &Snapshot::of(&shop.cluster));
}

#[test]
fn a_locale_an_encoding_and_a_provider_that_the_server_lacks_are_told_before_anything_is_made() {
    refused(
        15,
        &[
            ("LOCALE = 'C.UTF-8'", "LOCALE = 'xx_XX.UTF-8'", &["LOCALE 'xx_XX.UTF-8'", "install the locale"]),
            ("ENCODING = 'UTF8'", "ENCODING = 'LATIN1'", &["ENCODING 'LATIN1'", "C.UTF-8"]),
            ("LOCALE_PROVIDER = libc", "LOCALE_PROVIDER = icu ICU_LOCALE = 'de'", &["ICU"]),
            ("LOCALE_PROVIDER = libc", "LOCALE_PROVIDER = builtin", &["builtin"]),
        ],
    );
    // The oldest and the newest say it in the same place.
    for major in [13, 18] {
        refused(major, &[("LOCALE = 'C.UTF-8'", "LOCALE = 'xx_XX.UTF-8'", &["LOCALE 'xx_XX.UTF-8'"])]);
    }
}

#[test]
fn a_provider_that_an_older_server_does_not_know_is_told_to_a_restore_and_to_a_drill() {
    let builtin = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
    let new = Shop::on(Cluster::options(17).initdb(builtin).start());
    new.bkp(["backup"]).run().ok();
    let old = Cluster::start(16);
    for command in ["restore", "drill"] {
        let bkp = Bkp::new(&old).bucket(&new.bucket()).env("POSTGRES_DB", "shop").args([command]);
        let out = bkp.run().fails_with(1).says("nothing was begun").says("LOCALE_PROVIDER 'builtin'");
        out.says("cannot make a database for shop as the dump has it");
    }
    assert_eq!(old.databases(), ["postgres", "template0", "template1"]);
}

#[test]
fn it_is_told_together_with_what_else_cannot_work() {
    let shop = Shop::open();
    shop.cluster.psql("shop", "CREATE ROLE clerk; GRANT SELECT ON orders TO clerk");
    put_changed(&shop, "LOCALE = 'C.UTF-8'", "LOCALE = 'xx_XX.UTF-8'");
    shop.cluster.psql("shop", "DROP OWNED BY clerk; DROP ROLE clerk; ALTER ROLE shop CREATEDB PASSWORD 'pw'");
    let bkp = shop.bkp(["restore"]).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw");
    let out = bkp.env("BKP_MAINTENANCE_DB", "postgres").run().fails_with(1);
    out.says("xx_XX.UTF-8").says("neither on the server nor in the dump: \"clerk\"").says("nothing was begun");
}

#[test]
fn roles_that_the_wanted_database_does_not_need_do_not_keep_it_from_being_restored() {
    let shop = Shop::open();
    shop.cluster.psql("postgres", "CREATE ROLE idle");
    shop.cluster.psql("postgres", "CREATE DATABASE wiki");
    shop.cluster.psql("wiki", "CREATE ROLE clerk; CREATE TABLE pages (i int); GRANT SELECT ON pages TO clerk");
    shop.put("db_dump-20260101_000000.sql", &shop.cluster.pg_dumpall([]));
    shop.cluster.psql("postgres", "DROP DATABASE wiki");
    shop.cluster.psql("postgres", "DROP ROLE clerk, idle; ALTER ROLE shop CREATEDB PASSWORD 'pw'");
    let orders = shop.orders();
    shop.lose_orders();
    let bkp = |roles: &str| {
        let bkp = shop.bkp(["restore"]).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw");
        bkp.env("BKP_MAINTENANCE_DB", "postgres").env("BKP_RESTORE_ROLES", roles)
    };
    bkp("missing").run().fails_with(1).says("may not create roles, and these are missing: clerk, idle");
    bkp("none").run().ok();
    assert_eq!(shop.orders(), orders);
    // One that it does need is told, and not as what the dump lacks.
    shop.cluster.psql("shop", "CREATE ROLE reader; GRANT SELECT ON orders TO reader");
    shop.put("db_dump-20260102_000000.sql", &shop.cluster.pg_dumpall([]));
    shop.cluster.psql("shop", "DROP OWNED BY reader; DROP ROLE reader");
    bkp("none").run().fails_with(1).says("not on the server, and BKP_RESTORE_ROLES=none makes none: \"reader\";");
}

#[test]
fn a_tablespace_that_the_account_may_not_use_and_one_that_is_missing_are_told() {
    let shop = Shop::open();
    let place = shop.cluster.server_dir("fast");
    shop.cluster.psql("postgres", &format!("CREATE TABLESPACE fast LOCATION '{}'", place.display()));
    shop.cluster.psql("shop", "ALTER TABLE orders SET TABLESPACE fast");
    shop.bkp(["backup"]).run().ok();
    let orders = shop.orders();
    // The live database lies there, and so would its successor.
    shop.cluster.psql("shop", "ALTER TABLE orders SET TABLESPACE pg_default");
    shop.cluster.psql("postgres", "ALTER DATABASE shop SET TABLESPACE fast; ALTER ROLE shop CREATEDB PASSWORD 'pw'");
    shop.put("db_dump-20260101_000000.sql", &shop.cluster.pg_dump("shop", []));
    let as_owner = |arguments: [&str; 2]| {
        let bkp = shop.bkp(arguments).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw");
        bkp.env("BKP_MAINTENANCE_DB", "postgres")
    };
    let told = as_owner(["restore", "db_dump-20260101_000000.sql"]).run().fails_with(1);
    told.says("permission denied for tablespace fast").says("nothing was begun");
    shop.cluster.psql("postgres", "ALTER DATABASE shop SET TABLESPACE pg_default");
    shop.cluster.psql("postgres", "DROP TABLESPACE fast");
    shop.lose_orders();
    for arguments in [&["restore", "--dry-run"][..], &["restore"]] {
        shop.bkp([])
            .args(arguments)
            .run()
            .ok()
            .says("the server has no tablespace fast: what the dump has there goes into the default one");
    }
    assert_eq!(shop.orders(), orders);
}

#[test]
fn what_an_older_server_will_leave_out_is_told_with_the_plan() {
    let new = Shop::open_on(18);
    let dump = new.cluster.pg_dump("shop", ["--create"]);
    let shop = Shop::open_on(15);
    let orders = shop.orders();
    shop.put("db_dump-20260101_000000.sql", &dump);
    for arguments in [&["restore", "--dry-run"][..], &["restore"]] {
        let out = shop.bkp([]).args(arguments).run().ok();
        out.says("the dump is of PostgreSQL 18, and the server is 15, which is older. Parameters that it does not know are left out: transaction_timeout.");
    }
    assert_eq!(shop.orders(), orders);
    // Into a newer one, nothing is lost and nothing is said.
    new.put("db_dump-20260101_000000.sql", &shop.cluster.pg_dump("shop", ["--create"]));
    new.bkp(["restore"]).run().ok().never_says("which is older");
}

#[test]
fn sessions_that_the_server_will_not_give_are_told_before_anything_is_made() {
    let shop = Shop::open();
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("postgres", "ALTER ROLE shop CREATEDB PASSWORD 'pw' CONNECTION LIMIT 3");
    let as_owner = |arguments: &[&str]| {
        let bkp = shop.bkp([]).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw").args(arguments);
        bkp.env("BKP_MAINTENANCE_DB", "postgres").run()
    };
    let table = ["restore", "--table", "orders"];
    let databases = shop.cluster.databases();
    as_owner(&table)
        .fails_with(1)
        .says("opens 5 sessions at once, and got 3")
        .says("too many connections for role")
        .says("nothing was begun");
    as_owner(&["restore", "--dry-run"]).ok();
    // The live database's own limit, which counts for what is put into it.
    shop.cluster.psql("postgres", "ALTER ROLE shop CONNECTION LIMIT -1; ALTER DATABASE shop CONNECTION LIMIT 1");
    as_owner(&table).fails_with(1).says("too many connections for database \"shop\"").says("nothing was begun");
    assert_eq!(shop.cluster.databases(), databases);
    // A whole restore has but one session in each.
    let orders = shop.orders();
    shop.lose_orders();
    as_owner(&["restore"]).ok();
    assert_eq!(shop.orders(), orders);
}

#[test]
fn a_server_that_is_full_is_told_before_anything_is_made() {
    let shop =
        Shop::on(Cluster::options(15).conf("max_connections = 8").conf("superuser_reserved_connections = 3").start());
    shop.bkp(["backup"]).run().ok();
    shop.cluster.psql("postgres", "ALTER ROLE shop CREATEDB PASSWORD 'pw'");
    // Five for accounts without privilege; four of them are taken.
    let mut others: Vec<_> = (0..4)
        .map(|_| {
            let mut psql = shop.cluster.client("psql");
            psql.env("PGUSER", "shop").args(["-X", "-q", "-d", "postgres", "-c", "SELECT pg_sleep(600)"]);
            psql.stderr(std::process::Stdio::null());
            psql.spawn().expect("psql")
        })
        .collect();
    crate::support::wait::until("the others", || {
        shop.cluster.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'sleep.600' AND state = 'active' AND pid <> pg_backend_pid()").trim() == "4"
    });
    let bkp = |arguments: &[&str]| {
        let bkp = shop.bkp([]).args(arguments).env("POSTGRES_USER", "shop").env("POSTGRES_PASSWORD", "pw");
        bkp.env("BKP_MAINTENANCE_DB", "postgres")
    };
    let out = bkp(&["restore", "--dry-run"]).run();
    // Where they are the application's, and it is paused first, that is no reason to refuse.
    let theirs = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE usename = 'shop'";
    let theirs = shop.cluster.psql("postgres", theirs);
    let ends = "for p in $0; do kill $p; while kill -0 $p 2>/dev/null; do :; done; done";
    let paused = bkp(&["restore"])
        .env("BKP_PAUSE_COMMAND", format!("/bin/sh -c '{ends}' '{}'", theirs.trim()))
        .env("BKP_RESUME_COMMAND", "/bin/true")
        .env("BKP_STATE_DIR", shop.work.join("state"))
        .run();
    for other in &mut others {
        let _ = other.kill();
        let _ = other.wait();
    }
    out.fails_with(1).says("opens 2 sessions at once, and got 1").says("remaining connection slots are reserved");
    paused.ok().says("the application is paused first");
}
