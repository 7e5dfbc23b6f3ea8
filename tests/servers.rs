//! The tools of the tests, tested: a comparison that sees nothing would make every other test pass.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::bkp::Bkp;
use crate::support::cluster::{Cluster, PASSWORD};
use crate::support::compare::{Snapshot, assert_same};
use crate::support::run::run;
use crate::support::{fixtures, parts, wait};

#[test]
fn a_server_of_every_major_starts_and_says_its_version() {
    for major in parts::MAJORS {
        let cluster = Cluster::start(major);
        assert_eq!(
            cluster.psql("postgres", "SELECT current_setting('server_version_num')::int / 10000"),
            major.to_string()
        );
    }
}

#[test]
fn several_servers_run_beside_each_other() {
    let clusters: Vec<Cluster> = [15, 15, 17].into_iter().map(Cluster::start).collect();
    for (number, cluster) in clusters.iter().enumerate() {
        cluster.psql("postgres", &format!("CREATE TABLE t AS SELECT {number} AS n"));
    }
    for (number, cluster) in clusters.iter().enumerate() {
        assert_eq!(cluster.psql("postgres", "SELECT n FROM t"), number.to_string());
    }
}

#[test]
fn tcp_wants_the_password_and_the_socket_does_not() {
    let cluster = Cluster::start(parts::NEWEST);
    let connect = |password: &str| {
        let mut psql = cluster.client("psql");
        psql.env("PGHOST", cluster.host()).env("PGPASSWORD", password);
        run(psql.args(["-X", "-A", "-t", "-w", "-c", "SELECT 1", "postgres"]), b"").success
    };
    assert!(connect(PASSWORD));
    assert!(!connect("wrong"));
    assert_eq!(cluster.psql("postgres", "SELECT 1"), "1");
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let cluster = Cluster::start(parts::NEWEST);
    let (dir, pid) = (cluster.data_dir(), server_pid(&cluster));
    drop(cluster);
    assert!(!dir.exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_crashed_server_starts_again_with_what_was_committed() {
    let mut cluster = Cluster::options(16).conf("fsync = on").conf("synchronous_commit = on").start();
    cluster.psql("postgres", "CREATE TABLE t AS SELECT 7 AS n");
    cluster.stop_immediate();
    assert!(cluster.try_psql("postgres", "SELECT 1").is_err());
    cluster.start_again();
    assert_eq!(cluster.psql("postgres", "SELECT n FROM t"), "7");
    cluster.stop();
    cluster.start_again();
    wait::until("the server answers", || cluster.try_psql("postgres", "SELECT 1").is_ok());
}

/// A client's first message, as a driver sends it: without a password, which nobody asks for before the server is up.
fn knock(port: u16) {
    let mut message = vec![0, 0, 0, 0, 0, 3, 0, 0];
    message.extend_from_slice(b"user\0postgres\0\0");
    message[3] = u8::try_from(message.len()).expect("short");
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(&message).and_then(|()| stream.read(&mut [0; 64]));
    }
}

#[test]
fn a_client_that_comes_too_early_does_not_count_as_the_servers_end() {
    let mut cluster = Cluster::start(parts::NEWEST);
    let port = cluster.port();
    for round in 0..50 {
        cluster.psql("postgres", &format!("CREATE TABLE t_{round} AS SELECT n FROM generate_series(1, 20000) n"));
        cluster.stop_immediate();
        let is_up = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_up.load(Ordering::Relaxed) {
                    knock(port);
                }
            });
            let started = panic::catch_unwind(AssertUnwindSafe(|| cluster.start_again()));
            is_up.store(true, Ordering::Relaxed);
            started.unwrap_or_else(|panic| panic::resume_unwind(panic));
        });
        if cluster.log().contains("FATAL:  the database system is") {
            return;
        }
    }
    panic!("no client came too early:\n{}", cluster.log());
}

#[test]
fn a_server_that_does_not_start_is_told_at_once_with_its_log() {
    let mut cluster = Cluster::start(parts::NEWEST);
    cluster.reconfigure("work_mem = 'much'");
    cluster.stop();
    let began = Instant::now();
    let told = panic::catch_unwind(AssertUnwindSafe(|| cluster.start_again())).expect_err("it cannot start");
    let told = told.downcast::<String>().expect("a message");
    assert!(told.contains("work_mem") && began.elapsed() < Duration::from_secs(30), "{told}");
}

#[test]
fn a_failing_statement_comes_back_as_its_error() {
    let cluster = Cluster::start(parts::NEWEST);
    let error = cluster.try_psql("postgres", "SELECT 1; SELECT 1/0; SELECT 2").expect_err("division by zero");
    assert!(error.contains("division by zero"), "{error}");
}

fn server_pid(cluster: &Cluster) -> String {
    let file = std::fs::read_to_string(cluster.data_dir().join("postmaster.pid")).expect("postmaster.pid");
    file.lines().next().expect("a process id").to_owned()
}

/// Every kind of object survives pg_dumpall and psql: what a restore by bkp is measured against is reachable.
fn comes_back_by_plain_pg_dumpall(major: u32) {
    let from = Cluster::start(major);
    fixtures::everything(&from);
    let to = replayed(&from);
    assert_same(&comparable(&from), &comparable(&to));
}

#[test]
fn every_kind_of_object_of_14_comes_back_by_plain_pg_dumpall() {
    comes_back_by_plain_pg_dumpall(14);
}

#[test]
fn every_kind_of_object_of_15_comes_back_by_plain_pg_dumpall() {
    comes_back_by_plain_pg_dumpall(15);
}

#[test]
fn every_kind_of_object_of_16_comes_back_by_plain_pg_dumpall() {
    comes_back_by_plain_pg_dumpall(16);
}

#[test]
fn every_kind_of_object_of_17_comes_back_by_plain_pg_dumpall() {
    comes_back_by_plain_pg_dumpall(17);
}

#[test]
fn every_kind_of_object_of_18_comes_back_by_plain_pg_dumpall() {
    comes_back_by_plain_pg_dumpall(18);
}

/// A new server of the same major, filled by pg_dumpall and psql alone.
fn replayed(from: &Cluster) -> Cluster {
    let to = Cluster::start(from.major());
    let dump = from.pg_dumpall([]);
    // The superuser exists already: the one error that every replay of a pg_dumpall has.
    let mut psql = to.client("psql");
    let ran = run(psql.args(["-X", "-q", "-d", "postgres"]), &dump);
    let errors: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.contains("ERROR:") && !line.contains("\"postgres\" already exists"))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    to
}

/// Without what pg_dumpall is known to leave out: databases that refuse connections, and what `postgres` itself is.
fn comparable(cluster: &Cluster) -> Snapshot {
    Snapshot::of(cluster).ignoring(|part, line| {
        let left_out = line.starts_with("database|locked|")
            || line.starts_with("database|postgres|")
            || line.starts_with("setting|postgres|");
        part == "database postgres" || (part == "catalogue" && left_out)
    })
}

#[test]
fn a_changed_cluster_is_told_apart() {
    let cluster = Cluster::start(parts::NEWEST);
    fixtures::shop(&cluster);
    cluster.psql("postgres", "CREATE ROLE other");
    let before = Snapshot::of(&cluster);
    assert_same(&before, &Snapshot::of(&cluster));
    let changes = [
        ("a missing row", "shop", "DELETE FROM orders WHERE id = 7"),
        ("a changed value", "shop", "UPDATE orders SET note = '' WHERE note IS NULL AND id = 3"),
        ("another owner", "shop", "ALTER TABLE customers OWNER TO other"),
        ("another right", "shop", "GRANT SELECT (mail) ON customers TO other"),
        ("another comment", "shop", "COMMENT ON COLUMN orders.note IS 'new'"),
        ("a moved sequence", "shop", "SELECT nextval('orders_id_seq')"),
        ("a missing index", "shop", "DROP INDEX orders_by_customer"),
        ("a database's setting", "postgres", "ALTER DATABASE shop SET work_mem = '9MB'"),
        ("a database's right", "postgres", "REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC"),
        ("a database's owner", "postgres", "ALTER DATABASE shop OWNER TO other"),
        ("a database's limit", "postgres", "ALTER DATABASE shop CONNECTION LIMIT 9"),
        ("a role's password", "postgres", "ALTER ROLE shop PASSWORD 'new'"),
        ("a role's setting", "postgres", "ALTER ROLE ALL SET lock_timeout = 9"),
        ("a membership", "postgres", "GRANT other TO shop"),
        ("another database", "postgres", "CREATE DATABASE one_more"),
    ];
    let mut last = before;
    for (what, database, change) in changes {
        cluster.psql(database, change);
        let now = Snapshot::of(&cluster);
        assert!(last.difference(&now).is_some(), "{what} is not seen");
        last = now;
    }
}

#[test]
fn a_server_dies_with_the_process_that_started_it() {
    // The other end of the keeper's pipe is this process; closing it without a word is what its death does.
    let cluster = Cluster::start(parts::NEWEST);
    let dir = cluster.data_dir();
    let mut cluster = std::mem::ManuallyDrop::new(cluster);
    cluster.lose_hold();
    wait::until("the abandoned server is gone", || !dir.exists());
}

#[test]
fn the_binary_runs_in_an_environment_of_its_own() {
    let hung = Bkp::bare().args(["--version"]).without("HOME").run();
    assert!(hung.code < 128, "{hung:?}");
}
