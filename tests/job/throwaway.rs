//! Drills in a server of their own: the live one hears nothing, all roles are the dump's, and nothing of it outlives the drill.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Shop, gunzip};
use crate::support::bkp::{Bkp, Running};
use crate::support::cluster::Cluster;
use crate::support::parts;
use crate::support::wait::until;

/// A drill in a server of its own.
fn drill(shop: &Shop) -> Bkp {
    with_state(shop, shop.bkp(["drill", "--server", "throwaway"]))
        .env("BKP_DRILL_EVIDENCE", shop.work.join("evidence.json"))
}

fn with_state(shop: &Shop, bkp: Bkp) -> Bkp {
    bkp.env("BKP_STATE_DIR", shop.work.join("state"))
}

fn shown(shop: &Shop) -> Value {
    serde_json::from_slice(&fs::read(shop.work.join("evidence.json")).expect("evidence")).expect("JSON")
}

/// What is in the scratch directory.
fn left_in(scratch: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(scratch).map(|all| all.map(|one| one.expect("an entry").path()).collect());
    entries.unwrap_or_default()
}

fn left(shop: &Shop) -> Vec<PathBuf> {
    left_in(&shop.work.join("state/drill/shop"))
}

/// Processes that work below a directory.
fn working_in(directory: &Path) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let number = |name: &std::ffi::OsStr| name.to_str().and_then(|name| name.parse().ok());
    processes
        .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory)))
        .filter_map(|entry| number(&entry.file_name()))
        .collect()
}

fn nothing_is_left(shop: &Shop, when: &str) {
    assert_eq!((left(shop), working_in(shop.work.path())), (vec![], vec![]), "{when}");
}

#[test]
fn a_server_of_its_own_proves_roles_and_rows_and_the_live_one_hears_nothing() {
    let mut shop = Shop::on(Cluster::options(15).conf("log_connections = on").start());
    let roles =
        "CREATE ROLE boss LOGIN CREATEDB PASSWORD 'x' CONNECTION LIMIT 7; CREATE ROLE staff; GRANT staff TO boss;
        ALTER TABLE orders OWNER TO boss; GRANT SELECT ON customers TO staff";
    shop.cluster.psql("shop", roles);
    let all = |bkp: Bkp| bkp.without("POSTGRES_DB").env("BKP_DATABASES", "shop").env("BKP_ROLES", "all");
    all(shop.bkp(["backup"])).run().ok();
    let heard = shop.cluster.log();
    let as_saved = "SELECT count(*) = 1000 FROM orders;
        SELECT rolcanlogin AND rolcreatedb AND rolconnlimit = 7 FROM pg_roles WHERE rolname = 'boss';
        SELECT rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'boss';
        SELECT pg_has_role('boss', 'staff', 'USAGE');
        SELECT tableowner = 'boss' FROM pg_tables WHERE tablename = 'orders';
        SELECT has_table_privilege('staff', 'customers', 'SELECT');
        SELECT current_setting('listen_addresses') = '';
        SELECT pg_postmaster_start_time() > now() - interval '5 minutes'";
    all(drill(&shop)).env("BKP_DRILL_SQL", as_saved).run().ok().says("throwaway PostgreSQL 15.");
    assert_eq!(shop.cluster.log(), heard, "somebody connected to the live server");
    nothing_is_left(&shop, "proven");
    let shown = shown(&shop);
    assert_eq!((&shown["result"], &shown["server"]["where"]), (&"proven".into(), &"throwaway".into()), "{shown:#}");
    assert_eq!(shown["databases"]["shop"]["counted_rows"], 1100);
    let loaded: Vec<&str> =
        shown["server"]["roles_loaded"].as_array().expect("roles").iter().filter_map(Value::as_str).collect();
    assert!(loaded.contains(&"boss") && loaded.contains(&"staff"), "{loaded:?}");
    assert_eq!(shown["server"]["roles_made"], serde_json::json!([]));

    // Nobody answers: of itself it takes one of its own, says why, and needs no live server at all.
    shop.cluster.stop();
    let bare = with_state(&shop, all(shop.bkp(["drill", "--json"])));
    let out = bare.run().ok().says("cannot be reached");
    let shown: Value = serde_json::from_str(&out.stdout).expect("JSON");
    assert!(shown["server"]["why"].as_str().expect("why").contains("cannot be reached"), "{shown:#}");
    let configured = with_state(&shop, all(shop.bkp(["drill"]))).env("BKP_DRILL_SERVER", "configured");
    configured.run().fails_with(1);
    with_state(&shop, shop.bkp(["drill"]))
        .env("BKP_DRILL_SERVER", "other")
        .run()
        .fails_with(2)
        .says("throwaway or configured");
}

#[test]
fn every_major_is_drilled_on_its_own_and_by_an_account_that_is_nobody_special() {
    for major in [14, 18] {
        let shop = Shop::open_on(major);
        // Since 16 only who was there first may grant what he has no right to grant.
        shop.cluster.psql("shop", "CREATE ROLE staff; GRANT staff TO shop WITH ADMIN OPTION");
        shop.bkp(["backup"]).run().ok();
        drill(&shop).run().ok().says(&format!("throwaway PostgreSQL {major}."));
        nothing_is_left(&shop, "proven");
        if major != 18 {
            continue;
        }
        // By itself instead of as root, in a directory whose name is too long for a socket.
        let give = |path: &Path, account: &str| {
            let status = std::process::Command::new("chown").args(["-R", account]).arg(path).status();
            assert!(status.expect("chown").success());
        };
        let scratch = shop.work.dir(&format!("{}/{}", "long".repeat(20), "name".repeat(20)));
        for path in [&shop.bucket(), &shop.work.dir("state"), &scratch] {
            give(path, "65534");
        }
        drill(&shop)
            .without("BKP_DRILL_EVIDENCE")
            .env("BKP_DRILL_SCRATCH", &scratch)
            .user(65534)
            .run()
            .ok()
            .says("throwaway PostgreSQL 18.");
        assert_eq!((left_in(&scratch), working_in(&scratch)), (vec![], vec![]));
        // As root, which has to pass through: what is closed is told, with what to do.
        fs::set_permissions(&scratch, PermissionsExt::from_mode(0o700)).expect("a mode");
        chown(&scratch, Some(0), Some(0)).expect("chown");
        drill(&shop).env("BKP_DRILL_SCRATCH", &scratch).run().fails_with(1).says("is closed to").says("--scratch");
        assert_eq!(left_in(&scratch), Vec::<PathBuf>::new());
        // An account without a name, as pods often have: initdb cannot do without, and says so.
        for path in [shop.bucket(), shop.work.join("state")] {
            give(&path, "54321");
        }
        let nameless = drill(&shop).without("BKP_DRILL_EVIDENCE").user(54321).run().fails_with(1);
        nameless.says("/etc/passwd").says("--server configured");
        nothing_is_left(&shop, "an account without a name");
    }
}

/// A drill that is in the middle of its load, in this scratch directory.
fn loading(shop: &Shop, drill: Bkp, scratch: &Path) -> Running {
    let running = drill.spawn();
    // A backend that takes rows: psql is being fed.
    let is_copying = |process: &i32| {
        fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| line.windows(4).any(|at| at == b"COPY"))
    };
    until("the drill's load", || working_in(scratch).iter().any(is_copying));
    assert!(!left_in(scratch).is_empty() && !shop.dumps().is_empty());
    running
}

fn slow_shop() -> Shop {
    let shop = Shop::open();
    shop.cluster.psql("shop", "CREATE TABLE much AS SELECT i, md5(i::text) AS t FROM generate_series(1, 500000) i");
    shop.bkp(["backup"]).run().ok();
    shop
}

#[test]
fn however_a_drill_ends_its_server_and_its_directory_are_gone() {
    let shop = slow_shop();
    let own = shop.work.join("state/drill/shop");
    let running = loading(&shop, drill(&shop), &own);
    // Who sees the server's arguments knows the way to its log, where values may stand.
    let log = left_in(&own)[0].join("server/log").metadata().expect("a log");
    assert_eq!(log.permissions().mode() & 0o077, 0, "others can read it");
    running.kill(Signal::TERM);
    running.wait().fails_with(143);
    nothing_is_left(&shop, "ended by a signal");
    drill(&shop).env("BKP_DRILL_SQL", "SELECT false").run().fails_with(5);
    assert_eq!(shown(&shop)["result"], "failed");
    nothing_is_left(&shop, "a check that does not hold");

    // Killed, it can do nothing. Its server goes with it all the same; its directory with the next start of anything, even where only
    // the dead drill knew of it, and with a server that could not hear of the death.
    let named = shop.work.join("named");
    for (next, stopped) in [("backup", false), ("drill", true)] {
        let running = loading(&shop, drill(&shop).args(["--scratch"]).args([&named]), &named);
        let servers = working_in(&named);
        let stopped: Vec<Pid> =
            servers.iter().filter(|_| stopped).filter_map(|process| Pid::from_raw(*process)).collect();
        stopped.iter().for_each(|process| kill_process(*process, Signal::STOP).expect("stopped"));
        running.kill(Signal::KILL);
        running.wait();
        if stopped.is_empty() {
            until("the end of the server", || working_in(&named).is_empty());
        } else {
            assert!(!working_in(&named).is_empty());
        }
        assert_eq!(left_in(&named).len(), 1, "killed before its end");
        with_state(&shop, shop.bkp([next])).run().ok();
        assert_eq!((left_in(&named), working_in(&named)), (vec![], vec![]), "{next}");
        assert_eq!(left_in(&shop.work.join("state/drill-places/shop")), Vec::<PathBuf>::new(), "{next}");
    }

    // What looks like a dead drill's and leads to a living server by a link ends nobody, and nothing goes but the link.
    let (live, dead) = (shop.work.dir("live/data"), own.join(".bkp-drill-20260101T000000Z-abcdef"));
    let mut living = std::process::Command::new("sleep").arg("60").current_dir(&live).spawn().expect("sleep");
    for link in ["server", "server/data"] {
        fs::create_dir_all(dead.join(link).parent().expect("above")).expect("mkdir");
        fs::write(dead.join("of-shop"), "").expect("a marker");
        let to = if link == "server" { shop.work.join("live") } else { live.clone() };
        symlink(to, dead.join(link)).expect("a link");
        with_state(&shop, shop.bkp(["resume"])).run().ok();
        assert!(left(&shop).is_empty() && live.is_dir(), "{link}");
        assert!(living.try_wait().expect("a status").is_none(), "{link}: somebody's process was ended");
    }
    living.kill().expect("killed");
    living.wait().expect("waited");
}

#[test]
fn a_machine_that_lacks_an_extension_says_nothing_of_the_backup() {
    let shop = Shop::open();
    shop.cluster.psql("shop", "CREATE EXTENSION hstore; CREATE TABLE odd (h hstore)");
    shop.bkp(["backup"]).run().ok();
    assert!(String::from_utf8_lossy(&gunzip(&fs::read(&shop.dumps()[0]).expect("a dump"))).contains("EXTENSION"));
    // The same server without that one package.
    let (whole, less) = (parts::bin(15), shop.work.dir("less"));
    let whole = whole.parent().expect("the set");
    for part in ["lib", "include"] {
        symlink(whole.join(part), less.join(part)).expect("a link");
    }
    fs::create_dir_all(less.join("bin")).expect("mkdir");
    for program in fs::read_dir(whole.join("bin")).expect("programs") {
        let program = program.expect("an entry");
        // Where a program is tells it where the rest is.
        fs::copy(program.path(), less.join("bin").join(program.file_name())).expect("copied");
    }
    for (from, to) in [("share", "share"), ("share/extension", "share/extension")] {
        fs::create_dir_all(less.join(to)).expect("mkdir");
        for entry in fs::read_dir(whole.join(from)).expect("shared files") {
            let entry = entry.expect("an entry");
            let name = entry.file_name();
            if name != "extension" && !name.to_string_lossy().starts_with("hstore") {
                symlink(entry.path(), less.join(to).join(name)).expect("a link");
            }
        }
    }
    let out = drill(&shop).env("BKP_PG_BIN", less.join("bin")).run().fails_with(1);
    out.says("hstore").says("--server configured").says("says nothing of the backup");
    let shown = shown(&shop);
    assert_eq!((&shown["result"], &shown["server"]["where"]), (&"not_tried".into(), &"throwaway".into()), "{shown:#}");
    nothing_is_left(&shop, "an extension is missing");
    drill(&shop).run().ok();
}
